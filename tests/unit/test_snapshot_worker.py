"""The snapshot worker: what it stores, and a start from it and the tail, equal the full replay."""

import os
import random
import select
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway import boot
from gateway.clock import SystemClock
from gateway.config import Config, load
from gateway.errors import ConfigError
from gateway.journal.snapshot import Snapshot, SnapshotStore
from gateway.journal.writer import JournalWriter
from gateway.workers.snapshot import SnapshotWorker
from tests.property.order_chooser import Chooser
from tests.property.order_world import ORDERS, Pair
from tests.unit.journal_files import fast_folder

EVERY = 1_000


@pytest.fixture
def config() -> Iterator[Config]:
    with fast_folder() as folder:
        yield load(
            overlay={
                "gateway": {"data_dir": str(folder), "shard": 3},
                "journal": {"segment_bytes": 1 << 20, "snapshot_every_records": EVERY},
                "capacity": {"orders": max(ORDERS, 1_024), "open_orders": 64, "accounts": 4, "instruments": 4},
            }
        )


class History:
    """A generated life of orders, written as it comes."""

    def __init__(self, config: Config) -> None:
        folder = boot.journal_dir(config)
        folder.mkdir(parents=True)
        self.pair = Pair()
        self._chooser = Chooser(random.Random(5), self.pair)
        self._written = 0
        self._writer = JournalWriter(
            str(folder), history_id=self.pair.live.state.history, position=1 << 32 | 4096, last_seq=0, epoch=1,
            segment_bytes=1 << 20,
        )  # fmt: skip

    def go(self, steps: int) -> None:
        """Until it is on disk and the mark says so."""
        for _ in range(steps):
            self._chooser.step()
        self._writer.submit(bytes(self.pair.journal[self._written :]), self.pair.live.state.seq)
        self._written = len(self.pair.journal)
        poll = select.poll()
        poll.register(self._writer.eventfd, select.POLLIN)
        while self._writer.durable_seq < self.pair.live.state.seq:
            poll.poll(10_000)
            self._writer.take_event()

    def followed_by(self, worker: SnapshotWorker) -> list[Path]:
        """Snapshots until the worker is where the history is; the mark that lets it read on is a moment behind."""
        written: list[Path] = []
        while worker.state.seq < self.pair.live.state.seq:
            written += worker.catch_up()
        return written

    def close(self) -> None:
        self._writer.close()


def test_start_from_its_snapshot_and_the_tail_equals_the_full_replay(config: Config) -> None:
    history = History(config)
    worker = SnapshotWorker(config)
    assert worker.catch_up() == []
    written: list[Path] = []
    for _ in range(4):
        history.go(900)
        written += history.followed_by(worker)
    history.close()
    worker.close()
    assert written
    digest = history.pair.live.state.digest()
    assert worker.state.digest() == digest
    short = boot.boot(config, SystemClock())
    assert short.state.digest() == digest
    assert 0 < short.replayed <= history.pair.live.state.seq - EVERY
    shutil.rmtree(boot.journal_dir(config) / "snapshots")
    whole = boot.boot(config, SystemClock())
    assert whole.state.digest() == digest
    assert whole.state.positions_dump() == short.state.positions_dump()
    assert whole.replayed == history.pair.live.state.seq


def test_a_worker_that_starts_again_goes_on_where_it_stored(config: Config) -> None:
    history = History(config)
    history.go(2_500)
    first = SnapshotWorker(config)
    (path,) = history.followed_by(first)
    first.close()
    history.go(200)
    history.close()
    again = SnapshotWorker(config)
    assert again.state.seq == int(path.stem)
    history.followed_by(again)
    again.close()
    assert again.state.digest() == history.pair.live.state.digest()


def test_a_damaged_snapshot_costs_a_longer_replay_only(config: Config) -> None:
    history = History(config)
    history.go(2_500)
    history.close()
    worker = SnapshotWorker(config)
    (path,) = history.followed_by(worker)
    worker.close()
    with path.open("r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"\xff\x00\xff")
    assert SnapshotStore(boot.journal_dir(config)).load().snapshot is None
    assert boot.boot(config, SystemClock()).state.digest() == history.pair.live.state.digest()


def test_a_snapshot_of_another_version_costs_a_longer_replay_only(config: Config) -> None:
    history = History(config)
    history.go(2_500)
    history.close()
    worker = SnapshotWorker(config)
    history.followed_by(worker)
    worker.close()
    store = SnapshotStore(boot.journal_dir(config))
    newest = store.load().snapshot
    assert newest is not None
    older = newest.content[:8] + (8).to_bytes(8, "little") + newest.content[16:]  # its first part has another length
    store.write(Snapshot(newest.seq, newest.position, newest.history_id, older))
    booted = boot.boot(config, SystemClock())
    assert (booted.state.digest(), booted.replayed) == (history.pair.live.state.digest(), history.pair.live.state.seq)
    again = SnapshotWorker(config)
    history.followed_by(again)
    again.close()
    assert again.state.digest() == history.pair.live.state.digest()


def test_a_snapshot_of_another_shard_is_refused(config: Config) -> None:
    history = History(config)
    history.go(2_500)
    history.close()
    worker = SnapshotWorker(config)
    history.followed_by(worker)
    worker.close()
    other = msgspec.structs.replace(config, gateway=msgspec.structs.replace(config.gateway, shard=4))
    with pytest.raises(ConfigError, match=r"gateway\.shard"):
        boot.boot(other, SystemClock())
