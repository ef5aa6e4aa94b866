"""Records on their way out: framed in the order of writing, handed to the journal once a turn, placed when it took them.

What may happen only once a record is durable is queued here as an effect with that record's number.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memmove
from libcpp.deque cimport deque
from libcpp.vector cimport vector
from cpython.memoryview cimport PyMemoryView_FromMemory
from hotpath.frame cimport FLAG_CONTINUES, FrameHeader, frame_space, write_frame
from hotpath.records cimport *

from gateway.errors import StateTorn

cdef enum:
    SCRATCH_BYTES = 8192

cdef struct Effect:
    uint64_t seq
    uint32_t order
    int op

cdef struct Unplaced:
    uint32_t account
    uint64_t offset

cdef struct Whole:                           # records of several groups that are told only together
    uint64_t first
    uint64_t last

cdef cppclass Book:
    deque[Whole] wholes
    vector[deque[uint64_t]] positions        # journal position of each event of each account
    vector[Unplaced] unplaced                # events framed since the last take
    deque[Effect] effects


def torn(uint64_t seq):
    """What is raised once a record could not be applied: half a change may have been made, so nothing goes on from here."""
    return StateTorn(f"record {seq} could not be applied: the process ends, and the next one starts from the journal")


cdef class Recorder:
    """Writes records and remembers where they lie.

    Args:
        accounts: how many there may be.
    """

    cdef int make_room(self, uint32_t accounts) except -1:
        cdef Book* book = new Book()
        book.positions.resize(accounts)
        self.impl = <void*>book
        self.out_capacity = 1 << 20
        self.out = <char*>malloc(self.out_capacity)
        self.scratch = <char*>calloc(1, SCRATCH_BYTES)
        if self.out == NULL or self.scratch == NULL:
            raise MemoryError("no room for records")
        return 0

    def __dealloc__(self):
        cdef Book* book = <Book*>self.impl
        free(self.out)
        free(self.scratch)
        del book

    cdef int apply(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1:
        """Move the state by a record: what is built on this does it."""
        raise NotImplementedError

    cdef char* body(self) noexcept nogil:
        """Where the part after the order prefix goes, zeroed by `begin`."""
        return self.scratch + sizeof(OrderEvent)

    cdef uint64_t commit(self, int kind, Py_ssize_t body_bytes) except 0:
        """Write and apply the order event in the scratch buffer; returns its journal sequence."""
        return self.emit(kind, sizeof(OrderEvent) + body_bytes)

    cdef uint64_t emit(self, int kind, Py_ssize_t payload_bytes) except 0:
        cdef Py_ssize_t space = frame_space(payload_bytes)
        cdef Book* book = <Book*>self.impl
        cdef Unplaced mark
        if self.is_torn:
            raise torn(self.seq)
        if self.out_size + space > self.out_capacity:
            self.out_capacity = max(self.out_capacity * 2, self.out_size + space)
            self.out = <char*>realloc(self.out, self.out_capacity)
            if self.out == NULL:
                raise MemoryError("no room for records")
        if kind >= Kind.ACCEPTED:
            mark.account = (<OrderEvent*>self.scratch).account if kind < Kind.CANCEL_ALL_EV else (<AccountEvent*>self.scratch).account
            mark.offset = self.out_size
            book.unplaced.push_back(mark)
        self.seq += 1
        write_frame(self.out + self.out_size, self.seq, self.wall_ns, self.epoch, kind, PAYLOAD_VERSION,
                    FLAG_CONTINUES if self.grouped else 0, self.scratch, payload_bytes)
        self.is_torn = True
        self.apply(kind, self.scratch, payload_bytes, self.wall_ns)
        self.is_torn = False
        self.out_size += space               # only now: a record that cannot be applied must not wait for the next start
        return self.seq

    cdef int demand_whole(self) except -1:
        """Raises StateTorn when a record could not be applied before."""
        if self.is_torn:
            raise torn(self.seq)
        return 0

    def has_records(self) -> bool:
        """Whether records wait for the journal."""
        return self.out_size > 0

    def peek(self) -> memoryview:
        """The framed records that the journal has not got yet; valid until the next record is written."""
        return PyMemoryView_FromMemory(self.out, self.out_size, 0x100)

    def run(self, Py_ssize_t most) -> tuple:
        """(bytes, last seq) of the longest run of whole atomic groups within `most` bytes of what waits; valid as `peek` is.

        A first group that is larger alone is a broken invariant: every group is bounded (`GROUP_ROWS_MAX`, a batch's items).
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t end = 0
        cdef uint64_t last = 0
        cdef const FrameHeader* head
        if self.out_size <= most:
            return PyMemoryView_FromMemory(self.out, self.out_size, 0x100), self.seq
        while at < self.out_size:
            head = <const FrameHeader*>(self.out + at)
            at += frame_space(head.length - sizeof(FrameHeader))
            if at > most:
                break
            if not head.flags & FLAG_CONTINUES:
                end = at
                last = head.seq
        if end == 0:
            raise RuntimeError(f"an atomic group of records is larger than the {most} bytes that the journal takes at once")
        return PyMemoryView_FromMemory(self.out, end, 0x100), last

    cpdef placed(self, uint64_t base, Py_ssize_t size=-1):
        """The journal took the first `size` bytes of `peek` (all by default); `base` is where they begin in it."""
        cdef Book* book = <Book*>self.impl
        cdef size_t i = 0
        cdef size_t n = book.unplaced.size()
        if size < 0:
            size = self.out_size
        while i < n and <Py_ssize_t>book.unplaced[i].offset < size:
            book.positions[book.unplaced[i].account].push_back(base + book.unplaced[i].offset)
            i += 1
        if i == n:
            book.unplaced.clear()
        else:
            book.unplaced.erase(book.unplaced.begin(), book.unplaced.begin() + i)
            for i in range(book.unplaced.size()):
                book.unplaced[i].offset -= size
        self.out_size -= size
        if self.out_size:
            memmove(self.out, self.out + size, self.out_size)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of records that the journal has not got yet."""
        return self.out_size

    cdef void told_together(self, uint64_t first) noexcept:
        """What was recorded from `first` on, in several groups, is one answer: nobody hears of it before all of it is durable."""
        cdef Whole whole
        whole.first = first
        whole.last = self.seq
        if whole.last > whole.first:
            (<Book*>self.impl).wholes.push_back(whole)

    cpdef uint64_t whole(self, uint64_t durable_seq) noexcept:
        """The last record that may be told of when `durable_seq` is on disk."""
        cdef Book* book = <Book*>self.impl
        while not book.wholes.empty() and book.wholes.front().last <= durable_seq:
            book.wholes.pop_front()
        if not book.wholes.empty() and book.wholes.front().first <= durable_seq:
            return book.wholes.front().first - 1
        return durable_seq

    def position_of(self, uint32_t account, uint64_t acct_seq) -> int:
        """Journal position of an event of the account; 0 when it is not placed yet or never was."""
        cdef Book* book = <Book*>self.impl
        if acct_seq == 0 or acct_seq > book.positions[account].size():
            return 0
        return book.positions[account][acct_seq - 1]

    cdef void effect(self, int op, uint32_t order) noexcept nogil:
        cdef Effect item
        item.seq = self.seq
        item.order = order
        item.op = op
        (<Book*>self.impl).effects.push_back(item)

    def submit_later(self, uint32_t order) -> None:
        """Hand the order over once all that is recorded by now is durable."""
        self.effect(OP_SUBMIT, order)

    cpdef list take_effects(self, uint64_t durable_seq):
        """(op, order) of the effects whose records are durable, in order."""
        cdef Book* book = <Book*>self.impl
        cdef Effect item
        found = []
        while not book.effects.empty() and book.effects.front().seq <= durable_seq:
            item = book.effects.front()
            book.effects.pop_front()
            found.append((item.op, item.order))
        return found

    def effect_count(self) -> int:
        """Effects that wait for their record to be durable."""
        return (<Book*>self.impl).effects.size()

    # --- where events lie ----------------------------------------------------------------------------------------

    cdef void lies_at(self, uint32_t account, uint64_t position) noexcept:
        """The account's next event lies there: a replay saw it."""
        (<Book*>self.impl).positions[account].push_back(position)

    cdef bytes positions_image(self, uint32_t accounts):
        """Positions of the events of the first so many accounts."""
        cdef Book* book = <Book*>self.impl
        cdef size_t k
        cdef uint32_t i
        parts = []
        for i in range(accounts):
            row = bytearray(8 * book.positions[i].size())
            for k in range(book.positions[i].size()):
                (<uint64_t*><char*>row)[k] = book.positions[i][k]
            parts.append(len(row).to_bytes(8, "little") + bytes(row))
        return b"".join(parts)

    cdef int load_positions(self, uint32_t accounts, bytes image) except -1:
        """The inverse, into an empty recorder."""
        cdef Book* book = <Book*>self.impl
        cdef uint32_t row
        cdef bytes chunk
        at = 0
        for row in range(accounts):
            size = int.from_bytes(image[at : at + 8], "little")
            chunk = image[at + 8 : at + 8 + size]
            for k in range(size // 8):
                book.positions[row].push_back((<const uint64_t*><const char*>chunk)[k])
            at += 8 + size
        return 0
