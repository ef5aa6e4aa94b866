"""The loop tier as a whole: a run repeats to the byte, whatever the interpreter's hash seed, and keeps its promises."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.sim.faults import CATALOGUE
from tests.sim.loop_world import run_loop, run_shuffled
from tests.sim.report import CORE_ONLY

ROOT = Path(__file__).resolve().parents[2]
SAY = "from tests.sim.loop_world import run_loop; print(*(run_loop(seed).digest for seed in (1, 2, 3, 16)))"


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_seed_keeps_every_promise(seed: int) -> None:
    outcome = run_loop(seed)
    assert outcome.violation is None, outcome.violation
    assert outcome.orders


def test_a_seed_gives_the_same_trace_on_the_readable_core() -> None:
    for seed in (3, 16):
        assert run_loop(seed, core="readable").digest == run_loop(seed).digest, seed


def test_a_world_without_faults_takes_every_order() -> None:
    outcome = run_loop(1, faults={})
    assert outcome.violation is None, outcome.violation
    assert outcome.orders >= 30 and not outcome.injected


LEFT_OUT = ("disk.error", "disk.full", *CORE_ONLY)  # a disk that fails for good leaves too little to look at
WIRED = {name: max(fault.strengths) for name, fault in CATALOGUE.items() if not name.startswith(LEFT_OUT)}
WIRED["link.cut_mid_send"] = 0.3
WIRED["venue.rate"] = 2  # the least is the strongest
# Those under which the broker hears little.
ONES = ("link.outage", "link.half_open", "node.", "operator.", "clock.", "net.", "feed.down")


def test_every_fault_that_the_tier_has_strikes_and_breaks_nothing() -> None:
    struck: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    for seed in range(24):
        faults = {name: rate for name, rate in WIRED.items() if name.startswith(ONES) == (seed < 6)}
        outcome = run_loop(seed, faults=faults)
        assert outcome.violation is None, outcome.violation
        assert outcome.last
        struck += outcome.injected
        reached += outcome.reached
    assert reached["none>accepted"] >= 100
    assert not [name for name in WIRED if not struck[name]]


def test_ready_callbacks_in_any_order_break_nothing() -> None:
    for seed in range(3):
        assert run_shuffled(seed).violation is None


def test_the_trace_does_not_depend_on_the_hash_seed() -> None:
    told = []
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk/src'}"}
        command = [sys.executable, "-c", SAY]
        told.append(subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert told[0] == told[1] != ""
