"""A reduce-only order that waited, or fired, goes out whatever the limits are by then."""

import pytest

from gateway.core.world import World
from hotpath.enums import Control
from tests.property.order_world import E9, LIMITS, Pair
from tests.unit.test_order_reports import PX, item


@pytest.fixture
def pair() -> Pair:
    found = Pair()
    found.place(0, item("entry"))
    found.report("sent", 0)
    found.report("new", 0)
    found.report("trade", 0, b"x1", 10 * E9, PX, 10 * E9)
    return found


def narrow(pair: Pair) -> None:
    World(pair.live.state).set_limits(0, dict.fromkeys(LIMITS, 0), 2, pair.wall_ns)


def test_a_queued_protective_order_passes_its_recheck(pair: Pair) -> None:
    pair.place(0, item("exit", side="sell", reduce_only=True))
    assert pair.live.views.order(1)["reserved_qty_e9"] == 10 * E9
    assert pair.live.intake.recheck(1, pair.wall_ns, pair.mono_ns) == Control.PASS
    narrow(pair)
    assert pair.live.intake.recheck(1, pair.wall_ns, pair.mono_ns) == Control.PASS


def test_a_queued_entry_meets_the_limits_of_now(pair: Pair) -> None:
    pair.place(0, item("more"))
    assert pair.live.intake.recheck(1, pair.wall_ns, pair.mono_ns) == Control.PASS
    narrow(pair)
    assert pair.live.intake.recheck(1, pair.wall_ns, pair.mono_ns) == Control.SZ_MAX_QTY


@pytest.mark.parametrize(
    ("limit", "control"),
    [("max_position_qty_e9", Control.CR_POS_QTY), ("max_gross_e4", Control.CR_GROSS)],
)
def test_what_a_queued_entry_has_reserved_is_no_reason_to_let_it_pass(pair: Pair, limit: str, control: Control) -> None:
    """It was admitted under wider limits: its own reservation counted as there already, and it made nothing larger."""
    pair.place(0, item("more"))
    World(pair.live.state).set_limits(
        0, LIMITS | {limit: 10 * (E9 if limit.endswith("e9") else 10**4)}, 2, pair.wall_ns
    )
    assert pair.live.intake.recheck(1, pair.wall_ns, pair.mono_ns) == control
