"""A soak runs for hours in one process: a run that has ended leaves nothing of its world behind."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from gateway.app import Gateway
from gateway.core.state import State
from tests.sim import loop_world
from tests.sim.kernel import Kernel
from tests.sim.loop import SimLoop
from tests.sim.loop_world import LoopWorld, run_loop
from tests.sim.outcome import Outcome
from tests.sim.world import World, run_core

LARGE = (Kernel, World, LoopWorld, SimLoop, Gateway, State)


def alive() -> set[int]:
    """What is left of worlds after a collection, by identity."""
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, LARGE)}


@pytest.mark.parametrize("run", [run_core, run_loop])
def test_the_world_of_a_run_is_freed_after_it(run: Callable[[int], Outcome]) -> None:
    before = alive()
    outcomes = [run(seed) for seed in range(5)]
    assert all(outcome.orders for outcome in outcomes)
    assert not alive() - before


def test_the_world_of_a_run_that_broke_is_freed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_world, "HEAL_NS", 0)  # nobody comes to rest so soon
    before = alive()
    outcome = run_loop(1)
    assert outcome.violation is not None and outcome.violation.invariant == "I23"
    assert not alive() - before
