"""Fixed point: text to int64 and back, and the three products that money needs, all overflow-checked."""
from libc.stdint cimport INT64_MAX, int64_t

cdef extern from "hotpath/src/fixed.hpp" namespace "backstay" nogil:
    int _parse9 "backstay::parse_decimal<9>"(const char* text, int64_t size, int64_t max, int64_t* out) noexcept
    int _parse4 "backstay::parse_decimal<4>"(const char* text, int64_t size, int64_t max, int64_t* out) noexcept
    int _format9 "backstay::format_decimal<9>"(int64_t value, char* out) noexcept
    int _format4 "backstay::format_decimal<4>"(int64_t value, char* out) noexcept
    int _format0 "backstay::format_decimal<0>"(int64_t value, char* out) noexcept
    int _notional "backstay::notional_e4"(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept
    int _mul "backstay::mul_e4"(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept
    int _scale "backstay::scale_bps"(int64_t value, int64_t bps, int64_t* out) noexcept


cdef int parse_e9(const char* text, Py_ssize_t size, int64_t* out) noexcept nogil:
    return _parse9(text, size, MAX_E9, out)


cdef int parse_e4(const char* text, Py_ssize_t size, int64_t* out) noexcept nogil:
    return _parse4(text, size, INT64_MAX, out)


cdef int format_e9(int64_t value_e9, char* out) noexcept nogil:
    return _format9(value_e9, out)


cdef int format_e4(int64_t value_e4, char* out) noexcept nogil:
    return _format4(value_e4, out)


cdef int format_i64(int64_t value, char* out) noexcept nogil:
    return _format0(value, out)


cdef int notional_e4(int64_t px_e9, int64_t qty_e9, int64_t* out_e4) noexcept nogil:
    return _notional(px_e9, qty_e9, out_e4)


cdef int mul_e4(int64_t px_e9, int64_t qty_e9, int64_t* out_e4) noexcept nogil:
    return _mul(px_e9, qty_e9, out_e4)


cdef int scale_bps(int64_t value, int64_t bps_e9, int64_t* out) noexcept nogil:
    return _scale(value, bps_e9, out)


cdef tuple _WHY = ("", "is not a decimal", "has too many digits after the point", "is out of range")


cdef bytes _raw(object text):
    if isinstance(text, str):
        return (<str>text).encode("utf-8", "surrogatepass")
    if isinstance(text, bytes):
        return <bytes>text
    raise TypeError(f"decimal text must be str or bytes, not {type(text).__name__}")


def parse_code(text):
    """``(ParseCode, value_e9)`` of a decimal; the value is 0 unless the code is ``PARSE_OK``."""
    cdef bytes raw = _raw(text)
    cdef int64_t value = 0
    cdef int code = parse_e9(raw, len(raw), &value)
    return code, value


def to_e9(text):
    """Value of a decimal in units of 1e-9. Raises ValueError, saying what is wrong with the text."""
    cdef bytes raw = _raw(text)
    cdef int64_t value = 0
    cdef int code = parse_e9(raw, len(raw), &value)
    if code != PARSE_OK:
        raise ValueError(f"{raw[:40]!r} {_WHY[code]}")
    return value


def to_e4(text):
    """Amount of money in units of 1e-4; at most four digits after the point. Raises ValueError."""
    cdef bytes raw = _raw(text)
    cdef int64_t value = 0
    cdef int code = parse_e4(raw, len(raw), &value)
    if code != PARSE_OK:
        raise ValueError(f"{raw[:40]!r} {_WHY[code]}")
    return value


def from_e9(int64_t value):
    """Shortest decimal of a value in 1e-9."""
    cdef char out[24]
    cdef int size = format_e9(value, out)
    return out[:size].decode("ascii")


def from_e4(int64_t value):
    """Shortest decimal of an amount in 1e-4."""
    cdef char out[24]
    cdef int size = format_e4(value, out)
    return out[:size].decode("ascii")


def notional(int64_t px_e9, int64_t qty_e9):
    """Money of ``px * qty`` in 1e-4, rounded away from zero. Raises OverflowError."""
    cdef int64_t out = 0
    if notional_e4(px_e9, qty_e9, &out):
        raise OverflowError(f"notional overflows: px_e9={px_e9} qty_e9={qty_e9}")
    return out


def multiply(int64_t px_e9, int64_t qty_e9):
    """Money of ``px * qty`` in 1e-4, truncated toward zero. Raises OverflowError."""
    cdef int64_t out = 0
    if mul_e4(px_e9, qty_e9, &out):
        raise OverflowError(f"product overflows: px_e9={px_e9} qty_e9={qty_e9}")
    return out


def scale(int64_t value, int64_t bps_e9):
    """``value`` times a rate in basis points (itself in 1e-9), truncated toward zero. Raises OverflowError."""
    cdef int64_t out = 0
    if scale_bps(value, bps_e9, &out):
        raise OverflowError(f"scaled value overflows: value={value} bps_e9={bps_e9}")
    return out
