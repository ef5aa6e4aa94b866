"""The power drill: the real gateway dies at a file operation, the disk loses what was not synced, outsiders judge.

A life ends at its nth file operation: of its start, of a while under load, of a change of segments, or of its orderly
end. Then the power fails for its files as well, and the next life stands on what is left.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from random import Random
from typing import Literal

from tests.chaos.drill import Drill
from tests.crash.layer import BOUNDARIES, WRITES, Act, Kind
from tests.crash.layered import LayeredWorld
from tests.integration.world import pace
from tests.sim.disk import DiskFaults

Moment = Literal["start", "load", "rotation", "end"]
WINDOW: dict[Moment, int] = {"start": 30, "load": 30, "rotation": 12, "end": 24}  # operations of each that are tried
ACCOUNTS = ("P0", "P1")
SETTINGS = (f"journal.segment_bytes={1 << 20}", "limits.api.snapshot_done_ms=0")
PER_S = 1_200
LIFE_S = 20.0
AGAIN_S = 0.01
SHORT_EVERY = 7
ENDS = (Act.KILL_BEFORE, Act.KILL_AFTER)


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a life ends."""

    moment: Moment
    nth: int
    act: Act  # of FAIL the gateway does not die: it lives on, protect-only, until it is killed
    has_short_writes: bool = False
    is_power_late: bool = False  # it stays on for one more life: what the cache shows is believed until then


def boundaries(rng: Random, count: int) -> list[Boundary]:
    """So many different ones, each moment in its turn; all of them when there are not so many."""
    places: dict[Moment, list[tuple[int, Act]]] = {}
    for moment, window in WINDOW.items():
        acts = (*ENDS, Act.FAIL) if moment in ("load", "rotation") else ENDS
        places[moment] = [(nth, act) for nth in range(1, window + 1) for act in acts]
        rng.shuffle(places[moment])
    found: list[Boundary] = []
    while len(found) < count and any(places.values()):
        for moment, left in places.items():
            if left and len(found) < count:
                nth, act = left.pop()
                found.append(Boundary(moment, nth, act, rng.random() < 0.3, rng.random() < 0.3))
    return found


class PowerDrill(Drill):
    """One world under load, whose power fails. Use as an async context manager; `finish` settles it and judges."""

    def __init__(
        self, folder: Path, *, seed: int, faults: DiskFaults | None = None, settings: Sequence[str] = SETTINGS
    ) -> None:
        super().__init__(
            folder, seed=seed, bar_per_s=0, per_s=PER_S, accounts=ACCOUNTS, settings=settings, with_worker=False,
            world=lambda data_dir, plan: LayeredWorld(data_dir, plan, rng=Random(seed), faults=faults),
        )  # fmt: skip
        assert isinstance(self.world, LayeredWorld)
        self.layered = self.world
        self.died: Counter[str] = Counter()
        self.sent_away = 0  # how often a failed journal sent every client away
        self.untouched = 0  # orderly ends that were over before their boundary

    async def end_at(self, boundary: Boundary) -> None:
        """One life up to its boundary, a power failure, and the next life with every client served again."""
        if boundary.moment == "start":
            await self.layered.power_off(is_lost=self.rng.random() < 0.5)
        self._arm(boundary)
        if boundary.moment == "start" and not await self.layered.comes_up():
            self.died["start: before it was ready"] += 1
        else:
            await self._end(boundary)
            self._note(boundary)
        if boundary.is_power_late:
            await self.layered.power_off(is_lost=False)
            await self.come_back(time.monotonic())
            await self.live(0.1)
        await self.layered.power_off()
        await self.come_back(time.monotonic())

    def _arm(self, boundary: Boundary) -> None:
        layer = self.layered.layer
        since = (Kind.HEADER,) if boundary.moment == "rotation" else ()
        kinds = WRITES | {Kind.SYNC} if boundary.act == Act.FAIL else BOUNDARIES
        if boundary.has_short_writes:
            layer.strike(Act.SHORT, WRITES, SHORT_EVERY, every=SHORT_EVERY, slot=1)
        layer.strike(boundary.act, kinds, boundary.nth, since=since, error=EIO)

    async def _end(self, boundary: Boundary) -> None:
        """Wait for the end that was planned."""
        async with asyncio.timeout(LIFE_S):
            if boundary.moment == "end":
                await self.world.stop_gateway()
            elif boundary.act == Act.FAIL:
                await self._until_sent_away()
            else:
                await self.layered.ended.wait()

    async def _until_sent_away(self) -> None:
        """Until each client was closed with the code of a failed journal."""
        for flood in self.floods:
            while flood.closes[4011] <= self.sent_away:
                await pace(self.still, AGAIN_S)
        self.sent_away += 1

    def _note(self, boundary: Boundary) -> None:
        layer = self.layered.layer
        if layer.struck():
            self.died[f"{boundary.moment}: {boundary.act.name} {layer.struck_at().name}".lower()] += 1
        else:
            self.untouched += 1

    def report(self) -> str:
        """For a person: where it died, and what the disk did."""
        ends, disk = dict(sorted(self.died.items())), dict(self.layered.platter.disk.injected)
        return f"{self.died.total()} lives ended at an operation, {self.untouched} before it: {ends}\ndisk: {disk}"
