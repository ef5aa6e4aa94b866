"""Order to acknowledgement over a loopback socket, against the echo of the same message at the same rate."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.bench_journal import Bare, frame_of, paced_bare
from benchmarks.client import Connection, Frames, echo_connection
from benchmarks.deployment import BID, SYMBOL, Deployment, Echo
from benchmarks.figures import Figure, Outcome, Sample
from benchmarks.market import Venue
from benchmarks.quiet import at_rest, settle
from benchmarks.scale import Scale

BAR_P50, BAR_P99, BAR_COMMIT, BAR_TAIL = 1.4, 1.8, 1.3, 1.3
PART_OFF, PART_DISK = "order to ack, durability off", "order to ack, durable"
COMMIT_NS = 1_000_000  # between two commits of the bare writer: the device is not pressed

Measure = Callable[[Connection, Frames], Awaitable[list[int]]]


class Side:
    """One connection and its supply of frames."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.frames = Frames(name, SYMBOL, BID)


async def run(scale: Scale, outcome: Outcome) -> None:
    """Both durabilities."""
    async with Echo() as echo:
        floor = Side(await echo_connection(echo.port), "e")
        async with Deployment(durability="off") as gateway:
            side = Side(await gateway.connect("ack"), "o")
            for name, measure in ways(scale, scale.rates):
                theirs, ours = Sample(), Sample()
                await pairs(1, measure, floor, side, Sample(), Sample(), gateway.venue)  # warms up
                await pairs(scale.rounds, measure, floor, side, theirs, ours, gateway.venue)
                outcome.figures += against_echo(PART_OFF, name, ours, theirs)
        async with Deployment(durability="disk") as gateway:
            side = Side(await gateway.connect("ack"), "d")
            for name, measure in ways(scale, scale.durable_rates):
                await durable(scale, outcome, name, measure, floor, side, gateway)


def ways(scale: Scale, rates: tuple[int, ...]) -> list[tuple[str, Measure]]:
    """A closed loop, and each rate."""

    async def closed(connection: Connection, frames: Frames) -> list[int]:
        return await connection.closed_loop(frames.take(scale.closed))

    def at(per_s: int) -> Measure:
        async def paced(connection: Connection, frames: Frames) -> list[int]:
            return await connection.paced(frames.take(per_s * scale.paced_ms // 1_000), per_s)

        return paced

    return [("closed loop", closed), *((f"{rate:,}/s", at(rate)) for rate in rates)]


async def pairs(
    rounds: int, measure: Measure, floor: Side, side: Side, theirs: Sample, ours: Sample, venue: Venue
) -> None:
    """Echo, gateway, echo, gateway."""
    for _ in range(rounds):
        for which, sample in ((floor, theirs), (side, ours)):
            with at_rest():
                latencies = await measure(which.connection, which.frames)
            sample.add(latencies)
            await settle(venue)


def against_echo(part: str, name: str, ours: Sample, theirs: Sample) -> list[Figure]:
    """Ratios with their bars, and the absolute values in the notes."""
    note = f"{ours.text()} µs, echo {theirs.text()}; quietest round {ours.quietest(theirs, 500):.2f} x"
    return [
        Figure(part, f"{name}, p50 to echo", ours.ratio(theirs, 500), "x", bar=BAR_P50, note=note),
        Figure(part, f"{name}, p99 to echo", ours.ratio(theirs, 990), "x", bar=BAR_P99),
        Figure(part, f"{name}, p99.9 to echo", ours.ratio(theirs, 999), "x"),
    ]


async def durable(
    scale: Scale, outcome: Outcome, name: str, measure: Measure, floor: Side, side: Side, gateway: Deployment
) -> None:
    """The echo's part plus one group commit; at the highest rate the tail against a bare writer at that rate."""
    theirs, ours, commit, bare = Sample(), Sample(), Sample(), Sample()
    per_s = int(name.removesuffix("/s").replace(",", "")) if name.endswith("/s") else 0
    with tempfile.TemporaryDirectory(dir=gateway.folder) as folder:
        writer = Bare(Path(folder))
        await pairs(1, measure, floor, side, Sample(), Sample(), gateway.venue)  # warms up
        before = await gateway.scrape()
        for _ in range(scale.rounds):
            commit.add(commits(writer, scale.commits))
            await pairs(1, measure, floor, side, theirs, ours, gateway.venue)
            if per_s >= 10_000:
                frames = [frame_of(seq) for seq in range(1, per_s * 2 + 1)]
                bare.add(paced_bare(Path(folder), per_s, frames))
        after = await gateway.scrape()
        writer.close()
    bar: float | None = BAR_P50 * theirs.us(500) + BAR_COMMIT * commit.us(500)
    made = after["journal_commits"] - before["journal_commits"]
    note = (
        f"{ours.text(0)} µs; echo {theirs.us(500):.1f}, bare commit {commit.us(500):.0f} / {commit.us(990):.0f}; "
        f"{sum(map(len, ours.rounds)) / max(1, made):.1f} orders a commit"
    )
    if per_s >= 10_000:
        bar = None  # who comes while a commit is under way waits for the rest of it too: the bar here is the tail's
    outcome.figures.append(Figure(PART_DISK, f"{name}, p50", ours.us(500), floor=commit.us(500), bar=bar, note=note))
    if per_s >= 10_000:
        ratio = ours.ratio(bare, 999)
        note = f"bare writer {bare.text(0)} µs at the same rate"
        outcome.figures.append(Figure(PART_DISK, f"{name}, p99.9 to bare", ratio, "x", bar=BAR_TAIL, note=note))


def commits(writer: Bare, count: int) -> list[int]:
    """Single commits, apart from each other."""
    data = frame_of(1) * 2
    found = []
    for _ in range(count):
        time.sleep(COMMIT_NS / 1e9)
        found.append(writer.commit(data))
    return found
