"""One child process of ours: start it, read its ready line, end it in order or at once."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

LINE_MAX = 1 << 20
PR_SET_PDEATHSIG = 1  # prctl(2)


class ChildFailed(Exception):
    """It ended, or said nothing in time, before it was ready."""

    def __init__(self, name: str, status: int | None, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name
        self.status = status


def command(name: str, *arguments: str) -> list[str]:
    """`backstay NAME ...` with this interpreter."""
    return [sys.executable, "-P", "-m", "gateway", name, *arguments]


def _environment() -> dict[str, str]:
    """The child finds our packages where we found them, whatever the working folder."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def _end_with(parent: int) -> Callable[[], None]:
    """Runs in the child before its program: it is asked to end when its parent does, even by SIGKILL.

    Without it a gateway whose supervisor was killed would trade on, and stand in the way of the next `backstay up`.
    """
    prctl = ctypes.CDLL(None).prctl  # found here: after the fork only the call itself is safe

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it was gone before we asked
            os.kill(os.getpid(), signal.SIGTERM)

    return bind


class Child:
    """A process that says where it listens in its first line on standard output, as JSON; its last line is kept."""

    def __init__(self, name: str, argv: Sequence[str], *, log: Any = None) -> None:
        """log: file object that gets its standard error; None shares ours."""
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.ready: dict[str, Any] = {}
        self.last_line: dict[str, Any] = {}
        self.on_exit: Callable[[int], None] = lambda status: None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """Start it; returns its ready line."""
        self._process = await asyncio.create_subprocess_exec(
            *self.argv, stdout=asyncio.subprocess.PIPE, stderr=self.log, env=_environment(), limit=LINE_MAX,
            start_new_session=True, preexec_fn=_end_with(os.getpid()),
        )  # fmt: skip
        assert self._process.stdout is not None  # a pipe was asked for
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self.kill()
            raise ChildFailed(self.name, None, f"not ready within {timeout_s:.0f} s") from None
        if not line:
            status = await self._process.wait()
            raise ChildFailed(self.name, status, f"ended with status {status} before it was ready")
        self.ready = msgspec.json.decode(line)
        self._reader = asyncio.get_running_loop().create_task(self._read(), name=f"child {self.name}")
        return self.ready

    async def _read(self) -> None:
        """Keep its last line, and tell its end."""
        process = self._process
        if process is None or process.stdout is None:
            return
        while line := await process.stdout.readline():
            self.last_line = msgspec.json.decode(line)
        self.on_exit(await process.wait())

    async def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM, and SIGKILL for one that does not listen; returns its status."""
        return await self._end(signal.SIGTERM, timeout_s)

    async def kill(self) -> int:
        """SIGKILL."""
        return await self._end(signal.SIGKILL, 15.0)

    async def _end(self, number: signal.Signals, timeout_s: float) -> int:
        process = self._process
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(timeout_s):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
        if self._reader is not None:
            await self._reader
        return status
