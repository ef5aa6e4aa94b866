"""Events to the clients that follow or asked, once their record is durable (order-api sections 2, 4 and 9).

One turn of the loop hands the records that it made (`load`); one durable notice lets them out (`deliver`). An event is rendered once,
whoever receives it, and not at all when nobody does: a follower that is behind reads the journal instead. All frames of one turn
for one connection leave in one write.
"""
from collections import deque as Deque

import msgspec

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove
from cpython.ref cimport PyObject
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from hotpath.frame cimport FrameHeader, frame_space
from hotpath.hist cimport Histogram
from hotpath.plants cimport DROP_FOR_SLOW_CLIENT, ITERATE_A_SET, KEEP_A_SLOW_CLIENT, TELL_ANOTHER_ACCOUNT, is_planted
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
        if waiting > self.limit_bytes and not self.closed and not is_planted(KEEP_A_SLOW_CLIENT):
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
        self.announces = False


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
        self.line = new Line()
        self.asking = {}
        self.replies = Deque()
        self.on_behind = None

    def __dealloc__(self):
        cdef Line* line = self.line
        if line != NULL:
            free(line.texts)
            del line

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

    cpdef ask(self, uint64_t seq, Outbox outbox, int64_t re, int64_t in_ns, int64_t left):
        """The event of record `seq` answers request `re` of this connection; call before the record is loaded."""
        cdef Ask ask
        ask.seq, ask.re, ask.in_ns, ask.left = seq, re, in_ns, left
        ask.outbox = <PyObject*>outbox
        if not self.line.asks.empty() and self.line.asks.back().seq > seq:
            raise ValueError(f"record {seq} is older than the last one that was asked for")
        if outbox.unanswered == 0:
            self.asking[outbox] = None
        self.line.asks.push_back(ask)
        outbox.awaits_seq = max(outbox.awaits_seq, seq)
        outbox.unanswered += 1

    cdef bint _is_asked(self, uint64_t seq) noexcept:
        """Whether an answer waits for the record; `asks` rises by record, and most often its first is meant."""
        cdef size_t low = 0
        cdef size_t high = self.line.asks.size()
        cdef size_t middle
        while low < high:
            middle = (low + high) // 2 if low else 0
            if self.line.asks[middle].seq < seq:
                low = middle + 1
            else:
                high = middle
        while low < self.line.asks.size() and self.line.asks[low].seq == seq:
            if self.line.asks[low].outbox != NULL:
                return True
            low += 1
        return False

    cdef int _wait(self, uint64_t seq, object what, Outbox outbox) except -1:
        cdef Item item
        item.seq, item.account, item.acct_seq, item.at, item.size = seq, 0, 0, self.line.text_end, -1
        item.is_reply = True
        self.replies.append((outbox, what))
        self.line.items.push_back(item)
        outbox.replies += 1
        return 0

    def reply(self, Outbox outbox not None, bytes text not None) -> None:
        """An answer that is no event; it keeps its place behind answers of the connection that still wait.

        Records of this turn must be loaded before (`Engine.reply` sees to it).
        """
        if outbox.awaits_seq or outbox.replies:
            self._wait(max(outbox.awaits_seq, self.loaded), text, outbox)
        else:
            outbox.send(text)

    def put_off(self, Outbox outbox not None, object make not None) -> None:
        """As `reply`, behind all that is loaded; `make()` gives the text when its turn has come."""
        self._wait(max(outbox.awaits_seq, self.loaded), make, outbox)
        if self.loaded <= self.durable and self.line.items.size() == 1:
            self.deliver(self.durable, 0)

    def hold(self, Outbox outbox not None, uint64_t seq, bytes text not None) -> None:
        """A frame that may leave only once record `seq` is durable."""
        if seq <= self.durable and not outbox.awaits_seq and not outbox.replies:
            outbox.send(text)
        else:
            self._wait(seq, text, outbox)

    def load(self, const unsigned char[::1] blob not None) -> None:
        """Take the records of one turn, before they are durable; those that it has already are passed over."""
        if blob.shape[0]:
            self.load_run(<const char*>&blob[0], blob.shape[0])

    cdef int load_run(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t at = 0
        cdef const FrameHeader* head
        cdef const char* payload
        cdef Item item
        item.is_reply = False
        while at < size:
            head = <const FrameHeader*>(data + at)
            at += frame_space(head.length - sizeof(FrameHeader))
            if head.seq <= self.loaded:
                continue
            self.loaded = head.seq
            if head.kind < Kind.ACCEPTED:
                continue
            payload = <const char*>head + sizeof(FrameHeader)
            item.seq = head.seq
            if head.kind < Kind.CANCEL_ALL_EV:
                item.account, item.acct_seq = (<const OrderEvent*>payload).account, (<const OrderEvent*>payload).acct_seq
            else:
                item.account, item.acct_seq = (<const AccountEvent*>payload).account, (<const AccountEvent*>payload).acct_seq
            item.size = -1
            if len(<list>self.followers[item.account]) or self._is_asked(head.seq):
                self._make_room()
                item.size = <int>self.names.render(<const char*>head, self.line.texts + (self.line.text_end - self.line.text_base))
            item.at = self.line.text_end
            if item.size > 0:
                self.line.text_end += item.size
            self.line.items.push_back(item)
        return 0

    cdef int _make_room(self) except -1:
        """Room for one more event's text; what was let out makes way."""
        cdef Line* line = self.line
        cdef int64_t first = line.text_end if line.items.empty() else line.items.front().at
        cdef char* grown
        if line.text_end - line.text_base + <int64_t>EVENT_MAX_BYTES <= line.capacity:
            return 0
        memmove(line.texts, line.texts + (first - line.text_base), line.text_end - first)
        line.text_base = first
        if line.text_end - first + <int64_t>EVENT_MAX_BYTES > line.capacity // 2:
            grown = <char*>realloc(line.texts, max(2 * line.capacity, <int64_t>(1 << 16)))
            if grown == NULL:
                raise MemoryError("no room for events")
            line.texts = grown
            line.capacity = max(2 * line.capacity, <int64_t>(1 << 16))
        return 0

    cpdef int deliver(self, uint64_t durable_seq, int64_t wall_ns) except -1:
        """Let out every event up to `durable_seq`; returns how many. `wall_ns` becomes `out_ns` of the answers."""
        cdef Outbox outbox
        cdef int count = 0
        cdef list touched = []
        cdef Item item
        cdef object what
        self.durable = durable_seq
        while not self.line.items.empty() and self.line.items.front().seq <= durable_seq:
            item = self.line.items.front()
            self.line.items.pop_front()
            if item.is_reply:
                outbox, what = self.replies.popleft()
                outbox.replies -= 1
                outbox.send(what if type(what) is bytes else what())
                touched.append(outbox)
                continue
            self._event(&item, wall_ns, touched)
            count += 1
        for outbox in set(touched) if is_planted(ITERATE_A_SET) else touched:
            outbox.flush()
        self.delivered += count
        return count

    cdef int _event(self, const Item* item, int64_t wall_ns, list touched) except -1:
        cdef Follower follower
        cdef Outbox outbox
        cdef list behind = None
        cdef const char* text = self.line.texts + (item.at - self.line.text_base)
        cdef Ask ask
        self.heads[item.account] = item.acct_seq
        for follower in <list>self.followers[0 if is_planted(TELL_ANOTHER_ACCOUNT) else item.account]:
            if not follower.live:
                continue
            if item.acct_seq < follower.next_seq:
                continue                             # stated by its snapshot
            if item.size < 0 or follower.next_seq != item.acct_seq:
                follower.live = False                # its reader catches up from the journal
                behind = behind or []
                behind.append(follower)
                continue
            follower.next_seq += 1
            if self._is_asked_by(item.seq, follower.outbox):
                continue
            if is_planted(DROP_FOR_SLOW_CLIENT) and follower.outbox.lagging:
                continue
            follower.outbox.add_parts(text, item.size, b"}", 1)
            touched.append(follower.outbox)
        while not self.line.asks.empty() and self.line.asks.front().seq <= item.seq:
            ask = self.line.asks.front()
            self.line.asks.pop_front()
            if ask.outbox == NULL:
                continue                             # its connection has gone
            outbox = <Outbox>ask.outbox
            self._catch_up(item, outbox)
            self._answer(outbox, text, item.size, &ask, wall_ns)
            if outbox.unanswered == 0:
                del self.asking[outbox]
            if outbox.awaits_seq == item.seq:
                outbox.awaits_seq = 0
            touched.append(outbox)
        if behind is not None:
            for follower in behind:
                self.on_behind(follower)
        return 0

    cdef int _catch_up(self, const Item* item, Outbox outbox) except -1:
        """What the asker's replay has not sent yet comes before the answer: the disk may be faster than the replay's next part."""
        cdef Follower follower
        for follower in <list>self.followers[item.account]:
            if follower.outbox is outbox and follower.announces and not follower.live:
                self.on_behind(follower)
                return 0
        return 0

    cdef bint _is_asked_by(self, uint64_t seq, Outbox outbox) noexcept:
        """Whether the event goes to this connection as an answer; only its own answers stand first in `asks`."""
        cdef size_t at = 0
        while at < self.line.asks.size() and self.line.asks[at].seq <= seq:
            if self.line.asks[at].outbox == <PyObject*>outbox:
                return True
            at += 1
        return False

    cdef int _answer(self, Outbox outbox, const char* text, Py_ssize_t size, const Ask* ask, int64_t wall_ns) except -1:
        cdef char tail[160]
        cdef char* p = put(tail, b',"re":')
        p = put_int(p, ask.re)
        p = put(p, b',"in_ns":')
        p = put_int(p, ask.in_ns)
        p = put(p, b',"out_ns":')
        p = put_int(p, wall_ns)
        p = put(p, b',"left":')
        p = put_int(p, ask.left)
        p = put(p, b"}")
        outbox.unanswered -= 1
        self.ack.add(wall_ns - ask.in_ns)
        return outbox.add_parts(text, size, tail, p - tail)

    def repeat(self, bytes event not None, int64_t re, int64_t in_ns, int64_t left, int64_t wall_ns) -> bytes:
        """An event that was let out before (without its closing brace) as the repeated answer to a repeated request."""
        return event + (f',"re":{re},"in_ns":{in_ns},"out_ns":{wall_ns},"left":{left},"dup":true}}').encode()

    def drop(self, Outbox outbox not None) -> None:
        """Forget a connection that has gone: its answers under way are not sent."""
        cdef size_t at
        for at in range(self.line.asks.size()):
            if self.line.asks[at].outbox == <PyObject*>outbox:
                self.line.asks[at].outbox = NULL
        self.asking.pop(outbox, None)
        outbox.unanswered = 0
        outbox.close()

    def depth(self) -> int:
        """Events and answers that wait for their record to be durable."""
        return self.line.items.size()
