"""`backstay worker snapshot`: folds the journal into a state of its own and stores it now and then.

A long history then costs the next start-up only its tail, and the gateway nothing: it knows nothing of this process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec
import structlog

from gateway import boot
from gateway.config import Config
from gateway.errors import GatewayError
from gateway.journal.files import SYSTEM
from gateway.journal.reader import JournalReader
from gateway.journal.snapshot import SnapshotStore

log = structlog.get_logger("snapshot worker")
POLL_S = 0.5
NICE = 10  # never in the way of the loop


class WorkerReady(msgspec.Struct, frozen=True):
    """What the supervisor hears once the worker follows the journal."""

    worker: str
    seq: int


class SnapshotWorker:
    """The state as the journal tells it, up to where this worker has read."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._every = config.journal.snapshot_every_records
        folder = boot.journal_dir(config)
        SYSTEM.make_folder(folder)
        loaded = SnapshotStore(folder).load()
        for refused in loaded.refused:
            log.warning("snapshot passed over", path=str(refused.path), why=refused.why)
        self._reader = JournalReader(folder)
        self.state, position = boot.state_from(config, loaded.snapshot)
        self._position = position or self._reader.first_position
        self._stored_seq = self.state.seq

    def catch_up(self) -> list[Path]:
        """Apply what is durable by now; the snapshots that were due on the way."""
        written = []
        for block in self._reader.blocks(self._position):
            try:
                self.state.replay(block.data, block.position)
            except ValueError as error:
                raise GatewayError(f"the journal does not fit the state: {error}") from error
            self._position = block.next_position
            if self.state.seq - self._stored_seq >= self._every:
                written.append(boot.write_snapshot(self._config, self.state, self._position))
                self._stored_seq = self.state.seq
                log.info("snapshot stored", seq=self.state.seq, path=str(written[-1]))
        return written

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()


def run(config: Config, announce: Callable[[WorkerReady], None]) -> int:
    """Follow the journal until SIGTERM or SIGINT; the exit status."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    os.nice(NICE)
    worker = SnapshotWorker(config)
    worker.catch_up()
    announce(WorkerReady("snapshot", worker.state.seq))
    while not stopping.wait(POLL_S):
        worker.catch_up()
    worker.close()
    return 0
