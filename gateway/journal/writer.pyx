"""The journal writer: takes framed records from the loop and makes them durable on a native thread (group commit).

Back-pressure: ``submit`` copies into a bounded double buffer and raises JournalFull when it does not fit; the caller
answers BUSY and nothing has changed. After a failed operation nothing is retried and ``durable_seq`` stays where it is.

Given ``files`` the writer is *stepped*: no threads and no system calls. Its owner asks ``due_ns`` and calls ``step``,
which carries out one file operation; the decisions are the same code (strands.hpp).
"""
import errno
import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from libc.stdint cimport int64_t, uint64_t, uint32_t
from libc.string cimport memcpy
from posix.unistd cimport read
from hotpath.frame cimport crc32c

from gateway.journal.errors import JournalError, JournalFull, JournalStopped

cdef extern from "gateway/journal/blake2b.hpp" namespace "backstay" nogil:
    cdef cppclass Blake2b256:
        Blake2b256() except +
        void update(const void* data, size_t size)
        void digest(unsigned char* out)

cdef extern from "gateway/journal/strands.hpp" namespace "backstay" nogil:
    int64_t kNever
    cdef enum Call:
        CALL_OPEN, CALL_CREATE, CALL_SIZE_OF, CALL_PREAD, CALL_PWRITE, CALL_SYNC, CALL_CLOSE, CALL_RENAME, CALL_UNLINK
        CALL_SYNC_FOLDER
    cdef cppclass Request:
        int call, file, err
        const char* name
        const char* new_name
        const char* data
        char* into
        int64_t size, offset, result
    cdef cppclass Strands:
        Strands() except +
        int64_t now_ns
        bint has_told, has_begun
        int64_t due_ns(int strand)
        int first_due()
        bint is_ended(int strand)
        Request* resume(int strand)
        void answered(int64_t took_ns)

cdef extern from "gateway/journal/strands.hpp" namespace "backstay::Strands" nogil:
    int COMMIT
    int PREPARE

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
        void start_stepped(Strands* strands, int64_t at_segment, int64_t at_offset, uint64_t last_seq)
        void ask_to_drain()
        void ask_to_stop_preparing()
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


cdef inline Strands* strands_of(JournalWriter writer) noexcept nogil:
    return <Strands*>writer.strands


