"""The journal writer: takes framed records from the loop and makes them durable on a native thread (group commit).

Back-pressure: ``submit`` copies into a bounded double buffer and raises JournalFull when it does not fit; the caller
answers BUSY and nothing has changed. After a failed operation nothing is retried and ``durable_seq`` stays where it is.
"""
import fcntl
import os
from typing import NamedTuple

from libc.stdint cimport int64_t, uint64_t, uint32_t
from libc.string cimport memcpy
from hotpath.frame cimport crc32c

from gateway.journal.errors import JournalError, JournalFull, JournalStopped

cdef extern from "gateway/journal/blake2b.hpp" namespace "backstay" nogil:
    cdef cppclass Blake2b256:
        Blake2b256() except +
        void update(const void* data, size_t size)
        void digest(unsigned char* out)

cdef extern from "gateway/journal/device.hpp" namespace "backstay" nogil:
    const char* op_name(int op)
    cdef cppclass Fault:
        int op
        int64_t nth
        int err
        int64_t keep_bytes
    cdef cppclass Device:
        Fault fault
        int64_t done[4]

cdef extern from "gateway/journal/commit.hpp" namespace "backstay" nogil:
    ctypedef uint32_t (*Crc)(const void*, Py_ssize_t, uint32_t) noexcept nogil
    int kBuckets
    uint64_t bucket_upper(int bucket)
    cdef cppclass Options:
        int64_t segment_bytes
        int64_t buffer_bytes
        bint fsync
        int64_t gap_ns_max
        int64_t slow_sync_ns
        int64_t syncs_per_s_max
        unsigned char history[16]
        uint32_t epoch
    cdef cppclass Counter "std::atomic<uint64_t>":
        uint64_t load()
    cdef cppclass Amount "std::atomic<int64_t>":
        int64_t load()
    cdef cppclass Switch "std::atomic<bool>":
        bint load()
    cdef cppclass Engine "backstay::Commit":
        Engine(Crc crc) except +
        Options o
        Device device
        int event_fd
        int64_t segment
        int64_t offset
        uint64_t submitted_seq
        Counter durable_seq, durable_position, commits, bytes, blobs, batch_bytes_max, batch_blobs_max, rotations
        Counter sync_counts[512]
        Amount failure, prepared, queue_bytes, gap_ns, sync_ns_sum, sync_ns_max
        Switch low
        int start(int dirfd, int64_t at_segment, int64_t at_offset, uint64_t last_seq)
        int submit(const char* blob, int64_t size, uint64_t last_seq, uint64_t* at)
        void close()

_OPS = ("open", "pwrite", "fdatasync", "prepare")


class FaultPlan(NamedTuple):
    """Tests only: at the ``nth`` operation of a kind fail with ``errno`` after ``keep_bytes`` of a write.

    ``errno`` 0 makes it a short write that succeeds. Kinds: open, pwrite, fdatasync (commit thread), prepare (prepare thread).
    """

    op: str
    nth: int
    errno: int
    keep_bytes: int = 0


class SyncTimes:
    """How long fdatasync took: ``counts`` are (upper bound ns, how many), 12.5 % wide, none empty."""

    __slots__ = ("count", "counts", "max_ns", "sum_ns")

    def __init__(self, counts, sum_ns, max_ns):
        self.count = sum(number for _, number in counts)
        self.counts = counts
        self.sum_ns = sum_ns
        self.max_ns = max_ns

    def buckets(self, bounds_ns):
        """For each bound how many took at most that long (by the upper bound of their bucket)."""
        return [sum(number for upper, number in self.counts if upper <= bound) for bound in bounds_ns]

    def quantile_ns(self, per_mille):
        """Upper bound of the bucket that holds the value at ``per_mille`` of 1000; 0 when there is none."""
        left = self.count * per_mille
        for upper, number in self.counts:
            left -= number * 1000
            if left <= 0:
                return min(upper, self.max_ns)
        return 0


class WriterStats(NamedTuple):
    """Counters since the start."""

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


cdef inline Engine* engine_of(JournalWriter writer) noexcept nogil:
    return <Engine*>writer.engine


