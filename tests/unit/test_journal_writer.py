"""The journal writer: what is submitted becomes durable in order, back-pressure, refusal, rotation, stopping."""

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from gateway.journal.errors import JournalError, JournalFull, JournalStopped
from gateway.journal.recovery import recover
from gateway.journal.segment import FIRST_POSITION, split_position
from gateway.journal.writer import FaultPlan, JournalWriter, blake2b_256
from tests.unit.journal_files import Waiter, assert_history, open_writer, run_of, writing


def test_submitted_frames_become_durable_and_come_back(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        assert writer.submit(run_of([1]), 1) == FIRST_POSITION
        assert writer.submit(run_of([2, 3, 4]), 4) == FIRST_POSITION + len(run_of([1]))
        assert Waiter(writer).wait(4) == 4
        assert writer.durable_position == writer.position
    recovered = recover(tmp_path)
    assert_history(recovered, 4)
    assert recovered.is_clean and recovered.truncated_bytes == 0
    assert recovered.next_position == writer.position


def test_rotation_keeps_runs_whole_and_the_history_continues(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        for first in range(1, 1000, 3):
            run = run_of([first, first + 1, first + 2], is_group=True)
            before = writer.position
            position = writer.submit(run, first + 2)
            assert position == before or (split_position(position)[0] == split_position(before)[0] + 1)
            assert split_position(position)[1] + len(run) <= 16384
            waiter.wait(first + 2)
        assert writer.stats().rotations >= 5
    assert_history(recover(tmp_path), 999)


def test_writing_goes_on_after_a_restart(tmp_path: Path) -> None:
    for start in range(1, 400, 40):
        with writing(tmp_path) as writer:
            writer.submit(run_of(range(start, start + 40)), start + 39)
    recovered = recover(tmp_path)
    assert_history(recovered, 400)
    assert recovered.history_id == bytes(range(16))


def test_a_changed_segment_size_leaves_the_present_segment_as_it_is(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of(range(1, 41)), 40)
    with writing(tmp_path, segment_bytes=32768) as writer:
        waiter = Waiter(writer)
        for first in range(41, 601, 40):
            writer.submit(run_of(range(first, first + 40)), first + 39)
            waiter.wait(first + 39)
    assert_history(recover(tmp_path), 600)


ONE_A_SECOND: dict[str, int] = {"syncs_per_s_max": 1, "gap_ns_max": 10**10, "slow_sync_ns": 10**12}


def use_up_burst(writer: JournalWriter) -> int:
    """The commits that go out at once before pacing begins; returns the last seq."""
    waiter = Waiter(writer)
    for seq in range(1, 18):
        writer.submit(run_of([seq]), seq)
        waiter.wait(seq)
    return 17


def test_a_full_buffer_is_back_pressure_and_takes_nothing(tmp_path: Path) -> None:
    with writing(tmp_path, buffer_bytes=1024, **ONE_A_SECOND) as writer:
        seq = use_up_burst(writer)
        seq += fill(writer, seq + 1)
        assert writer.submitted_seq == seq
        assert writer.queue_bytes > 0
    assert_history(recover(tmp_path), seq)


def fill(writer: JournalWriter, first: int) -> int:
    """Submit single frames until the buffer is full; returns how many it took."""
    for seq in range(first, first + 1000):
        try:
            writer.submit(run_of([seq]), seq)
        except JournalFull:
            return seq - first
    raise AssertionError("the buffer has no bound")


@pytest.mark.parametrize(
    ("blob", "last_seq"),
    [
        (b"", 1),
        (run_of([1])[:-1], 1),
        (run_of([2]), 2),
        (run_of([1]), 0),
        (b"".join(run_of([seq]) for seq in range(1, 200)), 199),
    ],
    ids=["empty", "not aligned", "wrong first seq", "last before first", "more than half a segment"],
)
def test_a_run_that_does_not_continue_the_journal_is_refused(tmp_path: Path, blob: bytes, last_seq: int) -> None:
    with writing(tmp_path, buffer_bytes=65536) as writer:
        with pytest.raises(ValueError, match="run refused"):
            writer.submit(blob, last_seq)
        writer.submit(run_of([1]), 1)
    assert_history(recover(tmp_path), 1)


def test_one_writer_holds_the_directory(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(JournalError, match="in use"):
        recover(tmp_path)
    assert recover(tmp_path).last_seq == 0


def test_a_closed_writer_takes_nothing(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.close()
        with pytest.raises(JournalStopped):
            writer.submit(run_of([1]), 1)


def test_without_fsync_frames_are_written_and_clean_after_close(tmp_path: Path) -> None:
    with writing(tmp_path, fsync=False) as writer:
        waiter = Waiter(writer)
        for first in range(1, 400, 4):
            writer.submit(run_of(range(first, first + 4)), first + 3)
            waiter.wait(first + 3)
        report = writer.stats()
        assert report.sync.count <= report.rotations
        assert 0 <= report.gap_ns <= 16_000_000, "unsynced writes gather, but not for long"
    assert_history(recover(tmp_path), 400)


def test_durable_seq_never_passes_what_was_submitted_and_never_goes_back(tmp_path: Path) -> None:
    with writing(tmp_path, segment_bytes=1 << 20, buffer_bytes=1 << 16) as writer:
        seen: list[tuple[int, int]] = []
        is_done = threading.Event()

        def watch() -> None:
            while not is_done.is_set():
                durable = writer.durable_seq
                seen.append((durable, writer.submitted_seq))

        watcher = threading.Thread(target=watch)
        watcher.start()
        waiter = Waiter(writer)
        for first in range(1, 3001, 3):
            run = run_of([first, first + 1, first + 2])
            try:
                writer.submit(run, first + 2)
            except JournalFull:
                waiter.wait(first - 1)
                writer.submit(run, first + 2)
        waiter.wait(3000)
        is_done.set()
        watcher.join()
    assert all(durable <= submitted for durable, submitted in seen)
    assert [durable for durable, _ in seen] == sorted(durable for durable, _ in seen)
    assert_history(recover(tmp_path), 3000)


def test_a_failed_sync_is_not_retried_and_stops_the_writer(tmp_path: Path) -> None:
    with writing(tmp_path, fault=FaultPlan("fdatasync", 3, errno.EIO)) as writer:  # 1: the header, 2: the first commit
        waiter = Waiter(writer)
        writer.submit(run_of([1]), 1)
        assert waiter.wait(1) == 1
        writer.submit(run_of([2]), 2)
        assert waiter.wait(2) == 1
        assert (writer.failed, writer.failed_op) == (errno.EIO, "fdatasync")
        with pytest.raises(JournalStopped, match="fdatasync failed"):
            writer.submit(run_of([3]), 3)
        writer.close()
        assert writer.durable_seq == 1
        assert writer.operations["fdatasync"] == 3


def test_a_short_write_is_continued(tmp_path: Path) -> None:
    with writing(tmp_path, fault=FaultPlan("pwrite", 2, 0, 11)) as writer:
        writer.submit(run_of(range(1, 6)), 5)
        assert Waiter(writer).wait(5) == 5
    assert_history(recover(tmp_path), 5)


def test_more_commits_than_the_device_bears_are_paced(tmp_path: Path) -> None:
    with writing(tmp_path, **ONE_A_SECOND) as writer:
        seq = use_up_burst(writer)
        assert writer.stats().commits == seq, "a burst goes out at once, one by one"
        writer.submit(run_of([seq + 1]), seq + 1)
        while not writer.stats().gap_ns:
            os.sched_yield()
        writer.submit(run_of([seq + 2]), seq + 2)
    assert writer.durable_seq == seq + 2
    assert writer.stats().commits <= seq + 2
    assert_history(recover(tmp_path), seq + 2)


def test_sync_times_are_a_distribution(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 21):
            writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
        times = writer.stats().sync
    assert times.count == sum(number for _, number in times.counts) >= 20
    assert 0 < times.quantile_ns(500) <= times.quantile_ns(1000) == times.max_ns
    assert times.max_ns <= times.sum_ns
    assert times.buckets([0, 10**12]) == [0, times.count]


def test_chain_hash_equals_hashlib() -> None:
    for size in (0, 1, 127, 128, 129, 255, 256, 257, 5000):
        data = os.urandom(size)
        expected = hashlib.blake2b(data, digest_size=32).digest()
        assert all(blake2b_256(data, step) == expected for step in (0, 1, 64, 128, 129))


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    for options in ({"segment_bytes": 5000}, {"buffer_bytes": 8}, {"syncs_per_s_max": 0}):
        with pytest.raises(ValueError, match="bad journal options"):
            open_writer(tmp_path, **options)


def test_under_a_real_time_scheduler_the_commit_thread_comes_before_the_loop(tmp_path: Path) -> None:
    """Every order waits for it: what else is in that class on its core must not keep it waiting."""
    before = set(os.listdir("/proc/self/task"))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(7))
    except PermissionError:
        pytest.skip("a real-time scheduler is not permitted here")
    try:
        with writing(tmp_path) as writer:
            writer.submit(run_of([1]), 1)
            Waiter(writer).wait(1)
            threads = set(os.listdir("/proc/self/task")) - before
            found = sorted(os.sched_getparam(int(thread)).sched_priority for thread in threads)
        assert found == [7, 8]  # who prepares segments stays where the loop is
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
