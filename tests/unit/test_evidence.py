"""What fired an order is in its record: the tick, the quote of that moment, the feed, and the check of the release."""

import msgspec
import pytest

from gateway.contracts.events import Evidence, Triggered
from gateway.core.world import World
from hotpath.enums import Control
from hotpath.records import release_check
from tests.property.order_world import LIMITS
from tests.unit.engine_rig import Rig


def fired(rig: Rig, name: str, bid: str = "94.99", ask: str = "95.00") -> tuple[bytes, Triggered]:
    """The frame and the event of an order that a quote fires."""
    order = rig.place(name, stop="95", qty="1")
    rig.sync()
    rig.quote("S0", bid=bid, ask=ask)
    rig.sync()
    account, seq = rig.engine.views.fired(order)
    frame = rig.engine.read_frame(rig.engine.state.position_of(account, seq))
    return frame, msgspec.json.decode(rig.engine.state.names.render_frame(frame), type=Triggered)


def test_the_record_has_the_quote_of_that_moment_and_the_feed() -> None:
    rig = Rig()
    rig.up()
    rig.engine.watch.name_feed(0, b"sip-a")
    frame, event = fired(rig, "stop")
    assert isinstance(event.evidence, Evidence)
    assert (event.evidence.feed, event.evidence.source, event.evidence.px) == ("sip-a", "bid", "94.99")
    assert (event.evidence.bid, event.evidence.ask) == ("94.99", "95")
    assert event.evidence.bid_qty is not None and event.evidence.ask_qty is not None
    assert event.evidence.age_ns == 0
    assert release_check(frame) == {}


def test_the_record_has_what_the_control_that_refused_had_in_hand() -> None:
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    rig.sync()
    World(rig.engine.state).set_limits(0, dict.fromkeys(LIMITS, 0), 2, rig.clock.wall)
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    rig.sync()
    account, seq = rig.engine.views.fired(order)
    check = release_check(rig.engine.read_frame(rig.engine.state.position_of(account, seq)))
    assert check["control"] == Control.SZ_MAX_QTY
    assert (check["unit"], check["limit"], check["value"]) == (1, 0, 10**9)


def test_an_order_that_has_not_fired_has_no_record_of_it() -> None:
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    rig.sync()
    assert rig.engine.views.fired(order) == (0, 0)
    account, seq = rig.engine.views.accepted(order)
    assert release_check(rig.engine.read_frame(rig.engine.state.position_of(account, seq))) == {}


@pytest.mark.parametrize(("number", "name"), [(-1, b"a"), (16, b"a"), (0, b""), (0, b"a" * 37)])
def test_a_feed_needs_a_number_and_a_name_in_bounds(number: int, name: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        Rig().engine.watch.name_feed(number, name)
