"""The loop tier as a whole: a run repeats to the byte, whatever the interpreter's hash seed, and keeps its promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.loop_world import run_loop

ROOT = Path(__file__).resolve().parents[2]
SAY = "from tests.sim.loop_world import run_loop; print(*(run_loop(seed).digest for seed in (1, 2, 3)))"


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_seed_keeps_every_promise(seed: int) -> None:
    outcome = run_loop(seed)
    assert outcome.violation is None, outcome.violation
    assert outcome.orders


def test_a_world_without_faults_takes_every_order() -> None:
    outcome = run_loop(1, faults={})
    assert outcome.violation is None, outcome.violation
    assert outcome.orders >= 20 and not outcome.injected


def test_the_trace_does_not_depend_on_the_hash_seed() -> None:
    told = []
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk/src'}"}
        command = [sys.executable, "-c", SAY]
        told.append(subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert told[0] == told[1] != ""
