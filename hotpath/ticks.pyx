"""Market-data frames to ticks: a strict scanner of the Binance combined-stream frames that the hot path uses.

A frame is RFC 8259 JSON in UTF-8, whole, at most 32 deep; everything is validated, in any member order and with any
legal white space and escapes, so there is no slow path that could answer differently. hotpath/ref/ticks.py is the rule book.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset
from hotpath.fixed cimport parse_e9
from hotpath.quotes cimport QuoteTable

cdef enum:
    SYMBOL_BYTES = 32
    NAME_BYTES = 64             # stream name: symbol, @, kind
    MEMBERS = 16                # slots of the one-letter members that are read

cdef const char* LETTERS = b" uesbBaATEtpqX"         # a member's slot is its place here; 0 = not one of ours
cdef unsigned char SLOT_OF[256]


cdef void fill_tables() noexcept nogil:
    cdef int i
    for i in range(256):
        SLOT_OF[i] = 0
    for i in range(1, 14):
        SLOT_OF[<unsigned char>LETTERS[i]] = <unsigned char>i


fill_tables()

cdef int64_t MAX_VENUE_MS = 9_223_372_036_854       # * 1e6 still fits int64

cdef extern from "hotpath/src/json_scan.hpp" namespace "backstay::json" nogil:
    cdef enum ValueType:
        V_NONE
        V_STRING
        V_ESCAPED               # a string with an escape or a non-ASCII character in it
        V_INTEGER               # digits only
        V_OBJECT

    cdef struct Value:
        const char* begin       # of a string: after the quote
        const char* stop
        int32_t type

    bint is_plain(char c) noexcept
    const char* skip_space(const char* p, const char* end) noexcept
    const char* scan_key(const char* p, const char* end, Value* key) noexcept
    const char* scan_string(const char* p, const char* end, Value* out) noexcept
    const char* scan_value(const char* p, const char* end, int depth, Value* out) noexcept
    int64_t string_bytes(const Value* value, char* out, int64_t cap) noexcept

cdef struct SymbolSlot:
    char name[SYMBOL_BYTES]     # upper case, zero padded
    uint32_t row
    uint32_t size               # 0 = free

cdef struct SymbolMap:
    SymbolSlot* slots
    uint32_t mask
    uint32_t used


cdef const char* scan_data(const char* p, const char* end, Value* members, bint* is_twice) noexcept nogil:
    """The data object, `p` at its brace: its members that are read go to `members` by slot."""
    cdef Value key
    cdef char name[2]
    cdef int slot
    p = skip_space(p + 1, end)
    if p < end and p[0] == c"}":
        return p + 1
    while True:
        if end - p > 4 and p[0] == c'"' and is_plain(p[1]) and p[2] == c'"' and p[3] == c":":
            slot = SLOT_OF[<unsigned char>p[1]]          # the spelling that feeds use; the rest is for all others
            p += 4
        else:
            p = scan_key(p, end, &key)
            if p == NULL:
                return NULL
            slot = 0
            if string_bytes(&key, name, 1) == 1:
                slot = SLOT_OF[<unsigned char>name[0]]
        if slot != 0 and members[slot].type != V_NONE:
            is_twice[0] = True
        if p < end and p[0] == c'"':
            p = scan_string(p, end, &members[slot])
        else:
            p = skip_space(p, end)
            p = scan_value(p, end, 2, &members[slot])
        if p == NULL:
            return NULL
        p = skip_space(p, end)
        if p >= end:
            return NULL
        if p[0] == c"}":
            return p + 1
        if p[0] != c",":
            return NULL
        p += 1


cdef inline bint is_named(const Value* key, const char* name, Py_ssize_t size) noexcept nogil:
    cdef char text[8]
    if key.type == V_STRING:
        return key.stop - key.begin == size and memcmp(key.begin, name, size) == 0
    return string_bytes(key, text, 8) == size and memcmp(text, name, size) == 0


cdef int scan_frame(const char* p, const char* end, Value* stream, Value* data, Value* members,
                    bint* is_twice) noexcept nogil:
    """0 when the whole text is one sound JSON object, -1 if not."""
    cdef Value key
    cdef Value other
    p = skip_space(p, end)
    if p >= end or p[0] != c"{":
        return -1
    p = skip_space(p + 1, end)
    if p < end and p[0] == c"}":
        return 0 if skip_space(p + 1, end) == end else -1
    while True:
        p = scan_key(p, end, &key)
        if p == NULL:
            return -1
        if is_named(&key, b"stream", 6):
            is_twice[0] |= stream.type != V_NONE
            p = scan_value(p, end, 1, stream)
        elif is_named(&key, b"data", 4):
            is_twice[0] |= data.type != V_NONE
            if p < end and p[0] == c"{":
                data.type = V_OBJECT
                p = scan_data(p, end, members, is_twice)
            else:
                p = scan_value(p, end, 1, data)
        else:
            p = scan_value(p, end, 1, &other)
        if p == NULL:
            return -1
        p = skip_space(p, end)
        if p >= end:
            return -1
        if p[0] == c"}":
            return 0 if skip_space(p + 1, end) == end else -1
        if p[0] != c",":
            return -1
        p += 1


cdef inline int read_decimal(const Value* value, int64_t* out) noexcept nogil:
    cdef char text[NAME_BYTES]
    cdef Py_ssize_t size
    if value.type == V_STRING:
        return -1 if value.begin[0] == c"-" or parse_e9(value.begin, value.stop - value.begin, out) else 0
    if value.type != V_ESCAPED:
        return -1
    size = string_bytes(value, text, NAME_BYTES)
    return -1 if size <= 0 or text[0] == c"-" or parse_e9(text, size, out) else 0


cdef inline int read_integer(const Value* value, int64_t limit, int64_t* out) noexcept nogil:
    cdef const char* p = value.begin
    cdef uint64_t number = 0
    if value.type != V_INTEGER or value.stop - p > 19:      # 19 digits always fit 64 unsigned bits
        return -1
    while p < value.stop:
        number = number * 10 + <uint64_t>(p[0] - c"0")
        p += 1
    if number > <uint64_t>limit:
        return -1
    out[0] = <int64_t>number
    return 0


cdef inline int slot_of(char letter) noexcept nogil:
    return SLOT_OF[<unsigned char>letter]


cdef inline char upper(char c) noexcept nogil:
    return c - 32 if c"a" <= c <= c"z" else c


cdef inline uint64_t hash_name(const char* name, Py_ssize_t size) noexcept nogil:
    """FNV-1a; multiplication mod 2^64 is meant."""
    cdef uint64_t value = 14695981039346656037ULL
    cdef Py_ssize_t i
    for i in range(size):
        value = multiply_wrapping(value ^ <unsigned char>name[i])
    return value ^ (value >> 32)


cdef extern from *:
    """
    static inline unsigned long long backstay_fnv_step(unsigned long long value) { return value * 1099511628211ULL; }
    """
    uint64_t multiply_wrapping "backstay_fnv_step"(uint64_t value) noexcept nogil


cdef inline int64_t find_row(const SymbolMap* map, const char* name, Py_ssize_t size) noexcept nogil:
    cdef uint64_t at = hash_name(name, size) & map.mask
    while map.slots[at].size != 0:
        if map.slots[at].size == <uint32_t>size and memcmp(map.slots[at].name, name, size) == 0:
            return map.slots[at].row
        at = (at + 1) & map.mask
    return -1


cdef class TickParser:
    """Frames to ticks for the instruments of one quote table. Symbols are mapped at start; parsing allocates nothing."""

    def __cinit__(self, QuoteTable quotes not None):
        cdef SymbolMap* map = <SymbolMap*>calloc(1, sizeof(SymbolMap))
        if map == NULL:
            raise MemoryError
        self.impl = map
        self.quotes = quotes
        self.feed_symbols = {}
        map.mask = 1
        while map.mask + 1 < quotes.capacity * 2 + 2:
            map.mask = map.mask * 2 + 1
        map.slots = <SymbolSlot*>calloc(map.mask + 1, sizeof(SymbolSlot))
        if map.slots == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef SymbolMap* map = <SymbolMap*>self.impl
        if map != NULL:
            free(map.slots)
            free(map)

    def map_symbol(self, str feed_symbol not None, int64_t row):
        """Name an instrument row as the feed does. Raises ValueError: row not in the table, name taken or not sound."""
        cdef SymbolMap* map = <SymbolMap*>self.impl
        cdef bytes name = feed_symbol.upper().encode()
        cdef const char* text = name
        cdef Py_ssize_t size = len(name)
        cdef uint64_t at
        if not 1 <= size <= SYMBOL_BYTES or not feed_symbol.isascii() or not feed_symbol.isprintable():
            raise ValueError("feed symbol must be 1 to 32 printable ASCII characters: %r" % feed_symbol)
        if not 0 <= row < self.quotes.capacity:
            raise ValueError("no instrument row %d" % row)
        if find_row(map, text, size) >= 0 or map.used * 2 > map.mask:
            raise ValueError("feed symbol %r is mapped already, or the map is full" % feed_symbol)
        at = hash_name(text, size) & map.mask
        while map.slots[at].size != 0:
            at = (at + 1) & map.mask
        memcpy(map.slots[at].name, text, size)
        map.slots[at].row = <uint32_t>row
        map.slots[at].size = <uint32_t>size
        map.used += 1
        self.feed_symbols[name.decode()] = row

    cdef int parse(self, const char* data, Py_ssize_t size, Tick* out) noexcept nogil:
        cdef const SymbolMap* map = <const SymbolMap*>self.impl
        cdef Value members[MEMBERS]
        cdef Value stream
        cdef Value body
        cdef char name[NAME_BYTES]
        cdef Py_ssize_t length
        cdef bint is_twice = False
        memset(out, 0, sizeof(Tick))
        memset(members, 0, sizeof(members))
        stream.type = V_NONE
        body.type = V_NONE
        out.kind = TICK_MALFORMED
        if scan_frame(data, data + size, &stream, &body, members, &is_twice) or is_twice:
            return TICK_MALFORMED
        if stream.type == V_NONE:                        # a subscription answer or a snapshot
            out.kind = TICK_OTHER
            return TICK_OTHER
        if stream.type > V_ESCAPED or body.type == V_NONE:
            return TICK_MALFORMED
        length = string_bytes(&stream, name, NAME_BYTES)
        if length > 11 and memcmp(name + length - 11, b"@bookTicker", 11) == 0:
            out.kind = read_quote(map, members, name, length - 11, body.type, out)
        elif length > 6 and memcmp(name + length - 6, b"@trade", 6) == 0:
            out.kind = read_trade(map, members, name, length - 6, body.type, out)
        else:
            out.kind = TICK_OTHER
        if out.kind != TICK_QUOTE and out.kind != TICK_TRADE:
            length = out.kind
            memset(out, 0, sizeof(Tick))
            out.kind = <int32_t>length
        return out.kind

    def parse_py(self, bytes frame not None) -> dict:
        """The tick as a dict of its members, for tests and tools."""
        cdef Tick tick
        self.parse(frame, len(frame), &tick)
        return {
            "kind": tick.kind, "instrument": tick.instrument,
            "bid_px_e9": tick.bid_px_e9, "bid_qty_e9": tick.bid_qty_e9,
            "ask_px_e9": tick.ask_px_e9, "ask_qty_e9": tick.ask_qty_e9,
            "px_e9": tick.px_e9, "qty_e9": tick.qty_e9, "venue_ns": tick.venue_ns, "feed_seq": tick.feed_seq,
        }

    def parse_many(self, list frames not None) -> list:
        """How many frames gave each kind, from MALFORMED to UNKNOWN_SYMBOL: the parser alone, for benchmarks and replays."""
        cdef long long counts[5]
        cdef Tick tick
        cdef bytes frame
        memset(counts, 0, sizeof(counts))
        for frame in frames:
            counts[self.parse(frame, len(frame), &tick) + 1] += 1
        return [counts[i] for i in range(5)]


cdef inline bint is_event(const Value* value, const char* name, Py_ssize_t size) noexcept nogil:
    """Absent (spot book tickers), or the stream's own event name."""
    return value.type == V_NONE or ((value.type == V_STRING or value.type == V_ESCAPED) and is_event_named(value, name, size))


