"""Orders that fire at a time: when, how often, by which evidence, and what they leave alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.contracts.events import Triggered
from gateway.contracts.requests import After, PlaceItem, Trigger
from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from gateway.core.terms import Refusal
from gateway.explain import explained, tell
from hotpath.enums import Hold, OrdStatus
from tests.property.order_world import E9
from tests.unit.engine_rig import WALL_NS, Rig

MS = 1_000_000


@pytest.fixture(params=[COMPILED, READABLE], ids=["compiled", "readable"])
def rig(request: pytest.FixtureRequest) -> Rig:
    core: Core = request.param
    rig = Rig(core=core, max_age_ns=1_000 * MS)
    rig.up()
    return rig


def at(ns: int = 0, *, after_ms: int | None = None, **more: Any) -> Trigger:
    return Trigger(kind="time", at_ns=None if after_ms else WALL_NS + ns, after_ms=after_ms, **more)


def timed(rig: Rig, name: str, trigger: Trigger, **terms: Any) -> int:
    order = rig.place(name, **({"side": "sell", "ord_type": "market", "px": None, "trigger": trigger} | terms))
    rig.sync()
    return order


def refused(rig: Rig, trigger: Trigger, **terms: Any) -> tuple[int, str]:
    fields: dict[str, Any] = {
        "cl_ord_id": "no", "symbol": "S0", "side": "sell", "ord_type": "market", "qty": "1", "tif": "gtc", **terms,
    }  # fmt: skip
    intake, before = rig.engine.intake, rig.state.digest()
    answer = intake.place(0, PlaceItem(trigger=trigger, **fields), b"s", 0, False, rig.clock.wall, rig.clock.mono)
    assert rig.state.digest() == before
    return answer, intake.path


def passes(rig: Rig, ns: int) -> None:
    """Time passes, with a quote at its end, and the timer runs."""
    rig.clock.pass_ns(ns)
    rig.quote("S0")
    rig.engine.on_timer()
    rig.sync()


def event(rig: Rig, order: int) -> Triggered:
    return msgspec.json.decode(text(rig, order), type=Triggered)


def text(rig: Rig, order: int) -> bytes:
    account, seq = rig.engine.views.fired(order)
    return rig.engine.event_text(account, seq)


def loaded(rig: Rig) -> Rig:
    """Another process over what the first one had on disk."""
    rig.sync()
    state = rig.core.state(shard=0, orders=4_000, accounts=2, instruments=2)
    state.load(rig.state.dump(), rig.state.positions_dump())
    assert state.digest() == rig.state.digest()
    again = Rig(state, core=rig.core, max_age_ns=1_000 * MS)
    again.journal.data = rig.journal.data
    return again


def test_it_leaves_when_its_time_has_come_and_once(rig: Rig) -> None:
    order = timed(rig, "t", at(50 * MS))
    passes(rig, 50 * MS - 1)
    assert rig.status(order) == OrdStatus.HELD
    passes(rig, 1)
    assert rig.status(order) == OrdStatus.PENDING_NEW
    for _ in range(3):
        passes(rig, 50 * MS)
    assert [ticket.order for ticket in rig.link.submitted] == [order]
    assert rig.state.clocks.count == 0


def test_the_clock_is_its_evidence(rig: Rig) -> None:
    order = timed(rig, "t", at(after_ms=20))
    passes(rig, 20 * MS)
    told = event(rig, order)
    assert (told.evidence.source, told.evidence.px, told.gap_bps, told.missed) == ("clock", "99.995", "0", False)
    assert told.evidence.recv_ns == WALL_NS + 20 * MS
    assert told.evidence.feed_seq is None and told.evidence.ticks is None


def test_without_a_price_the_evidence_has_none(rig: Rig) -> None:
    rig.long()
    order = timed(rig, "t", at(after_ms=5_000), reduce_only=True)
    rig.clock.pass_ns(5_000 * MS)
    rig.engine.on_timer()
    rig.sync()
    assert event(rig, order).evidence.px is None
    assert rig.link.submitted[-1].order == order  # it reduces: no limit stands in its way


def test_a_limit_rests_at_its_price_from_then_on(rig: Rig) -> None:
    order = timed(rig, "t", at(10 * MS), ord_type="limit", px="101")
    passes(rig, 10 * MS)
    assert (rig.link.submitted[-1].order, rig.link.submitted[-1].px_e9) == (order, 101 * E9)


@pytest.mark.parametrize("amount", [300, 1])
def test_many_at_one_time_fire_by_arrival_a_batch_in_a_turn(rig: Rig, amount: int) -> None:
    orders = [rig.place(f"t{k}", side="sell", ord_type="market", px=None, trigger=at(MS)) for k in range(amount)]
    rig.sync()
    rig.clock.pass_ns(MS)
    rig.quote("S0")
    rig.engine.on_timer()
    assert len([order for order in orders if rig.status(order) != OrdStatus.HELD]) == min(amount, 256)
    rig.engine.on_timer()  # between the turns of a batch it does not fire beside them
    rig.turn()
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == orders


def test_no_price_fires_it(rig: Rig) -> None:
    order = timed(rig, "t", at(1_000 * MS))
    for bid, ask in (("1.00", "1.01"), ("500.00", "500.01")):
        rig.quote("S0", bid, ask)
        rig.sync()
    assert rig.status(order) == OrdStatus.HELD


def test_out_of_session_or_halted_it_waits_until_the_market_trades(rig: Rig) -> None:
    order, other = timed(rig, "t", at(10 * MS)), timed(rig, "u", at(20 * MS), symbol="S1")
    for shut, opened in (({"is_halted": True}, {"is_halted": False}), ({"is_open": False}, {"is_open": True})):
        order = timed(rig, f"t-{shut}".translate({ord(c): "-" for c in "{':} "}), at(after_ms=10))
        rig.engine.set_session(0, **shut)
        rig.clock.pass_ns(100 * MS)
        rig.engine.on_timer()
        rig.sync()
        assert rig.status(order) == OrdStatus.HELD
        assert rig.status(other) == OrdStatus.PENDING_NEW  # it does not stand in the way of another market's
        rig.engine.set_session(0, **opened)
        passes(rig, MS)
        assert rig.status(order) == OrdStatus.PENDING_NEW
        assert not event(rig, order).missed


def test_a_wall_clock_that_jumps_fires_by_what_it_says_and_never_twice(rig: Rig) -> None:
    early, late = timed(rig, "a", at(3_600_000 * MS)), timed(rig, "b", at(7_200_000 * MS))
    rig.clock.wall += 3_600_000 * MS
    passes(rig, 1)
    assert (rig.status(early), rig.status(late)) == (OrdStatus.PENDING_NEW, OrdStatus.HELD)
    rig.clock.wall -= 3_600_000 * MS
    passes(rig, 1)
    rig.clock.wall += 3_600_000 * MS
    passes(rig, 1)
    assert [ticket.order for ticket in rig.link.submitted] == [early]


def test_a_time_that_has_passed_is_refused_or_fires_at_once(rig: Rig) -> None:
    assert refused(rig, at(0)) == (Refusal.TRIGGER_THROUGH, "trigger.at_ns")
    order = timed(rig, "t", at(-5, if_through="fire"))
    passes(rig, 0)
    assert rig.status(order) == OrdStatus.PENDING_NEW
    assert not event(rig, order).missed


@pytest.mark.parametrize(
    ("trigger", "path"),
    [
        (Trigger(kind="time"), "at_ns"),
        (Trigger(kind="time", at_ns=WALL_NS * 2, after_ms=5), "at_ns"),
        (Trigger(kind="time", after_ms=5, stop_px="90"), "stop_px"),
        (Trigger(kind="time", after_ms=5, source="bid"), "source"),
        (Trigger(kind="time", after_ms=5, max_age_ms=100), "max_age_ms"),
        (Trigger(kind="time", after_ms=5, limit_offset="1"), "limit_offset"),
        (Trigger(kind="time", after_ms=5, on_missed="rearm"), "on_missed"),
        (Trigger(kind="stop", stop_px="90", at_ns=5), "at_ns"),
        (Trigger(kind="stop", stop_px="90", after_ms=5), "after_ms"),
    ],
)
def test_what_does_not_go_together_is_refused(rig: Rig, trigger: Trigger, path: str) -> None:
    assert refused(rig, trigger) == (Refusal.BAD_COMBINATION, f"trigger.{path}")


@pytest.mark.parametrize(("member", "value"), [("after_ms", 0), ("after_ms", 366 * 86_400_000 + 1), ("at_ns", 0)])
def test_a_time_out_of_range_is_refused(rig: Rig, member: str, value: int) -> None:
    assert refused(rig, Trigger(kind="time", **{member: value})) == (Refusal.BAD_FIELD, f"trigger.{member}")


def test_a_limit_needs_its_price(rig: Rig) -> None:
    assert refused(rig, at(after_ms=5), ord_type="limit") == (Refusal.BAD_COMBINATION, "px")


def test_a_replace_moves_the_time_of_a_held_order_only(rig: Rig) -> None:
    order = timed(rig, "t", at(after_ms=1_000))
    passes(rig, 500 * MS)
    assert rig.replace("t", 2, trigger=at(after_ms=200)) == Refusal.TRIGGER_THROUGH  # since it was armed
    assert rig.engine.intake.path == "trigger.after_ms"
    assert rig.replace("t", 2, trigger=Trigger(kind="stop", stop_px="90")) == Refusal.UNSUPPORTED
    assert rig.replace("t", 2, trigger=at(after_ms=600)) > 0
    rig.sync()
    passes(rig, 99 * MS)
    assert rig.status(order) == OrdStatus.HELD
    assert rig.replace("t", 2, trigger=at(after_ms=600)) == 0  # the same again
    assert rig.replace("t", 2, trigger=at(after_ms=601)) == Refusal.REV_CONFLICT
    assert rig.replace("t", 3, trigger=at(700 * MS)) > 0
    rig.sync()
    passes(rig, 100 * MS)
    assert rig.status(order) == OrdStatus.HELD
    passes(rig, MS)
    assert rig.status(order) == OrdStatus.PENDING_NEW
    rig.new(order)
    assert rig.replace("t", 4, trigger=at(900_000 * MS)) == Refusal.UNSUPPORTED


def test_a_canceled_one_and_an_expired_one_do_not_fire(rig: Rig) -> None:
    gone = timed(rig, "a", at(20 * MS))
    over = timed(rig, "b", at(20 * MS), tif="gtd", expire_ns=WALL_NS + 10 * MS)
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    passes(rig, 10 * MS)
    passes(rig, 20 * MS)
    assert (rig.status(gone), rig.status(over)) == (OrdStatus.CANCELED, OrdStatus.EXPIRED)
    assert not rig.link.submitted and rig.state.clocks.count == 0


def test_a_child_waits_from_its_release_on(rig: Rig) -> None:
    entry = rig.place("e")
    stop = timed(rig, "s", at(after_ms=100), after=After(cl_ord_id="e"), oco="x")
    target = rig.place("p", side="sell", px="105", after=After(cl_ord_id="e"), oco="x")
    rig.sync()
    passes(rig, 500 * MS)
    assert rig.engine.views.order(stop)["hold"] == Hold.HOLD_PARENT
    rig.new(entry)
    rig.fill(entry, 4, b"f")
    assert rig.engine.views.order(stop)["hold"] == Hold.HOLD_TRIGGER
    rig.new(target)
    passes(rig, 99 * MS)
    assert rig.status(stop) == OrdStatus.HELD
    passes(rig, MS)
    assert rig.status(stop) == OrdStatus.PENDING_NEW
    assert [ticket.order for ticket in rig.link.canceled] == [target]  # its rival, before it leaves
    rig.engine.reports.canceled(target, 0, b"", rig.clock.wall)
    rig.engine.router.on_timer(rig.clock.wall, rig.clock.mono)
    assert rig.engine.views.order(stop)["leaves_qty_e9"] == 4 * E9


def test_it_is_cut_to_the_position_or_ends_flat(rig: Rig) -> None:
    rig.long(3)
    order = timed(rig, "t", at(10 * MS), reduce_only=True)
    flat = timed(rig, "f", at(20 * MS), reduce_only=True, account=1)
    passes(rig, 20 * MS)
    assert rig.link.submitted[-1].qty_e9 == 3 * E9
    assert rig.status(order) == OrdStatus.PENDING_NEW
    assert rig.status(flat) == OrdStatus.CANCELED


def test_it_needs_no_data_so_nobody_is_blind(rig: Rig) -> None:
    timed(rig, "t", at(3_600_000 * MS))
    rig.clock.pass_ns(5_000 * MS)
    rig.engine.on_timer()
    assert rig.engine.guard.blind == [] and rig.engine.views.held() == {}
    assert rig.engine.views.resting({0: 1 << 62}) == {}


def test_a_restart_keeps_its_time_and_says_what_was_missed(rig: Rig) -> None:
    missed, later = timed(rig, "m", at(after_ms=100)), timed(rig, "l", at(after_ms=400))
    again = loaded(rig)
    again.clock.pass_ns(300 * MS)
    again.engine.recover(WALL_NS, is_clean=True)
    again.up()
    passes(again, MS)
    assert (again.status(missed), again.status(later)) == (OrdStatus.PENDING_NEW, OrdStatus.HELD)
    assert event(again, missed).missed
    passes(again, 99 * MS)
    assert not event(again, later).missed
    assert [ticket.order for ticket in again.link.submitted] == [missed, later]


def test_after_a_crash_it_is_a_suspect_until_the_broker_has_spoken(rig: Rig) -> None:
    order = timed(rig, "t", at(after_ms=100))
    again = loaded(rig)
    again.clock.pass_ns(50 * MS)
    again.engine.recover(WALL_NS, is_clean=False)
    assert list(again.state.suspects) == [order]
    again.up()
    assert not again.state.suspects
    passes(again, 50 * MS)
    assert [ticket.order for ticket in again.link.submitted] == [order]


def test_one_that_the_broker_never_had_is_armed_since_it_was(rig: Rig) -> None:
    order = timed(rig, "t", at(after_ms=100))
    reports = rig.engine.reports
    again = loaded(rig)
    again.engine.recover(WALL_NS, is_clean=False)
    reports = again.engine.reports
    assert reports.in_doubt(order, b"restart", again.clock.wall) >= 0
    again.clock.pass_ns(60 * MS)
    again.up()
    if again.status(order) != OrdStatus.HELD:
        reports.requeue(order, b"unknown id", again.clock.wall)
    assert again.status(order) == OrdStatus.HELD
    passes(again, 40 * MS)
    assert again.status(order) == OrdStatus.PENDING_NEW


def test_a_replayed_journal_gives_the_same_times(rig: Rig) -> None:
    timed(rig, "a", at(after_ms=100))
    rig.clock.pass_ns(30 * MS)
    timed(rig, "b", at(10**12))
    state = rig.core.state(shard=0, orders=4_000, accounts=2, instruments=2)
    state.replay(memoryview(bytes(rig.journal.data[4096:])), 4096)
    assert state.digest() == rig.state.digest()
    for wall_ns in (WALL_NS + 100 * MS - 1, WALL_NS + 100 * MS):
        assert state.clocks.next_due(wall_ns) == rig.state.clocks.next_due(wall_ns)
    assert state.clocks.count == 2


def test_the_order_shows_what_was_asked_and_explain_says_it(rig: Rig) -> None:
    order = timed(rig, "t", at(after_ms=20))
    shown = msgspec.json.decode(rig.engine.views.order_json(order))["order"]["trigger"]
    assert shown == {"kind": "time", "after_ms": 20, "if_through": "reject", "placement": "gateway"}
    dated = msgspec.json.decode(rig.engine.views.order_json(timed(rig, "u", at(10**12))))["order"]["trigger"]
    assert dated == {"kind": "time", "at_ns": WALL_NS + 10**12, "if_through": "reject", "placement": "gateway"}
    passes(rig, 20 * MS)
    engine = rig.engine
    seqs = [engine.views.accepted(order)[1], engine.views.fired(order)[1]]
    frames = [engine.read_frame(engine.state.position_of(0, seq)) for seq in seqs]
    told = explained([tell(frame, engine.state.names.render_frame) for frame in frames], is_whole=True)
    assert "held for the time 20 ms after it was armed on the clock" in told.chain[0].text
    assert told.chain[1].text.startswith("the clock fires the time 20 ms after it was armed")
