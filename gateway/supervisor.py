"""`backstay up`: venue, gateway and workers as children; what dies is started again, and the end comes in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog

from gateway.child import Child, ChildFailed, command
from gateway.commands.answer import BROKEN, REFUSED, USAGE, say
from gateway.config import Config, data_path

log = structlog.get_logger("supervisor")
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
STEADY_S = 10.0  # one that lived so long starts anew at the first step of the backoff
TIMED_OUT = -1  # it was killed because it said nothing in time: the next try may be quicker
VENUE_LEDGER = "venue.ledger"
VENUE_FEED = "sim"  # the feed of this name, at the venue's address, is the venue's own
FINAL = (USAGE, BROKEN)  # usage and broken invariant: the same again would end the same


class Kept:
    """One child that is started again whenever it ends by itself."""

    def __init__(
        self, name: str, argv: Callable[[], list[str]], on_ready: Callable[[dict[str, Any]], None],
        on_final: Callable[[int], None], *, is_needed: bool,
    ) -> None:  # fmt: skip
        """is_needed: when its very first start fails (a port taken, a folder closed), that is the end of it."""
        self.name = name
        self._is_final_at_first = is_needed
        self.up = asyncio.Event()
        self._argv = argv
        self._on_ready = on_ready
        self._on_final = on_final
        self._ending = asyncio.Event()
        self._child: Child | None = None

    async def keep(self) -> None:
        """Until `end`, or until it ends in a way that a restart cannot mend."""
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_FIRST_S / 2
        while not self._ending.is_set():
            began = loop.time()
            status = await self._once()
            if self._ending.is_set():
                return
            if status in FINAL or (self._is_final_at_first and status == REFUSED):
                self._on_final(status)
                return
            backoff_s = BACKOFF_FIRST_S if loop.time() - began > STEADY_S else min(BACKOFF_MAX_S, backoff_s * 2)
            log.warning("child ended; starting it again", child=self.name, status=status, wait_ms=int(backoff_s * 1000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._ending.wait()

    async def _once(self) -> int:
        """One life of the child; its status."""
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._child = Child(self.name, self._argv())
        self._child.on_exit = exited.set_result
        try:
            ready = await self._child.start()
        except ChildFailed as failed:
            log.error("child failed", child=self.name, why=str(failed))
            return TIMED_OUT if failed.status is None else failed.status
        log.info("child is up", child=self.name, pid=self._child.pid)
        self._on_ready({**ready, f"{self.name}_pid": self._child.pid})
        self._is_final_at_first = False
        self.up.set()
        status = await exited
        self.up.clear()
        return status

    async def end(self) -> None:
        """Stop it, in order."""
        self._ending.set()
        if self._child is not None and self._child.is_running:
            log.info("stopping", child=self.name)
            await self._child.stop()


class Supervisor:
    """The processes of one deployment: the venue first, then the rest; they end the other way round."""

    def __init__(
        self, config: Config, *, file: Path | None, settings: Sequence[str], ready_file: Path | None, as_json: bool
    ) -> None:
        self.config = config
        self.ready_file = ready_file
        self.as_json = as_json
        self.ports: dict[str, int] = {}
        self.stopping = asyncio.Event()
        self.status = 0
        self._shared = ["--data-dir", config.gateway.data_dir]
        if file is not None:
            self._shared += ["--config", str(file)]
        for setting in settings:
            self._shared += ["--set", setting]

    async def run(self) -> int:
        """Until a signal, or until a child ends in a way that a restart cannot mend."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        venue = Kept("venue", self._venue_argv, self._note, self._give_up, is_needed=True)
        gateway = Kept("gateway", self._gateway_argv, self._note, self._give_up, is_needed=True)
        snapshots = Kept("snapshot", self._snapshot_argv, self._note_worker, self._go_without, is_needed=False)
        async with asyncio.TaskGroup() as group:
            group.create_task(venue.keep(), name="venue")
            stopped = group.create_task(self.stopping.wait(), name="stopping")
            started = group.create_task(venue.up.wait(), name="venue up")
            stopped.add_done_callback(lambda task: started.cancel())
            with contextlib.suppress(asyncio.CancelledError):
                await started
                group.create_task(gateway.keep(), name="gateway")
                group.create_task(snapshots.keep(), name="snapshot")
            await stopped
            await snapshots.end()
            await gateway.end()
            await venue.end()
        return self.status

    def _give_up(self, status: int) -> None:
        self.status = status
        self.stopping.set()

    def _go_without(self, status: int) -> None:
        """A worker that cannot run changes nothing for an order."""
        log.error("going on without the snapshot worker", status=status)

    def _note_worker(self, ready: dict[str, Any]) -> None:
        self.ports["snapshot_pid"] = ready["snapshot_pid"]

    def _note(self, ready: dict[str, Any]) -> None:
        """A child is up: its ports stay its own over restarts, and whoever waits for us is told."""
        self.ports.update({name: value for name, value in ready.items() if name.endswith(("_port", "_pid"))})
        if "ws_port" not in self.ports:
            return
        if self.ready_file is not None:
            draft = self.ready_file.with_suffix(".draft")
            draft.write_bytes(msgspec.json.encode(self.ports))
            draft.replace(self.ready_file)
        host = self.config.gateway.host
        say(
            {"ready": True, **self.ports}, as_json=self.as_json,
            text=f"up: orders ws://{host}:{self.ports['ws_port']}/v1/ws, REST and metrics http://{host}:{self.ports['http_port']}",
        )  # fmt: skip

    def _snapshot_argv(self) -> list[str]:
        return command("worker", "snapshot", *self._shared)

    def _venue_argv(self) -> list[str]:
        """With a ledger, because the gateway remembers the orders that rest there, and the venue must too."""
        ledger = self.config.venue.ledger or str(data_path(self.config, VENUE_LEDGER))
        return command("venue", *self._shared, "--set", f"venue.ledger={ledger}", *self._venue_ports())

    def _venue_ports(self) -> list[str]:
        if "feed_port" not in self.ports:
            return []
        settings = ["--set", f"venue.ws_port={self.ports['feed_port']}"]
        if not self._on_unix_socket():
            settings += ["--set", f"venue.order_address=tcp://{self.config.venue.host}:{self.ports['order_port']}"]
        return settings

    def _gateway_argv(self) -> list[str]:
        """The gateway meets the venue where it really listens."""
        host, ports = self.config.venue.host, self.ports
        settings: list[str] = []
        for at, feed in enumerate(self.config.feeds):
            if feed.name == VENUE_FEED and urlsplit(feed.url).hostname == host:
                settings += ["--set", f"feeds.{at}.url=ws://{host}:{ports['feed_port']}/stream?streams="]
        if not self._on_unix_socket():
            settings += ["--set", f"broker.sim.address=tcp://{host}:{ports['order_port']}"]
        if "ws_port" in ports:
            settings += ["--set", f"gateway.ws_port={ports['ws_port']}"]
            settings += ["--set", f"gateway.http_port={ports['http_port']}"]
        return command("gateway", *self._shared, *settings)

    def _on_unix_socket(self) -> bool:
        return (self.config.venue.order_address or self.config.broker.sim.address).startswith("unix://")


def supervise(
    config: Config, *, file: Path | None, settings: Sequence[str], ready_file: Path | None, as_json: bool
) -> int:
    """Run it; the exit status."""

    async def main() -> int:
        supervisor = Supervisor(config, file=file, settings=settings, ready_file=ready_file, as_json=as_json)
        return await supervisor.run()

    return asyncio.run(main())
