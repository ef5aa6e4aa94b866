"""The journal writer as the loop's compiled code sees it."""
from libc.stdint cimport int64_t, uint64_t

cpdef enum SubmitCode:
    SUBMITTED = 0
    SUBMIT_FULL = 1          # back-pressure: the double buffer is full
    SUBMIT_STOPPED = 2       # a device operation failed, or the disk is full
    SUBMIT_BAD = 3           # not a run of frames that follows the last one, or too large

cdef class JournalWriter:
    cdef void* engine                      # backstay::Commit, commit.hpp
    cdef void* strands                     # backstay::Strands, strands.hpp; NULL: threaded
    cdef object files, mono_ns, on_progress, path, lock, open_files
    cdef step_at(self, int64_t now_ns)
    cdef perform(self, void* request)
    cdef carry_out(self, void* request)
    cdef run_out(self, int strand)
    cdef readonly str directory
    cdef readonly bint is_closed
    # Copy a run of whole frames, the first with the next seq, the last with last_seq; no allocation, no I/O.
    cdef int submit_run(self, const char* blob, Py_ssize_t size, uint64_t last_seq, uint64_t* position) noexcept nogil
    cdef uint64_t durable(self) noexcept nogil
