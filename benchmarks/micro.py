"""The micro benches in the same table: the trigger index's bars, then the runs of pytest-benchmark."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Figure, Outcome
from benchmarks.peers import Ours
from benchmarks.scale import Scale
from benchmarks.trigger_bars import bars_of_the_trigger_index

PART = "micro"
HERE = Path(__file__).parent
FILES = ("test_bench_checks.py", "test_bench_core.py", "bench_journal.py")
QUICK = ("--benchmark-min-rounds=1", "--benchmark-max-time=0.01", "--benchmark-warmup=off", "--benchmark-disable-gc")
# Bars by bench: which figure of it, in ns, and what it should not pass.
BARS = {
    "test_check_called_from_python[limit]": 600.0,
    "test_check_called_from_python[market]": 600.0,
    "test_same_check_in_a_compiled_loop": 150.0,
    "test_batch_over_many_accounts[1000]": 150.0,
    "test_batch_over_many_accounts[100000]": 150.0,
}


async def run(scale: Scale, outcome: Outcome) -> None:
    """Both kinds."""
    sizes = (20_000, 200_000) if scale.is_quick else (1_000_000, 10_000_000)
    for name, value, bar in bars_of_the_trigger_index(*sizes):
        words, _, unit = name.partition(", ns")
        is_time = name.endswith(", ns")
        outcome.figures.append(
            Figure(PART, words if is_time else name, value, "ns" if is_time else unit.strip(), bar=bar)
        )
    bursts(scale, outcome)
    for bench in await benches(scale):
        outcome.figures.append(figure(bench))


def bursts(scale: Scale, outcome: Outcome) -> None:
    """Stops that one tick fires: from the frame until the broker's acceptance of each is applied, in process."""
    others, counts = (2_000, (10, 100)) if scale.is_quick else (100_000, (1, 1_000, 10_000))
    core = Ours(orders=others + sum(counts))
    core.arm(others + sum(counts))
    for count in counts:
        spent = core.fire(count)
        words = f"{count:,} stops fire on one tick, {others:,} others rest, each"
        note = f"first {spent[0] / 1_000:,.1f} us, last {spent[-1] / 1_000:,.0f} us"
        outcome.figures.append(Figure(PART, words, spent[-1] / count / 1_000, note=note))


async def benches(scale: Scale) -> list[dict[str, Any]]:
    """What pytest-benchmark found."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "benches.json"
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-only", "--benchmark-quiet"]
        argv += [f"--benchmark-json={report}", *(str(HERE / name) for name in FILES)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        if scale.is_quick:
            argv += [*QUICK, "-k", "check or place or cancel_of or append or commit"]
            env |= {"BACKSTAY_BENCH_RECORDS": "2000", "BACKSTAY_BENCH_SECONDS": "1"}
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=HERE.parent, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise ValueError(f"pytest ended with {process.returncode}: {out.decode()[-2000:]}")
        found: list[dict[str, Any]] = msgspec.json.decode(report.read_bytes())["benchmarks"]
        return found


def figure(bench: dict[str, Any]) -> Figure:
    """One bench: the figure that it names itself, else its median."""
    name, extra = bench["name"], bench["extra_info"]
    value, unit = bench["stats"]["median"] * 1e6, "µs"
    for key in ("per_check_ns", "ns_per_call", "ns_per_record_median"):
        if key in extra:
            value, unit = extra[key], "ns"
    bar = BARS.get(name)
    if bar is not None and unit == "µs":
        bar /= 1_000
    note = ", ".join(f"{key} {what:,}" if isinstance(what, int) else f"{key} {what}" for key, what in extra.items())
    words = name.removeprefix("test_").replace("_", " ")
    return Figure(PART, words, value, unit, bar=bar, note=note)
