"""The controls of the pre-trade gate, one function each; hotpath.checks puts them in order."""
from libc.stdint cimport int64_t, uint64_t
from hotpath.checks cimport AccountRow, CheckRequest, Decision, PairRow, RestingBook
from hotpath.quotes cimport InstrumentRow

cdef enum:                                   # Decision.scope and Decision.unit
    SCOPE_GLOBAL = 0
    SCOPE_ACCOUNT = 1
    SCOPE_INSTRUMENT = 2
    SCOPE_PAIR = 3
    UNIT_NONE = 0
    UNIT_QTY = 1
    UNIT_PX = 2
    UNIT_MONEY = 3
    UNIT_COUNT = 4
    UNIT_NS = 5

cdef struct View:                            # what one decision looks at, found once
    AccountRow* account
    const InstrumentRow* instrument
    const PairRow* pair                      # EMPTY_PAIR when the account never traded it
    int64_t reserved                         # of this very order, counted in the pair already
    int64_t same_open                        # open quantity of the order's side without its own
    int64_t signed_pos                       # position seen from the order's side: positive grows
    int64_t reducible                        # what a reduce-only order of this side may still do
    int64_t reference_px_e9                  # fresh, or 0
    int64_t touch_px_e9                      # far side of a fresh sound quote, or 0
    bint is_replace
    bint reduces
    bint is_protective                       # the release of an order that is bound to reduce, and does

cdef int refuse(Decision* out, int control, int scope, int unit, int64_t limit, int64_t value, int64_t passes,
                int passes_unit) noexcept nogil
cdef void look(View* v, const CheckRequest* rq, AccountRow* account, const InstrumentRow* instrument,
               const PairRow* pair) noexcept nogil
cdef void look_at_market(View* v, const CheckRequest* rq, int64_t reference_px_e9) noexcept nogil
cdef int check_kill(const View* v, const CheckRequest* rq, int global_level, int instrument_level,
                    Decision* out) noexcept nogil
cdef int check_release(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_instrument(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_steps(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_size(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_price(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_rate(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_open_orders(const View* v, Decision* out) noexcept nogil
cdef int check_self_match(const View* v, const CheckRequest* rq, RestingBook* resting, Decision* out) noexcept nogil
cdef int check_reduce_only(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
cdef int check_credit(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil
