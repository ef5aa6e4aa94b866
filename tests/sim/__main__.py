"""`python -m tests.sim`: runs seeds of the simulator over all cores, repeats one, compares digests, soaks.

`python -m tests.sim plants` runs the planted bugs of a planted build (tests/sim/hunt.py).

Exit status: 0 every invariant held, 1 a gap where --nightly demands none, or digests that differ, 2 bad input,
3 a broken invariant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

from tests.sim import digests, hunt, kept, report
from tests.sim.faults import FaultError, checked
from tests.sim.kept import BadInput, Kept
from tests.sim.progress import Bar
from tests.sim.runner import CORES, S_NS, TARGETS, Job, Runner, blocks, default_processes, run_seed
from tests.sim.shrink import Shrinker, Shrunk
from tests.sim.tally import Failure, Tally

HELD, GAP, USAGE, BROKEN = 0, 1, 2, 3
SHRUNK_MAX = 3  # failures that are shrunk and shown in full, the first of each invariant before others
LISTED_MAX = 15  # failures that get a line
ORDERS = {"core": 30, "loop": 30, "shuffle": 30}  # where the search for fewer begins


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the options are behind --help."""

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise BadInput(message)


def parser() -> Parser:
    """The options."""
    made = Parser(prog="python -m tests.sim", description=__doc__)
    made.add_argument("--tier", choices=sorted(TARGETS), default="core")
    made.add_argument("--seeds", type=int, default=1000, help="how many")
    made.add_argument("--from", type=int, default=0, dest="first", metavar="K", help="the first one")
    made.add_argument("--time", type=int, default=0, metavar="S", help="begin nothing new after so many seconds")
    made.add_argument("--forever", action="store_true", help="the soak: on and on from --from, until Ctrl-C")
    made.add_argument("--jobs", type=int, default=0, help="processes; one for each core when left out")
    made.add_argument("--core", choices=CORES, default="compiled", help="both, twice: two runs, digests compared")
    made.add_argument("--orders", type=int, metavar="N", help="of each run, instead of the tier's own number")
    made.add_argument(
        "--fault",
        action="append",
        metavar="NAME=VALUE",
        help="exactly these faults, each a rate, on or off",
    )
    made.add_argument("--no-faults", action="store_true", help="a fair world")
    made.add_argument("--plant", default="", metavar="NAME", help="turn a planted bug on (planted build only)")
    made.add_argument("--seed", type=int, metavar="K", help="repeat one run and print the end of its trace")
    made.add_argument("--kept", metavar="NAME", help="the kept seed of that name, or `all`; nothing else is run")
    made.add_argument("--digests", type=Path, metavar="FILE", help="write seed and trace digest of each run")
    made.add_argument("--check", type=Path, metavar="FILE", help="run the seeds of such a file and compare")
    made.add_argument("--nightly", action="store_true", help="fail on a fault, transition or branch never seen")
    made.add_argument("--evidence", type=Path, default=Path("evidence"), metavar="DIR", help="folder of the JSON file")
    return made


