"""The stepped writer: the same bytes as the threaded one, one file operation at a time, told by a call."""

import errno
from pathlib import Path

import pytest

from gateway.journal.errors import JournalStopped
from gateway.journal.files import SystemFiles
from gateway.journal.recovery import recover
from gateway.journal.segment import HEADER_BYTES, PAGE_BYTES, segment_name
from gateway.journal.writer import FaultPlan, JournalWriter
from tests.unit.journal_files import Waiter, assert_history, open_writer, run_of

LAST = 900


class Instant(SystemFiles):
    """The machine's files on a clock that moves only when the test moves it."""

    now_ns = 0

    def take_ns(self) -> int:
        return 1000

    def mono_ns(self) -> int:
        return self.now_ns


def run_until(writer: JournalWriter, files: Instant, seq: int) -> None:
    for _ in range(1000):
        due = writer.due_ns
        if writer.durable_seq >= seq or writer.failed or due is None:
            return
        files.now_ns = max(files.now_ns, due)
        writer.step()
    raise AssertionError("no progress in a thousand steps")


def stepped(directory: Path, files: Instant, **options: object) -> JournalWriter:
    return open_writer(directory, files=files, mono_ns=files.mono_ns, **options)


def test_stepped_and_threaded_write_the_same_bytes(tmp_path: Path) -> None:
    threads, steps = tmp_path / "threads", tmp_path / "steps"
    threads.mkdir()
    steps.mkdir()
    threaded = open_writer(threads)
    files = Instant()
    other = stepped(steps, files)
    waiter = Waiter(threaded)
    for first in range(1, LAST, 3):
        run = run_of([first, first + 1, first + 2], is_group=True)
        assert threaded.submit(run, first + 2) == other.submit(run, first + 2)
        waiter.wait(first + 2)
        run_until(other, files, first + 2)
    for writer in (threaded, other):
        writer.close()
        assert writer.stats().rotations >= 4
    for number in range(1, other.stats().rotations + 2):
        one, two = ((folder / segment_name(number)).read_bytes() for folder in (threads, steps))
        assert one[:HEADER_BYTES] == two[:HEADER_BYTES]
        assert one[PAGE_BYTES:] == two[PAGE_BYTES:]  # the marks between depend on how fast the machine was
    recovered = recover(steps)
    assert_history(recovered, LAST)
    assert recovered.is_clean


def test_progress_is_told_by_a_call_after_the_sync_and_not_before(tmp_path: Path) -> None:
    files, told = Instant(), []
    writer = stepped(tmp_path, files, on_progress=lambda: told.append(writer.durable_seq))
    writer.submit(run_of([1]), 1)
    synced = writer.operations["fdatasync"]
    while not told or told[-1] < 1:
        assert writer.due_ns is not None
        files.now_ns = max(files.now_ns, writer.due_ns)
        assert writer.durable_seq == 0
        writer.step()
    assert writer.operations["fdatasync"] == synced + 1
    writer.close()


def test_a_step_that_is_not_due_does_nothing(tmp_path: Path) -> None:
    files = Instant()
    writer = stepped(tmp_path, files)
    writer.submit(run_of([1]), 1)
    writer.step()
    before = writer.operations
    writer.step()  # the write takes 1000 ns and no time has gone by
    assert writer.operations == before
    writer.close()
    assert_history(recover(tmp_path), 1)


def test_a_failed_sync_stops_the_stepped_writer(tmp_path: Path) -> None:
    files = Instant()
    writer = stepped(tmp_path, files, fault=FaultPlan("fdatasync", 3, errno.EIO))
    for seq in (1, 2):
        writer.submit(run_of([seq]), seq)
        run_until(writer, files, seq)
    assert (writer.failed_op, writer.durable_seq) == ("fdatasync", 1)
    with pytest.raises(JournalStopped, match="fdatasync failed"):
        writer.submit(run_of([3]), 3)
    writer.close()
    assert_history(recover(tmp_path), 2)
