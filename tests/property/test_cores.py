"""The readable core makes the compiled one's records to the byte, answers, refusals and state digests: step by step."""

import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from hotpath import records
from hotpath.ref import records as ref_records
from tests.property.both_cores import BOTH, Apart
from tests.property.order_chooser import Chooser
from tests.property.order_world import Live, Pair, new_state

STEPS = 300  # of one history
# What benchmarks and the cold ends of the compiled classes have; no engine calls it.
BENCHMARKED = {
    "bench_loop", "check_many", "check_loop", "churn_loop", "climb_loop", "decide", "memory_bytes", "parse_many",
}  # fmt: skip
HISTORIES = max(4, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // STEPS)


class Lockstep(Pair):
    """Both cores under one history: every call is compared, and after each step records, orders and digests."""

    def __init__(self) -> None:
        super().__init__(BOTH)

    def compare_core(self) -> None:
        """The calls compare what the two sides answer; here they are only asked."""
        state, views = self.live.state, self.live.views
        state.digest()
        state.dump()
        for row in range(state.orders.count):
            views.order_json(row)
            views.order(row)
        for account in range(len(state.account_names)):
            views.account(account)
            views.positions(account)
            views.done_since(account, 20, 0)
            views.open_orders(account)
        assert self.live.intake.decision is not None
        views.counts(), views.done(), views.held(), views.in_doubt(), views.unsettled(), views.owing()


def test_both_cores_say_the_same_over_random_histories() -> None:
    for seed in range(HISTORIES):
        pair = Lockstep()
        chooser = Chooser(random.Random(seed), pair)
        try:
            for step in range(STEPS):
                chooser.step()
                pair.live.state.digest()
                if step % 25 == 0:
                    pair.compare_core()
            pair.compare_all()
            pair.compare_replay()
        except AssertionError as error:
            error.add_note(f"history {seed}, after {len(pair.twin.events)} events")
            raise


class CoreLife(RuleBasedStateMachine):
    """The same, with histories that Hypothesis shrinks."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Lockstep()

    @rule(seed=st.integers(0, 2**32), kind=st.sampled_from(sorted(set(Chooser.KINDS))))
    def happens(self, seed: int, kind: str) -> None:
        chooser = Chooser(random.Random(seed), self.pair)
        chooser.execs = [(row, exec_id) for row, o in enumerate(self.pair.twin.orders) for exec_id in sorted(o.execs)]
        chooser.KINDS = (kind,)
        chooser.step()
        self.pair.live.state.digest()

    def teardown(self) -> None:
        self.pair.compare_core()
        self.pair.compare_replay()


TestCoreLife = CoreLife.TestCase
TestCoreLife.settings = settings(max_examples=10, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("part", [*Core.__slots__, "orders", "quotes", "stops", "gate"])
def test_readable_core_has_every_call_of_the_compiled_one(part: str) -> None:
    if part in Core.__slots__:
        compiled, readable = getattr(COMPILED, part), getattr(READABLE, part)
        names = {name for name in dir(compiled) if not name.startswith("_")} - BENCHMARKED
        found = set(dir(readable)) | set(dir(_readable(part)))
    else:
        names = {name for name in dir(getattr(new_state(), part)) if not name.startswith("_")} - BENCHMARKED
        found = set(dir(getattr(new_state(READABLE), part)))
    assert not names - found


def _readable(part: str) -> object:
    live = Live.over(new_state(READABLE), READABLE)
    return {"world": READABLE.world(live.state), "parser": live.watch.parser}.get(part) or getattr(live, part, None)


def test_payloads_have_the_compiled_sizes() -> None:
    assert ref_records.payload_sizes() == records.payload_sizes()


def test_a_readable_core_that_forgets_what_is_owed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = READABLE.reports.canceled
    monkeypatch.setattr(
        READABLE.reports, "canceled", lambda self, order, cum_e9, raw, wall_ns: real(self, order, 0, raw, wall_ns)
    )
    with pytest.raises(Apart):
        drive(40)


def drive(histories: int) -> None:
    for seed in range(histories):
        chooser = Chooser(random.Random(seed), Lockstep())
        for _ in range(STEPS):
            chooser.step()
            chooser.pair.live.state.digest()
