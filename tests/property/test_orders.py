"""The order core equals its twin under every word of clients and brokers, and its records alone rebuild it."""

import os
import random

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
