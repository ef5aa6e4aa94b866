"""Every step: an error, a torn or a short write at each of the writer's file operations; a full disk; lost sectors."""

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.journal.errors import JournalFull, JournalStopped
from gateway.journal.recovery import recover
from gateway.journal.segment import PAGE_BYTES, segment_name, split_position
from gateway.journal.writer import FaultPlan, JournalWriter
from tests.unit.journal_files import Waiter, assert_history, fast_folder, open_writer, run_of, writing

SEGMENT = {"segment_bytes": 8192, "buffer_bytes": 4096}


def workload(directory: Path, fault: FaultPlan | None) -> tuple[int, int, bool]:
    """Groups of three over two rotations, each waited for; returns (acknowledged, submitted, was the plan reached)."""
    acknowledged = submitted = 0
    try:
        writer = open_writer(directory, fault=fault, **SEGMENT)
    except JournalStopped:
        return 0, 0, True
    try:
        waiter = Waiter(writer)
        while split_position(writer.position)[0] < 4 and not writer.failed:
            writer.submit(run_of(range(submitted + 1, submitted + 4), is_group=True), submitted + 3)
            submitted += 3
            acknowledged = waiter.wait(submitted)
    except JournalStopped:
        assert writer.failed
    writer.close()
    durable = writer.durable_seq
    assert durable >= acknowledged
    return durable, submitted, fault is not None and writer.operations[fault.op] >= fault.nth


@pytest.mark.parametrize(
    ("op", "error", "keep_bytes"),
    [
        ("open", errno.EIO, 0),
        ("pwrite", errno.EIO, 0),
        ("pwrite", errno.EIO, 7),
        ("pwrite", errno.ENOSPC, 60),
        ("pwrite", 0, 9),
        ("fdatasync", errno.EIO, 0),
        ("prepare", errno.EIO, 0),
        ("prepare", errno.EMFILE, 100),
    ],
)
def test_an_error_at_every_operation_loses_nothing_acknowledged(op: str, error: int, keep_bytes: int) -> None:
    nth, is_reached = 0, True
    while is_reached:
        nth += 1
        with fast_folder() as directory:
            durable, submitted, is_reached = workload(directory, FaultPlan(op, nth, error, keep_bytes))
            recovered = recover(directory)
            assert durable <= recovered.last_seq <= submitted, nth
            assert_history(recovered, recovered.last_seq)
            if error == 0:
                assert durable == submitted, nth
            with writing(directory, **SEGMENT) as writer:
                writer.submit(run_of([recovered.last_seq + 1]), recovered.last_seq + 1)
            assert_history(recover(directory), recovered.last_seq + 1)
    assert nth > 3


@contextmanager
def small_disk(size_kib: int) -> Iterator[Path]:
    with fast_folder() as parent:
        disk = parent / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "backstay-test", str(disk)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            if os.environ.get("CI"):
                pytest.fail(f"CI must be able to mount a tmpfs: {done.stderr.strip()}")
            pytest.skip(f"no full disk without the right to mount a tmpfs: {done.stderr.strip()}")
        try:
            yield disk
        finally:
            subprocess.run(["umount", str(disk)], check=True)


def take(writer: JournalWriter, seq: int) -> int:
    """Submit the frame after ``seq``; returns the last seq that was taken."""
    try:
        writer.submit(run_of([seq + 1]), seq + 1)
    except JournalStopped:
        return seq
    return seq + 1


