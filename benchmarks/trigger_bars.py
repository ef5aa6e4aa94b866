"""The trigger index with one order resting and with a million of all kinds: the figures that its bars are set on.

CPU time, the best of some rounds: what the code costs, not what else ran. Both sides of a ratio come from one run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from hotpath.stops import TriggerIndex

E9 = 10**9
TICK = E9 // 100
MARKET = 6_180_000  # ticks; stops rest up to 20 % away
SPREAD = 1_236_000
LAST = 0
DOWN, UP = 0, 1
KINDS = ("stop", "touch", "trail by amount", "trail by bps")
INSTRUMENTS = 2_000
OFFSETS = 1_000  # distinct trails of a kind
Bar = tuple[str, float, float]  # what, figure, what it should not pass


def resting(count: int) -> TriggerIndex:
    """Plain stops on one instrument."""
    stops, draw = TriggerIndex(1, max(count, 2)), random.Random(7)
    stops.set_tick(0, TICK)
    for handle in range(count):
        stops.arm_stop(handle, 0, LAST, DOWN, (MARKET - 1 - draw.randrange(SPREAD)) * TICK)
    return stops


def mixed(count: int, instruments: int, trails: int = 10, extremes: int = 1) -> TriggerIndex:
    """All kinds: of each hundred orders `trails` by amount and as many by bps, the rest stops and touches, both sides.

    A handle's last two digits say its kind, so that each can be measured among the others (`churn`). `extremes`: over
    how many prices the trailing stops' extremes are spread, as when they were armed one by one.
    """
    stops, draw = TriggerIndex(instruments, max(count, 200)), random.Random(7)
    for instrument in range(instruments):
        stops.set_tick(instrument, TICK)
    for handle in range(count):
        instrument, source, direction = draw.randrange(instruments), draw.randrange(4), draw.randrange(2)
        far, digits = draw.randrange(1, SPREAD), handle % 100
        if digits < 100 - 2 * trails:
            px = MARKET - far if direction == DOWN else MARKET + far
            code = stops.arm_stop(handle, instrument, source, direction, px * TICK)
        else:
            is_bps, step = digits >= 100 - trails, draw.randrange(1, OFFSETS + 1)
            offset_e9 = step * E9 if is_bps else 100 * step * TICK
            extreme_e9 = (MARKET + draw.randrange(extremes)) * TICK
            code = stops.arm_trailing(handle, instrument, source, direction, offset_e9, is_bps, TICK, extreme_e9)
        if code:
            raise ValueError(f"refused: {handle}")
    return stops


def best_ns(action: Callable[[], object], count: int, rounds: int = 7) -> float:
    """CPU time of one of `count` operations, the best of some rounds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        action()
        times.append(time.process_time_ns() - begin)
    return min(times) / count


def quiet_ticks(one: TriggerIndex, many: TriggerIndex, of: str, loops: int) -> list[Bar]:
    """A tick that fires nothing, from Python and from compiled code."""
    px_e9, few = MARKET * TICK, loops // 50

    def from_python(stops: TriggerIndex) -> float:
        check = stops.check

        def run() -> None:
            for _ in range(few):
                check(0, LAST, px_e9)

        return best_ns(run, few)

    def compiled(stops: TriggerIndex) -> float:
        return best_ns(lambda: stops.check_loop(0, LAST, px_e9, loops), loops)

    python_one, python_many = from_python(one), from_python(many)
    loop_one, loop_many = compiled(one), compiled(many)
    return [
        (f"no-trigger tick from Python, {of}, ns", python_many, 80.0),
        (f"no-trigger tick in a compiled loop, {of}, ns", loop_many, 5.0),
        (f"{of} against 1, from Python", python_many / python_one, 1.5),
        (f"{of} against 1, compiled", loop_many / loop_one, 1.5),
    ]


def trailing(count: int, offsets: int, *, is_bps: bool) -> TriggerIndex:
    """Trailing stops on one line that share so many distinct offsets."""
    stops = TriggerIndex(1, max(count, 2))
    for handle in range(count):
        step = handle % offsets + 1
        offset_e9 = step * E9 if is_bps else 100 * step * TICK
        if stops.arm_trailing(handle, 0, LAST, DOWN, offset_e9, is_bps, TICK, MARKET * TICK):
            raise ValueError(f"refused: {handle}")
    return stops


