"""Identity shown to a broker: `B` + 2 shard + 5 history + 7 order + 2 revision, Crockford base32.

The history tag names the journal that the order row belongs to: after a restore from an older backup the rows start
to repeat, and only another tag keeps an id from being used twice.
"""

cdef const char* DIGITS = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
cdef signed char VALUES[256]


cdef void fill_values() noexcept nogil:
    cdef int i
    for i in range(256):
        VALUES[i] = -1
    for i in range(32):
        VALUES[<unsigned char>DIGITS[i]] = <signed char>i


fill_values()


cdef inline void put(char* out, int chars, uint32_t value) noexcept nogil:
    cdef int i
    for i in range(chars - 1, -1, -1):
        out[i] = DIGITS[value & 31]
        value >>= 5


cdef inline int take(const char* text, int chars, unsigned long long* out) noexcept nogil:
    cdef unsigned long long value = 0
    cdef int i
    cdef signed char digit
    for i in range(chars):
        digit = VALUES[<unsigned char>text[i]]
        if digit < 0:
            return -1
        value = (value << 5) | <unsigned long long>digit
    out[0] = value
    return 0


cdef int encode_id(char* out, uint32_t shard, const char* history, uint32_t order, uint32_t rev) noexcept nogil:
    cdef int i
    if shard > 1023 or rev > 1023:
        return -1
    out[0] = c"B"
    put(out + 1, 2, shard)
    for i in range(HISTORY_CHARS):
        if VALUES[<unsigned char>history[i]] < 0:
            return -1
        out[3 + i] = history[i]
    put(out + 8, 7, order)
    put(out + 15, 2, rev)
    return 0


cdef int decode_id(const char* text, Py_ssize_t size, BrokerId* out) noexcept nogil:
    cdef unsigned long long shard, tag, order, rev
    cdef int i
    if size != BROKER_ID_CHARS or text[0] != c"B":
        return -1
    if take(text + 1, 2, &shard) or take(text + 3, 5, &tag) or take(text + 8, 7, &order) or take(text + 15, 2, &rev):
        return -1
    if order > 0xFFFFFFFFULL:
        return -1
    out.shard = <uint32_t>shard
    out.order = <uint32_t>order
    out.rev = <uint32_t>rev
    for i in range(HISTORY_CHARS):
        out.history[i] = text[3 + i]
    return 0


def encode_broker_id(shard: int, history: bytes, order: int, rev: int) -> bytes:
    """17 ASCII characters. Raises ValueError when a part is out of range or the tag is not five base32 characters."""
    cdef char out[BROKER_ID_CHARS]
    cdef const char* tag
    if not 0 <= order <= 0xFFFFFFFF or not 0 <= shard <= 1023 or not 0 <= rev <= 1023:
        raise ValueError("broker id out of range: shard=%d order=%d rev=%d" % (shard, order, rev))
    if len(history) != HISTORY_CHARS:
        raise ValueError("history tag must be five base32 characters: %r" % history)
    tag = history
    if encode_id(out, shard, tag, order, rev):
        raise ValueError("history tag must be five base32 characters: %r" % history)
    return out[:BROKER_ID_CHARS]


def decode_broker_id(text: bytes) -> tuple | None:
    """(shard, history, order, rev), or None when the id is not one that `encode_broker_id` makes."""
    cdef BrokerId parts
    if decode_id(text, len(text), &parts):
        return None
    return parts.shard, parts.history[:HISTORY_CHARS], parts.order, parts.rev
