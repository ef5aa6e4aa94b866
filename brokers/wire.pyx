"""Bytes into an open socket at once: one non-blocking send, without waiting for the event loop's own write queue.

An event loop's transport writes at the end of its turn; a protective order may not wait for that.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "<sys/socket.h>" nogil:
    Py_ssize_t send(int fd, const void* data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL


def send_now(int fd, bytes data not None) -> int:
    """Bytes that the kernel took (0 when its buffer is full); -1 when the socket is broken. Never blocks."""
    cdef Py_ssize_t sent
    while True:
        sent = send(fd, PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data), MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0:
            return <int>sent
        if errno != EINTR:
            return 0 if errno == EAGAIN else -1
