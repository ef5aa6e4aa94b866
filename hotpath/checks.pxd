"""The pre-trade gate: one compiled call decides; exposure is reserved on accept and moved by fills.

Owner of positions, reservations, limits, rate buckets, kill levels, restricted lists and own resting prices.
Everything that state depends on arrives as arguments, so a replay rebuilds it exactly.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint16_t, uint8_t, int32_t
from libcpp.vector cimport vector
from hotpath.quotes cimport QuoteTable

cdef extern from "hotpath/src/gate.hpp" namespace "backstay" nogil:
    cppclass PairStore[T]:
        PairStore(size_t room)
        T* find(uint32_t account, uint32_t instrument) noexcept
        T* make(uint32_t account, uint32_t instrument) noexcept
        T* at(size_t position) noexcept
        void drop_last() noexcept
        size_t size() noexcept
        void clear() noexcept
    struct RestingEntry:
        uint32_t group
        uint32_t instrument
        int64_t side
        int64_t px_e9
        int64_t count
    cppclass RestingBook:
        RestingBook()
        void prefetch(uint32_t group, uint32_t instrument, int side) noexcept
        int64_t best(uint32_t group, uint32_t instrument, int side) noexcept
        void add(uint32_t group, uint32_t instrument, int side, int64_t px_e9, int64_t count) noexcept
        bint has(uint32_t group, uint32_t instrument, int side, int64_t px_e9) noexcept
        void remove(uint32_t group, uint32_t instrument, int side, int64_t px_e9) noexcept
        vector[RestingEntry] entries() noexcept
        void clear() noexcept

cdef struct Limits:                      # one row for each account; a number of 0 lets nothing pass, never "unlimited"
    int64_t max_order_qty_e9
    int64_t max_order_notional_e4
    int64_t max_position_qty_e9          # worst case, per instrument
    int64_t max_gross_e4                 # sum over instruments of worst-case exposure
    int64_t leverage_bps_e9              # buying power = cash * leverage; 10000 = cash account
    int64_t collar_bps_e9                # limit price distance from reference; also the collar that a market order gets
    int64_t max_open_orders
    int64_t order_rate_per_s             # RATE_ORDER token bucket
    int64_t order_burst
    int64_t msg_rate_per_s               # RATE_MSG (place, replace); cancels are never charged here
    int64_t msg_burst

cdef struct Bucket:
    int64_t tokens_ns                    # credit in nanoseconds of refill
    int64_t stamp_ns                     # last refill, monotonic
    int64_t cost_ns                      # of one token, from the rate, rounded up; 0 lets nothing pass
    int64_t cap_ns                       # burst * cost

cdef struct AccountRow:
    Limits limits
    int64_t cash_e4                      # deposits + realised P&L - fees
    int64_t realised_e4
    int64_t fees_e4
    int64_t gross_e4                     # sum of pair.expo_e4
    int64_t open_orders
    Bucket order_bucket
    Bucket msg_bucket
    uint32_t group                       # self-trade prevention unit (beneficial owner)
    uint8_t halt_level                   # HaltLevel
    uint8_t has_limits
    uint8_t is_open                      # open_account was called
    uint8_t pad

cdef struct PairRow:                     # account x instrument
    int64_t pos_qty_e9                   # signed
    int64_t avg_px_e9                    # of the open position; 0 when flat
    int64_t open_buy_qty_e9              # leaves + in doubt + owed of everything that may still buy
    int64_t open_sell_qty_e9
    int64_t open_reduce_sell_qty_e9      # of which reduce-only
    int64_t open_reduce_buy_qty_e9
    int64_t realised_e4
    int64_t mark_px_e9                   # price of the last fill (the record's, never the clock's); decides nothing
    int64_t long_px_e9                   # highest buy price, reserved or filled, since the long side was last empty
    int64_t short_px_e9                  # highest sell price likewise; both come from records, never from a quote
    int64_t expo_e4                      # larger of (pos + buys) * long_px and (sells - pos) * short_px, each at least 0
    uint32_t account
    uint32_t instrument

cdef struct CheckRequest:
    uint32_t account
    uint32_t instrument
    int64_t qty_e9                       # for a replace: new leaves
    int64_t px_e9                        # 0 for market
    int64_t old_qty_e9                   # of this order: leaves reserved now. A new order and a fired one that was held: 0;
                                         # replace, and release of a queued order: its reservation. > 0 without is_release
                                         # marks a replace (held orders reserve nothing: there it only marks)
    int64_t old_px_e9
    int64_t mono_ns
    int64_t spared_qty_e9                # reduce-only quantity of its own group's other camp: not taken
    uint8_t side                         # enums.Side
    uint8_t ord_type                     # enums.OrdType
    uint8_t reduce_only
    uint8_t stp                          # enums.Stp
    uint8_t is_release                   # re-check of an accepted order that goes out now: no rate buckets, no open-order count;
                                         # one that is reduce_only and reduces meets no limit at all (docs/risk.md)
    uint8_t is_held                      # will rest at the gateway: no price collar, no session check, nothing reserved
    uint8_t is_dry                       # charge no bucket
    uint8_t pad

cdef struct Decision:
    int32_t control                      # enums.Control; 0 = pass
    int32_t unit                         # 0 none, 1 qty_e9, 2 px_e9, 3 money_e4, 4 count, 5 ns, 6 bps_e9
    int64_t limit
    int64_t value
    int64_t passes                       # the nearest value that would pass, in passes_unit; 0 = none
    int32_t passes_unit
    int32_t scope                        # 0 global, 1 account, 2 instrument, 3 pair
    int64_t ref_px_e9                    # price to reserve at: limit price, or the collar price of a market order;
                                         # 0: a reduce-only market order that goes out without any fresh reference
    int64_t tokens_left                  # of the scarcer bucket that was charged; 0 when none was

cdef class Request:
    """A CheckRequest that Python fills once and asks with often, and the Decision it got."""
    cdef CheckRequest raw
    cdef Decision decision

cdef class Gate:
    cdef AccountRow* accounts
    cdef readonly uint32_t account_capacity
    cdef readonly uint32_t account_count
    cdef QuoteTable quotes
    cdef uint8_t global_halt
    cdef uint8_t* instrument_halts
    cdef PairStore[PairRow]* pairs
    cdef RestingBook* resting            # own resting prices by (group, instrument, side)
    # The decision. No state changes but bucket tokens (and those not when refused earlier, nor with is_dry / is_release).
    cdef int check(self, const CheckRequest* rq, Decision* out) noexcept nogil
    # --- moved by records only (apply), never by check; 0 ok, -1 refused and nothing changed --------------------------
    cdef int open_account(self, uint32_t account, uint32_t group, int64_t cash_e4) noexcept nogil
    cdef int set_limits(self, uint32_t account, const Limits* limits) noexcept nogil
    cdef int set_halt(self, int scope, uint32_t index, int level) noexcept nogil
    # reserve/unreserve leaves at a price; `resting` says that a limit order joins/leaves our own resting book for SMP
    cdef int reserve(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                     int reduce_only, int resting) noexcept nogil
    cdef int unreserve(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                       int reduce_only, int resting) noexcept nogil
    # One step for a replace (to hold max(old, new), then to drop to new): the side is never empty in between.
    cdef int rereserve(self, uint32_t account, uint32_t instrument, int side, int64_t old_qty_e9, int64_t old_px_e9,
                       int64_t qty_e9, int64_t px_e9, int reduce_only, int resting) noexcept nogil
    # A fill moves the position, average price, realised P&L, cash and exposure; it does NOT unreserve (the caller does).
    cdef int fill(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                  int64_t fee_e4) noexcept nogil
    # Whether one more reservation or fill of this size could be booked: false only for numbers that overflow. Changes nothing.
    cdef bint can_book(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9) noexcept nogil
    cdef int count_open(self, uint32_t account, int delta) noexcept nogil        # open-order counter
    # What a reduce-only order of `side` may still do: |position| on the far side less reduce-only quantity already open.
    cdef int64_t reducible_qty(self, uint32_t account, uint32_t instrument, int side, int64_t own_qty_e9) noexcept nogil
    cdef PairRow* pair(self, uint32_t account, uint32_t instrument, bint create) noexcept nogil
    cdef Py_ssize_t pair_count(self) noexcept nogil
    cdef PairRow* pair_at(self, Py_ssize_t position) noexcept nogil              # creation order: deterministic
    cdef bytes dump(self)                                                        # canonical bytes of all of it but buckets
    cdef int load(self, const char* data, Py_ssize_t size) except -1
    # private
    cdef AccountRow* opened(self, uint32_t account, uint32_t instrument) noexcept nogil
    cdef void stage(self, uint32_t account, uint32_t instrument, PairRow* out) noexcept nogil
    cdef void clear(self) noexcept nogil
