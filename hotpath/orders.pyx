"""The order table: one row an order, names and executions looked up by hash, changed by records only.

The life of an order is order-api section 7; `is_allowed` is its table. Twin: `hotpath/ref/orders.py`.
"""
from libc.stdlib cimport calloc, free
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcmp, memcpy, memset
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.enums cimport *
from hotpath.records cimport *

cdef extern from *:
    """
    #include "hotpath/src/tables.hpp"
    typedef __int128 bs_i128;
    static inline void bs_add_cost(uint64_t* lo, int64_t* hi, int64_t qty_e9, int64_t px) {
        bs_i128 c = ((bs_i128)*hi << 64) | (bs_i128)*lo;
        c += (bs_i128)qty_e9 * (bs_i128)px;
        *lo = (uint64_t)c;
        *hi = (int64_t)(c >> 64);
    }
    static inline int64_t bs_average(uint64_t lo, int64_t hi, int64_t cum) {
        if (cum <= 0) return 0;
        bs_i128 c = ((bs_i128)hi << 64) | (bs_i128)lo;
        return (int64_t)(c / cum);
    }
    """
    void bs_add_cost(uint64_t* lo, int64_t* hi, int64_t qty_e9, int64_t px) noexcept nogil
    int64_t bs_average(uint64_t lo, int64_t hi, int64_t cum) noexcept nogil

cdef extern from "hotpath/src/tables.hpp" namespace "backstay" nogil:
    uint64_t hash_bytes(const char* data, size_t size, uint64_t seed)
    cdef cppclass NameTable:
        NameTable(size_t capacity) except +
        void insert(uint64_t hash, uint32_t row) except +
        int64_t first(uint64_t hash, size_t* cursor)
        int64_t next(uint64_t hash, size_t* cursor)
    cdef cppclass ExecKey:
        pass
    cdef cppclass Exec:
        int64_t qty_e9
        int64_t px_e9
        bint is_early()
    cdef cppclass ExecSet:
        ExecSet() except +
        @staticmethod
        ExecKey key(uint32_t order, const char* exec_id, size_t size)
        Exec* find(ExecKey k)
        void insert(ExecKey k, int64_t qty_e9, int64_t px_e9) except +
        void book(ExecKey k, int64_t qty_e9, int64_t px_e9) except +
        size_t early_count()
        size_t size()
        const char* data()
        void load(const char* data, size_t count) except +


cdef bint is_done(int ord_status) noexcept nogil:
    return ord_status >= OrdStatus.FILLED


cdef bint is_asked(const OrderRow* row, uint32_t rev) noexcept nogil:
    return rev <= row.ask_rev and row.ask_rev - rev < OPEN_ASKS_MAX and (row.open_asks >> (rev % OPEN_ASKS_MAX)) & 1


cdef uint32_t first_asked(const OrderRow* row) noexcept nogil:
    cdef uint32_t rev = row.ask_rev - OPEN_ASKS_MAX + 1 if row.ask_rev >= OPEN_ASKS_MAX else 1
    if row.open_asks == 0:
        return 0
    while not is_asked(row, rev):
        rev += 1
    return rev


