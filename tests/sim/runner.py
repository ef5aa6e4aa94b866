"""Runs seeds over processes: one for each core, blocks of seeds, nothing shared, nothing retried.

A seed that raises, never ends or takes its process down is a finding with the command that repeats it, as a broken
invariant is; the seeds around it are run all the same.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import multiprocessing as mp
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from time import monotonic_ns
from typing import Any

from tests.sim.tally import Failure, FaultList, Tally

S_NS = 1_000_000_000
TARGETS = {"core": "tests.sim.world:run_core", "loop": "tests.sim.loop_world:run_loop",
           "shuffle": "tests.sim.loop_world:run_shuffled"}  # fmt: skip
BLOCK = {"core": 250, "loop": 20, "shuffle": 20}  # seeds handed out at once
STALL_NS = {
    "core": 60 * S_NS,
    "loop": 240 * S_NS,
    "shuffle": 240 * S_NS,
}  # wall time after which a seed is taken not to end
FAILED_MAX = 50  # failing seeds after which no more are run: there is enough to look at
LOOK_S = 0.2  # how often progress and stalls are looked at
CORES = ("compiled", "readable", "both", "twice")  # both, twice: two runs of a seed, their digests compared


@dataclass(frozen=True, slots=True)
class Job:
    """How to run a seed; together with the seed, the commit and the build it decides the whole run."""

    tier: str = "core"
    target: str = ""  # "module:function" of another world than the tier's
    faults: FaultList = None  # exactly these and no other; None: what the seed draws
    orders: int | None = None
    core: str = "compiled"
    plant: str = ""
    keep_digests: bool = False

    def load(self) -> Callable[..., Any]:
        """The function that runs one seed."""
        module, _, name = (self.target or TARGETS[self.tier]).partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found

    def run(self, seed: int, core: str) -> Any:
        """One run; raises whatever the run raises."""
        faults = None if self.faults is None else dict(self.faults)
        return self.load()(seed, plant=self.plant, faults=faults, orders=self.orders, core=core)


def run_seed(job: Job, seed: int, tally: Tally) -> Any:
    """Run one seed, on one core or on both, and add it to the tally; the outcome, or None when it raised."""
    outcome = None
    try:
        outcome = job.run(seed, "readable" if job.core == "readable" else "compiled")
        tally.add(outcome)
        if outcome.violation is not None:
            tally.fail(_violated(job, seed, outcome))
        elif job.core in ("both", "twice") and (drift := _drift(outcome, _again(job, seed))):
            tally.fail(_failure(job, seed, "drift", drift))
        if job.keep_digests:
            tally.digests[seed] = outcome.digest
    except Exception as error:  # noqa: BLE001  # whatever a seed raises is its result
        tally.seeds += outcome is None
        tally.fail(_failure(job, seed, "crash", "".join(traceback.format_exception(error))))
    return outcome


def _again(job: Job, seed: int) -> Any:
    """The second run: on the readable core, or on the same one with objects at other places in memory."""
    if job.core == "both":
        return job.run(seed, "readable")
    elsewhere = [[bytearray(64 * size)] for size in range(seed % 251)]
    outcome = job.run(seed, "compiled")
    elsewhere.clear()
    return outcome


def _violated(job: Job, seed: int, outcome: Any) -> Failure:
    broken = outcome.violation
    failure = _failure(job, seed, broken.invariant, broken.text)
    return replace(
        failure, last=tuple(broken.last), options=tuple(dict(outcome.options).items()), events=outcome.events
    )


def _drift(first: Any, second: Any) -> str:
    if second.violation is not None:
        return f"only the second run breaks {second.violation.invariant}: {second.violation.text}"
    if first.digest == second.digest:
        return ""
    return f"trace digests differ: first run {first.digest}, second {second.digest}"


def _failure(job: Job, seed: int, invariant: str, text: str) -> Failure:
    return Failure(
        job.tier, seed, invariant, text, faults=job.faults, orders=job.orders, core=job.core, plant=job.plant
    )


# --- one process --------------------------------------------------------------------------------------------------


def _work(link: Connection, place: Any, ends_ns: int) -> None:
    """Take blocks until there are none; `place` is [seed under way, seeds done], written for the parent to read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the run and still reports it
    faulthandler.enable()
    gc.disable()  # a collection at another moment must change nothing, and costs the most inside a run
    while (block := _take(link)) is not None:
        job, seeds = block
        job.load()
        gc.collect()
        gc.freeze()
        tally = Tally()
        for seed in seeds:
            if ends_ns and monotonic_ns() >= ends_ns:
                break
            place[0] = seed
            run_seed(job, seed, tally)
            gc.collect()
            place[1] += 1
        place[0] = -1
        link.send(tally)


def _take(link: Connection) -> tuple[Job, range] | None:
    try:
        found: tuple[Job, range] | None = link.recv()
    except EOFError:  # the parent is gone
        return None
    return found


# --- all of them --------------------------------------------------------------------------------------------------


