"""The simulated network: byte streams between processes with the habits of TCP, good and bad, from the seed.

A direction of a connection is a queue of pieces in flight. A sender's `write` goes into the queue as far as its window
has room, the rest waits in the transport (`pause_writing`); a piece arrives after its delay, in order; the window opens
again when the receiver has read it. So a process that reads nothing fills its peer's buffer, as it does in life.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sim.kernel import Kernel
    from tests.sim.loop import SimLoop

Address = tuple[str, int]
READ_BYTES_MAX = 65_536  # as much as a real loop reads at once
LONG_NS = 2_000_000  # delays of up to that much and more are a fault
LOW_SHARE = 4  # the low-water mark is the high one divided by this, as in asyncio
SYN_NS_MAX = 127_000_000_000  # a connect that nobody answers ends with the system's own patience
FIN, RST = b"", None  # what travels besides data


@dataclass(slots=True)
class Habits:
    """How a link treats its bytes. Times in nanoseconds."""

    delay_ns: tuple[int, int] = (20_000, 200_000)
    split_ppm: int = 0  # a write is delivered in several pieces
    trickle_ppm: int = 0  # a write is delivered a few bytes at a time
    trickle_ns: int = 2_000_000  # between two of them
    reset_ppm: int = 0  # a write is cut in its middle and the connection reset
    window_bytes: int = 65_536  # unread bytes of one direction; the rest waits in the sender


class Link:
    """All connections from one process to one address, and what has befallen them."""

    def __init__(self, net: Network, name: str, habits: Habits) -> None:
        self.net = net
        self.name = name
        self.habits = habits
        self.rng = net.kernel.rng(f"link {name}")
        self.is_dead = False  # nothing arrives, nobody is told: half-open
        self.is_refusing = False
        self.is_full = False  # the client's kernel takes no bytes
        self.is_traced = True  # false where the real machine shows in what is said (its memory, its disk's times)
        self.stalled = [False, False]  # by direction: 0 is towards the server
        self.ends: list[SimTransport] = []
        self.held: list[Callable[[], None]] = []  # arrivals that wait for a stall to end
        self.linger_ns: Callable[[], int] = lambda: 0  # how much later the next write arrives, and all that follow it

    def delay_ns(self) -> int:
        """The time that the next piece takes."""
        low, high = self.habits.delay_ns
        if high >= LONG_NS:
            self.net.count("link.delay", 1)
        return low + self.rng.randrange(max(1, high - low))

    def reset(self) -> None:
        """Break every connection: what was under way is lost from a random byte on."""
        for end in list(self.ends):
            end.lose_flight()
            end.break_off(ConnectionResetError("connection reset by the network"))

    def cut(self) -> None:
        """An outage: connections break and new ones are refused."""
        self.is_refusing = True
        self.reset()

    def go_silent(self) -> None:
        """Nothing arrives any more and neither side is told; what was sent is lost, and the connections with it."""
        self.is_dead = True
        for end in self.ends:
            end.is_doomed = True

    def stall(self, direction: int) -> None:
        """One way stands still; nothing is lost."""
        self.stalled[direction] = True

    def fill(self, *, is_full: bool) -> None:
        """The client's kernel takes no bytes any more, or takes them again."""
        self.is_full = is_full
        if not is_full:
            for end in list(self.ends):
                end.loop.post(end.on_read, 0)

    def heal(self) -> None:
        """All is well again: stalled bytes arrive, doomed connections break at last."""
        self.fill(is_full=False)
        self.is_dead = self.is_refusing = False
        self.stalled = [False, False]
        held, self.held = self.held, []
        for arrive in held:
            arrive()
        for end in list(self.ends):
            if end.is_doomed:
                end.break_off(ConnectionResetError("the peer does not know the connection"))