cdef bint is_allowed(const OrderRow* row, int kind) noexcept nogil:
    """Whether the table of order-api section 7 lets this event happen to the order as it is."""
    cdef int status = row.ord_status
    cdef bint unsent = status == OrdStatus.PENDING_NEW and row.stage == Stage.QUEUED
    if kind == Kind.TRADE:
        return status >= OrdStatus.PENDING_NEW
    if kind == Kind.RESTATED or kind == Kind.TRADE_CORRECTED or kind == Kind.TRADE_CANCELED:
        return status != OrdStatus.HELD and status != OrdStatus.NONE
    if is_done(status):
        return False
    if kind == Kind.SENT_EV or kind == Kind.NEW_EV or kind == Kind.IN_DOUBT_EV:
        return unsent if kind == Kind.SENT_EV else status == OrdStatus.PENDING_NEW
    if kind == Kind.REQUEUED:
        return status == OrdStatus.PENDING_NEW and not unsent
    if kind == Kind.TRIGGERED or kind == Kind.RELEASED or kind == Kind.TRAILED:
        return status == OrdStatus.HELD
    if kind == Kind.PENDING_REPLACE_EV:
        return row.pending != Pending.PENDING_CANCEL and row.stage != Stage.IN_DOUBT and not (status == OrdStatus.HELD or unsent)
    if kind == Kind.REPLACED:
        return status != OrdStatus.PENDING_NEW or unsent
    if kind == Kind.REPLACE_REJECTED:
        return row.open_asks != 0
    if kind == Kind.PENDING_CANCEL_EV:                   # of a held one: it may have fired before a crash
        return not unsent
    if kind == Kind.CANCEL_REJECTED:
        return row.pending == Pending.PENDING_CANCEL
    return kind == Kind.CANCELED_EV or kind == Kind.EXPIRED_EV or kind == Kind.REJECTED_EV


cdef object read_only(char* data, Py_ssize_t size):
    return PyMemoryView_FromMemory(data, size, 0x100) if size else b""


