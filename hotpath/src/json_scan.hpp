// A strict, allocation-free JSON scanner (RFC 8259, UTF-8 by RFC 3629): spans of values, nothing decoded before it is asked for.
#pragma once

#include <cstdint>
#include <cstddef>
#include <cstring>

#include "hotpath/src/fixed.hpp"

namespace backstay::json {

enum ValueType : int32_t {
    V_NONE = 0,
    V_STRING = 1,
    V_ESCAPED = 2,  // a string with an escape or a non-ASCII character in it
    V_INTEGER = 3,  // digits only: no sign, fraction or exponent
    V_NUMBER = 4,
    V_OBJECT = 5,
    V_ARRAY = 6,
    V_WORD = 7,  // true, false, null
};

struct Value {
    const char* begin;  // of a string: after the quote
    const char* stop;
    int32_t type;
};

constexpr int MAX_DEPTH = 32;

struct PlainTable {
    bool is_plain[256];  // may stand in a string as it is: ASCII from space on, no quote, no backslash
    constexpr PlainTable() : is_plain() {
        for (int i = 0; i < 256; ++i) is_plain[i] = i >= 0x20 && i < 0x80 && i != '"' && i != '\\';
    }
};
inline constexpr PlainTable PLAIN{};

inline bool is_plain(char c) { return PLAIN.is_plain[static_cast<unsigned char>(c)]; }

inline const char* skip_space(const char* p, const char* end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) ++p;
    return p;
}

// Past one non-ASCII character; null for overlong forms, surrogates and values beyond U+10FFFF.
inline const char* skip_utf8(const char* text, const char* end) {
    const auto* p = reinterpret_cast<const unsigned char*>(text);
    const unsigned char lead = p[0];
    const int size = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
    if (size == 0 || end - text < size) return nullptr;
    for (int i = 1; i < size; ++i)
        if ((p[i] & 0xC0) != 0x80) return nullptr;
    if ((lead == 0xE0 && p[1] < 0xA0) || (lead == 0xED && p[1] > 0x9F)) return nullptr;
    if ((lead == 0xF0 && p[1] < 0x90) || (lead == 0xF4 && p[1] > 0x8F)) return nullptr;
    return text + size;
}

inline int hex_value(char digit) {
    if (is_digit(digit)) return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

// Past one escape, `p` at its backslash; null when it is not one.
inline const char* skip_escape(const char* p, const char* end) {
    if (end - p < 2) return nullptr;
    if (p[1] == 'u') {
        if (end - p < 6) return nullptr;
        for (int i = 2; i < 6; ++i)
            if (hex_value(p[i]) < 0) return nullptr;
        return p + 6;
    }
    return p[1] != '\0' && std::strchr("\"\\/bfnrt", p[1]) != nullptr ? p + 2 : nullptr;
}

// `p` at the opening quote; past the closing one, or null.
inline const char* scan_string(const char* p, const char* end, Value* out) {
    out->begin = ++p;
    out->type = V_STRING;
    for (;;) {
        while (p < end && is_plain(*p)) ++p;
        if (p >= end) return nullptr;
        if (*p == '"') {
            out->stop = p;
            return p + 1;
        }
        if (static_cast<unsigned char>(*p) < 0x20) return nullptr;
        out->type = V_ESCAPED;
        p = *p == '\\' ? skip_escape(p, end) : skip_utf8(p, end);
        if (p == nullptr) return nullptr;
    }
}

inline const char* skip_digits(const char* p, const char* end) {
    while (p < end && is_digit(*p)) ++p;
    return p;
}

inline const char* scan_number(const char* p, const char* end, Value* out) {
    out->begin = p;
    out->type = V_INTEGER;
    if (*p == '-') {
        out->type = V_NUMBER;
        ++p;
    }
    const char* digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1)) return nullptr;
    if (p < end && *p == '.') {
        out->type = V_NUMBER;
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits) return nullptr;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        out->type = V_NUMBER;
        ++p;
        if (p < end && (*p == '+' || *p == '-')) ++p;
        digits = p;
        p = skip_digits(p, end);
        if (p == digits) return nullptr;
    }
    out->stop = p;
    return p;
}

inline const char* scan_word(const char* p, const char* end, const char* word, Value* out) {
    const auto size = static_cast<std::ptrdiff_t>(std::strlen(word));
    out->begin = p;
    out->type = V_WORD;
    if (end - p < size || std::memcmp(p, word, static_cast<std::size_t>(size)) != 0) return nullptr;
    return out->stop = p + size;
}

const char* skip_container(const char* p, const char* end, int depth, Value* out);

// One value of any type, `p` at its first byte; past it, or null. `depth` containers are open around it.
inline const char* scan_value(const char* p, const char* end, int depth, Value* out) {
    if (p >= end) return nullptr;
    switch (*p) {
        case '"': return scan_string(p, end, out);
        case '{':
        case '[': return skip_container(p, end, depth, out);
        case 't': return scan_word(p, end, "true", out);
        case 'f': return scan_word(p, end, "false", out);
        case 'n': return scan_word(p, end, "null", out);
        default: return *p == '-' || is_digit(*p) ? scan_number(p, end, out) : nullptr;
    }
}

// A member's name and colon, white space around them; at the member's value, or null.
inline const char* scan_key(const char* p, const char* end, Value* key) {
    p = skip_space(p, end);
    if (p >= end || *p != '"') return nullptr;
    p = scan_string(p, end, key);
    if (p == nullptr) return nullptr;
    p = skip_space(p, end);
    return p < end && *p == ':' ? skip_space(p + 1, end) : nullptr;
}

inline const char* skip_container(const char* p, const char* end, int depth, Value* out) {
    const bool is_object = *p == '{';
    const char closing = is_object ? '}' : ']';
    Value inner;
    out->begin = p;
    out->type = is_object ? V_OBJECT : V_ARRAY;
    if (depth >= MAX_DEPTH) return nullptr;
    p = skip_space(p + 1, end);
    if (p < end && *p == closing) return out->stop = p + 1;
    for (;;) {
        p = is_object ? scan_key(p, end, &inner) : skip_space(p, end);
        if (p == nullptr) return nullptr;
        p = scan_value(p, end, depth + 1, &inner);
        if (p == nullptr) return nullptr;
        p = skip_space(p, end);
        if (p >= end) return nullptr;
        if (*p == closing) return out->stop = p + 1;
        if (*p++ != ',') return nullptr;
    }
}

inline int64_t unescape(const char* p, const char* stop, char* out, int64_t cap) {
    int64_t size = 0;
    while (p < stop) {
        int code = static_cast<unsigned char>(*p);
        if (code != '\\') {
            ++p;
        } else if (p[1] == 'u') {
            code = (hex_value(p[2]) << 12) | (hex_value(p[3]) << 8) | (hex_value(p[4]) << 4) | hex_value(p[5]);
            p += 6;
        } else {
            code = p[1] == '"' || p[1] == '\\' || p[1] == '/' ? p[1] : 0;
            p += 2;
        }
        if (size == cap || code < 0x20 || code >= 0x80) return -1;
        out[size++] = static_cast<char>(code);
    }
    return size;
}

// Decoded text of a string; -1 when it is no string, is longer than `cap`, or is not ASCII from space on, as every name of ours is.
inline int64_t string_bytes(const Value* value, char* out, int64_t cap) {
    if (value->type == V_ESCAPED) return unescape(value->begin, value->stop, out, cap);
    const int64_t size = value->stop - value->begin;
    if (value->type != V_STRING || size > cap) return -1;
    std::memcpy(out, value->begin, static_cast<std::size_t>(size));
    return size;
}

}  // namespace backstay::json
