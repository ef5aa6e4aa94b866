"""Beside another engine, in process, no socket and no disk: submit with N orders open, a tick with N stops resting.

Both do the same: an order through the risk checks to a broker that accepts it at once, and its events applied; a tick
judged against every resting stop; one stop fired and sent. Needs the optional dependency of the `peers` extra.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns
from typing import Any, Protocol

from benchmarks.figures import Figure, Outcome
from benchmarks.scale import Scale
from brokers.sim.market import quote_frame
from gateway.contracts.requests import PlaceItem, Trigger
from gateway.core.intake import Intake
from gateway.core.reports import Reports
from gateway.core.state import State
from gateway.core.watch import Watch
from gateway.core.world import World
from hotpath.fixed import from_e9
from hotpath.ticks import TickParser

PART = "peers"
E9, STEP_E9 = 10**9, 10**7
WALL_NS, MONO_NS = 1_764_000_000_000_000_000, 10**9
BID_E9 = 20_000 * E9
SAMPLES, FEW = 200, 20
FILL_S = 60.0  # a size that takes longer to set up is left out, and told
LIMITS = {
    "max_order_qty_e9": 10**6 * E9, "max_order_notional_e4": 10**14, "max_position_qty_e9": 9 * 10**9 * E9,
    "max_gross_e4": 10**17, "leverage_bps_e9": 10_000 * E9, "collar_bps_e9": 9_000 * E9, "max_open_orders": 10**7,
    "order_rate_per_s": 10**6, "order_burst": 10**6, "msg_rate_per_s": 10**6, "msg_burst": 10**6,
}  # fmt: skip


class Engine(Protocol):
    """What both can do."""

    def submit(self, count: int) -> list[int]: ...

    @property
    def open_orders(self) -> int: ...

    def arm(self, count: int) -> list[int]: ...

    resting: int

    def tick(self, count: int) -> list[int]: ...

    def fire_highest(self) -> int: ...


class Ours:
    """The core, with a broker that accepts at once; records are made and thrown away."""

    def __init__(self, orders: int = 100_000) -> None:
        self.state = State(shard=0, orders=orders, accounts=1, instruments=1)
        self.intake, self.reports = Intake(self.state), Reports(self.state)
        world = World(self.state)
        world.start_epoch(1, bytes(16), WALL_NS)
        world.list_instrument(
            b"BTCUSDT", tick_e9=STEP_E9, lot_e9=E9 // 1000, min_qty_e9=E9 // 1000, max_age_ns=3_600 * E9,
            outside_bps_e9=100 * E9, asset_class=1, wall_ns=WALL_NS,
        )  # fmt: skip
        world.open_account(b"A1", 1, 9 * 10**15, WALL_NS)
        world.set_limits(0, LIMITS, 1, WALL_NS)
        parser = TickParser(self.state.quotes)
        parser.map_symbol("BTCUSDT", 0)
        self.watch = Watch(self.state, parser)
        self.named = self.ticks = self.resting = self.highest_e9 = 0
        self.mono_ns = MONO_NS
        self.watch.feed_frame(self._quote(BID_E9), self.mono_ns, WALL_NS)

    def _quote(self, bid_e9: int) -> bytes:
        self.ticks += 1
        return quote_frame("BTCUSDT", from_e9(bid_e9), "10", from_e9(bid_e9 + STEP_E9), "10", self.ticks, 0)

    def _request(self, **terms: Any) -> PlaceItem:
        self.named += 1
        return PlaceItem(cl_ord_id=f"bench-{self.named:07d}", symbol="BTCUSDT", qty="0.01", tif="gtc", **terms)

    def _place(self, req: PlaceItem) -> None:
        answer = self.intake.place(0, req, b"bench", 0, False, WALL_NS, self.mono_ns)
        if answer <= 0:
            raise ValueError(f"refused: {answer} {self.intake.text} {self.intake.decision}")

    def _hand_over(self, order: int) -> None:
        """What the router does, up to the broker's acceptance."""
        self.reports.ticket(order, self.mono_ns)
        self.reports.sent(order, WALL_NS, WALL_NS)
        self.reports.new(order, b"V%d" % order, WALL_NS, b"", WALL_NS)

    def _throw_away(self) -> None:
        self.mono_ns += 1_000_000
        self.state.placed(0)
        self.state.take_effects(self.state.seq)

    def submit(self, count: int) -> list[int]:
        """Place limit orders; nanoseconds of each, the making of the request not counted."""
        spent = []
        for _ in range(count):
            req = self._request(side="buy", ord_type="limit", px="10000")
            begin = perf_counter_ns()
            self._place(req)
            self._hand_over(self.intake.order)
            spent.append(perf_counter_ns() - begin)
            self._throw_away()
        return spent

    @property
    def open_orders(self) -> int:
        return int(self.state.orders.open_count)

    def arm(self, count: int) -> list[int]:
        """Place stops, each a step lower; nanoseconds of each."""
        spent = []
        for _ in range(count):
            self.resting += 1
            stop_px = from_e9(BID_E9 - E9 - self.resting * STEP_E9)
            trigger = Trigger(kind="stop", stop_px=stop_px, source="bid")
            req = self._request(side="sell", ord_type="market", stp="allow", trigger=trigger)
            begin = perf_counter_ns()
            self._place(req)
            spent.append(perf_counter_ns() - begin)
            self._throw_away()
        return spent

    def tick(self, count: int) -> list[int]:
        """Ticks that fire nothing, parsed from the venue's frame."""
        spent = []
        for _ in range(count):
            frame = self._quote(BID_E9)
            begin = perf_counter_ns()
            self.watch.feed_frame(frame, self.mono_ns, WALL_NS)
            spent.append(perf_counter_ns() - begin)
        return spent

    def fire(self, count: int) -> list[int]:
        """A tick that fires exactly the next `count` stops: nanoseconds from it until the broker has each."""
        self.highest_e9 = (self.highest_e9 or BID_E9 - E9) - count * STEP_E9
        frame, spent = self._quote(self.highest_e9), []
        begin = perf_counter_ns()
        fired = self.watch.feed_frame(frame, self.mono_ns, WALL_NS)
        while fired:
            for order in self.watch.take_fired(fired):
                self._hand_over(order)
                spent.append(perf_counter_ns() - begin)
            self._throw_away()
            fired = self.watch.drain(self.mono_ns, WALL_NS)
        if len(spent) != count:
            raise ValueError(f"{len(spent)} stops fired instead of {count}")
        return spent

    def fire_highest(self) -> int:
        """A tick that fires exactly one stop: nanoseconds until the broker has it."""
        return self.fire(1)[0]


