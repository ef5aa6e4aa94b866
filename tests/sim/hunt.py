"""`python -m tests.sim plants [NAME ...]`: turns each planted bug on and runs seeds until the right invariant notices.

The rate is measured over a fixed number of seeds, whatever is found when; a plant that these do not show is looked for
up to its budget. Exit status: 0 each was noticed in its budget and seeds without a plant are clean, 1 not so, 2 bad
input or a build without plants.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import plants
from tests.sim import report
from tests.sim.kept import BadInput
from tests.sim.plants import PLANTS, Plant, chosen, unmatched
from tests.sim.progress import Bar
from tests.sim.runner import Job, Runner, default_processes
from tests.sim.tally import Failure, Tally

OK, MISSED = 0, 1
RATE_SEEDS = 300
CLEAN_SEEDS = 300
STEP = 10  # seeds handed out at once
S_NS = 1_000_000_000


@dataclass(slots=True)
class Found:
    """What came of one plant."""

    row: Plant
    sample: int  # seeds from 0 over which the rate is measured
    seeds: int = 0  # run so far
    noticed: dict[int, str] = field(default_factory=dict)  # seed -> the named invariant that noticed first
    wrongly: dict[int, Failure] = field(default_factory=dict)  # seed -> what else did

    def add(self, seeds: int, failures: Sequence[Failure]) -> None:
        """A block of its seeds."""
        self.seeds += seeds
        for failure in failures:
            if failure.invariant in self.row.noticed_by:
                self.noticed[failure.seed] = failure.invariant
            else:
                self.wrongly[failure.seed] = failure

    @property
    def first(self) -> int | None:
        """Seeds until it was noticed; None: not within its budget."""
        seed = min(self.noticed, default=self.row.budget)
        return seed + 1 if seed < self.row.budget else None

    @property
    def rate_ppm(self) -> int:
        """Share of the sample's seeds in which a named invariant noticed, in millionths."""
        return sum(seed < self.sample for seed in self.noticed) * 1_000_000 // max(1, self.sample)

    def blocks(self) -> Iterator[tuple[Job, range]]:
        """The sample, then on to the budget until it is noticed."""
        at, job = 0, self.row.job()
        while at < self.sample or (at < self.row.budget and self.first is None):
            stop = min(at + STEP, self.sample if at < self.sample else self.row.budget)
            yield job, range(at, stop)
            at = stop

    @property
    def verdict(self) -> str:
        """Empty when all is well, else a sentence."""
        name, names = self.row.name, " or ".join(self.row.noticed_by)
        if self.first is not None:
            return ""
        if self.wrongly:
            seed, failure = min(self.wrongly.items())
            return f"{name}: {names} must notice it; only {others(self)} did, first with seed {seed}: {failure.command}"
        return f"{name}: nothing noticed it within its {self.row.budget} seeds"


def others(found: Found) -> str:
    """Invariants that noticed and are not named in the row, with the number of seeds."""
    counts = Counter(failure.invariant for failure in found.wrongly.values())
    return ", ".join(f"{name} in {count}" for name, count in sorted(counts.items()))


class Hunt:
    """All plants over all cores; after them seeds without any, which must be clean."""

    def __init__(self, rows: Sequence[Plant], *, sample: int, clean: int, processes: int) -> None:
        self.found = {row.name: Found(row, sample) for row in rows}
        self.clean_seeds = clean
        self.clean = Tally()
        self.runner = Runner(self._blocks(), processes=processes, failed_max=0, on_block=self._add)

    def _blocks(self) -> Iterator[tuple[Job, range]]:
        for at in range(0, self.clean_seeds, STEP):
            yield Job(), range(at, min(at + STEP, self.clean_seeds))
        for found in self.found.values():
            yield from found.blocks()

    def _add(self, job: Job, tally: Tally) -> None:
        if job.plant:
            self.found[job.plant].add(tally.seeds, tally.failures)
        else:
            self.clean.merge(tally)

    def run(self) -> None:
        """All of it."""
        total = self.clean_seeds + sum(found.sample for found in self.found.values())
        with Bar("plants", total) as bar:
            self.runner.on_look = bar.look
            self.runner.run()

    def wrong(self, built: Sequence[str] | None = None) -> list[str]:
        """What is not as it must be, in sentences. built: plants of the build that must each have a row."""
        said = [found.verdict for found in self.found.values() if found.verdict]
        said += [f"without a plant: {failure.invariant}: {failure.command}" for failure in self.clean.failures]
        if self.runner.was_stopped:
            said.append("stopped before its end")
        return said + (unmatched(built, [found.row for found in self.found.values()]) if built is not None else [])


