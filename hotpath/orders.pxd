"""The order table: one row an order, changed by records only."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint16_t, uint8_t
from hotpath.records cimport AcceptedBody, BrokenEarlyBody, OrderEvent, ReplaceBody, Terms, TradeBody, TradeCanceledBody

cdef struct OrderRow:                    # rows are dumped as they lie: no implicit padding, no pointers
    Terms terms                          # in force
    int64_t cum_qty_e9
    uint64_t cost_lo                     # sum of last_qty * last_px in 1e-18, 128 bits
    int64_t cost_hi
    int64_t ref_px_e9
    int64_t reserved_qty_e9              # what the gate holds for it now
    int64_t reserved_px_e9
    int64_t owed_qty_e9                  # in the broker's cum_qty, its execution not seen yet
    int64_t accepted_ns
    int64_t live_ns                      # since when it could go to the broker; while it is held for a trigger: since when it is armed
    int64_t ask_qty_e9                   # terms asked for by the replace under way
    int64_t ask_whole_qty_e9
    int64_t ask_px_e9
    int64_t ask_stop_px_e9
    int64_t ask_expire_ns
    int64_t ask_ref_px_e9
    int64_t ask_most_qty_e9              # largest of the revisions under way, and the highest price to reserve at
    int64_t ask_most_px_e9
    uint64_t open_asks                   # bit rev % 64: asked of the broker, not answered (`is_asked`)
    uint64_t ask_hash
    uint64_t ask_acct_seq                # event that answered the last replace request
    uint64_t accepted_acct_seq
    uint64_t cancel_acct_seq             # event that answered the cancel
    uint64_t fired_acct_seq              # event that says what fired it, 0 = none
    uint64_t content_hash
    int64_t told_stop_px_e9              # where the client was last told that its stop has moved to
    int64_t told_stop_ns
    uint32_t account
    uint32_t rev                         # in force
    uint32_t ask_rev                     # last asked
    uint32_t broker_rev                  # last one that was sent to the broker
    uint32_t session                     # interned text
    uint32_t tag
    uint32_t signal
    uint32_t oco                         # text of its group
    uint8_t ord_status
    uint8_t stage
    uint8_t hold
    uint8_t pending
    uint8_t reserved_resting
    uint8_t was_sent
    uint8_t ask_tif
    uint8_t cl_size
    uint8_t broker_order_id_size
    uint8_t triggered                    # its trigger fired
    uint8_t reserved_side
    uint8_t cancel_reason
    uint8_t is_trailing                  # a trailing stop that is active
    uint8_t pad[3]
    char cl_ord_id[40]
    char broker_order_id[40]

cdef class OrderTable:
    cdef OrderRow* rows
    cdef readonly uint32_t capacity
    cdef readonly uint32_t count
    cdef readonly uint64_t open_count
    cdef uint32_t touched                # rows whose memory is committed
    cdef void* names
    cdef void* execs
    cdef list texts                      # interned session, tag and signal texts
    cdef dict text_ids
    cdef uint32_t intern(self, bytes text) except? 0xFFFFFFFF
    cdef int64_t find(self, uint32_t account, const char* cl_ord_id, Py_ssize_t size) noexcept nogil
    # The execution as it was booked: 1 live, 0 broken since, -1 never seen, -2 broken before it was reported and still to come.
    cdef int find_exec(self, uint32_t order, const char* exec_id, Py_ssize_t size, int64_t* qty_e9, int64_t* px_e9) noexcept nogil
    cdef size_t early_count(self) noexcept nogil                                 # of the executions found as -2
    # Remember a fill that is broken and still to come; raises ValueError when no sound journal says so.
    cdef int break_early(self, const BrokenEarlyBody* body) except -1
    cdef int64_t leaves_qty(self, const OrderRow* row) noexcept nogil
    cdef int64_t average_px(self, const OrderRow* row, int64_t add_qty_e9, int64_t add_px_e9) noexcept nogil
    # Apply one order record. 0 ok, -1 a record that no sound journal holds (out of order, unknown row).
    cdef int apply(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -2
    cdef int _accept(self, const OrderEvent* ev, const AcceptedBody* body, int64_t wall_ns) except -2
    cdef void _arrived(self, OrderRow* row) noexcept
    cdef void _trade(self, OrderRow* row, const TradeBody* body) noexcept
    cdef void _break_trade(self, OrderRow* row, const TradeCanceledBody* body) noexcept
    cdef void _replace(self, OrderRow* row, int kind, const OrderEvent* ev, const ReplaceBody* body) noexcept

cdef enum:
    OPEN_ASKS_MAX = 64
    EARLY_MAX = 4096                     # executions that were broken before they were reported; one more is not remembered
    FIRST_REV = 1                        # of the id that an order is handed over under, whatever was changed before: durable with it

cdef bint is_done(int ord_status) noexcept nogil
cdef bint is_asked(const OrderRow* row, uint32_t rev) noexcept nogil         # the broker owes an answer about the revision
cdef uint32_t first_asked(const OrderRow* row) noexcept nogil                # oldest of those, 0 when there is none
cdef bint is_allowed(const OrderRow* row, int kind) noexcept nogil