def fill(directory: Path, disk_kib: int | None = None) -> int:
    """Write until the disk is full; returns the last seq taken. With ``disk_kib`` make room while a reserve is left."""
    seq = 0
    with writing(directory, segment_bytes=16384, buffer_bytes=8192) as writer:
        waiter = Waiter(writer)
        waiter.until_prepared(3)
        assert not writer.is_low
        while not writer.is_low:
            seq += 1
            writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
            if split_position(writer.position)[0] == 2:
                waiter.until_prepared(4)
        assert split_position(writer.position)[0] == 2, "low is said while a whole segment is in reserve"
        if disk_kib is not None:
            subprocess.run(["mount", "-o", f"remount,size={disk_kib}k", str(directory)], check=True)
            while writer.is_low:
                waiter.poll()
                writer.take_event()
            assert writer.stats().prepared_segment == 4
            return seq
        while not writer.failed:
            seq = take(writer, seq)
            waiter.wait(seq)
        with pytest.raises(JournalStopped, match="prepare failed: No space"):
            writer.submit(run_of([seq + 1]), seq + 1)
        assert split_position(writer.position)[0] == 3, "the reserve was used up"
        assert writer.failed == errno.ENOSPC
        assert waiter.wait(seq) == seq
    return seq


def test_a_full_disk_is_said_early_and_stops_when_the_reserve_is_used_up() -> None:
    with small_disk(56) as disk:
        last_seq = fill(disk)
        assert_history(recover(disk), last_seq)


def test_room_made_in_time_ends_the_low_state() -> None:
    with small_disk(56) as disk:
        last_seq = fill(disk, disk_kib=128)
        assert_history(recover(disk), last_seq)


def test_any_subset_of_unsynced_sectors_leaves_what_was_synced() -> None:
    chooser = random.Random(11)
    for _ in range(60):
        with fast_folder() as directory:
            synced = chooser.randint(0, 12)
            batch = chooser.randint(2, 40)
            with writing(directory) as writer:
                waiter = Waiter(writer)
                for seq in range(1, synced + 1):
                    writer.submit(run_of([seq]), seq)
                    waiter.wait(seq)
                waiter.until_prepared(2)
                file = directory / segment_name(1)
                before = file.read_bytes()
                writer.submit(b"".join(run_of([seq]) for seq in range(synced + 1, synced + batch + 1)), synced + batch)
                waiter.wait(synced + batch)
            after = file.read_bytes()
            for _ in range(20):
                lost_power = bytearray(before)  # the header page too: no mark vouches for what was not synced yet
                for at in range(PAGE_BYTES, len(after), 512):
                    if chooser.random() < 0.6:
                        lost_power[at : at + 512] = after[at : at + 512]
                crashed = directory / "crashed"
                crashed.mkdir()
                (crashed / segment_name(1)).write_bytes(lost_power)
                recovered = recover(crashed)
                assert synced <= recovered.last_seq <= synced + batch
                assert_history(recovered, recovered.last_seq)
                assert recover(crashed).truncated_bytes == 0
                shutil.rmtree(crashed)


def test_a_loop_that_never_waits_meets_back_pressure_and_loses_nothing() -> None:
    with fast_folder() as directory:
        refused = seq = 0
        with writing(directory, **SEGMENT) as writer:
            waiter = Waiter(writer)
            runs = [(run_of(range(first, first + 15)), first + 14) for first in range(1, 3000, 15)]
            while seq < 3000:  # each run is a good part of the buffer: no disk keeps up with it
                try:
                    writer.submit(*runs[seq // 15])
                    seq += 15
                except JournalFull:
                    refused += 1
                    waiter.wait(min(writer.durable_seq + 1, seq))  # by now all of it may be on disk
        assert refused > 0
        assert_history(recover(directory), 3000)


def test_a_write_that_fails_on_its_way_to_the_device_leaves_no_segment(tmp_path: Path) -> None:
    """A sync reports each failed write once: the error of an earlier step must not be passed over."""
    fault = FaultPlan("prepare", 9, errno.EIO)  # create, write, write, sync; then create, two writes, each on its way
    writer = open_writer(tmp_path, fault=fault, segment_bytes=512 << 10, buffer_bytes=4096)
    waiter = Waiter(writer)
    while not writer.failed:
        waiter.poll()
    assert writer.failed_op == "prepare"
    writer.close()
    assert [path.name for path in sorted(tmp_path.glob("*.seg*"))] == [segment_name(1)]