def new_highs(moved_max: int, loops: int) -> list[Bar]:
    """A price that moves ten trailing stops of ten offsets, against one that moves many, with ever more offsets."""
    found: list[Bar] = []
    for is_bps in (False, True):
        kind = KINDS[3 if is_bps else 2]
        ten = 0.0
        for count, offsets in ((10, 10), (moved_max, 10), (moved_max, 100), (moved_max, OFFSETS)):
            stops, high = trailing(count, offsets, is_bps=is_bps), MARKET
            times = []
            for _ in range(7):
                begin = time.process_time_ns()
                stops.climb_loop(0, LAST, (high + 1) * TICK, TICK, loops)
                times.append(time.process_time_ns() - begin)
                high += loops
            spent = min(times) / loops
            if count == 10:
                ten = spent
                found.append((f"new high moves 10, {kind}, ns", spent, 1_000.0))
            else:
                found.append((f"new high moves {count:,} of {offsets:,} offsets against 10, {kind}", spent / ten, 1.0))
    return found


def churn(stops: TriggerIndex, of: str, trails: int = 10) -> list[Bar]:
    """Arm and cancel, at random among all that rest, of each kind."""
    found: list[Bar] = []
    for kind, digits in (("stop, touch", 0), (KINDS[2], 100 - 2 * trails), (KINDS[3], 100 - trails)):
        count = stops.armed // 100
        spent = best_ns(lambda digits=digits, count=count: stops.churn_loop(digits, 100, count, 10 * count), 20 * count)  # type: ignore[misc]
        found.append((f"arm or cancel, {kind}, {of}, ns", spent, 500.0))
    return found


def index_bursts(others: int) -> list[Bar]:
    """Orders that one tick fires, taken out of the index in batches, with others resting further away."""
    found: list[Bar] = []
    for count in (1_000, 10_000):
        times = []
        for _ in range(5):
            stops, draw = TriggerIndex(1, others + count), random.Random(7)
            stops.set_tick(0, TICK)
            for handle in range(others + count):
                far = draw.randrange(SPREAD) if handle < others else -1 - draw.randrange(SPREAD)
                stops.arm_stop(handle, 0, LAST, DOWN, (MARKET - 1 - far) * TICK)
            begin, fired = time.process_time_ns(), 0
            while batch := stops.take_fired(0, LAST, MARKET * TICK, 256):
                fired += len(batch)
            times.append((time.process_time_ns() - begin) / count)
            if fired != count:
                raise ValueError(f"{fired} fired instead of {count}")
        found.append((f"{count:,} fire on one tick, {others:,} others rest: index, ns each", min(times), 500.0))
    return found


def bars_of_the_trigger_index(resting_max: int = 1_000_000, loops: int = 10_000_000) -> list[Bar]:
    """(what, figure, bar) with one order resting and with many, in one run."""
    found = []
    one, plain = resting(1), resting(resting_max)
    found += quiet_ticks(one, plain, f"{resting_max:,} stops", loops)
    found.append((f"bytes of index a stop, {resting_max:,} stops", plain.memory_bytes() / resting_max, 96.0))
    del plain
    for instruments in (1, INSTRUMENTS):
        of = f"{resting_max:,} of all kinds over {instruments:,}"
        many = mixed(resting_max, instruments)
        found += quiet_ticks(one, many, of, loops)
        found += churn(many, of)
        found.append((f"bytes of index an order, {of}", many.memory_bytes() / resting_max, 96.0))
        del many
    for instruments in (1, INSTRUMENTS):
        of = f"{resting_max:,} trailing over {instruments:,}"
        trails = mixed(resting_max, instruments, trails=50, extremes=SPREAD)
        found += churn(trails, of, trails=50)[1:]
        found.append((f"bytes of index an order, {of}", trails.memory_bytes() / resting_max, 96.0))
        del trails
    found += new_highs(resting_max // 10, max(loops // 100_000, 10))
    found += index_bursts(resting_max // 10)
    return found


if __name__ == "__main__":
    for name, value, bar in bars_of_the_trigger_index():
        print(f"{name:<80} {value:8.2f}   bar {bar:6.1f}   {'PASS' if value <= bar else 'FAIL'}", flush=True)
