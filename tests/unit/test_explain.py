"""Explanations: an order's own events, found in the journal and told in order; what fired it, and what refused it."""

import pytest

from gateway import explain
from gateway.contracts.notices import Explained
from gateway.core.world import World
from gateway.explain import Trace
from hotpath.fixed import to_e9
from tests.property.order_world import LIMITS
from tests.unit.engine_rig import Rig


def explained(rig: Rig, order: int) -> Explained:
    rig.sync()
    trace = Trace(rig.engine, order)
    ends: list[OSError | None] = []
    assert rig.engine.explaining.read(trace, ends.append)
    while not ends:
        rig.turn()
    assert ends == [None]
    return trace.explained()


def steps(found: Explained) -> list[str]:
    return [step.step for step in found.chain]


def test_a_fired_order_tells_its_tick_its_check_and_its_way_to_the_broker() -> None:
    rig = Rig()
    rig.up()
    rig.engine.watch.name_feed(0, b"sip-a")
    order = rig.place("stop", stop="95", qty="1")
    rig.sync()
    rig.quote("S0", bid="94.90", ask="95.00")
    found = explained(rig, order)
    assert steps(found) == ["accepted", "judged", "checked", "sent"]
    assert found.chain[0].text == "sell 1 S0, market, gtc; held for the stop at 95 on bid"
    assert found.chain[1].text == "bid 94.9 fires the stop at 95, 10.52 bps through it"
    assert found.chain[2].text == "passes every control of a release"
    assert found.evidence is not None
    assert (found.evidence.source, found.evidence.px, found.evidence.feed) == ("bid", "94.9", "sip-a")
    assert found.since_tick_ns is not None
    assert set(found.since_tick_ns) == {"judged", "wire"}  # the hand clock stands still: a check of 0 ns is not said
    assert found.is_whole


def test_what_refused_a_release_is_told_with_its_numbers() -> None:
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    rig.sync()
    narrow = dict.fromkeys(LIMITS, 0) | {"max_order_qty_e9": to_e9("0.5")}
    World(rig.engine.state).set_limits(0, narrow, 2, rig.clock.wall)
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    found = explained(rig, order)
    assert steps(found) == ["accepted", "judged", "checked", "rejected"]
    check = found.chain[2]
    assert check.detail is not None
    assert check.text.startswith("refused at its release: ")
    assert (check.detail["code"], check.detail["limit"], check.detail["value"]) == ("RC_MAX_QTY", "0.5", "1")
    assert found.ord_status == "rejected"


def test_only_the_order_s_own_events_are_told_and_only_to_its_end() -> None:
    rig = Rig()
    rig.up()
    first = rig.place("first", stop="95", qty="1")
    others = [rig.place(f"other-{number}", stop="90", qty="1") for number in range(300)]
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    found = explained(rig, first)
    assert {step.step for step in found.chain} == {"accepted", "judged", "checked", "sent"}
    assert steps(explained(rig, others[-1])) == ["accepted"]
    assert explained(rig, others[-1]).evidence is None


def test_what_fired_long_after_the_acceptance_is_found_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "SCAN_MAX", 20)
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    for number in range(100):
        rig.place(f"other-{number}", stop="90", qty="1")
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    found = explained(rig, order)
    assert steps(found) == ["accepted", "judged", "checked", "sent"]
    assert not found.is_whole  # something may have happened to it in between


def test_a_trace_reads_no_more_in_a_turn_than_its_part() -> None:
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    for number in range(600):
        rig.place(f"other-{number}", stop="90", qty="1")
    rig.sync()
    trace = Trace(rig.engine, order)
    steps = 1
    while not trace.step():
        steps += 1
    assert steps == -(-602 // explain.TURN_EVENTS)
    assert trace.explained().is_whole


def test_a_turn_reads_one_part_however_many_ask_and_too_many_are_told_so() -> None:
    rig = Rig()
    rig.up()
    orders = [rig.place(f"stop-{number}", stop="95", qty="1") for number in range(100)]
    rig.sync()
    done: list[int] = []
    traces = [Trace(rig.engine, order) for order in orders[: explain.READERS_MAX + 1]]
    taken = [
        rig.engine.explaining.read(trace, lambda _, at=at: done.append(at))  # type: ignore[misc]
        for at, trace in enumerate(traces)
    ]
    assert taken == [True] * explain.READERS_MAX + [False]
    read = 0
    while rig.turns:
        before = [trace._at for trace in traces]
        rig.turn()
        moved = sum(trace._at != was for trace, was in zip(traces, before, strict=True))
        assert moved <= 1
        read += moved
    assert sorted(done) == list(range(explain.READERS_MAX)) and read > len(done)
    assert rig.engine.explaining.read(traces[-1], lambda _: None)


def test_an_event_that_cannot_be_read_ends_the_reading_of_its_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    rig.up()
    orders = [rig.place(f"stop-{number}", stop="95", qty="1") for number in range(2)]
    rig.sync()
    told: list[OSError | None] = []
    bad, good = (Trace(rig.engine, order) for order in orders)

    def fail() -> bool:
        raise OSError("bad sector")

    monkeypatch.setattr(bad, "step", fail)
    for trace in (bad, good):
        assert rig.engine.explaining.read(trace, told.append)
    while rig.turns:
        rig.turn()
    assert [type(error) for error in told] == [OSError, type(None)]
    assert good.explained().is_whole
