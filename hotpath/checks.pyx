"""The pre-trade gate: decides on an order in one call, and keeps the exposure that the decision stands on.

A pair's exposure is what its worse side can become: (pos + buys) at the highest buy price, or (sells - pos) at the highest
sell price, each since that side was last empty. So nothing that fills, ends or is admitted cheaply beside it makes exposure
larger than what was checked (invariant I9), and a position is valued at cost or above: cash knows no unrealised loss.
An order that makes exposure no larger passes the gross and buying-power limits.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memcpy, memset
from libcpp.vector cimport vector
from hotpath.enums cimport ARMED, FLATTEN, NO_LIMIT, PASS, SESSION_CAL
from hotpath.enums cimport BUY as SIDE_BUY, LIMIT as TYPE_LIMIT, SELL as SIDE_SELL
from hotpath.enums cimport ACCOUNT as HALT_ACCOUNT, GLOBAL as HALT_GLOBAL, INSTRUMENT as HALT_INSTRUMENT
from hotpath.ledger cimport book_fill, is_sane, move_open, set_bucket, settle
from hotpath.rules cimport (
    SCOPE_ACCOUNT, SCOPE_INSTRUMENT, UNIT_NONE, View, check_credit, check_instrument, check_kill, check_open_orders, check_price,
    check_rate, check_reduce_only, check_release, check_self_match, check_size, check_steps, look, look_at_market, refuse,
)

cdef extern from "hotpath/src/gate.hpp" namespace "backstay" nogil:
    int add_i64(int64_t a, int64_t b, int64_t* out) noexcept
    void prefetch_row[Row](const Row* row) noexcept

cdef enum:
    DUMP_MAGIC = 0x31475342                  # "BSG1"

cdef struct Header:
    uint32_t magic
    uint32_t account_count
    uint64_t pair_count
    uint32_t halt_count
    uint32_t resting_count
    uint32_t global_halt
    uint32_t pad

cdef struct AccountImage:
    Limits limits
    int64_t cash_e4
    int64_t realised_e4
    int64_t fees_e4
    int64_t gross_e4
    int64_t open_orders
    uint32_t group
    uint8_t halt_level
    uint8_t has_limits
    uint8_t is_open
    uint8_t pad

cdef struct HaltImage:
    uint32_t instrument
    uint32_t level

cdef PairRow EMPTY_PAIR
memset(&EMPTY_PAIR, 0, sizeof(PairRow))


cdef inline Py_ssize_t size_of(const Header* header) noexcept nogil:
    return (sizeof(Header) + header.account_count * sizeof(AccountImage) + header.halt_count * sizeof(HaltImage)
            + header.pair_count * sizeof(PairRow) + header.resting_count * sizeof(RestingEntry))


cdef inline char* put(char* to, const void* part, size_t size) noexcept nogil:
    memcpy(to, part, size)
    return to + size


cdef inline const char* take(const char* data, void* part, size_t size) noexcept nogil:
    memcpy(part, data, size)
    return data + size


cdef inline AccountImage image_of(const AccountRow* row) noexcept nogil:
    return AccountImage(row.limits, row.cash_e4, row.realised_e4, row.fees_e4, row.gross_e4, row.open_orders, row.group,
                        row.halt_level, row.has_limits, row.is_open, 0)


cdef inline void restore(AccountRow* row, const AccountImage* image) noexcept nogil:
    row.limits = image.limits
    row.cash_e4, row.realised_e4, row.fees_e4 = image.cash_e4, image.realised_e4, image.fees_e4
    row.gross_e4, row.open_orders, row.group = image.gross_e4, image.open_orders, image.group
    row.halt_level, row.has_limits, row.is_open = image.halt_level, image.has_limits, image.is_open
    set_bucket(&row.order_bucket, row.limits.order_rate_per_s, row.limits.order_burst, True)
    set_bucket(&row.msg_bucket, row.limits.msg_rate_per_s, row.limits.msg_burst, True)


cdef class Request:
    """One question to the gate, and the answer that it got. Reusable: set what changes, ask again."""

    def __init__(self, *, uint32_t account, uint32_t instrument, uint8_t side, uint8_t ord_type, int64_t qty_e9,
                 int64_t px_e9=0, int64_t old_qty_e9=0, int64_t old_px_e9=0, int64_t mono_ns=0, bint reduce_only=False,
                 uint8_t stp=0, bint is_release=False, bint is_held=False, bint is_dry=False, int64_t spared_qty_e9=0):
        memset(&self.raw, 0, sizeof(CheckRequest))
        memset(&self.decision, 0, sizeof(Decision))
        self.raw.account, self.raw.instrument, self.raw.side, self.raw.ord_type = account, instrument, side, ord_type
        self.raw.qty_e9, self.raw.px_e9, self.raw.mono_ns = qty_e9, px_e9, mono_ns
        self.raw.old_qty_e9, self.raw.old_px_e9 = old_qty_e9, old_px_e9
        self.raw.reduce_only, self.raw.stp, self.raw.spared_qty_e9 = reduce_only, stp, spared_qty_e9
        self.raw.is_release, self.raw.is_held, self.raw.is_dry = is_release, is_held, is_dry

    def set(self, int64_t qty_e9, int64_t px_e9, int64_t mono_ns):
        self.raw.qty_e9 = qty_e9
        self.raw.px_e9 = px_e9
        self.raw.mono_ns = mono_ns

    def answer(self):
        """The last decision, all its fields by name."""
        return self.decision


cdef class Gate:
    """Positions, reservations, limits, rate buckets and halts of all accounts, and the decision over them."""

    def __cinit__(self, QuoteTable quotes not None, uint32_t account_capacity):
        if account_capacity == 0:
            raise ValueError("account_capacity must be at least 1")
        self.quotes = quotes
        self.account_capacity = account_capacity
        self.account_count = 0
        self.accounts = <AccountRow*>PyMem_Calloc(account_capacity, sizeof(AccountRow))
        self.instrument_halts = <uint8_t*>PyMem_Calloc(quotes.capacity, 1)
        if self.accounts == NULL or self.instrument_halts == NULL:
            raise MemoryError
        self.pairs = new PairStore[PairRow](min(<size_t>account_capacity * 4, <size_t>1 << 20))
        self.resting = new RestingBook()

    def __dealloc__(self):
        PyMem_Free(self.accounts)
        PyMem_Free(self.instrument_halts)
        del self.pairs
        del self.resting

    cdef int check(self, const CheckRequest* rq, Decision* out) noexcept nogil:
        cdef View v
        cdef int control
        memset(out, 0, sizeof(Decision))
        if rq.instrument >= self.quotes.count:
            return refuse(out, SESSION_CAL, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
        if rq.account < self.account_capacity:
            prefetch_row(self.accounts + rq.account)
        cdef const PairRow* pair = self.pairs.find(rq.account, rq.instrument)
        cdef AccountRow* account = self.opened(rq.account, rq.instrument)
        if account != NULL:
            self.resting.prefetch(account.group, rq.instrument, SIDE_SELL if rq.side == SIDE_BUY else SIDE_BUY)
        if pair == NULL:
            pair = &EMPTY_PAIR
        look(&v, rq, account, self.quotes.rows + rq.instrument, pair)
        control = check_kill(&v, rq, self.global_halt, self.instrument_halts[rq.instrument], out)
        if control:
            return control
        if account == NULL or not account.has_limits:
            return refuse(out, NO_LIMIT, SCOPE_ACCOUNT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
        if v.is_protective:
            look_at_market(&v, rq, self.quotes.reference_px(rq.instrument, rq.mono_ns, v.instrument.max_age_ns))
            return check_release(&v, rq, out)
        control = check_instrument(&v, rq, out) or check_steps(&v, rq, out)
        if control:
            return control
        if not rq.is_held or rq.ord_type != TYPE_LIMIT:
            look_at_market(&v, rq, self.quotes.reference_px(rq.instrument, rq.mono_ns, v.instrument.max_age_ns))
        control = check_size(&v, rq, out) or (0 if rq.is_held else check_price(&v, rq, out))
        if control == PASS and not rq.is_release:
            control = check_rate(&v, rq, out) or check_open_orders(&v, out)
        if control or rq.is_held:
            return control
        return check_self_match(&v, rq, self.resting, out) or check_reduce_only(&v, rq, out) or check_credit(&v, rq, out)

    # --- moved by records -----------------------------------------------------------------------------------------------

    cdef AccountRow* opened(self, uint32_t account, uint32_t instrument) noexcept nogil:
        if account >= self.account_count or instrument >= self.quotes.capacity or not self.accounts[account].is_open:
            return NULL
        return self.accounts + account

    cdef int open_account(self, uint32_t account, uint32_t group, int64_t cash_e4) noexcept nogil:
        if account >= self.account_capacity or self.accounts[account].is_open:
            return -1
        self.accounts[account].group = group
        self.accounts[account].cash_e4 = cash_e4
        self.accounts[account].is_open = 1
        self.account_count = max(self.account_count, account + 1)
        return 0

    cdef int set_limits(self, uint32_t account, const Limits* limits) noexcept nogil:
        cdef AccountRow* row = self.opened(account, 0)
        if row == NULL or not is_sane(limits):
            return -1
        set_bucket(&row.order_bucket, limits.order_rate_per_s, limits.order_burst, not row.has_limits)
        set_bucket(&row.msg_bucket, limits.msg_rate_per_s, limits.msg_burst, not row.has_limits)
        row.limits = limits[0]
        row.has_limits = 1
        return 0

    cdef int set_halt(self, int scope, uint32_t index, int level) noexcept nogil:
        if level < ARMED or level > FLATTEN:
            return -1
        if scope == HALT_GLOBAL:
            self.global_halt = level
        elif scope == HALT_ACCOUNT and self.opened(index, 0) != NULL:
            self.accounts[index].halt_level = level
        elif scope == HALT_INSTRUMENT and index < self.quotes.capacity:
            self.instrument_halts[index] = level
        else:
            return -1
        return 0

    cdef int reserve(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                     int reduce_only, int resting) noexcept nogil:
        return self.rereserve(account, instrument, side, 0, 0, qty_e9, px_e9, reduce_only, resting)

    cdef int unreserve(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                       int reduce_only, int resting) noexcept nogil:
        return self.rereserve(account, instrument, side, qty_e9, px_e9, 0, 0, reduce_only, resting)

    cdef int rereserve(self, uint32_t account, uint32_t instrument, int side, int64_t old_qty_e9, int64_t old_px_e9,
                       int64_t qty_e9, int64_t px_e9, int reduce_only, int resting) noexcept nogil:
        cdef AccountRow* row = self.opened(account, instrument)
        cdef PairRow before, staged
        cdef int64_t gross = 0
        cdef bint leaves = resting and old_px_e9 > 0
        if row == NULL or old_qty_e9 < 0 or qty_e9 < 0 or px_e9 < 0 or (side != SIDE_BUY and side != SIDE_SELL):
            return -1
        if leaves and not self.resting.has(row.group, instrument, side, old_px_e9):
            return -1
        self.stage(account, instrument, &before)
        staged = before
        if move_open(&staged, side, -old_qty_e9, reduce_only) or move_open(&staged, side, qty_e9, reduce_only):
            return -1
        if settle(row, &before, &staged, side, px_e9 if qty_e9 > 0 else 0, &gross):
            return -1
        row.gross_e4 = gross
        self.pair(account, instrument, True)[0] = staged
        if leaves:
            self.resting.remove(row.group, instrument, side, old_px_e9)
        if resting and px_e9 > 0:
            self.resting.add(row.group, instrument, side, px_e9, 1)
        return 0

    cdef int fill(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                  int64_t fee_e4) noexcept nogil:
        cdef AccountRow* row = self.opened(account, instrument)
        cdef PairRow before, staged
        cdef int64_t gross = 0, profit = 0, cash = 0, fees = 0, realised = 0
        cdef bint opens
        if row == NULL or qty_e9 <= 0 or px_e9 <= 0 or (side != SIDE_BUY and side != SIDE_SELL):
            return -1
        self.stage(account, instrument, &before)
        staged = before
        if book_fill(&staged, side, qty_e9, px_e9, &profit):
            return -1
        opens = staged.pos_qty_e9 > 0 if side == SIDE_BUY else staged.pos_qty_e9 < 0
        if settle(row, &before, &staged, side, px_e9 if opens else 0, &gross):
            return -1
        if add_i64(row.realised_e4, profit, &realised) or add_i64(row.fees_e4, fee_e4, &fees):
            return -1
        if add_i64(row.cash_e4, profit, &cash) or add_i64(cash, -fee_e4, &cash):
            return -1
        row.gross_e4, row.cash_e4, row.realised_e4, row.fees_e4 = gross, cash, realised, fees
        self.pair(account, instrument, True)[0] = staged
        return 0

    cdef bint can_book(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9) noexcept nogil:
        cdef AccountRow* row = self.opened(account, instrument)
        cdef PairRow before, staged
        cdef int64_t gross = 0, profit = 0
        if row == NULL or qty_e9 < 0 or px_e9 < 0:
            return False
        self.stage(account, instrument, &before)
        staged = before
        if move_open(&staged, side, qty_e9, 0) or settle(row, &before, &staged, side, px_e9, &gross):
            return False
        staged = before
        if qty_e9 == 0 or px_e9 == 0:
            return True
        if book_fill(&staged, side, qty_e9, px_e9, &profit) or settle(row, &before, &staged, side, px_e9, &gross):
            return False
        return not (add_i64(row.realised_e4, profit, &gross) or add_i64(row.cash_e4, profit, &gross))

    cdef int count_open(self, uint32_t account, int delta) noexcept nogil:
        cdef AccountRow* row = self.opened(account, 0)
        if row == NULL or row.open_orders + delta < 0:
            return -1
        row.open_orders += delta
        return 0

    cdef int64_t reducible_qty(self, uint32_t account, uint32_t instrument, int side, int64_t own_qty_e9) noexcept nogil:
        cdef const PairRow* pair = self.pairs.find(account, instrument)
        cdef int64_t far, taken
        if pair == NULL:
            return 0
        far = -pair.pos_qty_e9 if side == SIDE_BUY else pair.pos_qty_e9
        taken = (pair.open_reduce_buy_qty_e9 if side == SIDE_BUY else pair.open_reduce_sell_qty_e9) - own_qty_e9
        return far - taken if far > taken else 0

    cdef PairRow* pair(self, uint32_t account, uint32_t instrument, bint create) noexcept nogil:
        cdef PairRow* row = self.pairs.find(account, instrument)
        return self.pairs.make(account, instrument) if row == NULL and create else row

    cdef void stage(self, uint32_t account, uint32_t instrument, PairRow* out) noexcept nogil:
        cdef const PairRow* row = self.pairs.find(account, instrument)
        out[0] = EMPTY_PAIR if row == NULL else row[0]
        out.account = account
        out.instrument = instrument

    cdef Py_ssize_t pair_count(self) noexcept nogil:
        return self.pairs.size()

    cdef PairRow* pair_at(self, Py_ssize_t position) noexcept nogil:
        return self.pairs.at(position) if 0 <= position < <Py_ssize_t>self.pairs.size() else NULL

    # --- canonical bytes: header, accounts, halted instruments, pairs in creation order, resting prices sorted -----------

    cdef bytes dump(self):
        cdef vector[RestingEntry] resting = self.resting.entries()
        cdef vector[HaltImage] halts
        cdef AccountImage account
        cdef Header header = Header(DUMP_MAGIC, self.account_count, self.pairs.size(), 0, resting.size(), self.global_halt, 0)
        cdef uint32_t i
        cdef size_t at
        for i in range(self.quotes.capacity):
            if self.instrument_halts[i]:
                halts.push_back(HaltImage(i, self.instrument_halts[i]))
        header.halt_count = halts.size()
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size_of(&header))
        cdef char* to = put(<char*>out, &header, sizeof(Header))
        for i in range(self.account_count):
            account = image_of(self.accounts + i)
            to = put(to, &account, sizeof(AccountImage))
        to = put(to, halts.data(), halts.size() * sizeof(HaltImage))
        for at in range(self.pairs.size()):
            to = put(to, self.pairs.at(at), sizeof(PairRow))
        put(to, resting.data(), resting.size() * sizeof(RestingEntry))
        return out

    cdef int load(self, const char* data, Py_ssize_t size) except -1:
        """Replaces everything; buckets start full. Raises ValueError on bytes that no dump made."""
        cdef Header header
        cdef AccountImage account
        cdef HaltImage halt
        cdef PairRow pair
        cdef RestingEntry entry
        cdef size_t i
        if size < <Py_ssize_t>sizeof(Header):
            raise ValueError(f"gate image is too short: {size} bytes")
        data = take(data, &header, sizeof(Header))
        if (header.magic != DUMP_MAGIC or header.account_count > self.account_capacity or header.pair_count > 0xFFFFFFFF
                or header.halt_count > self.quotes.capacity or header.global_halt > FLATTEN or size_of(&header) != size):
            raise ValueError(f"gate image does not fit: magic={header.magic:#x} accounts={header.account_count} size={size}")
        self.clear()
        self.account_count = header.account_count
        self.global_halt = header.global_halt
        for i in range(header.account_count):
            data = take(data, &account, sizeof(AccountImage))
            restore(self.accounts + i, &account)
        for i in range(header.halt_count):
            data = take(data, &halt, sizeof(HaltImage))
            if self.set_halt(HALT_INSTRUMENT, halt.instrument, halt.level):
                raise ValueError(f"gate image halts instrument {halt.instrument} at level {halt.level}")
        for i in range(header.pair_count):
            data = take(data, &pair, sizeof(PairRow))
            if self.opened(pair.account, pair.instrument) == NULL or self.pairs.find(pair.account, pair.instrument) != NULL:
                raise ValueError(f"gate image has a bad pair: account={pair.account} instrument={pair.instrument}")
            self.pairs.make(pair.account, pair.instrument)[0] = pair
        for i in range(header.resting_count):
            data = take(data, &entry, sizeof(RestingEntry))
            self.resting.add(entry.group, entry.instrument, entry.side, entry.px_e9, entry.count)
        return 0

    cdef void clear(self) noexcept nogil:
        memset(self.accounts, 0, self.account_capacity * sizeof(AccountRow))
        memset(self.instrument_halts, 0, self.quotes.capacity)
        self.pairs.clear()
        self.resting.clear()

    # --- the Python side: for tests, tools and callers that are not compiled ----------------------------------------------

    def decide(self, Request request not None):
        """Control number of the refusal, 0 when it passes; `request.answer()` has the numbers."""
        return self.check(&request.raw, &request.decision)

    def check_py(self, **fields):
        """Decision of one request given by keywords, as `Request` takes them."""
        cdef Request request = Request(**fields)
        self.check(&request.raw, &request.decision)
        return request.decision

    def check_many(self, const int64_t[:, ::1] requests, int32_t[::1] controls):
        """Decide rows of (account, instrument, side, ord_type, qty, px, old_qty, old_px, mono, reduce_only, stp, release,
        held, dry) without Python in between; returns how many passed."""
        if requests.shape[1] != 14 or controls.shape[0] < requests.shape[0]:
            raise ValueError("requests need 14 columns and a control for each row")
        cdef Py_ssize_t i, passed = 0
        cdef CheckRequest rq
        cdef Decision out
        cdef const int64_t* row
        memset(&rq, 0, sizeof(CheckRequest))
        with nogil:
            for i in range(requests.shape[0]):
                row = &requests[i, 0]
                rq.account, rq.instrument, rq.side, rq.ord_type = row[0], row[1], row[2], row[3]
                rq.qty_e9, rq.px_e9, rq.old_qty_e9, rq.old_px_e9, rq.mono_ns = row[4], row[5], row[6], row[7], row[8]
                rq.reduce_only, rq.stp, rq.is_release, rq.is_held, rq.is_dry = row[9], row[10], row[11], row[12], row[13]
                controls[i] = self.check(&rq, &out)
                passed += controls[i] == PASS
        return passed

    def bench_loop(self, Request request not None, Py_ssize_t n):
        """The same question n times, a nanosecond apart, compiled; returns how many passed."""
        cdef Py_ssize_t i, passed = 0
        with nogil:
            for i in range(n):
                request.raw.mono_ns += 1
                passed += self.check(&request.raw, &request.decision) == PASS
        return passed

    def open_account_py(self, uint32_t account, uint32_t group, int64_t cash_e4):
        return self.open_account(account, group, cash_e4)

    def set_limits_py(self, uint32_t account, limits):
        """`limits`: a mapping with exactly the fields of Limits."""
        cdef Limits row = limits
        return self.set_limits(account, &row)

    def set_halt_py(self, int scope, uint32_t index, int level):
        return self.set_halt(scope, index, level)

    def reserve_py(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                   bint reduce_only=False, bint resting=False):
        return self.reserve(account, instrument, side, qty_e9, px_e9, reduce_only, resting)

    def unreserve_py(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9,
                     bint reduce_only=False, bint resting=False):
        return self.unreserve(account, instrument, side, qty_e9, px_e9, reduce_only, resting)

    def rereserve_py(self, uint32_t account, uint32_t instrument, int side, int64_t old_qty_e9, int64_t old_px_e9,
                     int64_t qty_e9, int64_t px_e9, bint reduce_only=False, bint resting=False):
        return self.rereserve(account, instrument, side, old_qty_e9, old_px_e9, qty_e9, px_e9, reduce_only, resting)

    def fill_py(self, uint32_t account, uint32_t instrument, int side, int64_t qty_e9, int64_t px_e9, int64_t fee_e4=0):
        return self.fill(account, instrument, side, qty_e9, px_e9, fee_e4)

    def count_open_py(self, uint32_t account, int delta):
        return self.count_open(account, delta)

    def reducible_qty_py(self, uint32_t account, uint32_t instrument, int side, int64_t own_qty_e9=0):
        return self.reducible_qty(account, instrument, side, own_qty_e9)

    def best_resting(self, uint32_t group, uint32_t instrument, int side):
        """Best own resting price of a self-trade group, 0 when nothing rests."""
        return self.resting.best(group, instrument, side)

    def account(self, uint32_t account):
        """Row of an account, with its limits and halt level."""
        if account >= self.account_capacity:
            raise IndexError(f"no account at row {account}")
        return self.accounts[account]

    def pair_of(self, uint32_t account, uint32_t instrument):
        cdef PairRow* row = self.pairs.find(account, instrument)
        return None if row == NULL else row[0]

    def pairs_py(self):
        """All pairs in creation order."""
        cdef size_t i
        return [self.pairs.at(i)[0] for i in range(self.pairs.size())]

    def halts_py(self):
        """(global level, {instrument: level})."""
        cdef uint32_t i
        return self.global_halt, {i: self.instrument_halts[i] for i in range(self.quotes.capacity) if self.instrument_halts[i]}

    def dump_py(self):
        return self.dump()

    def load_py(self, bytes data not None):
        self.load(data, len(data))