cdef class JournalWriter:
    """Appends to the journal in ``directory`` from ``position`` on; both come from ``recover``. One writer at a time."""

    def __cinit__(self, str directory not None, *, bytes history_id not None, int64_t position, uint64_t last_seq,
                  uint32_t epoch=0, int64_t segment_bytes=64 << 20, int64_t buffer_bytes=4 << 20, bint fsync=True,
                  int64_t gap_ns_max=1_000_000, int64_t slow_sync_ns=2_000_000, int64_t syncs_per_s_max=5_000,
                  fault=None, files=None, mono_ns=None, on_progress=None):
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
        if files is None:
            self._start(position, last_seq)
        else:
            self.files, self.mono_ns, self.on_progress = files, mono_ns, on_progress
            self._start_stepped(position, last_seq)

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

    def _start_stepped(self, int64_t position, uint64_t last_seq):
        cdef Strands* strands = new Strands()
        self.strands = strands
        self.path, self.open_files = Path(self.directory), {}
        try:
            self.lock = self.files.lock(self.path)
        except BlockingIOError:
            raise JournalError(f"journal in use by another process: {self.directory}") from None
        strands.now_ns = self.mono_ns()
        engine_of(self).start_stepped(strands, position >> 32, <int64_t><uint32_t>position, last_seq)
        self.is_closed = False
        while not strands.has_begun:
            if strands.is_ended(COMMIT):
                self.is_closed = True
                self._let_go()
                raise JournalStopped(self.failed, self.failed_op)
            self.step_at(max(strands.now_ns, strands.due_ns(COMMIT)))

    def __dealloc__(self):
        cdef Engine* engine = <Engine*>self.engine
        cdef Strands* strands = <Strands*>self.strands
        if engine != NULL:
            with nogil:
                del engine
        if strands != NULL:
            del strands

    @property
    def due_ns(self):
        """Stepped: when the next ``step`` has something to do, by ``mono_ns``; None: not before more is submitted.

        Ask again after each ``submit`` and each ``step``.
        """
        cdef int64_t due = strands_of(self).due_ns(strands_of(self).first_due())
        return None if due == kNever or self.is_closed else due

    def step(self):
        """Stepped: go on to the next file operation and carry it out, if one is due; then ``on_progress`` when there is news.

        What an operation did becomes known at a later step, when the time that it took is over. An exception of the files
        that is no OSError ends the writer where it stands, as a crash would.
        """
        cdef int64_t now_ns = self.mono_ns()
        if not self.is_closed and strands_of(self).due_ns(strands_of(self).first_due()) <= now_ns:
            self.step_at(now_ns)

    cdef step_at(self, int64_t now_ns):
        cdef Strands* strands = strands_of(self)
        cdef Request* request
        strands.now_ns = now_ns
        request = strands.resume(strands.first_due())
        if request != NULL:
            self.is_closed = True   # a crash of the simulated machine leaves it so
            self.perform(request)
            self.is_closed = False
            strands.answered(self.files.take_ns())
        if strands.has_told:
            strands.has_told = False
            if self.on_progress is not None and strands.has_begun and not self.is_closed:
                self.on_progress()

    cdef perform(self, void* asked):
        cdef Request* request = <Request*>asked
        try:
            self.carry_out(request)
        except OSError as error:
            request.result = -1
            request.err = error.errno or errno.EIO

    cdef carry_out(self, void* asked):
        cdef Request* request = <Request*>asked
        cdef bytes data
        path = self.path / request.name.decode() if request.name != NULL and request.name[0] else self.path
        file = self.open_files.get(request.file)
        request.result = 0
        if request.call == CALL_PWRITE:
            request.result = file.pwrite(request.data[:request.size], request.offset)
        elif request.call == CALL_SYNC:
            file.sync()
        elif request.call == CALL_OPEN or request.call == CALL_CREATE:
            request.result = max(self.open_files, default=0) + 1
            self.open_files[request.result] = self.files.open(path, "create" if request.call == CALL_CREATE else "write")
        elif request.call == CALL_CLOSE:
            del self.open_files[request.file]
            file.close()
        elif request.call == CALL_PREAD:
            data = file.pread(request.size, request.offset)
            memcpy(request.into, <const char*>data, len(data))
            request.result = len(data)
        elif request.call == CALL_SIZE_OF:
            file = self.files.open(path)
            request.result = file.size()
            file.close()
        elif request.call == CALL_RENAME:
            self.files.rename(path, self.path / request.new_name.decode())
        elif request.call == CALL_UNLINK:
            self.files.unlink(path)
        else:
            self.files.sync_folder(path)

    cdef run_out(self, int strand):
        cdef Strands* strands = strands_of(self)
        while not strands.is_ended(strand):
            self.step_at(max(strands.now_ns, strands.due_ns(strands.first_due())))

    def _let_go(self):
        for file in self.open_files.values():
            file.close()
        self.open_files.clear()
        self.lock.close()

    
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
        if self.strands != NULL:
            return self.durable_seq
        cdef uint64_t count
        read(engine_of(self).event_fd, &count, sizeof(count))   # nothing there: an earlier call already took it
        return engine_of(self).durable_seq.load()

    def close(self):
        """Drain, sync, mark the end as clean, join the threads, release the directory. Safe to call again."""
        cdef Engine* engine = engine_of(self)
        if self.is_closed:
            return
        if self.strands == NULL:
            self.is_closed = True
            with nogil:
                engine.close()
            return
        engine.ask_to_drain()
        self.run_out(COMMIT)
        engine.ask_to_stop_preparing()
        self.run_out(PREPARE)
        self.is_closed = True
        self._let_go()

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
