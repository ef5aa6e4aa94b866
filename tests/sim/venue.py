"""The broker side: the real matching model and codec behind a link that loses, repeats, delays, reorders and breaks.

`BrokerLink` is the gateway's adapter (`brokers.ports.Adapter`); `BrokerSide` is what stands at the other end. A message
that the link loses is followed by the loss of the link, as on a stream; what was on its way to the broker may arrive.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from brokers.capabilities import Capabilities, DedupClass, RateBudget
from brokers.ports import Report, ReportSink
from brokers.sim import messages as m
from brokers.sim.codec import render_cancel, render_new, render_query, render_replace
from brokers.sim.exchange import Exchange
from brokers.sim.quirks import MILLION, Drop, Outbound, Quirks
from brokers.sim.reports import ReportReader
from gateway.core.state import State
from hotpath.enums import OrdType, Tif
from hotpath.ticket import Ticket
from tests.sim.history import Fact, Left, Reached
from tests.sim.kernel import MS, SECOND, WALL_START_NS

if TYPE_CHECKING:
    from tests.sim.world import World

KEY = "gateway"
INVISIBLE_NS = 3 * SECOND  # in which a query may not find an order that was taken
ON_ITS_WAY_NS = 2_700 * MS  # the longest that a request takes to it
HORIZON_NS = ON_ITS_WAY_NS + INVISIBLE_NS
BEAT_NS = SECOND
CAPABILITIES = Capabilities(
    broker="sim", tifs=frozenset({Tif.DAY, Tif.GTC, Tif.IOC, Tif.FOK, Tif.GTD}),
    ord_types=frozenset({OrdType.MARKET, OrdType.LIMIT}), has_native_replace=True, replace_changes_id=True,
    has_query_by_id=True, dedup=DedupClass.ALWAYS, horizon_ns=HORIZON_NS,
)  # fmt: skip
RESERVED = 3  # the part of the burst that is kept back is a third
_request = msgspec.json.Decoder(m.Request)
_encode = msgspec.json.Encoder().encode


class BrokerSide:
    """The venue: it keeps its book through every crash of the gateway."""

    def __init__(self, world: World, symbols: tuple[str, ...]) -> None:
        self.world = world
        faults = world.faults
        rate = int(faults.strength("venue.rate"))
        self.budget = RateBudget(messages_per_s=rate, burst=max(2, rate), reserved_burst=max(2, rate) // RESERVED)
        quirks = Quirks(
            rate_per_s=rate,
            rate_burst=self.budget.burst + 1,  # what is a little late meets what comes after it
            partial_ppm=int(faults.strength("venue.partial") * MILLION),
            fill_first_ppm=int(faults.strength("venue.fill_first") * MILLION),
            reject_ppm=int(faults.strength("venue.reject") * MILLION),
        )
        self.exchange = Exchange(world.kernel.rng("venue").getrandbits(32), quirks, frozenset(symbols))
        self.exchange.note = self._note
        self.link: BrokerLink | None = None
        self._draw = world.kernel.rng("venue timing")
        self.busted: list[m.Busted] = []
        self.busts = 0  # under way: not made yet, or their report is on its way
        self._acked: set[str] = set()  # broker ids whose order was acknowledged, or filled before that
        self._taken_ns: dict[str, int] = {}  # broker id -> when its order was taken
        self._turned_away: set[str] = set()  # ids whose newest order was refused for its rate

    def heal(self) -> None:
        """The liveness phase: a broker that behaves."""
        self.exchange.set_quirks(Quirks())

    def now_ns(self) -> int:
        return WALL_START_NS + self.world.kernel.now_ns

    def _note(self, key: str, message: m.Message) -> None:
        world = self.world
        world.history.facts.append(Fact(world.kernel.now_ns, message))
        world.kernel.trace(f"fact {_encode(message).decode()}")
        faults = world.faults
        if type(message) is m.Ack:
            self._acked.add(message.id)
        if type(message) is m.Fill and message.id not in self._acked and faults.strength("venue.fill_first"):
            faults.count("venue.fill_first")
            self._acked.add(message.id)
        if getattr(message, "reason", "") == "throttled":
            faults.count("venue.rate")
            return
        for name, kind in (("venue.partial", m.Fill), ("venue.reject", m.Rejected)):
            if type(message) is kind and faults.strength(name) and getattr(message, "leaves", "1") != "0":
                faults.count(name)
        if type(message) is m.Busted:
            self.busted.append(message)
        if type(message) is m.Fill and faults.hit("venue.bust"):
            self.busts += 1
            world.kernel.after(self._draw.randrange(MS, 5 * SECOND), lambda: self._bust(message.exec))

    def _bust(self, exec_id: str) -> None:
        self._emit(self.exchange.bust(exec_id, self.now_ns()))
        self.world.kernel.after(SECOND, self._busted)

    def _busted(self) -> None:
        self.busts -= 1

    # --- market ------------------------------------------------------------------------------------------------------

    def quote(self, symbol: str, bid_e9: int, ask_e9: int, size_e9: int) -> None:
        self._emit(
            self.exchange.on_quote(
                symbol, bid_px_e9=bid_e9, bid_qty_e9=size_e9, ask_px_e9=ask_e9, ask_qty_e9=size_e9,
                now_ns=self.now_ns(),
            )
        )  # fmt: skip
        if 0 < self.exchange.next_timer_ns <= self.now_ns():
            self._emit(self.exchange.on_timer(self.now_ns()))

    def print(self, symbol: str, px_e9: int, size_e9: int) -> None:
        self._emit(self.exchange.on_trade(symbol, px_e9=px_e9, qty_e9=size_e9, now_ns=self.now_ns()))

    # --- requests ----------------------------------------------------------------------------------------------------

    def receive(self, line: bytes, life: int) -> None:
        """One message has arrived."""
        pace, request = self.exchange.pace, _request.decode(line)
        refused = pace.refused
        self._receive(line, request, life)
        if pace.refused > refused:
            self._turned_away.add(request.id)
        else:
            self._turned_away.discard(request.id)

    def receive_again(self, line: bytes, life: int) -> None:
        """One that the network has made two of: it fares as the first did, and no rate counts it."""
        request, quirks = _request.decode(line), self.exchange.quirks
        if request.id not in self._turned_away:
            self.exchange.set_quirks(msgspec.structs.replace(quirks, rate_per_s=0))
            self._receive(line, request, life)
            self.exchange.set_quirks(quirks)

    def _receive(self, line: bytes, request: m.Message, life: int) -> None:
        world, now_ns = self.world, self.now_ns()
        world.history.reached.append(Reached(world.kernel.now_ns, life, request))
        world.kernel.trace(f"broker < {line.decode().rstrip()}")
        if isinstance(request, m.New):
            if (KEY, request.id) not in self.exchange.orders:
                self._taken_ns[request.id] = now_ns
            self._emit(self.exchange.on_order(KEY, request, now_ns))
        elif isinstance(request, m.Cancel):
            self._emit(self.exchange.on_cancel(KEY, request, now_ns))
        elif isinstance(request, m.Replace):
            self._emit(self.exchange.on_replace(KEY, request, now_ns))
        elif isinstance(request, m.Query):
            self._query(request, now_ns)

    def _query(self, query: m.Query, now_ns: int) -> None:
        faults = self.world.faults
        is_young = now_ns - self._taken_ns.get(query.id, 0) < INVISIBLE_NS
        late_ns = self._draw.randrange(SECOND, 8 * SECOND) if faults.hit("venue.late_answer") else 0
        if is_young and faults.hit("venue.forget"):
            self._send(m.State(query.id, False, now_ns), late_ns)
            return
        for _, _, message in self.exchange.on_query(KEY, query, now_ns):
            if isinstance(message, m.State) and message.execs and faults.hit("venue.bare_answer"):
                message = msgspec.structs.replace(message, execs=())  # as brokers do that state orders and fills apart
            self._send(message, late_ns)

    def _emit(self, out: list[Outbound]) -> None:
        for delay_ns, _, message in out:
            self._send(message, delay_ns)

    def _send(self, message: m.Message | Drop, delay_ns: int = 0) -> None:
        if self.link is not None and not isinstance(message, Drop):
            self.link.carry_back(_encode(message), delay_ns)


class BrokerLink:
    """One life's link to the broker: connects, breaks and connects again by itself."""

    def __init__(self, world: World, state: State, sink: ReportSink) -> None:
        self.capabilities = replace(CAPABILITIES, budget=world.venue.budget)
        self.is_up = False
        self.world = world
        self.node = world.node
        self.life = world.node.life
        self._sink = sink
        self._reader = ReportReader(state.shard, state.history_text(), self._note_exec_seq)
        self._draw = world.kernel.rng("link")
        self._number = 0  # of the connection
        self._out_floor_ns = 0
        self._back_floor_ns = 0
        self._is_silent = False
        self._exec_seq = -1
        self._ahead: set[int] = set()

    # --- the contract ------------------------------------------------------------------------------------------------

    def submit(self, *tickets: Ticket) -> int:
        if not self._takes():
            return 0
        for ticket in tickets:
            self._carry(render_new(ticket))
        return len(tickets)

    def cancel(self, ticket: Ticket) -> bool:
        return self._takes() and self._carry(render_cancel(ticket))

    def replace(self, ticket: Ticket) -> bool:
        return self._takes() and self._carry(render_replace(ticket))

    def query(self, ticket: Ticket) -> bool:
        return self._takes() and self._carry(render_query(ticket))

    async def open(self) -> None:
        """Unused: `connect` starts the link."""

    async def close(self) -> None:
        """Unused: the link ends with its life."""

    def _takes(self) -> bool:
        """Whether bytes can leave now; a full kernel buffer is told of when it has room again."""
        self.node.maybe_crash()
        if not self.is_up:
            return False
        if self.world.faults.hit("link.full"):
            self.node.later(self._draw.randrange(MS, 20 * MS), self._writable)
            return False
        return True

    def _writable(self) -> None:
        if self.is_up:
            self._sink.on_writable()

    # --- life of the connection --------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Try until it is up."""
        self.node.later(self._draw.randrange(5 * MS, 100 * MS), self._connected)

    def _connected(self) -> None:
        """After login the executions made meanwhile come first; at start the gateway's questions bring them."""
        exchange = self.world.venue.exchange
        if self.is_up or self.world.venue.link is not self:
            return
        self._number += 1
        self._is_silent = False
        if self._exec_seq < 0:
            self._exec_seq = exchange.exec_seq_of(KEY)
        for fill in exchange.fills_since(KEY, self._exec_seq):
            self._read(_encode(fill))
        for busted in self.world.venue.busted:  # nobody could ask for one that was said while nobody listened
            self._read(_encode(busted))
        self.is_up = True
        self.world.kernel.trace("link up")
        self._sink.on_link(True, "login")
        number = self._number
        self.node.later(BEAT_NS, lambda: self._beat(number))

    def _beat(self, number: int) -> None:
        """Executions that never came are asked for again."""
        if not self.is_up or number != self._number:
            return
        exchange = self.world.venue.exchange
        if not self._is_silent and (self._ahead or self._exec_seq < exchange.exec_seq_of(KEY)):
            for fill in exchange.fills_since(KEY, self._exec_seq):
                self.carry_back(_encode(fill), 0)
        self.node.later(BEAT_NS, lambda: self._beat(number))

    def cut(self, cause: str, down_ns: int) -> None:
        """The connection is lost at both ends; it is tried again after `down_ns`."""
        if not self.is_up:
            return
        number = self._number

        def lose() -> None:
            if self.is_up and number == self._number:
                self.is_up = False
                self.world.kernel.trace(f"link down: {cause}")
                self._sink.on_link(False, cause)
                lasts = self.world.faults.are_on  # one that a pause kept back may come after the faults
                self.node.later(down_ns if lasts else 10 * MS, self.connect)

        self.node.soon(lose)

    def close_now(self) -> None:
        """The gateway ends: the link first, as its adapter does."""
        if self.is_up:
            self.is_up = False
            self._sink.on_link(False, "closed by us")

    def heal(self) -> None:
        """No outage lasts, and what was lost on the way is asked for: the connection is made anew."""
        if self.is_up:
            self.cut("healed", 10 * MS)
        else:
            self.connect()

    def _misfortune(self) -> None:
        """What may happen to the connection with each message."""
        faults, draw = self.world.faults, self._draw
        if faults.hit("link.outage"):
            self.cut("outage", int(50 * MS * 12_000 ** (draw.randrange(1000) / 1000)))
        elif faults.hit("link.half_open"):
            self._is_silent = True
            number = self._number
            delay_ns = draw.randrange(SECOND, 6 * SECOND)
            self.node.later(delay_ns, lambda: self.cut("half-open", SECOND) if number == self._number else None)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _carry(self, line: bytes) -> bool:
        """A message on its way to the broker."""
        world, faults, draw = self.world, self.world.faults, self._draw
        world.history.left.append(Left(world.kernel.now_ns, self.life, _request.decode(line)))
        self._misfortune()
        if faults.hit("link.drop_request"):
            self.cut("a message was lost", draw.randrange(50 * MS, 2 * SECOND))
            return True
        delay_ns = draw.randrange(MS // 10, 2 * MS)
        if faults.hit("link.delay"):
            delay_ns += draw.randrange(2 * MS, 200 * MS)
        if faults.hit("link.linger"):
            delay_ns += draw.randrange(200 * MS, 2500 * MS)
        due_ns = self._out_floor_ns = max(self._out_floor_ns, world.kernel.now_ns + delay_ns)
        world.kernel.at(due_ns, lambda: world.venue.receive(line, self.life))
        if faults.hit("link.repeat_request"):
            world.kernel.at(due_ns + draw.randrange(50 * MS), lambda: world.venue.receive_again(line, self.life))
        if faults.hit("link.cut_mid_send"):
            self.cut("reset while sending", draw.randrange(10 * MS, 2 * SECOND))
        self.node.maybe_crash()
        return True

    def carry_back(self, line: bytes, delay_ns: int) -> None:
        """A message on its way from the broker."""
        if not self.is_up or self._is_silent:
            return
        kernel, faults, draw = self.world.kernel, self.world.faults, self._draw
        self._misfortune()
        if faults.hit("link.drop_report"):
            self.cut("a message was lost", draw.randrange(50 * MS, 2 * SECOND))
            return
        due_ns = kernel.now_ns + delay_ns + draw.randrange(MS // 10, 2 * MS)
        if faults.hit("link.delay"):
            due_ns += draw.randrange(2 * MS, 200 * MS)
        is_late = faults.hit("link.linger")
        if is_late:
            due_ns += draw.randrange(200 * MS, 2500 * MS)
        if faults.hit("link.overtake") or delay_ns or is_late:
            due_ns += draw.randrange(2 * MS, 200 * MS)  # those after it do not wait for it
        else:
            due_ns = self._back_floor_ns = max(self._back_floor_ns, due_ns)
        number = self._number
        self.node.at(due_ns, lambda: self._arrive(number, line))
        if faults.hit("link.repeat_report"):
            self.node.at(due_ns + draw.randrange(500 * MS), lambda: self._arrive(number, line))

    def _arrive(self, number: int, line: bytes) -> None:
        if self.is_up and number == self._number:
            self._read(line)

    def _read(self, line: bytes) -> None:
        report = self._reader.read(line)
        assert isinstance(report, Report)
        self.world.kernel.trace(f"broker > {line.decode()}")
        self._sink.on_report(report)

    def _note_exec_seq(self, number: int) -> None:
        """Keep the number up to which no execution is missing."""
        if number == self._exec_seq + 1:
            self._exec_seq = number
            while self._exec_seq + 1 in self._ahead:
                self._exec_seq += 1
                self._ahead.discard(self._exec_seq)
        elif number > self._exec_seq:
            self._ahead.add(number)
