"""The broker's side of the loop tier: the real venue process, told apart fault by fault, and its ledger noted down."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from brokers.sim import messages as m
from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.market import Symbol, quote_frame, trade_frame
from brokers.sim.quirks import Delivery, Outbound, Quirks
from brokers.sim.server import Venue
from brokers.sim.session import Session
from hotpath.fixed import from_e9, to_e9
from tests.sim.faults import Faults
from tests.sim.history import Fact, Reached
from tests.sim.kernel import MS, SECOND
from tests.sim.venue import INVISIBLE_NS, ON_ITS_WAY_NS

if TYPE_CHECKING:
    from tests.sim.loop_world import LoopWorld

KEY = "gateway"
SYMBOLS = ("AAA", "BBB")
PPM = 1_000_000
RETELL_NS = SECOND  # after a login: what was said while nobody listened
# Quirk of the venue -> the fault that it is, and by how much it is weakened: a lost message costs the link here.
QUIRKS = {
    "partial_ppm": ("venue.partial", 1), "reject_ppm": ("venue.reject", 1), "swallow_ppm": ("link.drop_request", 10),
    "lost_answer_ppm": ("link.drop_report", 2), "duplicate_ppm": ("link.repeat_report", 1),
    "delay_ppm": ("link.overtake", 1), "fill_first_ppm": ("venue.fill_first", 1),
    "disconnect_ppm": ("link.cut_mid_send", 4),
}  # fmt: skip
CALM = Quirks(latency_ns=200_000, is_depth_unlimited=True)


class CountedDelivery(Delivery):
    """The venue's chance, with a count of what struck. Quirks are told apart by the last digit of their rates."""

    def __init__(self, rng: Random, quirks: Quirks, faults: Faults, names: dict[int, str]) -> None:
        super().__init__(rng, quirks)
        self._faults = faults
        self._names = names

    def hits(self, ppm: int) -> bool:
        if not super().hits(ppm):
            return False
        self._faults.count(self._names[ppm])
        return True


