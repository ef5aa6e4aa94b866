"""The order core equals its twin under every word of clients and brokers, and its records alone rebuild it."""

import os
import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.property.order_chooser import Chooser
from tests.property.order_world import Pair

STEPS = 500  # of one history
HISTORIES = max(4, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // STEPS)


def test_core_equals_twin_over_random_histories() -> None:
    for seed in range(HISTORIES):
        pair = Pair()
        chooser = Chooser(random.Random(seed), pair)
        try:
            for _ in range(STEPS):
                chooser.step()
            pair.compare_all()
            pair.compare_replay()
        except AssertionError as error:
            error.add_note(f"history {seed}, after {len(pair.twin.events)} events")
            raise


class OrderLife(RuleBasedStateMachine):
    """The same, with histories that Hypothesis shrinks: each rule is one thing that happens."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()

    @rule(seed=st.integers(0, 2**32), kind=st.sampled_from(sorted(set(Chooser.KINDS))))
    def happens(self, seed: int, kind: str) -> None:
        chooser = Chooser(random.Random(seed), self.pair)
        chooser.execs = [(row, exec_id) for row, o in enumerate(self.pair.twin.orders) for exec_id in sorted(o.execs)]
        chooser.KINDS = (kind,)
        chooser.step()

    @invariant()
    def gate_holds_what_orders_add_up_to(self) -> None:
        self.pair.compare_all()

    def teardown(self) -> None:
        self.pair.compare_replay()


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=max(10, HISTORIES // 20), stateful_step_count=40, deadline=None)