cdef inline bint is_event_named(const Value* value, const char* name, Py_ssize_t size) noexcept nogil:
    cdef char text[16]
    return string_bytes(value, text, 16) == size and memcmp(text, name, size) == 0


cdef inline int read_time(const Value* m, Tick* out) noexcept nogil:
    """venue_ns from T, else E, else 0; each must be sound where present."""
    cdef int64_t event_ms = 0
    cdef int64_t trade_ms = 0
    cdef const Value* event = &m[slot_of(c"E")]
    cdef const Value* trade = &m[slot_of(c"T")]
    if event.type != V_NONE and read_integer(event, MAX_VENUE_MS, &event_ms):
        return -1
    if trade.type != V_NONE and read_integer(trade, MAX_VENUE_MS, &trade_ms):
        return -1
    out.venue_ns = (trade_ms if trade.type != V_NONE else event_ms) * 1_000_000
    return 0


cdef int read_quote(const SymbolMap* map, const Value* m, const char* stream, Py_ssize_t size, int type,
                    Tick* out) noexcept nogil:
    cdef int64_t feed_seq
    if type != V_OBJECT or not is_event(&m[slot_of(c"e")], b"bookTicker", 10):
        return TICK_MALFORMED
    if read_integer(&m[slot_of(c"u")], 0x7FFFFFFFFFFFFFFF, &feed_seq) or read_time(m, out):
        return TICK_MALFORMED
    if read_decimal(&m[slot_of(c"b")], &out.bid_px_e9) or read_decimal(&m[slot_of(c"B")], &out.bid_qty_e9):
        return TICK_MALFORMED
    if read_decimal(&m[slot_of(c"a")], &out.ask_px_e9) or read_decimal(&m[slot_of(c"A")], &out.ask_qty_e9):
        return TICK_MALFORMED
    out.feed_seq = <uint64_t>feed_seq
    return read_symbol(map, &m[slot_of(c"s")], stream, size, TICK_QUOTE, out)


