"""Events to the clients that follow or asked, once their record is durable (order-api sections 2, 4 and 9).

One turn of the loop hands the records that it made (`load`); one durable notice lets them out (`deliver`). An event is rendered once,
whoever receives it, and not at all when nobody does: a follower that is behind reads the journal instead. All frames of one turn
for one connection leave in one write.
"""
from collections import deque

import msgspec

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from hotpath.frame cimport FrameHeader, frame_space
from hotpath.hist cimport Histogram
from hotpath.plants cimport DROP_FOR_SLOW_CLIENT, ITERATE_A_SET, is_planted
from hotpath.records cimport *
from hotpath.wire cimport EVENT_MAX_BYTES, Renderer, put, put_int

cdef extern from "<sys/socket.h>" nogil:
    Py_ssize_t send(int fd, const void* data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL


cdef class Outbox:
    """Frames on their way to one connection.

    Args:
        transport: what takes bytes that the socket does not take at once: `write(bytes)`, `get_write_buffer_size()`.
        fd: socket to write to directly, or -1 (TLS, simulation) to go through the transport always.
        limit_bytes: bytes that may wait for a slow client; past it `closed` is set and `on_slow` is called once.
        binary: the client speaks MessagePack.
    """

    def __cinit__(self, object transport, int fd, Py_ssize_t limit_bytes, bint binary, object on_slow):
        self.transport = transport
        self.fd = fd
        self.limit_bytes = limit_bytes
        self.binary = binary
        self.on_slow = on_slow
        self.capacity = 8192
        self.buffer = <char*>malloc(self.capacity)
        if self.buffer == NULL:
            raise MemoryError("no room for an outbox")

    def __dealloc__(self):
        free(self.buffer)

    cdef int add(self, const char* text, Py_ssize_t size) except -1:
        return self.add_parts(text, size, NULL, 0)

    cdef int add_parts(self, const char* a, Py_ssize_t na, const char* b, Py_ssize_t nb) except -1:
        """Append one WebSocket frame (RFC 6455 section 5.2, unmasked) whose payload is a and b."""
        cdef bytes packed
        if self.closed:
            return 0
        if self.binary:
            packed = msgspec.msgpack.encode(msgspec.json.decode(a[:na] + (b[:nb] if nb else b"")))
            return self._frame(0x82, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed), NULL, 0)
        return self._frame(0x81, a, na, b, nb)

    cdef int _frame(self, uint8_t opcode, const char* a, Py_ssize_t na, const char* b, Py_ssize_t nb) except -1:
        cdef Py_ssize_t n = na + nb
        cdef uint8_t* p
        cdef int i
        if self.size + n + 10 > self.capacity:
            self.capacity = max(self.capacity * 2, self.size + n + 10)
            self.buffer = <char*>realloc(self.buffer, self.capacity)
            if self.buffer == NULL:
                raise MemoryError("no room for frames")
        p = <uint8_t*>self.buffer + self.size
        p[0] = opcode
        if n < 126:
            p[1] = <uint8_t>n
            p += 2
        elif n < 65536:
            p[1] = 126
            p[2] = <uint8_t>(n >> 8)
            p[3] = <uint8_t>n
            p += 4
        else:
            p[1] = 127
            for i in range(8):
                p[2 + i] = <uint8_t>((<uint64_t>n) >> (56 - 8 * i))
            p += 10
        memcpy(p, a, na)
        if nb:
            memcpy(p + na, b, nb)
        self.size = (p - <uint8_t*>self.buffer) + n
        self.frames += 1
        return 0

    cpdef int flush(self) except -1:
        """Write what has gathered; what the socket does not take waits in the transport, up to the limit."""
        cdef Py_ssize_t done = 0
        cdef Py_ssize_t sent
        cdef Py_ssize_t waiting
        if self.size == 0 or self.closed:
            self.size = 0
            return 0
        waiting = self.transport.get_write_buffer_size()
        if self.fd >= 0 and waiting == 0:
            sent = send(self.fd, self.buffer, self.size, MSG_DONTWAIT | MSG_NOSIGNAL)
            while sent < 0 and errno == EINTR:
                sent = send(self.fd, self.buffer, self.size, MSG_DONTWAIT | MSG_NOSIGNAL)
            done = max(0, sent)
        if done < self.size:
            self.transport.write(PyBytes_FromStringAndSize(self.buffer + done, self.size - done))
            waiting = self.transport.get_write_buffer_size()
        self.size = 0
        was_lagging, self.lagging = self.lagging, waiting > self.limit_bytes // 2
        if self.lagging and not was_lagging and self.on_lag is not None:
            self.on_lag()                            # may send and flush a frame of its own
        if waiting > self.limit_bytes and not self.closed:
            self.closed = True
            self.on_slow()
        return 0

    def send(self, bytes text not None) -> None:
        """Append one frame; `flush` writes it."""
        self.add(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    def close(self) -> None:
        """Take no more frames."""
        self.closed = True
        self.size = 0

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the client."""
        return self.transport.get_write_buffer_size()


cdef class Follower:
    """One subscription: a connection that follows one account."""

    def __cinit__(self, Outbox outbox not None, uint32_t account, uint64_t next_seq):
        self.outbox = outbox
        self.account = account
        self.next_seq = next_seq
        self.live = False


cdef class Fanout:
    """Who follows which account, who asked for which record, and the events that wait for their record to be durable.

    Args:
        names: renders events. accounts: capacity.
    """

    def __cinit__(self, Renderer names not None, uint32_t accounts):
        self.names = names
        self.ack = Histogram()
        self.followers = [[] for _ in range(accounts)]
        self.heads = [0] * accounts
        self.askers = {}
        self.waiting = deque()
        self.on_behind = None

    def start(self, uint64_t seq, list heads not None) -> None:
        """Begin after a replay: `seq` is the last record, `heads` the last event of each account."""
        self.loaded = seq
        self.durable = seq
        self.heads[: len(heads)] = heads

    def follow(self, Follower follower not None) -> None:
        """Add a subscription; it starts behind and becomes live when its reader has caught up."""
        (<list>self.followers[follower.account]).append(follower)

    def unfollow(self, Follower follower not None) -> None:
        """Remove a subscription."""
        if follower in self.followers[follower.account]:
            self.followers[follower.account].remove(follower)

    def ask(self, uint64_t seq, Outbox outbox not None, int64_t re, int64_t in_ns, int64_t left) -> None:
        """The event of record `seq` answers request `re` of this connection; call before the record is loaded."""
        self.askers.setdefault(seq, []).append((outbox, re, in_ns, left))
        outbox.awaits_seq = max(outbox.awaits_seq, seq)
        outbox.unanswered += 1

    def reply(self, Outbox outbox not None, bytes text not None) -> None:
        """An answer that is no event; it keeps its place behind answers of the connection that still wait.

        Records of this turn must be loaded before (`Engine.reply` sees to it).
        """
        if outbox.awaits_seq or outbox.replies:
            self.waiting.append((max(outbox.awaits_seq, self.loaded), 0, 0, text, outbox))
            outbox.replies += 1
        else:
            outbox.send(text)

    def put_off(self, Outbox outbox not None, object make not None) -> None:
        """As `reply`, behind all that is loaded; `make()` gives the text when its turn has come."""
        self.waiting.append((max(outbox.awaits_seq, self.loaded), 0, 0, make, outbox))
        outbox.replies += 1
        if self.loaded <= self.durable and len(self.waiting) == 1:
            self.deliver(self.durable, 0)

    def hold(self, Outbox outbox not None, uint64_t seq, bytes text not None) -> None:
        """A frame that may leave only once record `seq` is durable."""
        if seq <= self.durable and not outbox.awaits_seq and not outbox.replies:
            outbox.send(text)
            return
        self.waiting.append((seq, 0, 0, text, outbox))
        outbox.replies += 1

    def load(self, blob: memoryview) -> None:
        """Take the records of one turn, before they are durable; those that it has already are passed over."""
        cdef const unsigned char[::1] view = blob
        cdef Py_ssize_t at = 0
        cdef const FrameHeader* head
        cdef const char* payload
        cdef uint32_t account
        cdef uint64_t acct_seq
        cdef char out[EVENT_MAX_BYTES]
        cdef Py_ssize_t n
        cdef object text
        while at < view.shape[0]:
            head = <const FrameHeader*>&view[at]
            at += frame_space(head.length - sizeof(FrameHeader))
            if head.seq <= self.loaded:
                continue
            self.loaded = head.seq
            if head.kind < Kind.ACCEPTED:
                continue
            payload = <const char*>head + sizeof(FrameHeader)
            if head.kind < Kind.CANCEL_ALL_EV:
                account, acct_seq = (<const OrderEvent*>payload).account, (<const OrderEvent*>payload).acct_seq
            else:
                account, acct_seq = (<const AccountEvent*>payload).account, (<const AccountEvent*>payload).acct_seq
            text = None
            if len(<list>self.followers[account]) or head.seq in self.askers:
                n = self.names.render(<const char*>head, out)
                text = PyBytes_FromStringAndSize(out, n)
            self.waiting.append((head.seq, account, acct_seq, text, None))

    def deliver(self, uint64_t durable_seq, int64_t wall_ns) -> int:
        """Let out every event up to `durable_seq`; returns how many. `wall_ns` becomes `out_ns` of the answers."""
        cdef Outbox outbox
        cdef int count = 0
        cdef list touched = []
        cdef tuple item
        self.durable = durable_seq
        while self.waiting and (<tuple>self.waiting[0])[0] <= durable_seq:
            item = self.waiting.popleft()
            outbox = item[4]
            if outbox is not None:
                outbox.send(item[3] if type(item[3]) is bytes else item[3]())
                outbox.replies -= 1
                touched.append(outbox)
                continue
            self._event(item[0], item[1], item[2], item[3], wall_ns, touched)
            count += 1
        for outbox in set(touched) if is_planted(ITERATE_A_SET) else touched:
            outbox.flush()
        self.delivered += count
        return count

    cdef int _settled(self, Outbox outbox, uint64_t seq, list touched) except -1:
        if outbox.awaits_seq == seq:
            outbox.awaits_seq = 0
        touched.append(outbox)
        return 0

    cdef int _event(self, uint64_t seq, uint32_t account, uint64_t acct_seq, bytes text, int64_t wall_ns, list touched) except -1:
        cdef Follower follower
        cdef Outbox outbox
        cdef list asked = self.askers.pop(seq, None)
        cdef list behind = []
        self.heads[account] = acct_seq
        for follower in <list>self.followers[account]:
            if not follower.live:
                continue
            if acct_seq < follower.next_seq:
                continue                             # stated by its snapshot
            if text is None or follower.next_seq != acct_seq:
                follower.live = False                # its reader catches up from the journal
                behind.append(follower)
                continue
            follower.next_seq += 1
            if is_planted(DROP_FOR_SLOW_CLIENT) and follower.outbox.lagging:
                continue
            if asked is not None and self._asked_by(asked, follower.outbox):
                continue
            follower.outbox.add_parts(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), b"}", 1)
            touched.append(follower.outbox)
        if asked is not None:
            for outbox, re, in_ns, left in asked:
                self._answer(outbox, text, re, in_ns, left, wall_ns)
                self._settled(outbox, seq, touched)
        for follower in behind:
            self.on_behind(follower)
        return 0

    cdef bint _asked_by(self, list asked, Outbox outbox):
        for item in asked:
            if item[0] is outbox:
                return True
        return False

    cdef int _answer(self, Outbox outbox, bytes text, int64_t re, int64_t in_ns, int64_t left, int64_t wall_ns) except -1:
        cdef char tail[160]
        cdef char* p = put(tail, b',"re":')
        p = put_int(p, re)
        p = put(p, b',"in_ns":')
        p = put_int(p, in_ns)
        p = put(p, b',"out_ns":')
        p = put_int(p, wall_ns)
        p = put(p, b',"left":')
        p = put_int(p, left)
        p = put(p, b"}")
        outbox.unanswered -= 1
        self.ack.add(wall_ns - in_ns)
        return outbox.add_parts(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), tail, p - tail)

    def repeat(self, bytes event not None, int64_t re, int64_t in_ns, int64_t left, int64_t wall_ns) -> bytes:
        """An event that was let out before (without its closing brace) as the repeated answer to a repeated request."""
        return event + (f',"re":{re},"in_ns":{in_ns},"out_ns":{wall_ns},"left":{left},"dup":true}}').encode()

    def drop(self, Outbox outbox not None) -> None:
        """Forget a connection that has gone: its answers under way are not sent."""
        for seq in [seq for seq, asked in self.askers.items() if any(item[0] is outbox for item in asked)]:
            self.askers[seq] = [item for item in self.askers[seq] if item[0] is not outbox]
            if not self.askers[seq]:
                del self.askers[seq]
        outbox.close()

    def depth(self) -> int:
        """Events and answers that wait for their record to be durable."""
        return len(self.waiting)