class FakeSocket:
    """What protocols ask of a transport's socket. It has no descriptor: writers go through the transport."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, name: Address, peer: Address | None) -> None:
        self._name = name
        self._peer = peer

    def fileno(self) -> int:
        return -1

    def getsockname(self) -> Address:
        return self._name

    def getpeername(self) -> Address | None:
        return self._peer

    def setsockopt(self, *args: Any) -> None:
        """Options change nothing here."""

    def getsockopt(self, *args: Any) -> int:
        return 0


class SimServer(asyncio.AbstractServer):
    """A listening address of one process."""

    def __init__(self, net: Network, loop: SimLoop, factory: Callable[[], Any], address: Address) -> None:
        self.net = net
        self.loop = loop
        self.factory = factory
        self.address = address
        self.sockets = (FakeSocket(address, None),)

    def close(self) -> None:
        if self.net.servers.get(self.address) is self:
            del self.net.servers[self.address]

    def get_loop(self) -> SimLoop:
        return self.loop

    def is_serving(self) -> bool:
        return self.net.servers.get(self.address) is self

    async def start_serving(self) -> None:
        """It serves from the start."""

    async def wait_closed(self) -> None:
        """Nothing is left to wait for: connections live on, as they do in asyncio 3.11."""


class Network:
    """All links, listeners and connections of one world."""

    def __init__(self, kernel: Kernel, habits: Habits | None = None) -> None:
        self.kernel = kernel
        self.habits = habits or Habits()
        self.links: dict[str, Link] = {}
        self.servers: dict[Address, SimServer] = {}
        self.silent_hosts: set[str] = set()  # hosts without power answer nothing, not even a refusal
        self.counts: Counter[str] = Counter()
        self.moved_bytes = 0
        self._next_port = 40_000

    def count(self, fault: str, times: int) -> None:
        """Faults injected, by kind."""
        self.counts[fault] += times

    def link(self, client: str, address: Address) -> Link:
        """The link from a process to an address."""
        name = f"{client}>{address[0]}:{address[1]}"
        if name not in self.links:
            self.links[name] = Link(self, name, self.habits)
        return self.links[name]

    def listen(self, loop: SimLoop, factory: Callable[[], Any], address: Address) -> SimServer:
        if address[0].startswith("/") is False and not address[1]:
            self._next_port += 1
            address = (address[0], self._next_port)
        if address in self.servers:
            raise OSError(98, f"address already in use: {address}")
        server = self.servers[address] = SimServer(self, loop, factory, address)
        return server

    async def connect(self, loop: SimLoop, factory: Callable[[], Any], address: Address) -> tuple[Any, Any]:
        """As `loop.create_connection`: the handshake takes a round trip, and anything may happen in it."""
        link = self.link(loop.name, address)
        waiter: asyncio.Future[SimTransport] = loop.create_future()

        def done(end: SimTransport | None, error: OSError | None) -> None:
            if waiter.done():
                if end is not None:
                    end.abort()
            elif error is not None or end is None:
                waiter.set_exception(error or ConnectionRefusedError(111, f"connect to {address}"))
            else:
                end.start(factory())
                waiter.set_result(end)

        def knock() -> None:
            back_ns = self.kernel.now_ns + link.delay_ns()
            server = self.servers.get(address)
            if link.is_dead or address[0] in self.silent_hosts:
                lost = TimeoutError(110, f"connect to {address}")
                self.kernel.at(self.kernel.now_ns + SYN_NS_MAX, lambda: loop.post(done, None, lost))
            elif server is None or link.is_refusing:
                refused = ConnectionRefusedError(111, f"connect to {address}")
                self.kernel.at(back_ns, lambda: loop.post(done, None, refused))
            else:
                end = self._pair(link, loop, server)
                self.kernel.at(back_ns, lambda: loop.post(done, end, None))

        self.kernel.at(self.kernel.now_ns + link.delay_ns(), knock)
        end = await waiter
        return end, end.get_protocol()

    def _pair(self, link: Link, loop: SimLoop, server: SimServer) -> SimTransport:
        self._next_port += 1
        name = ("10.0.0.1", self._next_port)
        near = SimTransport(link, loop, 0, name, server.address)
        far = SimTransport(link, server.loop, 1, server.address, name)
        near.peer, far.peer = far, near
        link.ends += [near, far]
        if link.is_traced:
            self.kernel.trace(f"net {link.name} opened")
        server.loop.post(lambda: far.start(server.factory()))
        return near

    def process_died(self, loop: SimLoop, *, with_host: bool) -> None:
        """Its sockets close: the kernel says so to the peers, unless the host went down with it."""
        for address, server in list(self.servers.items()):
            if server.loop is loop:
                del self.servers[address]
        for link in self.links.values():
            for end in [end for end in link.ends if end.loop is loop]:
                end.die(with_host=with_host)

    def is_quiet(self) -> bool:
        """Whether no byte is under way."""
        return not any(end.flight for link in self.links.values() for end in link.ends)


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, link: Link, loop: SimLoop, direction: int, name: Address, peer_name: Address) -> None:
        super().__init__()
        self.link = link
        self.kernel = link.net.kernel
        self.loop = loop
        self.direction = direction  # of what it sends
        self.peer: SimTransport | None = None
        self.flight: deque[bytes | None] = deque()  # what we sent and the peer's socket has not got yet
        self.unread_bytes = 0  # of ours: in flight, or in the peer's socket
        self.is_doomed = False
        self._extra: dict[str, Any] = {
            "socket": FakeSocket(name, peer_name), "peername": peer_name, "sockname": name,
        }  # fmt: skip
        self._protocol: Any = None
        self._is_buffered = False
        self._buffer = bytearray()
        self._high, self._low = 65_536, 16_384
        self._is_writing_paused = False
        self._is_reading_paused = False
        self._is_closing = False
        self._is_lost = False  # the socket is closed
        self._has_sent_fin = False
        self._inbox: deque[bytes | None] = deque()  # in our socket, not read
        self._is_pump_due = False
        self._arrival_ns = 0

    # --- asyncio.Transport --------------------------------------------------------------------------------------------

    def start(self, protocol: Any) -> None:
        """The connection is made (runs in the owner's loop)."""
        self.set_protocol(protocol)
        if self._is_lost:
            return
        protocol.connection_made(self)
        self._want_pump()

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> Any:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._extra.get(name, default)

    def is_closing(self) -> bool:
        return self._is_closing

    def is_reading(self) -> bool:
        return not (self._is_reading_paused or self._is_closing)

    def pause_reading(self) -> None:
        self._is_reading_paused = True

    def resume_reading(self) -> None:
        self._is_reading_paused = False
        self._want_pump()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 65_536 if low is None else low * LOW_SHARE
        self._high, self._low = high, high // LOW_SHARE if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: Any) -> None:
        if self._is_lost or self._is_closing or not data:
            return
        self._buffer += data
        self._send()
        if len(self._buffer) > self._high and not self._is_writing_paused:
            self._is_writing_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        self._fin()

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if not self._buffer:
            self._finish(None)

    def abort(self) -> None:
        if self._is_lost:
            return
        self._buffer.clear()
        self._is_closing = True
        self._finish(None)

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Move what fits into the window onto the wire."""
        if self.link.is_full and self.direction == 0:
            return
        room = self.link.habits.window_bytes - self.unread_bytes
        size = min(room, len(self._buffer))
        if size > 0:
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
            self.unread_bytes += size
            self.link.net.moved_bytes += size
            self._ship(data)

    def _ship(self, data: bytes) -> None:
        """Cut a write into the pieces that arrive, as the link's habits have it."""
        link, rng = self.link, self.link.rng
        habits = link.habits
        self._arrival_ns = max(self._arrival_ns, self.kernel.now_ns + link.linger_ns())
        if habits.reset_ppm and rng.randrange(1_000_000) < habits.reset_ppm:
            link.net.count("net.reset", 1)
            self._post(data[: rng.randrange(len(data))], link.delay_ns())
            self._post(RST, 0)
            self.kernel.at(self._arrival_ns, lambda: self.break_off(ConnectionResetError("reset in mid-frame")))
            return
        if habits.trickle_ppm and rng.randrange(1_000_000) < habits.trickle_ppm:
            link.net.count("net.trickle", 1)
            step = max(1, len(data) // (2 + rng.randrange(30)))
            for at in range(0, len(data), step):
                self._post(data[at : at + step], habits.trickle_ns if at else link.delay_ns())
        elif habits.split_ppm and len(data) > 1 and rng.randrange(1_000_000) < habits.split_ppm:
            link.net.count("net.split", 1)
            at = 1 + rng.randrange(len(data) - 1)
            self._post(data[:at], link.delay_ns())
            self._post(data[at:], link.delay_ns())
        else:
            self._post(data, link.delay_ns())

    def _post(self, piece: bytes | None, delay_ns: int) -> None:
        """Put a piece on the wire: it arrives after its delay, never before the one ahead of it."""
        if self.link.is_dead or self.is_doomed:
            self.is_doomed = True
            return
        self._arrival_ns = max(self._arrival_ns, self.kernel.now_ns + delay_ns)
        self.flight.append(piece)
        self.kernel.at(self._arrival_ns, self._arrive)

    def _arrive(self) -> None:
        link = self.link
        if link.stalled[self.direction]:
            link.held.append(self._arrive)
            return
        if not self.flight:
            return  # lost on the way
        piece = self.flight.popleft()
        if self.is_doomed or link.is_dead:
            self.is_doomed = True
            return
        assert self.peer is not None
        self.peer.receive(piece)

    def _fin(self) -> None:
        if not self._has_sent_fin:
            self._has_sent_fin = True
            self._post(FIN, self.link.delay_ns())

    def lose_flight(self) -> None:
        """A break loses what is under way from a random byte on."""
        rng = self.link.rng
        kept = rng.randrange(len(self.flight) + 1) if self.flight else 0
        whole = [self.flight[at] for at in range(kept)]
        part = self.flight[kept] if kept < len(self.flight) else None
        self.flight.clear()
        if self.peer is not None:
            for piece in whole:
                if piece:
                    self.peer.receive(piece)
            if part:
                self.peer.receive(part[: rng.randrange(len(part))])

    def on_read(self, size: int) -> None:
        """The peer's process has read so many bytes of ours: the window opens (runs in our loop)."""
        self.unread_bytes -= size
        if self._is_lost or not self._buffer:
            return
        self._send()
        if self._is_writing_paused and len(self._buffer) <= self._low:
            self._is_writing_paused = False
            self._protocol.resume_writing()
        if self._is_closing and not self._buffer:
            self._finish(None)

    # --- receiving ----------------------------------------------------------------------------------------------------

    def receive(self, piece: bytes | None) -> None:
        """A piece reaches our socket."""
        if self._is_lost:
            if piece and self.peer is not None and not self.loop_is_silent:
                self.peer.break_later(ConnectionResetError("the peer has closed"))
            return
        if piece is RST:
            self.break_off(ConnectionResetError("connection reset by peer"))
            return
        self._inbox.append(piece)
        self._want_pump()

    @property
    def loop_is_silent(self) -> bool:
        """Whether our host is down: nobody is there even to say that there is nobody."""
        return self._extra["sockname"][0] in self.link.net.silent_hosts

    def _want_pump(self) -> None:
        if self._inbox and not self._is_pump_due and self._protocol is not None:
            self._is_pump_due = True
            if gap_ns := self.loop.read_gap_ns:
                self.kernel.after(gap_ns, lambda: self.loop.post(self._pump))
            else:
                self.loop.post(self._pump)

    def _pump(self) -> None:
        """Give the protocol what is there (runs in the owner's loop)."""
        self._is_pump_due = False
        if self._is_lost or self._is_closing or self._is_reading_paused or not self._inbox:
            return
        if self._inbox[0] == FIN:
            self._inbox.popleft()
            if not self._protocol.eof_received():
                self.close()
            return
        size, parts = 0, []
        most = min(READ_BYTES_MAX, self.loop.read_bytes_max)
        while self._inbox and self._inbox[0] and size < most:
            part = self._inbox.popleft()
            assert part is not None
            if size + len(part) > most:
                self._inbox.appendleft(part[most - size :])
                part = part[: most - size]
            parts.append(part)
            size += len(part)
        if self.link.is_traced:
            self.kernel.trace(f"net {self.link.name} {self.direction ^ 1} {size}")
        peer = self.peer
        if peer is not None and not peer.loop.is_dead:
            peer.loop.post(peer.on_read, size)
        self._deliver(b"".join(parts))
        self._want_pump()

    def _deliver(self, data: bytes) -> None:
        protocol = self._protocol
        if not self._is_buffered:
            protocol.data_received(data)
            return
        at = 0
        while at < len(data) and not self._is_lost:
            view = protocol.get_buffer(-1)
            size = min(len(view), len(data) - at)
            view[:size] = data[at : at + size]
            del view
            at += size
            protocol.buffer_updated(size)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _finish(self, error: Exception | None) -> None:
        """Our socket closes. With bytes in it that nobody read the peer gets a reset, which may overtake our last."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        if any(self._inbox) and self.peer is not None:
            self.lose_flight()
            self.peer.break_later(ConnectionResetError("connection reset by peer"))
        else:
            self._fin()
        self._leave(error)

    def break_later(self, error: Exception) -> None:
        """A reset is on its way to us."""
        if not (self.link.is_dead or self.is_doomed):
            self.kernel.at(self.kernel.now_ns + self.link.delay_ns(), lambda: self.break_off(error))

    def break_off(self, error: Exception) -> None:
        """The connection is no more; the process learns it in its next turn."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._buffer.clear()
        self._leave(error)

    def _leave(self, error: Exception | None) -> None:
        if self in self.link.ends:
            self.link.ends.remove(self)
        if self._protocol is not None:
            self.loop.post(self._tell_lost, error)

    def _tell_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)

    def die(self, *, with_host: bool) -> None:
        """The owner's process is gone, and its callbacks with it."""
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        self._buffer.clear()
        self.link.ends.remove(self)
        if with_host:
            self.lose_flight()
        elif any(self._inbox) and self.peer is not None:
            self.lose_flight()
            self.peer.break_later(ConnectionResetError("connection reset by peer"))
        else:
            self._fin()
