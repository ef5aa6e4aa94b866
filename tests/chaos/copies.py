"""What the journal on disk gives, replayed apart from the gateway: on a copy, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Self

import msgspec

from gateway import boot, logs
from gateway.clock import SystemClock
from gateway.config import Config, load
from gateway.journal.segment import PAGE_BYTES, parse_header


def copy_journal(config: Config, folder: Path) -> None:
    """A copy that a repair may change: what is sealed is linked, the segment in use and those behind it are copied."""
    shutil.rmtree(folder, ignore_errors=True)
    source, target = boot.journal_dir(config), folder / config.journal.dir
    target.mkdir(parents=True)
    segments = sorted(source.glob("*.seg"))
    used = [file for file in segments if parse_header(_page(file)) is not None]
    for file in segments:
        if file in used[:-1] or not any(_page(file)):
            os.link(file, target / file.name)
        else:
            shutil.copy(file, target / file.name)
    snapshots = source / "snapshots"
    if snapshots.is_dir():
        (target / "snapshots").mkdir()
        for file in snapshots.glob("*.snap"):
            os.link(file, target / "snapshots" / file.name)


def _page(file: Path) -> bytes:
    with file.open("rb") as start:
        return start.read(PAGE_BYTES)


def replay(config_file: Path, folder: Path, *, with_snapshots: bool = True) -> str:
    """Digest of the state that the copy in `folder` gives."""
    config = load(config_file)
    moved = msgspec.structs.replace(config.gateway, data_dir=str(folder))
    config = msgspec.structs.replace(config, gateway=moved)
    if not with_snapshots:
        shutil.rmtree(boot.journal_dir(config) / "snapshots", ignore_errors=True)
    return boot.boot(config, SystemClock()).state.digest()


class Replayer:
    """A process of its own that replays folders, one after the other. Use as an async context manager."""

    def __init__(self, config_file: Path) -> None:
        self._argv = [sys.executable, "-P", "-m", "tests.chaos.copies", str(config_file)]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    async def digest(self, folder: Path) -> str:
        """Of the state that the copy in `folder` gives."""
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None  # it was entered
        process.stdin.write(f"{folder}\n".encode())
        line = await process.stdout.readline()
        assert line, f"the process that replays {folder} ended"
        return line.decode().strip()


def main(config_file: Path) -> None:
    """A folder on each line of standard input, its digest on standard output, which is kept free of log lines."""
    logs.configure(level="warning", as_json=True, file=None)
    for line in sys.stdin:
        print(replay(config_file, Path(line.strip())), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