class Worker:
    """A process and what it does now."""

    def __init__(self, context: Any, ends_ns: int) -> None:
        self.place = context.RawArray("q", [-1, 0])
        self.link, far = context.Pipe()
        self.process = context.Process(target=_work, args=(far, self.place, ends_ns), daemon=True)
        self.process.start()
        far.close()
        self.block: tuple[Job, range] | None = None
        self.seen = (-1, monotonic_ns())  # seed under way, and since when

    def give(self, block: tuple[Job, range]) -> None:
        """The next block."""
        self.block = block
        self.seen = (-1, monotonic_ns())
        self.link.send(block)

    def is_stalled(self, now_ns: int) -> bool:
        """Whether its seed has gone on for too long."""
        if self.block is None:
            return False
        if self.place[0] != self.seen[0]:
            self.seen = (self.place[0], now_ns)
        return self.place[0] >= 0 and now_ns - self.seen[1] > STALL_NS[self.block[0].tier]

    def end(self) -> None:
        """Wait for the process after its last block."""
        self.link.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Runner:
    """Many seeds, over processes.

    blocks: what to run, in order; endless for a soak. budget_ns: wall time after which nothing new begins, 0 = none.
    on_look: called a few times a second with the tally and the seeds done so far. on_block: told what each block came
    to, in the order in which they end. failed_max: failing seeds after which no more are run, 0 = none.
    """

    def __init__(
        self,
        blocks: Iterator[tuple[Job, range]],
        *,
        processes: int,
        budget_ns: int = 0,
        on_look: Callable[[Tally, int], None] | None = None,
        on_block: Callable[[Job, Tally], None] | None = None,
        failed_max: int = FAILED_MAX,
    ) -> None:
        self.blocks = blocks
        self.processes = processes
        self.tally = Tally()
        self.on_look = on_look or (lambda tally, done: None)
        self.on_block = on_block or (lambda job, tally: None)
        self.failed_max = failed_max
        self.begun_ns = monotonic_ns()
        self.ends_ns = self.begun_ns + budget_ns if budget_ns else 0
        self.was_stopped = False  # by a person
        self._again: deque[tuple[Job, range]] = deque()  # what was around a seed that took its process down
        self._done_by_dead = 0
        self._context = mp.get_context("spawn")
        self._workers: list[Worker] = []

    def run(self) -> Tally:
        """Until the blocks end, the budget is used up, enough has failed, or a person stops it."""
        try:
            self._workers = [Worker(self._context, self.ends_ns) for _ in range(self.processes)]
            for worker in self._workers:
                self._next(worker)
            while any(worker.block is not None for worker in self._workers):
                self._turn()
        except KeyboardInterrupt:
            self.was_stopped = True
        finally:
            for worker in self._workers:
                if worker.block is not None:
                    worker.process.kill()
                worker.end()
        self.on_look(self.tally, self.tally.seeds)
        return self.tally

    @property
    def wall_ns(self) -> int:
        """Since the start."""
        return monotonic_ns() - self.begun_ns

    def _turn(self) -> None:
        busy = {worker.link: worker for worker in self._workers if worker.block is not None}
        for link in wait(list(busy), LOOK_S):
            worker = busy[link]
            try:
                self._ended(worker, worker.link.recv())
            except (EOFError, ConnectionResetError):
                worker.process.join()
                self._died(worker, "death", f"the process ended with {_end(worker.process.exitcode)}")
                continue
            worker.block = None
            self._next(worker)
        now_ns = monotonic_ns()
        for worker in [worker for worker in self._workers if worker.is_stalled(now_ns)]:
            worker.process.kill()
            worker.process.join()
            limit_s = STALL_NS[worker.block[0].tier] // S_NS if worker.block else 0
            self._died(worker, "stall", f"no end within {limit_s} s of wall time")
        self.on_look(self.tally, self._done_by_dead + sum(worker.place[1] for worker in self._workers))

    def _ended(self, worker: Worker, tally: Tally) -> None:
        self.tally.merge(tally)
        if worker.block is not None:
            self.on_block(worker.block[0], tally)

    def _next(self, worker: Worker) -> None:
        if 0 < self.failed_max <= self.tally.failed or (self.ends_ns and monotonic_ns() >= self.ends_ns):
            return
        block = self._again.popleft() if self._again else next(self.blocks, None)
        if block is not None:
            worker.give(block)

    def _died(self, worker: Worker, kind: str, text: str) -> None:
        """A seed took its process down: it is a finding, and what the process had not told is run by another one."""
        job, seeds = worker.block or (Job(), range(0))
        seed = worker.place[0] if worker.place[0] >= 0 else seeds.start
        tally = Tally(seeds=1)
        tally.fail(_failure(job, seed, kind, text))
        self._ended(worker, tally)
        self._done_by_dead += worker.place[1] - (seed - seeds.start) + 1  # the others of its block are run again
        self._again += [(job, part) for part in (range(seeds.start, seed), range(seed + 1, seeds.stop)) if part]
        worker.link.close()
        fresh = Worker(self._context, self.ends_ns)
        self._workers[self._workers.index(worker)] = fresh
        self._next(fresh)


def _end(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"status {code}"


def blocks(job: Job, start: int, count: int | None) -> Iterator[tuple[Job, range]]:
    """Seeds from `start` in blocks; without end when `count` is None."""
    size = BLOCK[job.tier]
    if count is not None:  # so that a short run keeps every core busy to its end
        size = max(1, min(size, count // (4 * default_processes())))
    at = start
    while count is None or at < start + count:
        stop = at + size if count is None else min(at + size, start + count)
        yield job, range(at, stop)
        at = stop


def default_processes() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0))
