"""Journal record framing: fixed header, payload, CRC32C over everything after the crc field."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint16_t, uint8_t

cdef struct FrameHeader:                 # 40 bytes, little endian
    uint32_t length                      # of the whole frame, header included, without padding
    uint32_t crc32c                      # of bytes [8, length)
    uint64_t seq                         # journal sequence, 1 upward, no gap
    int64_t wall_ns
    uint32_t epoch
    uint16_t kind                        # hotpath.records.Kind
    uint8_t version                      # of the payload layout of that kind
    uint8_t flags                        # bit 0: the atomic group continues in the next frame
    uint64_t reserved                    # 0

cpdef enum:
    FRAME_HEADER_BYTES = 40
    FRAME_ALIGN_BYTES = 8                # frames start on multiples of this; the gap is zero
    FRAME_MAX_BYTES = 65536
    FLAG_CONTINUES = 1

cdef uint32_t crc32c(const void* data, Py_ssize_t size, uint32_t seed) noexcept nogil
cdef Py_ssize_t frame_space(Py_ssize_t payload_bytes) noexcept nogil              # padded bytes that a frame takes
# Write a whole frame (header, payload, zero padding) at `out`; returns padded bytes.
cdef Py_ssize_t write_frame(char* out, uint64_t seq, int64_t wall_ns, uint32_t epoch, uint16_t kind, uint8_t version,
                            uint8_t flags, const void* payload, Py_ssize_t payload_bytes) noexcept nogil
# Validate the frame at data[0:avail]: padded length if whole and sound, 0 if there is none (zero length word or too short), -1 if bad.
cdef Py_ssize_t check_frame(const char* data, Py_ssize_t avail) noexcept nogil
