"""Every step: the journal crashed, killed or refused at each of its file operations, restarted and checked.

A short run (commits, rotations, snapshots, a restart in its midst) on the simulated disk; the operation at which it
ends is 1, 2, 3 and so on, until a run finishes untouched. What a client was told of must be there, as it was.
"""

import errno
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from gateway.journal.errors import JournalError, JournalStopped
from gateway.journal.recovery import Recovered
from gateway.journal.snapshot import Snapshot, SnapshotStore, restore
from gateway.journal.writer import JournalWriter
from tests.sim.disk import DiskFaults, PowerLost, SimDisk, SimFiles
from tests.unit.journal_files import HISTORY, assert_history, run_of

JOURNAL = Path("/data/journal")
WIDTH = 15  # records of one atomic group
SEGMENT_BYTES = 8192


class Node:
    """A process that writes the journal; ``told`` is the last record that anybody outside was told of."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.told = 0
        self.submitted = 0
        self.now_ns = 0

    def life(self, until: int) -> None:
        """Start, write up to a record with a snapshot on the way, end in an orderly manner."""
        files = self.disk.files()
        files.make_folder(JOURNAL)
        recovered = self.checked(files)
        writer = JournalWriter(
            str(JOURNAL), history_id=HISTORY, position=recovered.next_position, last_seq=recovered.last_seq, epoch=7,
            segment_bytes=SEGMENT_BYTES, buffer_bytes=4096, files=files, mono_ns=lambda: self.now_ns,
        )  # fmt: skip
        self.submitted = recovered.last_seq
        while self.submitted < until:
            last = self.submitted + WIDTH
            writer.submit(run_of(range(self.submitted + 1, last + 1), is_group=True), last)
            self.submitted = last
            self.run(writer, last)
            if last % (2 * WIDTH) == 0:
                self.snapshot(files, writer.position)
        writer.close()
        self.told = writer.durable_seq

    def run(self, writer: JournalWriter, last: int) -> None:
        while writer.durable_seq < last:
            due = writer.due_ns
            if writer.failed or due is None:
                raise JournalStopped(writer.failed, writer.failed_op)
            self.now_ns = max(self.now_ns, due)
            writer.step()
            self.told = max(self.told, writer.durable_seq)

    def snapshot(self, files: SimFiles, position: int) -> None:
        content = str(self.submitted).encode()
        SnapshotStore(JOURNAL, files=files).write(Snapshot(self.submitted, position, HISTORY, content))

    def checked(self, files: SimFiles) -> Recovered:
        """What a start finds: all that was told, in order, unaltered, and no snapshot that knows more."""
        restored = restore(JOURNAL, files=files)
        recovered = restored.recovered
        assert self.told <= recovered.last_seq <= max(self.submitted, self.told)
        assert recovered.last_seq % WIDTH == 0, "an atomic group in part"
        if recovered.last_seq:
            assert_history(recovered, recovered.last_seq)
        if restored.snapshot is not None:
            assert restored.snapshot.content == str(restored.snapshot.seq).encode()
            assert restored.snapshot.seq <= recovered.last_seq
        self.submitted = max(self.submitted, recovered.last_seq)
        self.told = recovered.last_seq  # it is replayed and shown from now on
        return recovered


def story(node: Node) -> None:
    node.life(WIDTH * 8)
    node.life(WIDTH * 14)


def survive(node: Node, seed: int, *, is_crash: bool) -> None:
    """Ended: the machine's power fails, or the process alone dies; the next lives find what was told."""
    chooser = Random(seed)
    for _ in range(2):
        if is_crash:
            node.disk.crash()
        else:
            node.disk.kill()
        node.disk.heal()
        recovering = node.disk.operations + chooser.randrange(1, 40)
        node.disk.crash_at = recovering  # recovery may be cut short too
        try:
            node.checked(node.disk.files())
        except (PowerLost, FileNotFoundError):
            continue
    node.disk.crash()
    node.disk.heal()
    files = node.disk.files()
    files.make_folder(JOURNAL)
    last = node.checked(files).last_seq
    node.disk.kill()
    node.life(last + 2 * WIDTH)
    node.disk.crash()
    node.checked(node.disk.files())


@pytest.mark.parametrize("is_crash", [True, False], ids=["power lost", "process killed"])
def test_a_crash_at_every_operation_loses_nothing_that_was_told(is_crash: bool) -> None:
    nth, is_reached = 0, True
    while is_reached:
        nth += 1
        for seed in range(6):
            node = Node(SimDisk(Random(nth * 100 + seed)))
            node.disk.crash_at = nth
            try:
                story(node)
                is_reached = False
            except PowerLost:
                is_reached = True
            survive(node, nth * 100 + seed, is_crash=is_crash)
    assert nth > 150


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("is_persistent", [False, True], ids=["once", "for good"])
def test_an_error_at_every_operation_stops_with_a_word_and_loses_nothing_that_was_told(
    error: int, is_persistent: bool
) -> None:
    nth, is_reached = 0, True
    while is_reached:
        nth += 1
        for seed in range(3):
            node = Node(SimDisk(Random(nth * 100 + seed), DiskFaults(is_persistent=is_persistent)))
            node.disk.error_at, node.disk.error = nth, error
            with suppress(JournalError, OSError):
                story(node)
            is_reached = node.disk.injected.total() > 0
            survive(node, nth * 100 + seed, is_crash=seed > 0)
    assert nth > 150


def test_any_reordering_of_unsynced_writes_leaves_a_valid_prefix() -> None:
    for seed in range(300):
        disk = SimDisk(Random(seed), DiskFaults(torn_rate=0.3, flip_rate=0.3, short_rate=0.2))
        node = Node(disk)
        for _ in range(3):
            disk.crash_at = disk.operations + disk.rng.randrange(1, 120)
            try:
                node.life(node.told + 10 * WIDTH)
            except PowerLost:
                disk.crash()
            else:
                disk.kill()
        disk.crash_at = 0
        survive(node, seed, is_crash=True)


def test_a_snapshot_fails_in_one_way_whichever_operation_fails() -> None:
    nth, is_reached = 0, True
    while is_reached:
        nth += 1
        disk = SimDisk(Random(nth))
        disk.files().make_folder(JOURNAL)
        disk.faults.is_persistent = nth % 2 == 0
        disk.error_at = disk.operations + nth
        with suppress(JournalError):
            SnapshotStore(JOURNAL, files=disk.files()).write(Snapshot(1, 4096, HISTORY, b"state"))
        is_reached = disk.injected.total() > 0
    assert nth > 8