cdef int read_trade(const SymbolMap* map, const Value* m, const char* stream, Py_ssize_t size, int type,
                    Tick* out) noexcept nogil:
    cdef int64_t feed_seq
    cdef int kind
    cdef const Value* how = &m[slot_of(c"X")]
    if type != V_OBJECT or not is_event(&m[slot_of(c"e")], b"trade", 5):
        return TICK_MALFORMED
    if read_integer(&m[slot_of(c"t")], 0x7FFFFFFFFFFFFFFF, &feed_seq) or read_time(m, out):
        return TICK_MALFORMED
    if read_decimal(&m[slot_of(c"p")], &out.px_e9) or read_decimal(&m[slot_of(c"q")], &out.qty_e9):
        return TICK_MALFORMED
    if how.type != V_NONE and how.type != V_STRING and how.type != V_ESCAPED:
        return TICK_MALFORMED
    out.feed_seq = <uint64_t>feed_seq
    kind = read_symbol(map, &m[slot_of(c"s")], stream, size, TICK_TRADE, out)
    if kind != TICK_MALFORMED and how.type != V_NONE and not is_named(how, b"MARKET", 6):
        return TICK_OTHER                            # insurance fund, deleveraging: prints that are no market price
    return kind


cdef int read_symbol(const SymbolMap* map, const Value* value, const char* stream, Py_ssize_t size, int kind,
                     Tick* out) noexcept nogil:
    """`kind` with the row filled in; the stream's name and the data must name the same symbol."""
    cdef char name[SYMBOL_BYTES]
    cdef int64_t row
    cdef Py_ssize_t length, i
    if value.type != V_STRING and value.type != V_ESCAPED:
        return TICK_MALFORMED
    length = string_bytes(value, name, SYMBOL_BYTES)
    if length != size:
        return TICK_MALFORMED
    for i in range(length):
        name[i] = upper(name[i])
        if name[i] != upper(stream[i]):
            return TICK_MALFORMED
    row = find_row(map, name, length)
    if row < 0:
        return TICK_UNKNOWN_SYMBOL
    out.instrument = <uint32_t>row
    return kind
