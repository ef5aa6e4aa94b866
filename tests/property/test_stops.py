"""Trigger index: kernel and naive twin fire the same stops in the same order over long random histories."""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hotpath.ref.stops import TriggerIndex as Twin
from hotpath.stops import TriggerIndex as Kernel

# One example runs STEPS steps; BACKSTAY_PROPERTY_STEPS is the total, spread over the examples.
STEPS = 400
EXAMPLES = max(25, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "40000")) // STEPS)
E9 = 10**9
MAX_E9 = 9_200_000_000 * E9 - 1
HANDLES = 48
INSTRUMENTS = 2


class Market:
    """One random history: where the price is, how far it reaches, and what the next step does to both indexes."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.kernel, self.twin = Kernel(INSTRUMENTS, HANDLES), Twin(INSTRUMENTS, HANDLES)
        self.tick = self.draw.choice((1, 10, E9 // 100, 7 * E9))
        self.center = self.draw.choice((20, 200, 6_000_000, MAX_E9 // self.tick - 300))
        self.reach = self.draw.choice((4, 6, 60, 3_000))
        for instrument in range(INSTRUMENTS):
            if self.draw.random() < 0.8:
                self.kernel.set_tick(instrument, self.tick)
                self.twin.set_tick(instrument, self.tick)
        if self.draw.random() < 0.5:
            self.offsets = [(1, False), (5, False)]
        else:
            self.offsets = [(self.draw.randint(1, 2 * self.reach), self.draw.random() < 0.4) for _ in range(5)]

    def price(self) -> int:
        if self.draw.random() < 0.02:
            return self.draw.choice((0, -5, 1, MAX_E9, MAX_E9 + 1, 2**63 - 1))
        off_tick = self.draw.randint(0, 3) if self.draw.random() < 0.1 else 0
        return max(1, (self.center + self.draw.randint(-self.reach, self.reach)) * self.tick + off_tick)

    def arm(self) -> None:
        handle, line = (
            self.draw.randrange(HANDLES + 1),
            (self.draw.randrange(INSTRUMENTS), self.draw.choice((0, 0, 1, 5))),
        )
        place = (
            handle,
            *line,
            self.draw.choice((0, 1, 0, 1, 2)) if self.draw.random() < 0.1 else self.draw.randrange(2),
        )
        px_e9 = self.price()
        assert self.kernel.arm_stop(*place, px_e9) == self.twin.arm_stop(*place, px_e9), (place, px_e9)

    def arm_trailing(self) -> None:
        size, is_bps = self.draw.choice(self.offsets)
        offset_e9 = size * E9 // 2 if is_bps else size * self.tick
        if self.draw.random() < 0.02:
            offset_e9 = self.draw.choice((0, MAX_E9, 10_000 * E9, 10_000 * E9 - 1))
        tick_e9 = self.tick if self.draw.random() < 0.9 else self.draw.choice((0, 1, 3, 2 * self.tick, MAX_E9))
        extreme = 0 if self.draw.random() < 0.2 else self.price()
        trail = (self.draw.randrange(HANDLES), self.draw.randrange(INSTRUMENTS), self.draw.choice((0, 0, 1)),
                 self.draw.randrange(2), offset_e9, is_bps, tick_e9, extreme)  # fmt: skip
        assert self.kernel.arm_trailing(*trail) == self.twin.arm_trailing(*trail), trail

    def disarm(self) -> None:
        resting = list(self.twin.resting)
        handle = self.draw.choice(resting) if resting and self.draw.random() < 0.9 else self.draw.randrange(HANDLES + 1)
        assert self.kernel.disarm_stop(handle) == self.twin.disarm_stop(handle)

    def tick_arrives(self) -> None:
        instrument, source, px_e9 = self.draw.randrange(INSTRUMENTS), self.draw.choice((0, 0, 1)), self.price()
        assert self.kernel.check(instrument, source, px_e9) == self.twin.check(instrument, source, px_e9), px_e9
        assert self.kernel.advance(instrument, source, px_e9) == self.twin.advance(instrument, source, px_e9), px_e9
        if self.draw.random() < 0.5:  # stops may stay: a price that fires can be followed by one that moves
            cap = self.draw.choice((1, 2, 100))
            fired = self.kernel.take_fired(instrument, source, px_e9, cap)
            assert fired == self.twin.take_fired(instrument, source, px_e9, cap), px_e9

    def compare(self) -> None:
        assert self.kernel.armed == self.twin.armed
        for handle in range(HANDLES):
            assert self.kernel.holds(handle) == self.twin.holds(handle)
            assert self.kernel.trigger_of(handle) == self.twin.trigger_of(handle), handle
        for instrument in range(INSTRUMENTS):
            for source in range(5):
                for direction in range(2):
                    line = (instrument, source, direction)
                    assert self.kernel.best_of(*line) == self.twin.best_of(*line), line

    def step(self) -> None:
        kind = self.draw.random()
        if kind < 0.22:
            self.arm()
        elif kind < 0.5:
            self.arm_trailing()
        elif kind < 0.62:
            self.disarm()
        else:
            self.tick_arrives()
        if self.draw.random() < 0.05:  # drift, so that trails run and new price regions open
            self.center = max(1, min(MAX_E9 // self.tick, self.center + self.draw.randint(-self.reach, self.reach)))

    def drain(self) -> None:
        """All that is left fires in the same order; then nothing is held any more."""
        for instrument in range(INSTRUMENTS):
            for source in range(5):
                for px_e9 in (1, MAX_E9):
                    fired = self.kernel.take_fired(instrument, source, px_e9, HANDLES)
                    assert fired == self.twin.take_fired(instrument, source, px_e9, HANDLES)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_kernel_equals_naive_twin_over_random_histories(seed: int) -> None:
    market = Market(seed)
    for number in range(STEPS):
        market.step()
        if number % 8 == 0:
            market.compare()
    market.compare()
    market.drain()
    market.compare()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_a_trailing_stop_put_back_by_its_extreme_rests_at_the_same_price(seed: int) -> None:
    draw = random.Random(seed)
    index = Kernel(1, 2)
    for _ in range(20):
        is_bps, direction, tick = draw.random() < 0.5, draw.randrange(2), draw.choice((1, 10**7, 3 * E9))
        offset = draw.randint(1, 9_999 * E9) if is_bps else draw.randint(1, MAX_E9 // 4)
        trail = (0, 0, direction, offset, is_bps, tick)
        assert index.arm_trailing(0, *trail, draw.randint(1, MAX_E9 // 2)) == 0
        index.advance(0, 0, draw.randint(1, MAX_E9 // 2))
        assert index.arm_trailing(1, *trail, index.extreme_of(0)) == 0
        assert index.trigger_of(1) == index.trigger_of(0)
        assert index.disarm_stop(0) == index.disarm_stop(1) == 0
