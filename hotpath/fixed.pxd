"""Fixed point: prices and quantities int64 in 1e-9 (`_e9`), money int64 in 1e-4 (`_e4`)."""
from libc.stdint cimport int64_t, uint64_t

cdef extern from "hotpath/src/fixed.hpp" nogil:
    const int64_t E9 "BACKSTAY_E9"              # 1_000_000_000
    const int64_t MAX_E9 "BACKSTAY_MAX_E9"      # 9_200_000_000 * E9 - 1, the largest magnitude

cpdef enum ParseCode:
    PARSE_OK = 0
    PARSE_SYNTAX = 1        # not -?(0|[1-9][0-9]*)(\.[0-9]{1,9})?
    PARSE_PRECISION = 2     # right shape but more than nine digits after the point
    PARSE_RANGE = 3         # magnitude 9 200 000 000 or more

# `out` is written only on PARSE_OK. Text need not end with a zero byte.
cdef int parse_e9(const char* text, Py_ssize_t size, int64_t* out) noexcept nogil
cdef int parse_e4(const char* text, Py_ssize_t size, int64_t* out) noexcept nogil   # money: four places, whole int64
cdef int format_e9(int64_t value_e9, char* out) noexcept nogil     # returns length; out holds >= 24 bytes; no trailing zeros
cdef int format_e4(int64_t value_e4, char* out) noexcept nogil
cdef int format_i64(int64_t value, char* out) noexcept nogil
# money of px * qty in 1e-4, rounded away from zero (against the account); 0 ok, 1 overflow
cdef int notional_e4(int64_t px_e9, int64_t qty_e9, int64_t* out_e4) noexcept nogil
# signed px * qty, truncated toward zero, for realised P&L; 0 ok, 1 overflow
cdef int mul_e4(int64_t px_e9, int64_t qty_e9, int64_t* out_e4) noexcept nogil
# value * bps_e9 / (10_000 * 1e9) with 128 bits, truncated; bps itself is a 1e-9 decimal; 0 ok, 1 overflow
cdef int scale_bps(int64_t value, int64_t bps_e9, int64_t* out) noexcept nogil
