"""The journal's costs: append on the loop, group commit against a bare pwrite + fdatasync, validation at replay.

The floor of a commit is a bare writer on a zero-filled file of the same folder, interleaved or paced alike.
``BACKSTAY_BENCH_DIR`` is the folder whose disk is measured (default: the system's temporary folder).
"""

import os
import select
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gateway.journal.recovery import recover
from gateway.journal.segment import FIRST_POSITION
from gateway.journal.writer import JournalWriter
from hotpath.frame import pack_frame

RECORD_BYTES = 256
RECORDS = int(os.environ.get("BACKSTAY_BENCH_RECORDS", "300000"))
SECONDS = int(os.environ.get("BACKSTAY_BENCH_SECONDS", "2"))


def frame_of(seq: int) -> bytes:
    return pack_frame(seq, seq, 1, 1, 1, 0, bytes(RECORD_BYTES - 40))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BACKSTAY_BENCH_DIR")) as name:
        yield Path(name)


def open_writer(folder: Path, *, fsync: bool = True) -> JournalWriter:
    return JournalWriter(str(folder), history_id=bytes(16), position=FIRST_POSITION, last_seq=0, fsync=fsync)


class Waiter:
    """Waits on the eventfd, as the loop does."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._poll = select.poll()
        self._poll.register(writer.eventfd, select.POLLIN)

    def wait(self, seq: int) -> None:
        while self._writer.take_event() < seq:
            if self._writer.failed:
                raise OSError(self._writer.failed, self._writer.failed_op)
            self._poll.poll()

    def prepared(self, segment_no: int) -> None:
        while self._writer.stats().prepared_segment < segment_no:
            self._poll.poll()
            self._writer.take_event()


class Bare:
    """The floor: what a commit costs without us."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
        self._at = 0
        self._size = 64 << 20
        os.pwrite(self._fd, bytes(self._size), 0)
        os.fsync(self._fd)

    def commit(self, data: bytes) -> int:
        """Nanoseconds of one pwrite + fdatasync."""
        if self._at + len(data) > self._size:
            self._at = 0
        start = time.perf_counter_ns()
        os.pwrite(self._fd, data, self._at)
        os.fdatasync(self._fd)
        self._at += len(data)
        return time.perf_counter_ns() - start

    def close(self) -> None:
        os.close(self._fd)


