"""`python -m tests.accept [R]`: runs the acceptance scenarios, all or one requirement's, and writes the evidence."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from gateway.child import ChildFailed
from tests.accept import metrics, positions, risk_checks, stops
from tests.accept.scenario import Measure, NotRun, Scenario, Status, Verdict, judge, machine

SCENARIOS: tuple[Scenario, ...] = (positions.SCENARIO, risk_checks.SCENARIO, stops.SCENARIO, metrics.SCENARIO)


def run(scenario: Scenario) -> Verdict:
    """One scenario, to its verdict."""
    started_ns, began = time.time_ns(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"backstay-accept-{scenario.requirement}-"))
    with ThreadPoolExecutor(1) as thread:  # a scenario that breaks has failed, and the others still run
        outcome = thread.submit(lambda: asyncio.run(_run(scenario, folder)))
    error = outcome.exception()
    measures = [] if error is not None else outcome.result()
    status, reason = _status(error) if error is not None else judge(measures)
    if status == "PASS":
        shutil.rmtree(folder)
    elif status == "FAIL":
        reason = f"{reason} (kept: {folder})"
    took_ms = int((time.monotonic() - began) * 1000)
    return Verdict(
        scenario.requirement, scenario.title, status, reason, measures, started_ns, took_ms, machine()
    )  # fmt: skip


def _status(error: BaseException) -> tuple[Status, str]:
    if isinstance(error, NotRun | ChildFailed):
        return "NOT RUN", str(error)
    traceback.print_exception(error)
    return "FAIL", f"{type(error).__name__}: {error}"


async def _run(scenario: Scenario, folder: Path) -> list[Measure]:
    return await scenario.run(folder)


def show(verdict: Verdict) -> None:
    """The verdict for a person."""
    print(f"\n{verdict.status:8} {verdict.requirement}  {verdict.title}  ({verdict.took_ms / 1000:.1f} s)")
    for measure in verdict.measures:
        print(f"   {'holds ' if measure.holds else 'MISSED'} {measure.name}: {measure.value}   target {measure.target}")
    if verdict.reason:
        print(f"   {verdict.reason}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="accept", description=__doc__)
    parser.add_argument("requirement", nargs="?", help="such as 3.6; all when left out")
    parser.add_argument("--evidence", type=Path, default=Path("evidence"), help="folder of the JSON files")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON lines")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if options.requirement in (None, scenario.requirement)]
    if not chosen:
        parser.error(f"no scenario for {options.requirement}; there are {', '.join(s.requirement for s in SCENARIOS)}")
    options.evidence.mkdir(parents=True, exist_ok=True)
    failed = False
    for scenario in chosen:
        verdict = run(scenario)
        evidence = msgspec.json.format(msgspec.json.encode(verdict), indent=2)
        (options.evidence / f"R-{verdict.requirement}.json").write_bytes(evidence + b"\n")
        if options.json:
            print(msgspec.json.encode(verdict).decode(), flush=True)
        else:
            show(verdict)
        failed |= verdict.status != "PASS"
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