def grow(add: Callable[[int], list[int]], have: Callable[[], int], want: int) -> bool:
    """Add until `want` are there; False when that takes too long."""
    begin = perf_counter_ns()
    while have() < want:
        add(min(10, want - have()))
        if perf_counter_ns() - begin > FILL_S * 1e9:
            return False
    return True


def compare(
    outcome: Outcome, what: str, engines: dict[str, Engine], measure: Callable[[Engine], list[int]], of: str
) -> None:
    """Ours, with each peer as the floor of a line."""
    mine = median(measure(engines["ours"])) / 1_000
    for name, engine in engines.items():
        if name != "ours":
            value = median(measure(engine)) / 1_000
            note = f"floor: {name}, {value / mine:,.1f} times ours"
            outcome.figures.append(Figure(PART, f"{what}, {of}", mine, "µs", floor=value, note=note))


def beside(outcome: Outcome, sizes: tuple[int, ...], engines: dict[str, Engine]) -> None:
    """Submit by open orders, then stops by those that rest."""
    peers = dict(engines)
    for size in sizes:
        for name, engine in list(peers.items()):
            if not grow(engine.submit, lambda engine=engine: engine.open_orders, size):  # type: ignore[misc]
                outcome.remarks.append(
                    f"peers: {name} left out of submit from {size:,} open orders on: too slow to fill"
                )
                del peers[name]
        compare(outcome, "submit", peers, lambda engine: engine.submit(FEW), f"{size:,} open")
    peers = {name: engine for name, engine in engines.items() if "balances" not in name}
    for size in sizes:
        for name, engine in list(peers.items()):
            if not grow(engine.arm, lambda engine=engine: engine.resting, size):  # type: ignore[misc]
                outcome.remarks.append(f"peers: {name} left out of stops from {size:,} on: too slow to fill")
                del peers[name]
        of = f"{size:,} rest"
        compare(outcome, "tick, nothing fires", peers, lambda engine: engine.tick(SAMPLES), of)
        compare(outcome, "arm one stop", peers, lambda engine: engine.arm(FEW), of)
        compare(outcome, "tick to submit of one", peers, lambda engine: [engine.fire_highest() for _ in range(FEW)], of)


async def run(scale: Scale, outcome: Outcome) -> None:
    """Says why when there is nothing to compare with."""
    if importlib.util.find_spec("nautilus_trader") is None:
        outcome.remarks.append("peers: NOT RUN, nautilus_trader is not installed (make bench-peers installs it)")
        return
    peer = importlib.import_module("benchmarks.peer_nautilus")
    version = importlib.import_module("nautilus_trader").__version__
    name = f"NautilusTrader {version}"
    engines: dict[str, Engine] = {"ours": Ours(), name: peer.Nautilus(calculated=False)}
    engines[f"{name}, keeping balances"] = peer.Nautilus(calculated=True)
    gc.collect()
    gc.freeze()
    beside(outcome, scale.peers, engines)
    gc.unfreeze()