def quantile(values: list[int], per_mille: int) -> int:
    return sorted(values)[min(len(values) - 1, len(values) * per_mille // 1000)]


def summary(values: list[int]) -> str:
    return " / ".join(f"{quantile(values, per_mille) / 1000:.0f}" for per_mille in (500, 990, 999))


def test_append_of_a_256_byte_record(benchmark: BenchmarkFixture, folder: Path) -> None:
    per_round = 1000
    writer = open_writer(folder, fsync=False)
    waiter = Waiter(writer)
    frames: list[bytes] = []

    def setup() -> None:
        waiter.wait(writer.submitted_seq)
        first = writer.submitted_seq + 1
        frames[:] = [frame_of(seq) for seq in range(first, first + per_round)]

    def append() -> None:
        submit = writer.submit
        for seq, frame in enumerate(frames, writer.submitted_seq + 1):
            submit(frame, seq)

    benchmark.pedantic(append, setup=setup, rounds=100, warmup_rounds=5)
    benchmark.extra_info["ns_per_record_min"] = round(benchmark.stats.stats.min * 1e9 / per_round)
    benchmark.extra_info["ns_per_record_median"] = round(benchmark.stats.stats.median * 1e9 / per_round)
    writer.close()


def test_group_commit_against_a_bare_sync(benchmark: BenchmarkFixture, folder: Path) -> None:
    writer = open_writer(folder)
    waiter = Waiter(writer)
    waiter.prepared(3)
    bare = Bare(folder)
    ours: list[int] = []
    floor: list[int] = []
    frames = [frame_of(seq) for seq in range(1, 2101)]

    def one() -> None:
        seq = writer.submitted_seq + 1
        start = time.perf_counter_ns()
        writer.submit(frames[seq - 1], seq)
        waiter.wait(seq)
        ours.append(time.perf_counter_ns() - start)

    benchmark.pedantic(one, setup=lambda: floor.append(bare.commit(frames[0])), rounds=2000, warmup_rounds=100)
    benchmark.extra_info["commit_us_p50_p99_p999"] = summary(ours)
    benchmark.extra_info["bare_us_p50_p99_p999"] = summary(floor)
    benchmark.extra_info["ratio_p50"] = round(quantile(ours, 500) / quantile(floor, 500), 2)
    benchmark.extra_info["sync_us_p50"] = writer.stats().sync.quantile_ns(500) // 1000
    bare.close()
    writer.close()


def paced(per_s: int, send: Callable[[int], object], work_until: Callable[[int], None]) -> list[int]:
    """Call ``send(n)`` for the nth record when it is due and ``work_until(due)`` between; returns the due times."""
    period = 1_000_000_000 // per_s
    start = time.perf_counter_ns() + period
    due = [start + n * period for n in range(per_s * SECONDS)]
    at = 0
    while at < len(due):
        while at < len(due) and due[at] <= time.perf_counter_ns():
            send(at)
            at += 1
        work_until(due[at] if at < len(due) else 0)
    return due


def seconds_until(due_ns: int) -> float:
    return max(0, due_ns - time.perf_counter_ns()) / 1e9


def paced_ours(folder: Path, per_s: int, frames: list[bytes]) -> tuple[list[int], JournalWriter]:
    writer = open_writer(folder)
    Waiter(writer).prepared(3)
    done: list[int] = []

    def work_until(due_ns: int) -> None:
        if select.select([writer.eventfd], [], [], seconds_until(due_ns))[0]:
            reached = writer.take_event()
            done.extend([time.perf_counter_ns()] * (reached - len(done)))

    due = paced(per_s, lambda n: writer.submit(frames[n], n + 1), work_until)
    while len(done) < len(due):
        work_until(time.perf_counter_ns() + 1_000_000_000)
    writer.close()
    return [end - begin for begin, end in zip(due, done, strict=True)], writer


def paced_bare(folder: Path, per_s: int, frames: list[bytes]) -> list[int]:
    """One thread that syncs whatever is due: it cannot do anything else meanwhile, which is why it is only a floor."""
    bare = Bare(folder)
    waiting: list[bytes] = []
    done: list[int] = []

    def work_until(due_ns: int) -> None:
        if waiting:
            bare.commit(b"".join(waiting))
            done.extend([time.perf_counter_ns()] * len(waiting))
            waiting.clear()
        else:
            select.select([], [], [], seconds_until(due_ns))

    due = paced(per_s, lambda n: waiting.append(frames[n]), work_until)
    work_until(0)
    bare.close()
    return [end - begin for begin, end in zip(due, done, strict=True)]


@pytest.mark.parametrize("per_s", [1000, 2000, 10000])
def test_durable_latency_at_a_rate(benchmark: BenchmarkFixture, folder: Path, per_s: int) -> None:
    frames = [frame_of(seq) for seq in range(1, per_s * SECONDS + 1)]
    floor = paced_bare(folder, per_s, frames)
    ours, writer = benchmark.pedantic(paced_ours, args=(folder, per_s, frames), rounds=1)
    report = writer.stats()
    benchmark.extra_info["durable_us_p50_p99_p999"] = summary(ours)
    benchmark.extra_info["bare_us_p50_p99_p999"] = summary(floor)
    benchmark.extra_info["ratio_p50"] = round(quantile(ours, 500) / quantile(floor, 500), 2)
    benchmark.extra_info["ratio_p999"] = round(quantile(ours, 999) / quantile(floor, 999), 2)
    benchmark.extra_info["commits_per_s"] = report.commits // SECONDS


def test_validation_at_replay(benchmark: BenchmarkFixture, folder: Path) -> None:
    writer = open_writer(folder, fsync=False)
    waiter = Waiter(writer)
    for first in range(1, RECORDS, 1000):
        writer.submit(b"".join(frame_of(seq) for seq in range(first, first + 1000)), first + 999)
        waiter.wait(first + 999 - 4000)
    writer.close()
    recovered = benchmark.pedantic(recover, args=(folder,), rounds=3, warmup_rounds=1)
    start = time.perf_counter_ns()
    bytes_read = sum(len(block.data) for block in recovered.blocks())
    second_pass = time.perf_counter_ns() - start
    benchmark.extra_info["validated_records_per_s"] = round(recovered.frames / benchmark.stats.stats.min)
    benchmark.extra_info["blocks_records_per_s"] = recovered.frames * 1_000_000_000 // second_pass
    benchmark.extra_info["bytes"] = bytes_read