# --- what it came to ----------------------------------------------------------------------------------------------


def show(hunt: Hunt, say: Callable[[str], None] = print) -> None:
    """The table."""
    say(f"{'plant':30} {'noticed by':12} {'seeds until':>11} {'rate':>8} {'budget':>7}  also noticed by")
    for found in hunt.found.values():
        who = "/".join(sorted(set(found.noticed.values()))) or "-"
        until = "never" if found.first is None else str(found.first)
        row = found.row
        steered = "; steered" if row.faults is not None or row.orders is not None else ""
        say(f"{row.name:30} {who:12} {until:>11} {percent(found):>8} {row.budget:>7}  {others(found) or '-'}{steered}")
    samples = {found.sample for found in hunt.found.values()}
    say(f"rates over the first {max(samples, default=0)} seeds; {hunt.runner.wall_ns / S_NS:.1f} s")
    say(f"without a plant: {hunt.clean.seeds} seeds, {hunt.clean.failed} failed")


def percent(found: Found) -> str:
    """The rate for a person."""
    return f"{found.rate_ppm // 10_000}.{found.rate_ppm // 1_000 % 10} %"


def write(hunt: Hunt, said: Sequence[str], path: Path) -> None:
    """The evidence file."""
    rows = [
        {
            "plant": found.row.name, "must_notice": found.row.noticed_by, "budget": found.row.budget,
            "tier": found.row.tier, "faults": dict(found.row.faults or ()), "seeds": found.seeds,
            "seeds_until_noticed": found.first, "noticed_by": Counter(found.noticed.values()),
            "rate_ppm": found.rate_ppm, "rate_seeds": found.sample, "also_noticed_by": others(found),
        }
        for found in hunt.found.values()
    ]  # fmt: skip
    content: dict[str, Any] = {
        **report.machine(), "wall_s": round(hunt.runner.wall_ns / S_NS, 1), "plants": rows,
        "clean_seeds": hunt.clean.seeds, "clean_failed": hunt.clean.failed, "wrong": list(said),
    }  # fmt: skip
    report.write_json(content, path)


# --- the command --------------------------------------------------------------------------------------------------


def options_of(words: Sequence[str], make: Callable[..., argparse.ArgumentParser]) -> argparse.Namespace:
    """make: a parser that raises BadInput."""
    made = make(prog="python -m tests.sim plants", description=__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help="plants; all when left out")
    made.add_argument("--rate", type=int, default=RATE_SEEDS, metavar="N", help="seeds over which rates are measured")
    made.add_argument("--clean", type=int, default=CLEAN_SEEDS, metavar="N", help="seeds without a plant")
    made.add_argument("--jobs", type=int, default=0, help="processes; one for each core when left out")
    made.add_argument("--evidence", type=Path, default=Path("evidence"), metavar="DIR", help="folder of the JSON file")
    options = made.parse_args(words)
    if options.rate < 0 or options.clean < 0 or options.jobs < 0:
        raise BadInput("--rate, --clean and --jobs are not negative")
    return options


def main(words: Sequence[str], make: Callable[..., argparse.ArgumentParser], rows: Sequence[Plant] = PLANTS) -> int:
    """The whole command. Raises BadInput."""
    options = options_of(words, make)
    wanted = chosen(options.names, rows)
    hunt = Hunt(wanted, sample=options.rate, clean=options.clean, processes=options.jobs or default_processes())
    hunt.run()
    said = hunt.wrong(None if options.names else plants.plants())
    show(hunt)
    write(hunt, said, options.evidence / "sim-plants.json")
    for text in said:
        print(f"FAILED: {text}")
    return MISSED if said else OK
