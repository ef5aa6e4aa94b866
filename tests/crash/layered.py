"""A world whose gateway, and no other process, works through the file layer, and whose power can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from gateway.child import ChildFailed
from gateway.demo.deployment import Plan
from tests.crash.layer import FileLayer
from tests.crash.platter import Platter
from tests.integration.world import World
from tests.sim.disk import DiskFaults

JOURNAL = "journal"


class LayeredWorld(World):
    """Venue, and a gateway whose file operations are counted, written down, and struck by rules."""

    def __init__(self, data_dir: Path, plan: Plan, *, rng: Random, faults: DiskFaults | None = None) -> None:
        """rng, faults: what the disk keeps of that which was not synced."""
        super().__init__(data_dir, plan)
        self.layer = FileLayer(data_dir)
        self.platter = Platter(self.layer, JOURNAL, rng, faults)
        self.ended = asyncio.Event()  # the gateway's life of now is over

    def gateway_command(self, *arguments: str) -> list[str]:
        return [*self.layer.prefix(), *super().gateway_command(*arguments)]

    async def start_gateway(self) -> dict[str, Any]:
        ready = await super().start_gateway()
        self.ended = ended = asyncio.Event()
        assert self._gateway is not None
        self._gateway.on_exit = lambda status: ended.set()
        return ready

    async def comes_up(self) -> bool:
        """Start it; whether it lived to be ready."""
        try:
            await self.start_gateway()
        except ChildFailed:
            return False
        return True

    async def power_off(self, *, is_lost: bool = True) -> None:
        """Kill the gateway; with `is_lost` the power fails too. What the process did is what the folder shows."""
        await self.kill_gateway()
        self.layer.calm()
        await asyncio.to_thread(self.platter.catch_up)
        if is_lost:
            await asyncio.to_thread(self.platter.lose_power)

    async def stop(self) -> dict[str, Any]:
        last = await super().stop()
        if self.ready:
            self.layer.close()
        return last
