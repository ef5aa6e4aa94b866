"""What many runs came to, for a person and as a JSON file: speed, faults by kind, what was reached, what failed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gateway.plants import PLANTED
from tests.sim import reach
from tests.sim.faults import CATALOGUE
from tests.sim.shrink import Shrunk
from tests.sim.tally import Failure, Tally

MIN_NS = 60_000_000_000
S_NS = 1_000_000_000
LAST_LINES = 200
LOOP_ONLY = ("net.",)  # faults of sockets and whole processes, which the core tier has not
CORE_ONLY = ("feed.venue", "feed.delay")  # of feeds that are not the simulated venue's own
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Report:
    """One command's result."""

    tier: str
    core: str
    first: int
    tally: Tally
    wall_ns: int
    processes: int
    was_stopped: bool = False
    shrunk: list[Shrunk] = field(default_factory=list)
    never_injected: list[str] = field(default_factory=list)
    never_reached: list[str] = field(default_factory=list)  # transitions
    never_seen: list[str] = field(default_factory=list)  # branches

    def __post_init__(self) -> None:
        others = LOOP_ONLY if self.tier == "core" else CORE_ONLY
        own = [name for name in CATALOGUE if not name.startswith(others)]
        self.never_injected = [name for name in own if not self.tally.injected.get(name)]
        self.never_reached = reach.unseen(self.tally.reached, reach.transitions())
        self.never_seen = reach.unseen(self.tally.reached, reach.branches())

    @property
    def seeds_per_minute(self) -> int:
        """Over all processes."""
        return self.tally.seeds * MIN_NS // max(1, self.wall_ns)

    @property
    def times_real(self) -> int:
        """Simulated over wall time."""
        return self.tally.sim_ns // max(1, self.wall_ns)

    @property
    def has_gap(self) -> bool:
        """Whether something that is declared was not reached or injected: the nightly form fails on it."""
        return bool(self.never_injected or self.never_reached or self.never_seen)


def show(report: Report, say: Callable[[str], None] = print) -> None:
    """For a person."""
    tally = report.tally
    stopped = " (stopped)" if report.was_stopped else ""
    say(
        f"{report.tier} tier, core {report.core}: {tally.seeds:,} seeds from {report.first}{stopped} in "
        f"{report.wall_ns / S_NS:.1f} s: {report.seeds_per_minute:,} a minute on {report.processes} processes"
    )
    say(
        f"simulated {tally.sim_ns / (60 * MIN_NS):,.1f} h, {report.times_real:,} times wall time; "
        f"{tally.events:,} events, {tally.orders:,} orders"
    )
    say(f"faults injected: {sum(tally.injected.values()):,}")
    _columns(say, sorted(tally.injected.items()))
    _gap(say, "never injected", report.never_injected)
    declared = len(reach.transitions())
    say(f"transitions reached: {declared - len(report.never_reached)} of {declared}")
    _gap(say, "never reached, a gap in the workload", report.never_reached)
    if marked := len(reach.branches()):
        say(f"marked branches reached: {marked - len(report.never_seen)} of {marked}")
        _gap(say, "never reached, a gap in the workload", report.never_seen)
    if not tally.failed:
        say("every invariant held")
    else:
        say(f"FAILED: {tally.failed:,} seeds: {kinds(tally.failures)}")


def _columns(say: Callable[[str], None], pairs: Iterable[tuple[str, int]], width: int = 4) -> None:
    cells = [f"{name:22} {count:>10,}" for name, count in pairs]
    for at in range(0, len(cells), width):
        say("  " + "   ".join(cells[at : at + width]))


def _gap(say: Callable[[str], None], title: str, names: list[str]) -> None:
    if names:
        say(f"  {title}: {', '.join(names)}")


def kinds(failures: Iterable[Failure]) -> str:
    """How often each invariant broke."""
    counts: dict[str, int] = {}
    for failure in failures:
        counts[failure.invariant] = counts.get(failure.invariant, 0) + 1
    return ", ".join(f"{name} in {count}" for name, count in sorted(counts.items()))


def show_failure(found: Shrunk, say: Callable[[str], None] = print) -> None:
    """One failure, shrunk: what broke, what it needs, the last events and the command."""
    failure = found.failure
    say(f"\n--- seed {failure.seed} of the {failure.tier} tier breaks {failure.invariant}")
    say(failure.text.rstrip())
    on = failure.options if failure.faults is None else failure.faults
    say("faults on: " + (", ".join(f"{name}={value:g}" for name, value in on) or "none"))
    if found.off:
        say(f"not needed: {', '.join(found.off)}")
    if found.tries:
        how = "" if found.is_complete else ", ended by its bound"
        say(f"shrunk in {found.tries} runs{how} to {failure.events:,} events")
    if failure.last:
        say(f"last {min(LAST_LINES, len(failure.last))} events:")
        for line in failure.last[-LAST_LINES:]:
            say(f"  {line}")
    say(f"repeat it: {failure.command}")


# --- evidence -----------------------------------------------------------------------------------------------------


def write(report: Report, path: Path) -> None:
    """The evidence file: everything above, and what it was run on."""
    tally = report.tally
    content: dict[str, Any] = {
        "tier": report.tier,
        "core": report.core,
        **machine(),
        "cores": report.processes,
        "first_seed": report.first,
        "seeds": tally.seeds,
        "wall_s": round(report.wall_ns / S_NS, 1),
        "seeds_per_minute": report.seeds_per_minute,
        "simulated_s": tally.sim_ns // S_NS,
        "times_real": report.times_real,
        "events": tally.events,
        "orders": tally.orders,
        "was_stopped": report.was_stopped,
        "injected": dict(sorted(tally.injected.items())),
        "never_injected": report.never_injected,
        "reached": dict(sorted(tally.reached.items())),
        "never_reached": report.never_reached,
        "branches_never_reached": report.never_seen,
        "failed": tally.failed,
        "failures": [{**asdict(found.failure), "command": found.failure.command} for found in report.shrunk],
    }
    write_json(content, path)


def machine() -> dict[str, Any]:
    """What any evidence says of where and how it was made."""
    return {
        "commit": _commit(),
        "build": "planted" if PLANTED else os.environ.get("BACKSTAY_BUILD", "release"),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "command": sys.argv[1:],
    }


def write_json(content: dict[str, Any], path: Path) -> None:
    """For programs and people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _commit() -> str:
    """Of the tree that was run, `+` when it is changed; empty outside a repository."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if head.returncode:
        return ""
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")
