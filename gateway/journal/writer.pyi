from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from typing_extensions import Buffer

from gateway.journal.files import TimedFiles

class SubmitCode(IntEnum):
    SUBMITTED = 0
    SUBMIT_FULL = 1
    SUBMIT_STOPPED = 2
    SUBMIT_BAD = 3

class FaultPlan(NamedTuple):
    op: str
    nth: int
    errno: int
    keep_bytes: int = 0

class SyncTimes:
    count: int
    counts: list[tuple[int, int]]
    max_ns: int
    sum_ns: int
    def __init__(self, counts: list[tuple[int, int]], sum_ns: int, max_ns: int) -> None: ...
    def buckets(self, bounds_ns: Sequence[int]) -> list[int]: ...
    def quantile_ns(self, per_mille: int) -> int: ...

class WriterStats(NamedTuple):
    commits: int
    bytes: int
    blobs: int
    rotations: int
    batch_bytes_max: int
    batch_blobs_max: int
    queue_bytes: int
    gap_ns: int
    prepared_segment: int
    is_low: bool
    sync: SyncTimes

class JournalWriter:
    def __init__(
        self,
        directory: str,
        *,
        history_id: bytes,
        position: int,
        last_seq: int,
        epoch: int = 0,
        segment_bytes: int = ...,
        buffer_bytes: int = ...,
        fsync: bool = True,
        gap_ns_max: int = 1_000_000,
        slow_sync_ns: int = 2_000_000,
        syncs_per_s_max: int = 5_000,
        fault: FaultPlan | None = None,
        files: TimedFiles | None = None,
        mono_ns: Callable[[], int] | None = None,
        on_progress: Callable[[], object] | None = None,
    ) -> None: ...
    def submit(self, blob: Buffer, last_seq: int) -> int: ...
    @property
    def due_ns(self) -> int | None: ...
    def step(self) -> None: ...
    def take_event(self) -> int: ...
    def close(self) -> None: ...
    def stats(self) -> WriterStats: ...
    @property
    def directory(self) -> str: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def eventfd(self) -> int: ...
    @property
    def durable_seq(self) -> int: ...
    @property
    def durable_position(self) -> int: ...
    @property
    def run_bytes_max(self) -> int: ...
    @property
    def submitted_seq(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def failed_op(self) -> str: ...
    @property
    def is_low(self) -> bool: ...
    @property
    def queue_bytes(self) -> int: ...
    @property
    def operations(self) -> dict[str, int]: ...

def blake2b_256(data: Buffer, step: int = 0) -> bytes: ...
