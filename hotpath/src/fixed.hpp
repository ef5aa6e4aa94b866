// Fixed-point text and products. Inline, so that a kernel of another module pays no call through a table.
#pragma once
#include <cstdint>
#include <cstring>

#define BACKSTAY_E9 ((int64_t)1000000000LL)
#define BACKSTAY_MAX_E9 ((int64_t)9199999999999999999LL)  // 9 200 000 000 * E9 - 1

namespace backstay {

typedef __int128 i128;

enum { TEXT_OK = 0, TEXT_SYNTAX = 1, TEXT_PRECISION = 2, TEXT_RANGE = 3 };

inline bool is_digit(char c) noexcept { return (unsigned char)(c - '0') < 10; }

// -?(0|[1-9][0-9]*)(\.[0-9]{1,PLACES})? with magnitude <= max. Shape is judged before precision, precision before range.
template <int PLACES>
inline int parse_decimal(const char* p, int64_t size, int64_t max, int64_t* out) noexcept {
    const char* const end = p + size;
    const bool negative = p < end && *p == '-';
    p += negative;
    if (p == end || !is_digit(*p)) return TEXT_SYNTAX;
    if (*p == '0' && p + 1 < end && is_digit(p[1])) return TEXT_SYNTAX;
    const uint64_t limit = (uint64_t)max;
    uint64_t value = 0;
    bool is_large = false;
    for (; p < end && is_digit(*p); ++p) {
        if (value > limit / 10) is_large = true;  // stop growing, keep judging the shape
        else value = value * 10 + (uint64_t)(*p - '0');
    }
    int places = 0;
    if (p < end && *p == '.') {
        ++p;
        for (; p < end && is_digit(*p); ++p, ++places) {
            if (places >= PLACES) continue;
            if (value > limit / 10) is_large = true;
            else value = value * 10 + (uint64_t)(*p - '0');
        }
        if (places == 0) return TEXT_SYNTAX;
    }
    if (p != end) return TEXT_SYNTAX;
    if (places > PLACES) return TEXT_PRECISION;
    for (; places < PLACES; ++places) {
        if (value > limit / 10) is_large = true;
        else value *= 10;
    }
    if (is_large || value > limit) return TEXT_RANGE;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return TEXT_OK;
}

inline int format_unsigned(uint64_t value, char* out) noexcept {
    char digits[20];
    int n = 0;
    do { digits[n++] = (char)('0' + value % 10); value /= 10; } while (value);
    for (int i = 0; i < n; ++i) out[i] = digits[n - 1 - i];
    return n;
}

// Shortest decimal of value * 10^-PLACES: no trailing zeros, never "-0". At most 22 bytes, no terminator.
template <int PLACES>
inline int format_decimal(int64_t value, char* out) noexcept {
    constexpr uint64_t ONE = PLACES == 9 ? 1000000000ULL : PLACES == 4 ? 10000ULL : 1ULL;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    int n = 0;
    if (value < 0) out[n++] = '-';
    n += format_unsigned(magnitude / ONE, out + n);
    uint64_t fraction = magnitude % ONE;
    if (fraction == 0) return n;
    out[n] = '.';
    for (int i = PLACES; i > 0; --i, fraction /= 10) out[n + i] = (char)('0' + fraction % 10);
    n += PLACES;
    while (out[n] == '0') --n;
    return n + 1;
}

inline int narrow(i128 value, int64_t* out) noexcept {
    if (value > INT64_MAX || value < -(i128)INT64_MAX) return 1;  // symmetric: a result can always be negated
    *out = (int64_t)value;
    return 0;
}

constexpr int64_t E18_TO_E4 = 100000000000000LL;  // a product of two 1e-9 numbers, down to 1e-4

inline int notional_e4(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept {
    const i128 product = (i128)px_e9 * qty_e9;
    const i128 up = product < 0 ? -(i128)(E18_TO_E4 - 1) : (i128)(E18_TO_E4 - 1);
    return narrow((product + up) / E18_TO_E4, out);
}

inline int mul_e4(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept {
    return narrow((i128)px_e9 * qty_e9 / E18_TO_E4, out);
}

inline int scale_bps(int64_t value, int64_t bps_e9, int64_t* out) noexcept {
    return narrow((i128)value * bps_e9 / (i128)(10000 * BACKSTAY_E9), out);
}

}  // namespace backstay
