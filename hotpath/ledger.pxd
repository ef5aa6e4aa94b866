"""What a reservation or a fill does to a pair and its account; 0 ok, -1 does not fit."""
from libc.stdint cimport int64_t
from hotpath.checks cimport AccountRow, Bucket, Limits, PairRow

cdef int settle(const AccountRow* account, const PairRow* before, PairRow* staged, int side, int64_t px_e9,
                int64_t* gross) noexcept nogil
cdef int move_open(PairRow* staged, int side, int64_t delta_e9, int reduce_only) noexcept nogil
cdef int book_fill(PairRow* staged, int side, int64_t qty_e9, int64_t px_e9, int64_t* realised_e4) noexcept nogil
cdef int set_bucket(Bucket* bucket, int64_t rate_per_s, int64_t burst, bint is_new) noexcept nogil
cdef bint is_sane(const Limits* limits) noexcept nogil
