"""The core tier as a whole: a seed repeats to the byte, its faults strike, and a small sample keeps every promise."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.faults import FaultError
from tests.sim.world import run_core


def test_a_seed_repeats_to_the_byte() -> None:
    assert run_core(5).digest == run_core(5).digest != run_core(6).digest


def test_a_seed_gives_the_same_trace_on_the_readable_core() -> None:
    for seed in range(10):
        assert run_core(seed, core="readable").digest == run_core(seed).digest, seed


def test_a_run_without_faults_is_clean_and_counts_none() -> None:
    outcome = run_core(1, faults={})
    assert outcome.violation is None and not outcome.injected and outcome.orders > 15


def test_a_fault_that_is_too_strong_is_refused() -> None:
    with pytest.raises(FaultError, match="out of range"):
        run_core(1, faults={"node.crash": 0.9})


def test_seeds_are_long_enough_and_strike_with_many_faults() -> None:
    injected: Counter[str] = Counter()
    for seed in range(40):
        outcome = run_core(seed)
        assert outcome.violation is None, (seed, outcome.violation)
        assert outcome.events >= 700
        injected += outcome.injected
    assert len(injected) > 25
