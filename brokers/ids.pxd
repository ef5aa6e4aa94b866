"""Identity shown to a broker: shard, history, order row and revision in 17 characters, decodable without an index."""
from libc.stdint cimport uint32_t

cdef enum:
    BROKER_ID_CHARS = 17
    HISTORY_CHARS = 5

cdef struct BrokerId:
    uint32_t shard
    uint32_t order
    uint32_t rev
    char history[8]          # HISTORY_CHARS used

cdef int encode_id(char* out, uint32_t shard, const char* history, uint32_t order, uint32_t rev) noexcept nogil
cdef int decode_id(const char* text, Py_ssize_t size, BrokerId* out) noexcept nogil      # 0 ok, -1 not one of ours