def main(argv: Sequence[str] | None = None, targets: dict[str, str] | None = None) -> int:
    """The whole command. targets: other worlds by tier, as "module:function"."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["plants"]:
            return hunt.main(words[1:], Parser)
        options = parser().parse_args(words)
        return _dispatch(options, job_of(options, (targets or {}).get(options.tier, "")))
    except (BadInput, FaultError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return USAGE


def job_of(options: argparse.Namespace, target: str) -> Job:
    """How each seed is run; raises BadInput or FaultError for what cannot be."""
    if options.seeds < 1 or options.first < 0 or options.time < 0 or options.jobs < 0:
        raise BadInput("--seeds is at least 1; --from, --time and --jobs are not negative")
    if options.orders is not None and options.orders < 1:
        raise BadInput(f"--orders {options.orders}: at least 1")
    if options.fault and options.no_faults:
        raise BadInput("--fault and --no-faults contradict each other")
    faults = None
    if options.fault or options.no_faults:
        faults = tuple(kept.parse_fault(text) for text in options.fault or [])
        checked(dict(faults))
    return Job(
        tier=options.tier, target=target, faults=faults, orders=options.orders, core=options.core,
        plant=_plant(options.plant), keep_digests=options.digests is not None or options.check is not None,
    )  # fmt: skip


def _plant(name: str) -> str:
    if name:
        from gateway import plants  # only where one is asked for: a release has none

        try:
            plants.turn_on(name)
        except plants.NoSuchPlant as error:
            raise BadInput(str(error)) from None
        plants.turn_off()
    return name


def _dispatch(options: argparse.Namespace, job: Job) -> int:
    if options.seed is not None:
        return repeat(job, options.seed)
    if options.kept is not None:
        return run_kept(options, job)
    return run_many(options, job)


# --- one run ------------------------------------------------------------------------------------------------------


def repeat(job: Job, seed: int) -> int:
    """One run, and the end of its trace."""
    if seed < 0:
        raise BadInput(f"--seed {seed}: a seed is not negative")
    tally = Tally()
    outcome = run_seed(job, seed, tally)
    if outcome is not None:
        on = ", ".join(f"{name}={value:g}" for name, value in dict(outcome.options).items())
        print(f"seed {seed} of the {job.tier} tier: {outcome.events:,} events, {outcome.orders} orders, ", end="")
        print(f"{outcome.sim_ns / S_NS:.1f} s simulated\nfaults on: {on or 'none'}")
        injected = ", ".join(f"{name} {count}" for name, count in sorted(outcome.injected.items()))
        print(f"injected: {injected or 'none'}")
    if tally.failures:
        report.show_failure(Shrunk(tally.failures[0]))
        return BROKEN
    print("\n".join(outcome.last))
    print(f"every invariant held; trace digest {outcome.digest}")
    return HELD


# --- many ---------------------------------------------------------------------------------------------------------


def kept_blocks(job: Job, chosen: list[Kept]) -> Iterator[tuple[Job, range]]:
    """Each kept seed is a block of its own, with its own faults and orders."""
    for line in chosen:
        own = Job(tier=line.tier, target=job.target, faults=line.faults, orders=line.orders, core=job.core)
        yield own, range(line.seed, line.seed + 1)


def run_kept(options: argparse.Namespace, job: Job) -> int:
    """One kept seed by name, or all of them; of one tier when it was named with `all`."""
    chosen = list(kept.read().values()) if options.kept == "all" else [kept.named(options.kept)]
    print(f"kept seeds: {', '.join(line.name for line in chosen) or 'none yet'}")
    runner = Runner(kept_blocks(job, chosen), processes=min(_processes(options), max(1, len(chosen))))
    with Bar("kept", len(chosen)) as bar:
        runner.on_look = bar.look
        tally = runner.run()
    return BROKEN if _explain(job, tally) else HELD


def run_many(options: argparse.Namespace, job: Job) -> int:
    """Seeds in blocks over all cores, those that are kept first."""
    expected = digests.read(options.check, job) if options.check is not None else {}
    todo, total = _todo(options, job, expected)
    with Bar(job.tier, total) as bar:
        runner = Runner(todo, processes=_processes(options), budget_ns=options.time * S_NS, on_look=bar.look)
        tally = runner.run()
    told = report.Report(
        job.tier, job.core, options.first, tally, runner.wall_ns, runner.processes, was_stopped=runner.was_stopped
    )
    report.show(told)
    if options.digests is not None:
        digests.write(options.digests, job, tally.digests)
        print(f"{len(tally.digests):,} digests in {options.digests}")
    drifted = _compare(expected, tally)
    told.shrunk = _explain(job, tally)
    report.write(told, options.evidence / f"sim-{job.tier}.json")
    if tally.failed:
        return BROKEN
    return GAP if drifted or (options.nightly and told.has_gap) else HELD


def _todo(
    options: argparse.Namespace, job: Job, expected: dict[int, str]
) -> tuple[Iterator[tuple[Job, range]], int | None]:
    if expected:
        return iter([(job, range(seed, seed + 1)) for seed in sorted(expected)]), len(expected)
    is_plain = not (job.plant or job.keep_digests or job.orders or job.faults is not None)
    first = [line for line in kept.read().values() if line.tier == job.tier] if is_plain else []
    count = None if options.forever else options.seeds
    total = None if count is None else count + len(first)
    return chain(kept_blocks(job, first), blocks(job, options.first, count)), total


def _processes(options: argparse.Namespace) -> int:
    return options.jobs or default_processes()


def _compare(expected: dict[int, str], tally: Tally) -> bool:
    """Whether digests differ from the file's; says which."""
    if not expected:
        return False
    found = digests.differences(expected, tally.digests)
    print(f"digests: {len(tally.digests) - len(found):,} of {len(expected):,} are those of the file")
    for seed, then, now in found[:10]:
        print(f"  seed {seed}: the file says {then}, this run {now}")
    return len(found) > 0


def _explain(job: Job, tally: Tally) -> list[Shrunk]:
    """Shrink and show the first failure of each invariant, then others, up to a few."""
    ordered = sorted(tally.failures, key=lambda failure: (failure.tier, failure.seed))
    first = {failure.invariant: failure for failure in reversed(ordered)}
    chosen = [*first.values(), *(failure for failure in ordered if failure not in first.values())]
    found = []
    for failure in chosen[:SHRUNK_MAX]:
        shrinker = Shrinker(lambda candidate: _probe(job, candidate), orders=ORDERS[failure.tier])
        is_whole = failure.invariant not in ("death", "stall")  # what ended a process would end this one
        found.append(shrinker.run(failure) if is_whole else Shrunk(failure))
        report.show_failure(found[-1])
    for failure in chosen[SHRUNK_MAX:LISTED_MAX]:
        print(f"{failure.invariant} too: {failure.command}")
    if len(chosen) > LISTED_MAX:
        print(f"and {len(chosen) - LISTED_MAX} more")
    return found


def _probe(job: Job, candidate: Failure) -> Failure | None:
    tally = Tally()
    run_seed(
        Job(candidate.tier, job.target, candidate.faults, candidate.orders, candidate.core, candidate.plant),
        candidate.seed,
        tally,
    )
    return tally.failures[0] if tally.failures else None


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:  # pinned before the interpreter starts, for this process and its workers
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    sys.exit(main())