cdef class JournalWriter:
    """Appends to the journal in ``directory`` from ``position`` on; both come from ``recover``. One writer at a time."""

    def __cinit__(self, str directory not None, *, bytes history_id not None, int64_t position, uint64_t last_seq,
                  uint32_t epoch=0, int64_t segment_bytes=64 << 20, int64_t buffer_bytes=4 << 20, bint fsync=True,
                  int64_t gap_ns_max=1_000_000, int64_t slow_sync_ns=2_000_000, int64_t syncs_per_s_max=2_500,
                  fault=None):
        if len(history_id) != 16 or segment_bytes % 4096 or not 8192 <= segment_bytes < 1 << 32:
            raise ValueError(f"bad journal options: history_id of {len(history_id)} bytes, segment_bytes={segment_bytes}")
        if buffer_bytes < 64 or min(gap_ns_max, slow_sync_ns) < 0 or syncs_per_s_max < 1:
            raise ValueError("bad journal options: buffer_bytes, gap_ns_max, slow_sync_ns or syncs_per_s_max")
        self.is_closed = True
        self.directory = directory
        cdef Engine* engine = new Engine(<Crc>crc32c)
        self.engine = engine
        engine.o.segment_bytes = segment_bytes
        engine.o.buffer_bytes = min(buffer_bytes, segment_bytes - 4096)
        engine.o.fsync = fsync
        engine.o.gap_ns_max = gap_ns_max
        engine.o.slow_sync_ns = slow_sync_ns
        engine.o.syncs_per_s_max = syncs_per_s_max
        engine.o.epoch = epoch
        memcpy(engine.o.history, <const char*>history_id, 16)
        if fault is not None:
            engine.device.fault.op = _OPS.index(fault.op)
            engine.device.fault.nth = fault.nth
            engine.device.fault.err = fault.errno
            engine.device.fault.keep_bytes = fault.keep_bytes
        self._start(position, last_seq)

    def _start(self, int64_t position, uint64_t last_seq):
        cdef Engine* engine = engine_of(self)
        cdef int dirfd, code
        cdef int64_t segment = position >> 32, offset = <int64_t><uint32_t>position
        dirfd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(dirfd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(dirfd)
            raise JournalError(f"journal in use by another process: {self.directory}") from None
        with nogil:
            code = engine.start(dirfd, segment, offset, last_seq)
        if code != 0:
            raise JournalStopped(self.failed, self.failed_op)
        self.is_closed = False

    def __dealloc__(self):
        cdef Engine* engine = <Engine*>self.engine
        if engine != NULL:
            with nogil:
                del engine

    cdef int submit_run(self, const char* blob, Py_ssize_t size, uint64_t last_seq, uint64_t* position) noexcept nogil:
        return engine_of(self).submit(blob, size, last_seq, position)

    cdef uint64_t durable(self) noexcept nogil:
        return engine_of(self).durable_seq.load()

    def submit(self, const unsigned char[::1] blob not None, uint64_t last_seq):
        """Append a run of whole frames (at most half a segment, never split over two); returns where its first byte goes.

        Raises JournalFull (nothing taken: answer BUSY), JournalStopped (no more can be written), ValueError (not a run of
        frames that starts at the next seq, or too large). Cost: one copy. Never waits for the disk.
        """
        cdef uint64_t position = 0
        cdef int code
        if self.is_closed:
            raise JournalStopped(0, "close")
        code = engine_of(self).submit(<const char*>&blob[0], blob.shape[0], last_seq, &position) if blob.shape[0] else SUBMIT_BAD
        if code == SUBMITTED:
            return position
        if code == SUBMIT_FULL:
            raise JournalFull(self.queue_bytes)
        if code == SUBMIT_STOPPED:
            raise JournalStopped(self.failed, self.failed_op)
        raise ValueError(f"run refused: bytes={blob.shape[0]} last_seq={last_seq} after seq={self.submitted_seq}")

    def take_event(self):
        """Clear the eventfd and return ``durable_seq``: what the loop's reader callback calls. Never blocks."""
        try:
            os.eventfd_read(engine_of(self).event_fd)
        except BlockingIOError:
            return self.durable_seq     # woken for an event that an earlier call already took
        return self.durable_seq

    def close(self):
        """Drain, sync, mark the end as clean, join the threads, release the directory. Safe to call again."""
        cdef Engine* engine = engine_of(self)
        if self.is_closed:
            return
        self.is_closed = True
        with nogil:
            engine.close()

    @property
    def eventfd(self):
        """Readable when durable_seq moved, a segment was prepared, or the writer failed. Owned by the writer."""
        return engine_of(self).event_fd

    @property
    def durable_seq(self):
        """Last seq on disk (with fsync off: last seq written)."""
        return engine_of(self).durable_seq.load()

    @property
    def durable_position(self):
        """Position after the last byte that is on disk; may run ahead of durable_seq for an instant, never behind."""
        return engine_of(self).durable_position.load()

    @property
    def run_bytes_max(self):
        """Most bytes that `submit` takes at once."""
        return min(engine_of(self).o.buffer_bytes, (engine_of(self).o.segment_bytes - 4096) // 2)

    @property
    def submitted_seq(self):
        return engine_of(self).submitted_seq

    @property
    def position(self):
        """Where the next run goes, unless it does not fit and opens the next segment."""
        return engine_of(self).segment << 32 | engine_of(self).offset

    @property
    def failed(self):
        """errno of the operation that ended the writing, 0 while all is well."""
        return engine_of(self).failure.load() & 0xFFFFFFFF

    @property
    def failed_op(self):
        """open, pwrite, fdatasync or prepare; empty while all is well."""
        cdef int64_t failure = engine_of(self).failure.load()
        return op_name(<int>(failure >> 32)).decode() if failure else ""

    @property
    def is_low(self):
        """The disk has no room for a further segment: what is prepared is all that is left."""
        return engine_of(self).low.load()

    @property
    def queue_bytes(self):
        return engine_of(self).queue_bytes.load()

    @property
    def operations(self):
        """How many file operations of each kind were done: what a FaultPlan counts."""
        return {name: engine_of(self).device.done[index] for index, name in enumerate(_OPS)}

    def stats(self):
        cdef Engine* e = engine_of(self)
        cdef int bucket
        buckets = [(bucket_upper(bucket), e.sync_counts[bucket].load()) for bucket in range(kBuckets)
                   if e.sync_counts[bucket].load()]
        return WriterStats(e.commits.load(), e.bytes.load(), e.blobs.load(), e.rotations.load(), e.batch_bytes_max.load(),
                           e.batch_blobs_max.load(), e.queue_bytes.load(), e.gap_ns.load(), e.prepared.load(), e.low.load(),
                           SyncTimes(buckets, e.sync_ns_sum.load(), e.sync_ns_max.load()))


def blake2b_256(const unsigned char[::1] data not None, Py_ssize_t step=0):
    """The native chain hash, fed in pieces of ``step`` bytes (0: at once): tests hold it against hashlib."""
    cdef Blake2b256 state
    cdef unsigned char out[32]
    cdef Py_ssize_t at = 0, size = data.shape[0], take
    while at < size:
        take = min(step if step > 0 else size, size - at)
        state.update(&data[at], <size_t>take)
        at += take
    state.digest(out)
    return bytes(out[:32])
