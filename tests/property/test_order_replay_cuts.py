"""A journal may end at any record: what was replayed to there and goes on is the state that never stopped."""

import os
import random

from hotpath import frame
from tests.property.order_chooser import Chooser
from tests.property.order_world import Pair, new_state

HISTORIES = max(2, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // 5000)
STEPS = 300


def cuts(journal: bytes) -> list[int]:
    """Ends of the atomic groups."""
    found, at = [], 0
    while at < len(journal):
        one = frame.unpack_frame(journal, at)
        at += one.space
        if not one.flags & frame.FLAG_CONTINUES:
            found.append(at)
    return found


def test_replay_in_two_parts_and_through_a_snapshot_equals_the_whole() -> None:
    for seed in range(HISTORIES):
        draw = random.Random(seed)
        pair = Pair()
        chooser = Chooser(draw, pair)
        for _ in range(STEPS):
            chooser.step()
        journal = bytes(pair.journal)
        digest = pair.live.state.digest()
        for cut in draw.sample(cuts(journal), 10):
            first = new_state()
            first.replay(memoryview(journal[:cut]), 0)
            loaded = new_state()
            loaded.load(first.dump(), first.positions_dump())
            for state in (first, loaded):
                state.replay(memoryview(journal[cut:]), cut)
                assert state.digest() == digest
                assert state.positions_dump() == pair.live.state.positions_dump()
