"""A journal that a crash or a disk left damaged: a torn tail is cut off, anything else refuses to start."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway import boot
from gateway.child import ChildFailed
from tests.integration.trouble import PLAN, protect
from tests.integration.world import World, stream


async def last_segment(world: World) -> Path:
    files = sorted(boot.journal_dir(world.config()).glob("*.seg"))
    return [file for file in files if any(file.read_bytes()[4096:4104])][-1]


def test_a_torn_tail_is_cut_and_damage_before_it_refuses_to_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with World(tmp_path / "data", PLAN) as world:
            async with await world.client("D0") as client:
                await protect(world, client)
            await world.kill_gateway()
            file = await last_segment(world)
            whole = file.read_bytes()
            end = len(whole.rstrip(b"\0"))
            shutil.rmtree(boot.journal_dir(world.config()) / "snapshots", ignore_errors=True)
            with file.open("r+b") as out:  # half a frame behind the last whole one
                out.seek((end + 7) // 8 * 8)
                out.write(b"\x80\x00\x00\x00torn")
            ready = await world.start_gateway()
            assert ready["seq"] > 0
            assert {event["cl_ord_id"] for event in await stream(world, "D0") if event["t"] == "accepted"} == {
                "entry", "stop",
            }  # fmt: skip
            await world.kill_gateway()
            data = bytearray((await last_segment(world)).read_bytes())
            data[4096 + 60] ^= 0xFF
            (await last_segment(world)).write_bytes(data)
            with pytest.raises(ChildFailed) as failed:
                await world.start_gateway()
            assert failed.value.status == 3
            assert "journal corrupt" in (world.data_dir / "processes.log").read_text()

    asyncio.run(scenario())
