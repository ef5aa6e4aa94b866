"""The kill drill: the real gateway is killed at random moments under a measured load, and outsiders judge what is left.

A life begins when every client is connected and caught up, and ends with SIGKILL a random time later. Its load is the
number of new orders acknowledged in it by its length: a kill of a life below the bar is not counted, so that the drill
goes on until enough kills came under load, or until it has tried too often.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Self

from gateway.child import Child, command
from gateway.demo.deployment import Plan
from tests.chaos.copies import Replayer, copy_journal, replay
from tests.chaos.flood import AGAIN_S, Flood, all_live
from tests.chaos.hammer import SYMBOL, Market
from tests.chaos.outside import Ledger, Reader, judge, judge_positions
from tests.integration.world import World, pace

ACCOUNTS = tuple(f"F{number}" for number in range(4))
SETTLE_S = 60.0
SEGMENT_BYTES = 16 << 20
SETTINGS = (
    f"journal.segment_bytes={SEGMENT_BYTES}", "journal.snapshot_every_records=200000", "limits.api.snapshot_done_ms=0",
)  # fmt: skip
LIFE_S = (0.1, 0.6)  # shortest and longest


@dataclass(slots=True)
class Life:
    """From the moment that all clients were served to the kill."""

    seconds: float
    orders: int

    @property
    def per_s(self) -> float:
        return self.orders / self.seconds


@dataclass(slots=True)
class Figures:
    """What a drill measured."""

    seed: int
    bar_per_s: int
    lives: list[Life] = field(default_factory=list)  # those whose kill counts
    slow: list[Life] = field(default_factory=list)  # below the bar: not counted
    restart_ms: list[float] = field(default_factory=list)  # SIGKILL to the ready line
    back_ms: list[float] = field(default_factory=list)  # SIGKILL until every client is served again
    replayed: int = 0
    acknowledged: int = 0
    at_venue: int = 0
    executions: int = 0
    fired: int = 0
    doubts: int = 0
    dups: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unnamed: int = 0  # at the venue, and the kill took the record that they were sent: found again by asking
    seconds: float = 0.0

    def load(self) -> str:
        """For a person: how hard it was while the kills came, and how long each restart took."""
        rates = sorted(life.per_s for life in self.lives)
        lines = [
            f"seed {self.seed}: {len(self.lives)} kills counted in {self.seconds:.0f} s;"
            f" {len(self.slow)} came below {self.bar_per_s:,} orders/s and do not count"
        ]
        if rates:
            under = sum(life.seconds for life in self.lives)
            lines.append(
                f"load, while served: {sum(life.orders for life in self.lives) / under:,.0f} acknowledged orders/s"
                f" (of one life: least {rates[0]:,.0f}, median {median(rates):,.0f}, most {rates[-1]:,.0f})"
            )
        if self.restart_ms:
            lines.append(
                f"SIGKILL to ready: median {median(self.restart_ms):,.0f} ms, most {max(self.restart_ms):,.0f};"
                f" to all clients served: median {median(self.back_ms):,.0f} ms, most {max(self.back_ms):,.0f};"
                f" {self.replayed} restarts with the digest of an offline replay"
            )
        return "\n".join(lines)

    def verdict(self) -> str:
        """For a person: what held, in figures. Of a drill that was judged."""
        return (
            f"{self.acknowledged:,} acknowledged, 0 lost; {self.at_venue:,} at the venue, 0 doubled;"
            f" {self.executions:,} executions, {self.fired:,} stops fired; refused {dict(self.refused)}\n"
            f"{self.doubts:,} in doubt and settled, {self.unnamed:,} at the venue though no `sent` record was left;"
            f" {self.dups:,} asked again and answered as before; no gap for any client"
        )


class Drill:
    """One world under load. Use as an async context manager; `finish` settles it and judges."""

    def __init__(
        self, folder: Path, *, seed: int, bar_per_s: int, per_s: int, accounts: Sequence[str] = ACCOUNTS,
        settings: Sequence[str] = SETTINGS, with_worker: bool = True, world: Callable[[Path, Plan], World] = World,
    ) -> None:  # fmt: skip
        """per_s: orders offered in all, over the accounts; bar_per_s: what a counted life must have acknowledged."""
        self.rng = Random(seed)
        self.folder = folder
        symbols = ((SYMBOL, "0.01", "1"),)
        self.world = world(folder / "data", Plan(accounts=accounts, symbols=symbols, settings=settings))
        self.market = Market(self.rng)
        self.figures = Figures(seed, bar_per_s)
        self.still = asyncio.Event()  # the market stands still
        self._never = asyncio.Event()
        self.floods: list[Flood] = []
        self._per_s = per_s // len(accounts)
        self._with_worker = with_worker
        self._worker: Child | None = None
        self._replayer = Replayer(self.world.file)
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self.world.start()
        await self._group.__aenter__()
        self._group.create_task(self.market.move(self.world, self.still))
        await self.world.opened()
        self.floods = [
            Flood(self.world, account, self.market, Random(self.rng.random()), side=side, per_s=self._per_s)
            for account, side in zip(self.world.plan.accounts, cycle(("buy", "sell")), strict=False)
        ]
        for flood in self.floods:
            self._group.create_task(flood.run())
        if self._with_worker:
            settings = [item for setting in self.world.plan.settings for item in ("--set", setting)]
            log = (self.world.data_dir / "worker.log").open("ab")
            self._worker = Child(
                "worker", command("worker", "snapshot", "--config", str(self.world.file), *settings), log=log
            )
            await self._worker.start()
        await self._replayer.__aenter__()
        await all_live(self.floods)
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.still.set()
        for flood in self.floods:
            flood.leave.set()
        try:
            await self._group.__aexit__(*error)
        finally:
            if self._worker is not None:
                await self._worker.stop()
            await self._replayer.__aexit__()
            await self.world.stop()

    @property
    def acknowledged(self) -> int:
        """New orders acknowledged so far, over all clients."""
        return sum(flood.accepted for flood in self.floods)

    async def live(self, seconds: float) -> Life:
        """Load, served, for so long."""
        await all_live(self.floods)
        before, began = self.acknowledged, time.monotonic()
        await pace(self.still, seconds)
        return Life(time.monotonic() - began, self.acknowledged - before)

    async def kill_and_restart(self) -> None:
        """SIGKILL, restart; the state that came up is what a replay elsewhere makes of the same disk."""
        ended_s = time.monotonic()
        await self.world.kill_gateway()
        await self.come_back(ended_s)

    async def come_back(self, ended_s: float) -> None:
        """Restart what ended at that time of the monotonic clock, compare as above, and wait for the clients."""
        await asyncio.to_thread(copy_journal, self.world.config(), self.folder / "copy")
        async with asyncio.TaskGroup() as group:
            replaying = group.create_task(self._replayer.digest(self.folder / "copy"))
            ready = await self.world.start_gateway()
            self.figures.restart_ms.append((time.monotonic() - ended_s) * 1e3)
        assert ready["digest"] == replaying.result(), "the running state is not what the journal says"
        self.figures.replayed += 1
        await all_live(self.floods)
        self.figures.back_ms.append((time.monotonic() - ended_s) * 1e3)

    async def kills(self, count: int) -> None:
        """So many kills that count; gives up after twice as many."""
        figures, began = self.figures, time.monotonic()
        while len(figures.lives) < count and len(figures.lives) + len(figures.slow) < 2 * count + 10:
            life = await self.live(self.rng.uniform(*LIFE_S))
            await self.kill_and_restart()
            (figures.lives if life.per_s >= figures.bar_per_s else figures.slow).append(life)
        figures.seconds = time.monotonic() - began

    async def finish(self) -> None:
        """No more orders; what is unanswered gets its answer, what is open its end, and all is judged from outside."""
        figures, world = self.figures, self.world
        for flood in self.floods:
            flood.quiet.set()
        async with asyncio.timeout(SETTLE_S):
            while not all(flood.is_answered for flood in self.floods):
                await all_live(self.floods)
                await pace(self.still, AGAIN_S)
            await self._settle()
        self.still.set()
        stories, digests = {}, {}
        for flood in self.floods:
            while True:  # an event may come while it is read: both are judged where they stand equal
                reader = Reader(world, flood.record.account, flood.record.history)
                stories[flood.record.account] = await reader.read()
                await self._until_seq(flood, reader.record.seq)
                if flood.record.seq == reader.record.seq:
                    break
            digests[flood.record.account] = (flood.record.digest(), reader.record.digest())
        ledger = Ledger(world.ledger)
        figures.unnamed = judge([flood.record for flood in self.floods], stories, ledger, digests)
        judge_positions(stories, await world.venue_positions())
        await self._end_is_equal()
        figures.acknowledged = sum(len(flood.record.acknowledged) for flood in self.floods)
        figures.at_venue, figures.executions = len(ledger.received), len(ledger.execs)
        figures.fired = sum(story.kinds["triggered"] for story in stories.values())
        figures.doubts = sum(story.kinds["in_doubt"] for story in stories.values())
        for flood in self.floods:
            figures.dups += flood.record.dups
            figures.refused.update(flood.record.refused)

    async def _settle(self) -> None:
        """Cancel what rests, until no account has an open order."""
        for flood in self.floods:
            async with await self.world.client(flood.record.account, "settle") as client:
                await client.ask("cancel_all")
                while (await client.ask("get", what="orders"))["orders"]:
                    client.frames.clear()
                    await pace(self.still, AGAIN_S)

    async def _until_seq(self, flood: Flood, seq: int) -> None:
        """Until the client, which is still connected, has heard what a second reader was told."""
        async with asyncio.timeout(SETTLE_S):
            while flood.record.seq < seq and flood.broken is None:
                await pace(self._never, AGAIN_S)
        if flood.broken is not None:
            raise flood.broken

    async def _end_is_equal(self) -> None:
        """The orderly end, and replays of what it left, with snapshots and without: one state."""
        last = await self.world.stop_gateway()
        config, file, folder = self.world.config(), self.world.file, self.folder / "copy"
        for with_snapshots in (True, False):
            copy_journal(config, folder)
            digest = await asyncio.to_thread(replay, file, folder, with_snapshots=with_snapshots)
            assert last["digest"] == digest, f"another state by replay, with snapshots: {with_snapshots}"
