"""Replays: which stops fire, in which order and at which tick, equals an independent reference over the whole tape.

The tapes are the recorded sessions beside the project, where they are there, and made ones full of faults.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.replay.compiled import Compiled
from tests.replay.placing import KINDS, place
from tests.replay.reference import SOURCES, firings, qualifying
from tests.replay.tape import FUTURES, SPOT, Tape, made, recorded


def compare(tape: Tape, count: int, seed: int) -> None:
    """Fails on the first difference; prints what was compared (`-s`)."""
    series = qualifying(tape)
    stops = place(series, len(tape.frames), count, seed)
    wanted, got = firings(stops, series), Compiled(tape, stops).run()
    by_kind = Counter(stops[number].kind for _, _, number in wanted)
    by_source = Counter(stops[number].source for _, _, number in wanted)
    print(f"\n{len(tape.frames):,} frames, {count:,} stops, {len(wanted):,} fired: {dict(by_kind)} {dict(by_source)}")
    for at, (want, have) in enumerate(zip(wanted, got, strict=False)):
        assert have == want, f"firing {at}: {stops[have[2]]} instead of {stops[want[2]]}"
    assert len(got) == len(wanted)
    assert set(by_kind) == set(KINDS) and set(by_source) == set(SOURCES)
    assert len(wanted) < count  # some rest to the end: what must not fire is part of the comparison


class Careless(Compiled):
    """Judges every price in force, whatever it is."""

    def price(self, source: int, now_ns: int) -> int:
        row = self.quotes.snapshot(0)
        return int((row["last_px_e9"], row["bid_px_e9"], row["ask_px_e9"], 0)[source])


class Sluggish(Compiled):
    """Starts its trails afresh now and then."""

    def take(self, frame: int, now_ns: int, text: bytes) -> None:
        super().take(frame, now_ns, text)
        if frame % 50 == 0:
            for number in range(len(self.stops)):
                if self.index.holds(number) and self.index.disarm_stop(number) == 0:
                    self.arm(number)


@pytest.mark.parametrize("product", [Careless, Sluggish])
def test_a_product_that_judges_wrong_prices_or_forgets_its_extremes_is_noticed(product: type[Compiled]) -> None:
    tape = made(1, 2_000)
    series = qualifying(tape)
    stops = place(series, len(tape.frames), 300, 1)
    wanted = firings(stops, series)
    assert Compiled(tape, stops).run() == wanted
    assert product(tape, stops).run() != wanted


@pytest.mark.parametrize("seed", range(6))
def test_stops_fire_as_the_reference_says_on_a_tape_full_of_faults(seed: int) -> None:
    compare(made(seed, 4_000), 1_500, seed)


@pytest.mark.parametrize("name", [SPOT, FUTURES])
def test_stops_fire_as_the_reference_says_on_the_start_of_a_recorded_session(recorded_dir: Path, name: str) -> None:
    compare(recorded(recorded_dir, name, 12_000), 3_000, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [SPOT, FUTURES])
def test_100000_stops_fire_as_the_reference_says_on_a_recorded_session(recorded_dir: Path, name: str) -> None:
    compare(recorded(recorded_dir, name), 100_000, 2)
