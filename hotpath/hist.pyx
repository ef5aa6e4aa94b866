"""Native latency histogram: one addition on the hot path, percentiles and Prometheus buckets when somebody asks."""
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.string cimport memset

cdef extern from *:
    int clz "__builtin_clzll"(unsigned long long value) noexcept nogil

cdef enum:
    LINEAR_BITS = 10                     # 0 .. 1023 ns: exact
    OCTAVE_BITS = 7                      # then 128 buckets to an octave
    TOP_BITS = 37                        # values of 2**37 ns (137 s) and more share the last bucket
    LINEAR = 1024
    OCTAVE = 128
    SIZE = 4480                          # 1024 + (37 - 10) * 128, written out: the checked build takes no arithmetic here
    PERCENT_100 = 100_000                # percentiles are taken to three decimals


cdef inline Py_ssize_t place_of(int64_t value_ns) noexcept nogil:
    if value_ns < LINEAR:
        return <Py_ssize_t>value_ns
    if value_ns >> TOP_BITS:
        return SIZE - 1
    cdef int top_bit = 63 - clz(<unsigned long long>value_ns)
    return LINEAR + (top_bit - LINEAR_BITS) * OCTAVE + ((value_ns >> (top_bit - OCTAVE_BITS)) & (OCTAVE - 1))


cdef inline int64_t highest_of(Py_ssize_t place) noexcept nogil:
    """Largest value that a bucket holds (of the last one, the largest that it is meant for)."""
    if place < LINEAR:
        return place
    cdef int shift = <int>((place - LINEAR) // OCTAVE) + LINEAR_BITS - OCTAVE_BITS
    cdef int64_t step = (place - LINEAR) % OCTAVE + OCTAVE
    return ((step + 1) << shift) - 1


cdef class Histogram:
    """Counts of durations in nanoseconds. 36 KB; nothing is allocated after construction."""

    def __cinit__(self):
        self.size = SIZE
        self.counts = <uint64_t*>PyMem_Calloc(SIZE, sizeof(uint64_t))
        if self.counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.counts)

    cdef void add(self, int64_t value_ns) noexcept nogil:
        cdef int64_t value = value_ns if value_ns > 0 else 0
        cdef Py_ssize_t place = place_of(value)
        self.counts[place] = self.counts[place] + 1
        if self.count == 0 or value < self.min_ns:
            self.min_ns = value
        if value > self.max_ns:
            self.max_ns = value
        self.sum_ns = self.sum_ns + value if value <= INT64_MAX - self.sum_ns else INT64_MAX
        self.count = self.count + 1

    def record(self, int64_t ns):
        """Add one duration."""
        self.add(ns)

    def percentile(self, double p):
        """Smallest recorded duration (to the bucket's upper end) that p percent do not exceed; 0 while empty."""
        if not 0.0 <= p <= 100.0:
            raise ValueError(f"percentile out of range: {p}")
        if self.count == 0:
            return 0
        rank = max(1, -(-round(p * 1000) * int(self.count) // PERCENT_100))
        cdef uint64_t wanted = rank, seen = self.counts[0]
        cdef Py_ssize_t place = 0
        while seen < wanted and place < SIZE - 1:
            place += 1
            seen += self.counts[place]
        if place == SIZE - 1:
            return self.max_ns
        return min(highest_of(place), self.max_ns)

    def buckets(self, bounds_ns):
        """For each bound, ascending, how many durations are at or below it (to the precision of the histogram)."""
        cdef uint64_t seen = 0
        cdef Py_ssize_t place = 0
        cdef int64_t bound, last = INT64_MIN
        cdef list cumulative = []
        for bound in bounds_ns:
            if bound < last:
                raise ValueError("bounds must ascend")
            last = bound
            while place < SIZE - 1 and highest_of(place) <= bound:
                seen += self.counts[place]
                place += 1
            cumulative.append(self.count if bound >= self.max_ns else seen)
        return cumulative

    def merge(self, Histogram other not None):
        """Add all that another histogram has counted."""
        cdef Py_ssize_t place
        if other.count == 0:
            return
        if self.count == 0 or other.min_ns < self.min_ns:
            self.min_ns = other.min_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self.sum_ns = self.sum_ns + other.sum_ns if other.sum_ns <= INT64_MAX - self.sum_ns else INT64_MAX
        self.count += other.count
        for place in range(self.size):
            self.counts[place] += other.counts[place]

    def reset(self):
        """Forget everything."""
        memset(self.counts, 0, self.size * sizeof(uint64_t))
        self.count = 0
        self.sum_ns = self.min_ns = self.max_ns = 0

    def snapshot(self):
        """Count, sum, extremes and the usual percentiles."""
        return {
            "count": self.count,
            "sum_ns": self.sum_ns,
            "min_ns": self.min_ns,
            "max_ns": self.max_ns,
            "p50_ns": self.percentile(50.0),
            "p90_ns": self.percentile(90.0),
            "p99_ns": self.percentile(99.0),
            "p999_ns": self.percentile(99.9),
        }