cdef class OrderTable:
    """All orders of a shard.

    Args:
        capacity: rows; a full table refuses new orders (BUSY), it never grows. Memory is committed as rows are used.
    """

    def __cinit__(self, uint32_t capacity):
        self.rows = <OrderRow*>calloc(capacity, sizeof(OrderRow))
        if self.rows == NULL:
            raise MemoryError(f"order table of {capacity} rows does not fit")
        self.capacity = capacity
        self.count = 0
        self.open_count = 0
        self.names = <void*>new NameTable(min(capacity, 1 << 16))
        self.execs = <void*>new ExecSet()
        self.texts = [b""]
        self.text_ids = {b"": 0}

    def __dealloc__(self):
        cdef NameTable* names = <NameTable*>self.names
        cdef ExecSet* execs = <ExecSet*>self.execs
        free(self.rows)
        del names
        del execs

    cdef uint32_t intern(self, bytes text) except? 0xFFFFFFFF:
        found = self.text_ids.get(text)
        if found is not None:
            return <uint32_t>found
        self.texts.append(text)
        self.text_ids[text] = len(self.texts) - 1
        return <uint32_t>(len(self.texts) - 1)

    cdef int64_t find(self, uint32_t account, const char* cl_ord_id, Py_ssize_t size) noexcept nogil:
        cdef uint64_t h = hash_bytes(cl_ord_id, size, account)
        cdef size_t cursor = 0
        cdef int64_t row = (<NameTable*>self.names).first(h, &cursor)
        while row >= 0:
            if (
                self.rows[row].account == account
                and self.rows[row].cl_size == size
                and memcmp(self.rows[row].cl_ord_id, cl_ord_id, size) == 0
            ):
                return row
            row = (<NameTable*>self.names).next(h, &cursor)
        return -1

    cdef int find_exec(self, uint32_t order, const char* exec_id, Py_ssize_t size, int64_t* qty_e9, int64_t* px_e9) noexcept nogil:
        cdef Exec* found = (<ExecSet*>self.execs).find(ExecSet.key(order, exec_id, size))
        if found == NULL:
            return -1
        qty_e9[0] = found.qty_e9
        px_e9[0] = found.px_e9
        return -2 if found.is_early() else found.qty_e9 != 0

    cdef size_t early_count(self) noexcept nogil:
        return (<ExecSet*>self.execs).early_count()

    cdef int break_early(self, const BrokenEarlyBody* body) except -1:
        cdef ExecSet* execs = <ExecSet*>self.execs
        if body.order >= self.count or execs.find(ExecSet.key(body.order, body.exec_id, body.exec_size)) != NULL:
            raise ValueError(f"a fill that order row {body.order} cannot wait for is broken")
        execs.insert(ExecSet.key(body.order, body.exec_id, body.exec_size), 0, 0)
        return 0

    cdef int64_t leaves_qty(self, const OrderRow* row) noexcept nogil:
        if is_done(row.ord_status):
            return 0
        return max(0, row.terms.order_qty_e9 - row.cum_qty_e9)

    cdef int64_t average_px(self, const OrderRow* row, int64_t add_qty_e9, int64_t add_px_e9) noexcept nogil:
        cdef uint64_t lo = row.cost_lo
        cdef int64_t hi = row.cost_hi
        bs_add_cost(&lo, &hi, add_qty_e9, add_px_e9)
        return bs_average(lo, hi, row.cum_qty_e9 + add_qty_e9)

    cdef int apply(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -2:
        cdef const OrderEvent* ev = <const OrderEvent*>payload
        cdef const char* body = payload + sizeof(OrderEvent)
        cdef OrderRow* row
        if kind == Kind.ACCEPTED:
            return self._accept(ev, <const AcceptedBody*>body, wall_ns)
        if ev.order >= self.count:
            return -1
        row = &self.rows[ev.order]
        if kind == Kind.TRADE:
            self._trade(row, <const TradeBody*>body)
            self._arrived(row)
        elif kind == Kind.TRADE_CANCELED:
            self._break_trade(row, <const TradeCanceledBody*>body)
        elif kind == Kind.SENT_EV:
            row.was_sent = 1
            row.broker_rev = FIRST_REV
        elif kind == Kind.NEW_EV:
            row.broker_order_id_size = (<const NewBody*>body).id_size
            memcpy(row.broker_order_id, (<const NewBody*>body).broker_order_id, 40)
            self._arrived(row)
        elif kind == Kind.TRIGGERED:
            row.triggered = 1
            row.fired_acct_seq = ev.acct_seq
            row.live_ns = wall_ns
            row.ref_px_e9 = (<const TriggeredBody*>body).ref_px_e9
            row.terms.order_qty_e9 = (<const TriggeredBody*>body).send_qty_e9
            row.terms.px_e9 = (<const TriggeredBody*>body).send_px_e9
            row.terms.has_limit_offset = row.terms.limit_offset_e9 = 0
        elif kind == Kind.TRAILED:
            row.told_stop_px_e9 = (<const TrailedBody*>body).stop_px_e9
            row.told_stop_ns = wall_ns
            row.is_trailing = 1
        elif kind == Kind.RELEASED:
            row.live_ns = wall_ns
            if (<const ReleasedBody*>body).qty_e9:
                row.terms.order_qty_e9 = (<const ReleasedBody*>body).qty_e9
        elif kind == Kind.PENDING_REPLACE_EV or kind == Kind.REPLACED or kind == Kind.REPLACE_REJECTED:
            self._replace(row, kind, ev, <const ReplaceBody*>body)
        elif kind == Kind.PENDING_CANCEL_EV:
            row.cancel_acct_seq = ev.acct_seq
            row.cancel_reason = ev.reason
        elif kind == Kind.CANCELED_EV or kind == Kind.EXPIRED_EV:
            row.owed_qty_e9 = max(row.owed_qty_e9, (<const DoneBody*>body).broker_cum_qty_e9 - row.cum_qty_e9)
            if kind == Kind.CANCELED_EV and row.cancel_acct_seq == 0:
                row.cancel_acct_seq = ev.acct_seq
        elif kind == Kind.RESTATED:
            row.owed_qty_e9 = (<const RestatedBody*>body).owed_qty_e9
            self._arrived(row)
        elif kind == Kind.REQUEUED:
            row.was_sent = 0
            if ev.ord_status != OrdStatus.HELD:         # else it never fired, and is armed since it was
                row.live_ns = wall_ns
        self.open_count += is_done(row.ord_status)
        self.open_count -= is_done(ev.ord_status)
        row.ord_status = ev.ord_status
        row.stage = ev.stage
        row.hold = ev.hold
        row.pending = ev.pending
        row.rev = ev.rev
        return 0

    cdef int _accept(self, const OrderEvent* ev, const AcceptedBody* body, int64_t wall_ns) except -2:
        cdef OrderRow* row
        cdef const char* tail = <const char*>body + sizeof(AcceptedBody)
        if ev.order != self.count or self.count >= self.capacity:
            return -1
        row = &self.rows[ev.order]
        row.terms = body.terms
        row.account = ev.account
        row.rev = ev.rev
        row.ask_rev = ev.rev
        row.ord_status = ev.ord_status
        row.stage = ev.stage
        row.hold = ev.hold
        row.pending = ev.pending
        row.ref_px_e9 = body.ref_px_e9
        row.content_hash = body.content_hash
        row.is_trailing = body.terms.trigger == TriggerKind.TRAIL and body.terms.stop_px_e9 == 0
        row.accepted_ns = wall_ns
        row.live_ns = wall_ns
        row.accepted_acct_seq = ev.acct_seq
        row.cl_size = ev.cl_size
        memcpy(row.cl_ord_id, ev.cl_ord_id, 37)
        row.session = self.intern(tail[: body.session_size])
        row.tag = self.intern(tail[body.session_size : body.session_size + body.tag_size])
        tail += body.session_size + body.tag_size
        row.signal = self.intern(tail[: body.signal_size])
        tail += body.signal_size + body.after_size
        row.oco = self.intern(tail[: body.oco_size])
        (<NameTable*>self.names).insert(hash_bytes(row.cl_ord_id, row.cl_size, row.account), ev.order)
        self.count += 1
        self.open_count += 1
        return 0

    cdef void _arrived(self, OrderRow* row) noexcept:
        """The broker has it, whether or not we saw it leave (a crash may have lost `sent`)."""
        if not row.was_sent:
            row.was_sent = 1
            row.broker_rev = FIRST_REV

    cdef void _trade(self, OrderRow* row, const TradeBody* body) noexcept:
        bs_add_cost(&row.cost_lo, &row.cost_hi, body.last_qty_e9, body.last_px_e9)
        row.cum_qty_e9 += body.last_qty_e9
        row.owed_qty_e9 = max(max(0, row.owed_qty_e9 - body.last_qty_e9), body.broker_cum_qty_e9 - row.cum_qty_e9)
        (<ExecSet*>self.execs).book(ExecSet.key(<uint32_t>(row - self.rows), body.exec_id, body.exec_size),
                                    body.last_qty_e9, body.last_px_e9)

    cdef void _break_trade(self, OrderRow* row, const TradeCanceledBody* body) noexcept:
        cdef Exec* broken = (<ExecSet*>self.execs).find(ExecSet.key(<uint32_t>(row - self.rows), body.exec_id, body.exec_size))
        if broken != NULL:
            broken.qty_e9 = 0
        bs_add_cost(&row.cost_lo, &row.cost_hi, -body.last_qty_e9, body.last_px_e9)
        row.cum_qty_e9 -= body.last_qty_e9
        row.owed_qty_e9 = body.owed_qty_e9

    cdef void _replace(self, OrderRow* row, int kind, const OrderEvent* ev, const ReplaceBody* body) noexcept:
        cdef uint32_t asked = body.ask_rev
        if kind == Kind.PENDING_REPLACE_EV:
            row.ask_qty_e9 = body.terms.order_qty_e9
            row.ask_whole_qty_e9 = body.terms.whole_qty_e9
            row.ask_px_e9 = body.terms.px_e9
            row.ask_stop_px_e9 = body.terms.stop_px_e9
            row.ask_expire_ns = body.terms.expire_ns
            row.ask_tif = body.terms.tif
            row.ask_ref_px_e9 = body.ref_px_e9
        if asked > row.ask_rev:                     # the record that answers the request
            row.ask_rev = asked
            row.ask_hash = body.content_hash
            row.ask_acct_seq = ev.acct_seq
        if kind == Kind.PENDING_REPLACE_EV:
            row.ask_most_qty_e9 = max(row.ask_most_qty_e9 if row.open_asks else 0, body.terms.order_qty_e9)
            row.ask_most_px_e9 = max(row.ask_most_px_e9 if row.open_asks else 0, body.ref_px_e9)
            row.open_asks |= <uint64_t>1 << (asked % OPEN_ASKS_MAX)
        elif kind == Kind.REPLACE_REJECTED:
            row.open_asks &= ~(<uint64_t>1 << (asked % OPEN_ASKS_MAX))
        else:                                       # in force: it and every earlier one is answered
            row.terms = body.terms
            row.ref_px_e9 = body.ref_px_e9
            while row.open_asks and first_asked(row) <= asked:
                row.open_asks &= ~(<uint64_t>1 << (first_asked(row) % OPEN_ASKS_MAX))
            if row.was_sent:
                row.broker_rev = asked

    # --- Python-facing -------------------------------------------------------------------------------------------

    def commit_ahead(self, uint32_t ahead, uint32_t most) -> int:
        """Touch the memory of up to `most` rows so that `ahead` are ready beyond the last: no page fault on the order path."""
        cdef uint32_t start = max(self.touched, self.count)
        cdef uint32_t stop = min(min(self.count + ahead, self.capacity), start + most)
        cdef uint32_t row
        for row in range(start, stop):
            self.rows[row].cl_size = 0
        self.touched = max(start, stop)
        return max(0, <int64_t>stop - <int64_t>start)

    def find_row(self, account: int, cl_ord_id: bytes) -> int:
        """Row of an order by its client's name, -1 when the account never used it."""
        return self.find(account, cl_ord_id, len(cl_ord_id))

    def parts(self) -> list:
        """Canonical bytes of the whole table in four pieces, the large ones as views that are valid until it changes."""
        cdef ExecSet* execs = <ExecSet*>self.execs
        texts = b"".join(len(t).to_bytes(4, "little") + t for t in self.texts)
        head = b"".join(
            n.to_bytes(8, "little") for n in (self.count, self.open_count, execs.size(), len(self.texts), len(texts))
        )
        return [
            head,
            texts,
            read_only(<char*>self.rows, <Py_ssize_t>self.count * <Py_ssize_t>sizeof(OrderRow)),
            read_only(<char*>execs.data(), <Py_ssize_t>execs.size() * <Py_ssize_t>sizeof(Exec)),
        ]

    def dump(self) -> bytes:
        """The bytes of `parts`: equal states give equal bytes."""
        return b"".join(self.parts())

    def load(self, data: bytes) -> None:
        """Rebuild an empty table from `dump` bytes; raises ValueError when they do not fit."""
        cdef const char* p = data
        cdef uint32_t i
        count, open_count, execs, texts, text_bytes = (int.from_bytes(data[8 * k : 8 * k + 8], "little") for k in range(5))
        if self.count or count > self.capacity:
            raise ValueError(f"order table of {self.capacity} rows cannot take {count} from the snapshot")
        at = 40
        for _ in range(texts):
            size = int.from_bytes(data[at : at + 4], "little")
            self.intern(data[at + 4 : at + 4 + size])
            at += 4 + size
        if at != 40 + text_bytes or len(data) != at + count * sizeof(OrderRow) + execs * sizeof(Exec):
            raise ValueError("order table bytes have the wrong length")
        memcpy(self.rows, p + <Py_ssize_t>at, <Py_ssize_t>count * sizeof(OrderRow))
        self.count = count
        self.open_count = open_count
        for i in range(self.count):
            (<NameTable*>self.names).insert(
                hash_bytes(self.rows[i].cl_ord_id, self.rows[i].cl_size, self.rows[i].account), i
            )
        (<ExecSet*>self.execs).load(p + <Py_ssize_t>at + <Py_ssize_t>count * sizeof(OrderRow), execs)