class BrokerSide:
    """One venue of the real code on a loop of its own, with faults of the catalogue at its doors."""

    def __init__(self, world: LoopWorld, secret: bytes) -> None:
        self.world = world
        self.kernel = world.kernel
        self.faults = world.faults
        self.loop = world.process("venue")
        names: dict[int, str] = {}
        rates: dict[str, int] = {}
        for digit, (quirk, (fault, weaker)) in enumerate(QUIRKS.items(), 1):
            if strength := world.faults.strength(fault):
                rates[quirk] = int(strength * PPM / weaker) // 10 * 10 + digit
                names[rates[quirk]] = fault
        quirks = Quirks(
            latency_ns=200_000, latency_jitter_ns=3 * MS, delay_ns_max=200 * MS, is_depth_unlimited=True, **rates
        )
        symbols = tuple(Symbol(name=name, px="100", tick="0.01") for name in SYMBOLS)
        config = VenueConfig(
            host="venue", order_port=7100, feed_port=7200, seed=self.kernel.rng("venue seed").getrandbits(31),
            quirks=quirks, keys={KEY: secret.hex()},
            market=MarketConfig(symbols=symbols, rate_per_s=20),
        )  # fmt: skip
        clock, chance = self.loop.clock, self.kernel.rng("venue")
        venue = self.venue = Venue(
            config, wall_ns=clock.wall_ns, mono_ns=clock.mono_ns, make_challenge=lambda: chance.randbytes(16).hex()
        )
        exchange = self.exchange = venue.exchange
        exchange.delivery = CountedDelivery(exchange.delivery.rng, quirks, world.faults, names)
        exchange.note = self._note
        self.busted: list[m.Busted] = []
        strength = world.faults.strength
        self.invisible_ns = INVISIBLE_NS if strength("venue.forget") else 0
        self.horizon_ns = self.invisible_ns + (ON_ITS_WAY_NS if strength("link.linger") else 0)  # it declares that
        self._taken_ns: dict[str, int] = {}  # id -> when an order first came under it
        self._draw = self.kernel.rng("venue faults")
        self._silent_until_ns = 0
        self._last: dict[str, bytes] = {}
        self._lives: dict[Session, int] = {}  # the gateway's, that opened it: what lingers comes after its end
        self._wrap()

    def _wrap(self) -> None:
        """Put the faults before the venue's own methods."""
        venue: Any = self.venue
        self._add_session, venue.add_session = venue.add_session, self._opened
        self._on_login, venue.on_login = venue.on_login, self._login
        self._on_request, venue.on_request = venue.on_request, self._request
        self._on_query, venue.exchange.on_query = venue.exchange.on_query, self._query
        self._publish, venue.feed.publish = venue.feed.publish, self._feed

    def heal(self) -> None:
        """A broker that behaves."""
        self.exchange.set_quirks(CALM)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits for its time to be told."""
        return not self.venue.stats()["late"]

    # --- orders -------------------------------------------------------------------------------------------------------

    def _note(self, key: str, message: m.Message) -> None:
        self.world.history.facts.append(Fact(self.kernel.now_ns, message))
        if type(message) is m.Busted:
            self.busted.append(message)

    def _opened(self, session: Session) -> bool:
        self._lives[session] = self.world.life
        return bool(self._add_session(session))

    def _login(self, session: Session) -> None:
        self._on_login(session)
        for message in self.busted:  # nobody could ask for one that was said while nobody listened
            self.venue.emit([(RETELL_NS, KEY, message)], self.venue.wall_ns())

    def _request(self, session: Session, request: m.Request, line: bytes) -> None:
        if type(request) is m.New:
            self._taken_ns.setdefault(request.id, self.kernel.now_ns)
        orders = (m.New, m.Cancel, m.Replace)
        times = 2 if isinstance(request, orders) and self.faults.hit("link.repeat_request") else 1
        for _ in range(times):
            if isinstance(request, (*orders, m.Query)):
                self.world.history.reached.append(Reached(self.kernel.now_ns, self._lives[session], request))
            self._on_request(session, request, line)

    def _barely(self, message: m.Message) -> m.Message:
        """An answer without its fills, as brokers give that state orders and fills apart."""
        has_fills = isinstance(message, m.State) and message.execs
        return (
            msgspec.structs.replace(message, execs=())
            if has_fills and self.faults.hit("venue.bare_answer")
            else message
        )

    def _query(self, key: str, query: m.Query, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = self._on_query(key, query, now_ns)
        taken_ns = self._taken_ns.get(query.id, -self.invisible_ns)
        if self.kernel.now_ns - taken_ns < self.invisible_ns and self.faults.hit("venue.forget"):
            out = [(0, key, m.State(query.id, False, now_ns))]
        out = [(delay_ns, owner, self._barely(message)) for delay_ns, owner, message in out]
        if not self.faults.hit("venue.late_answer"):
            return out
        late_ns = self._draw.randrange(SECOND, 8 * SECOND)
        return [(delay_ns + late_ns, owner, message) for delay_ns, owner, message in out]

    def bust(self) -> bool:
        """Break one of the trades so far."""
        broken = {message.exec for message in self.busted}
        whole = [fill.exec for fill in self.exchange.fills_since(KEY, 0) if fill.exec not in broken]
        if not whole:
            return False
        name, now_ns = self._draw.choice(whole), self.venue.wall_ns()
        self.loop.inside(lambda: self.venue.emit(self.exchange.bust(name, now_ns), now_ns))
        self.loop.inside(self.venue.flush)
        return True

    # --- market data --------------------------------------------------------------------------------------------------

    def reset_feed(self) -> None:
        """All market-data connections are lost."""
        self.loop.inside(self.venue.feed.drop_all)

    def _feed(self, stream: str, frame: bytes) -> None:
        """What the subscribers get instead of a frame, or besides it."""
        faults, now_ns = self.faults, self.kernel.now_ns
        if faults.hit("feed.gap"):
            self._silent_until_ns = now_ns + self._draw.randint(1, 8) * SECOND
        if now_ns < self._silent_until_ns and faults.are_on:
            return
        if stream in self._last and faults.hit("feed.repeat"):
            self._publish(stream, self._last[stream])
        self._last[stream] = frame
        data = msgspec.json.decode(frame)["data"]
        symbol, time_ms = data["s"], data["E"]
        if data["e"] == "bookTicker":
            if faults.hit("feed.stale"):
                old = quote_frame(symbol, "1", "1", "2", "1", max(1, data["u"] - 50), time_ms - 60_000)
                self._publish(stream, old)
            if faults.hit("feed.crossed"):
                frame = quote_frame(symbol, data["a"], "1", data["b"], "1", data["u"], time_ms)
        elif faults.hit("feed.spike"):
            px = from_e9(to_e9(data["p"]) * self._draw.choice((2, 10)) // 4)
            frame = trade_frame(symbol, px, "1", data["t"], time_ms, is_buyer_maker=False)
        self._publish(stream, frame)
