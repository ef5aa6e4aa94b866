"""Journal record framing: write, check and scan frames, with CRC32C in hardware where the processor has it.

The layout is ``FrameHeader`` in frame.pxd, little endian in memory and on disk. ``hotpath/ref/frame.py`` is the specification.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint16_t, uint8_t
from libc.string cimport memcpy, memset

from typing import NamedTuple

cdef extern from *:
    """
    #include <cstddef>
    #include <cstdint>
    #include <cstring>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the journal's frames are laid out for a little-endian machine"
    #endif
    #if defined(__x86_64__)
    #include <nmmintrin.h>
    #elif defined(__ARM_FEATURE_CRC32)
    #include <arm_acle.h>
    #endif

    namespace backstay_crc {

    struct Tables {                          // slicing by eight, polynomial 0x82f63b78 (Castagnoli, reflected)
        uint32_t row[8][256];
        Tables() {
            for (uint32_t n = 0; n < 256; ++n) {
                uint32_t c = n;
                for (int k = 0; k < 8; ++k) c = (c >> 1) ^ ((c & 1u) ? 0x82f63b78u : 0u);
                row[0][n] = c;
            }
            for (uint32_t n = 0; n < 256; ++n)
                for (int t = 1; t < 8; ++t) row[t][n] = (row[t - 1][n] >> 8) ^ row[0][row[t - 1][n] & 255u];
        }
    };
    static const Tables tables;

    static uint32_t by_table(const unsigned char* p, size_t n, uint32_t c) {
        while (n >= 8) {
            uint32_t lo, hi;
            std::memcpy(&lo, p, 4);
            std::memcpy(&hi, p + 4, 4);
            lo ^= c;
            c = tables.row[7][lo & 255] ^ tables.row[6][(lo >> 8) & 255] ^ tables.row[5][(lo >> 16) & 255]
              ^ tables.row[4][lo >> 24] ^ tables.row[3][hi & 255] ^ tables.row[2][(hi >> 8) & 255]
              ^ tables.row[1][(hi >> 16) & 255] ^ tables.row[0][hi >> 24];
            p += 8; n -= 8;
        }
        while (n--) c = (c >> 8) ^ tables.row[0][(c ^ *p++) & 255u];
        return c;
    }

    typedef uint32_t (*Kernel)(const unsigned char*, size_t, uint32_t);

    #if defined(__x86_64__)
    __attribute__((target("sse4.2")))
    static uint32_t by_sse42(const unsigned char* p, size_t n, uint32_t c32) {
        uint64_t c = c32, w;
        while (n >= 8) { std::memcpy(&w, p, 8); c = _mm_crc32_u64(c, w); p += 8; n -= 8; }
        c32 = (uint32_t)c;
        while (n--) c32 = _mm_crc32_u8(c32, *p++);
        return c32;
    }
    static Kernel choose() { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2") ? by_sse42 : by_table; }
    #elif defined(__ARM_FEATURE_CRC32)
    static uint32_t by_arm(const unsigned char* p, size_t n, uint32_t c) {
        uint64_t w;
        while (n >= 8) { std::memcpy(&w, p, 8); c = __crc32cd(c, w); p += 8; n -= 8; }
        while (n--) c = __crc32cb(c, *p++);
        return c;
    }
    static Kernel choose() { return by_arm; }
    #else
    static Kernel choose() { return by_table; }
    #endif
    static const Kernel kernel = choose();

    static inline uint32_t run(const void* data, Py_ssize_t size, uint32_t seed) {
        return ~kernel((const unsigned char*)data, (size_t)size, ~seed);
    }
    static inline uint32_t run_table(const void* data, Py_ssize_t size, uint32_t seed) {
        return ~by_table((const unsigned char*)data, (size_t)size, ~seed);
    }
    static inline bool is_hardware() { return kernel != by_table; }

    // First byte in [from, to) that is not zero, or `to`.
    static inline Py_ssize_t first_nonzero(const char* data, Py_ssize_t from, Py_ssize_t to) {
        while (from < to && (from & 7)) { if (data[from]) return from; ++from; }
        uint64_t word;
        while (from + 8 <= to) {
            std::memcpy(&word, data + from, 8);
            if (word) break;
            from += 8;
        }
        while (from < to && !data[from]) ++from;
        return from;
    }
    }  // namespace backstay_crc
    """
    uint32_t crc_run "backstay_crc::run"(const void* data, Py_ssize_t size, uint32_t seed) noexcept nogil
    uint32_t crc_run_table "backstay_crc::run_table"(const void* data, Py_ssize_t size, uint32_t seed) noexcept nogil
    bint crc_is_hardware "backstay_crc::is_hardware"() noexcept nogil
    Py_ssize_t crc_first_nonzero "backstay_crc::first_nonzero"(const char* data, Py_ssize_t start,
                                                               Py_ssize_t stop) noexcept nogil

SCAN_END = 0        # nothing follows: a zero length word, or the end of the data
SCAN_BAD = 1        # what follows is not a whole, sound frame
SCAN_SEQ = 2        # a sound frame follows, but its seq is not the next one
SCAN_EPOCH = 3      # a sound frame follows, but its epoch went back


class Frame(NamedTuple):
    """One decoded frame: the header's fields, the payload, and the padded bytes that it takes."""

    seq: int
    wall_ns: int
    epoch: int
    kind: int
    version: int
    flags: int
    payload: memoryview
    space: int


class Scan(NamedTuple):
    """What a run of frames holds. ``whole_*`` stop at the last frame that ends an atomic group."""

    end: int
    last_seq: int
    frames: int
    epoch: int
    whole_end: int
    whole_last_seq: int
    whole_frames: int
    code: int


cdef uint32_t crc32c(const void* data, Py_ssize_t size, uint32_t seed) noexcept nogil:
    return crc_run(data, size, seed)


cdef Py_ssize_t frame_space(Py_ssize_t payload_bytes) noexcept nogil:
    return (payload_bytes + FRAME_HEADER_BYTES + FRAME_ALIGN_BYTES - 1) & ~<Py_ssize_t>(FRAME_ALIGN_BYTES - 1)


cdef Py_ssize_t write_frame(char* out, uint64_t seq, int64_t wall_ns, uint32_t epoch, uint16_t kind, uint8_t version,
                            uint8_t flags, const void* payload, Py_ssize_t payload_bytes) noexcept nogil:
    cdef FrameHeader header
    cdef Py_ssize_t length = payload_bytes + FRAME_HEADER_BYTES
    cdef Py_ssize_t space = frame_space(payload_bytes)
    header.length = <uint32_t>length
    header.crc32c = 0
    header.seq = seq
    header.wall_ns = wall_ns
    header.epoch = epoch
    header.kind = kind
    header.version = version
    header.flags = flags
    header.reserved = 0
    memcpy(out, &header, FRAME_HEADER_BYTES)
    if payload_bytes > 0:
        memcpy(out + FRAME_HEADER_BYTES, payload, <size_t>payload_bytes)
    memset(out + length, 0, <size_t>(space - length))
    header.crc32c = crc_run(out + 8, length - 8, 0)
    memcpy(out + 4, &header.crc32c, 4)
    return space


cdef Py_ssize_t check_frame(const char* data, Py_ssize_t avail) noexcept nogil:
    cdef FrameHeader header
    cdef Py_ssize_t length, space
    if avail < 4:
        return 0
    memcpy(&header.length, data, 4)
    if header.length == 0:
        return 0
    if header.length < FRAME_HEADER_BYTES or header.length > FRAME_MAX_BYTES:
        return -1
    length = <Py_ssize_t>header.length
    space = frame_space(length - FRAME_HEADER_BYTES)
    if space > avail:
        return 0
    memcpy(&header, data, FRAME_HEADER_BYTES)
    if crc_run(data + 8, length - 8, 0) != header.crc32c or header.seq == 0 or header.reserved != 0:
        return -1
    if crc_first_nonzero(data, length, space) != space:
        return -1          # the padding is outside the crc: it must still be what was written
    return space


cdef struct ScanState:
    Py_ssize_t end
    uint64_t last_seq
    int64_t frames
    uint32_t epoch
    Py_ssize_t whole_end
    uint64_t whole_last_seq
    int64_t whole_frames


cdef int scan_frames(const char* data, Py_ssize_t stop, ScanState* state) noexcept nogil:
    """Walk sound frames from state.end; continuity of seq is checked unless state.last_seq is the all-ones wildcard."""
    cdef FrameHeader header
    cdef Py_ssize_t space
    while True:
        space = check_frame(data + state.end, stop - state.end)
        if space <= 0:
            if space == 0 and crc_first_nonzero(data, state.end, min(state.end + 4, stop)) == min(state.end + 4, stop):
                return 0
            return 1
        memcpy(&header, data + state.end, FRAME_HEADER_BYTES)
        if state.last_seq != <uint64_t>-1 and header.seq != state.last_seq + 1:
            return 2
        if header.epoch < state.epoch:
            return 3
        state.end += space
        state.last_seq = header.seq
        state.epoch = header.epoch
        state.frames += 1
        if not header.flags & FLAG_CONTINUES:
            state.whole_end = state.end
            state.whole_last_seq = header.seq
            state.whole_frames = state.frames


cdef Py_ssize_t find_sound(const char* data, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    cdef Py_ssize_t at = (start + FRAME_ALIGN_BYTES - 1) & ~<Py_ssize_t>(FRAME_ALIGN_BYTES - 1)
    while at < stop:
        if check_frame(data + at, stop - at) > 0:
            return at
        at += FRAME_ALIGN_BYTES
    return -1


def checksum(const unsigned char[::1] data not None, uint32_t seed=0):
    """CRC32C of ``data``; pass the result for the bytes before it as ``seed`` to go on."""
    return crc_run(&data[0] if data.shape[0] else NULL, data.shape[0], seed)


def checksum_by_table(const unsigned char[::1] data not None, uint32_t seed=0):
    """The same without the processor's instruction: what a machine without it computes."""
    return crc_run_table(&data[0] if data.shape[0] else NULL, data.shape[0], seed)


def has_hardware_crc():
    """Whether ``checksum`` uses the processor's CRC32C instruction."""
    return bool(crc_is_hardware())


def space(Py_ssize_t payload_bytes):
    """Padded bytes that a frame with this payload takes."""
    return frame_space(payload_bytes)


def pack_frame(uint64_t seq, int64_t wall_ns, uint32_t epoch, uint16_t kind, uint8_t version, uint8_t flags,
               bytes payload not None):
    """One whole frame as bytes. Raises ValueError when it would be longer than FRAME_MAX_BYTES or seq is 0."""
    cdef Py_ssize_t size = len(payload)
    if size > FRAME_MAX_BYTES - FRAME_HEADER_BYTES or seq == 0:
        raise ValueError(f"frame refused: seq={seq} payload_bytes={size}")
    cdef bytearray out = bytearray(frame_space(size))
    write_frame(<char*>out, seq, wall_ns, epoch, kind, version, flags, <const char*>payload, size)
    return bytes(out)


def check(const unsigned char[::1] data not None, Py_ssize_t offset=0):
    """``check_frame`` at an offset: padded length, 0 for none or not whole, -1 for bad."""
    if not 0 <= offset <= data.shape[0]:
        raise IndexError(f"offset {offset} outside 0..{data.shape[0]}")
    if offset == data.shape[0]:
        return 0
    return check_frame(<const char*>&data[offset], data.shape[0] - offset)


def unpack_frame(data, Py_ssize_t offset=0):
    """Decode the frame at an offset of data already checked. Raises ValueError when no sound frame is there."""
    cdef const unsigned char[::1] view = data
    cdef FrameHeader header
    if not 0 <= offset < view.shape[0] or check_frame(<const char*>&view[offset], view.shape[0] - offset) <= 0:
        raise ValueError(f"no sound frame at offset {offset}")
    memcpy(&header, &view[offset], FRAME_HEADER_BYTES)
    payload = memoryview(data)[offset + FRAME_HEADER_BYTES:offset + <Py_ssize_t>header.length]
    return Frame(header.seq, header.wall_ns, header.epoch, header.kind, header.version, header.flags, payload,
                 frame_space(<Py_ssize_t>header.length - FRAME_HEADER_BYTES))


def scan(const unsigned char[::1] data not None, Py_ssize_t offset, Py_ssize_t stop, after_seq=None,
         uint32_t min_epoch=0):
    """Validate the run of frames at ``data[offset:stop]``: CRC, seq continuity after ``after_seq`` (None: any), epochs.

    ``end`` is the offset after the last sound frame, ``code`` says why it ended there (SCAN_*). Without the GIL.
    """
    cdef ScanState state
    cdef int code
    if not 0 <= offset <= stop <= data.shape[0]:
        raise IndexError(f"run {offset}..{stop} outside 0..{data.shape[0]}")
    memset(&state, 0, sizeof(ScanState))
    state.end = state.whole_end = offset
    state.last_seq = <uint64_t>-1 if after_seq is None else <uint64_t>after_seq
    state.epoch = min_epoch
    if offset == stop:
        code = 0
    else:
        with nogil:
            code = scan_frames(<const char*>&data[0], stop, &state)
    last_seq = 0 if state.last_seq == <uint64_t>-1 else state.last_seq
    whole_last_seq = state.whole_last_seq if state.whole_frames else (0 if after_seq is None else after_seq)
    return Scan(state.end, last_seq, state.frames, state.epoch, state.whole_end, whole_last_seq, state.whole_frames, code)


def find_frame(const unsigned char[::1] data not None, Py_ssize_t offset, Py_ssize_t stop):
    """Offset of the first sound frame at or after ``offset`` (rounded up to the alignment), or -1. Without the GIL."""
    cdef Py_ssize_t found
    if not 0 <= offset <= stop <= data.shape[0]:
        raise IndexError(f"run {offset}..{stop} outside 0..{data.shape[0]}")
    if offset == stop:
        return -1
    with nogil:
        found = find_sound(<const char*>&data[0], offset, stop)
    return found


def find_seq(const unsigned char[::1] data not None, Py_ssize_t offset, Py_ssize_t stop, uint64_t seq):
    """Offset of the first sound frame of the run at ``offset`` whose seq is ``seq`` or later, or -1. Without the GIL."""
    cdef FrameHeader header
    cdef Py_ssize_t space = 1
    if not 0 <= offset <= stop <= data.shape[0]:
        raise IndexError(f"run {offset}..{stop} outside 0..{data.shape[0]}")
    with nogil:
        while offset < stop:
            space = check_frame(<const char*>&data[offset], stop - offset)
            if space <= 0:
                break
            memcpy(&header, &data[offset], FRAME_HEADER_BYTES)
            if header.seq >= seq:
                break
            offset += space
    return offset if offset < stop and space > 0 else -1


def first_nonzero(const unsigned char[::1] data not None, Py_ssize_t offset, Py_ssize_t stop):
    """Offset of the first byte of ``data[offset:stop]`` that is not zero, or ``stop``. Without the GIL."""
    cdef Py_ssize_t found
    if not 0 <= offset <= stop <= data.shape[0]:
        raise IndexError(f"run {offset}..{stop} outside 0..{data.shape[0]}")
    if offset == stop:
        return stop
    with nogil:
        found = crc_first_nonzero(<const char*>&data[0], offset, stop)
    return found
