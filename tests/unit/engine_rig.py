"""An engine over a journal and a broker link whose every step the test decides: what is durable, what is told, when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brokers.capabilities import Capabilities, DedupClass, RateBudget
from brokers.ports import ReportState
from brokers.sim.market import trade_frame
from gateway.contracts.requests import PlaceItem, ReplaceItem, Trigger
from gateway.core import COMPILED, Core
from gateway.core.state import State
from gateway.engine import Engine
from hotpath.enums import OrdStatus, OrdType, Tif
from hotpath.ticket import Ticket
from tests.property.order_world import E9, LIMITS

CENT = E9 // 100
WALL_NS = 1_700_000_000_000_000_000
UNLIMITED = RateBudget()


class HandClock:
    """Both clocks stand until they are moved."""

    def __init__(self) -> None:
        self.wall, self.mono = WALL_NS, E9

    def wall_ns(self) -> int:
        return self.wall

    def mono_ns(self) -> int:
        return self.mono

    def pass_ns(self, delay_ns: int) -> None:
        self.wall += delay_ns
        self.mono += delay_ns


class MemoryJournal:
    """Takes every record; what is durable is said by the test."""

    run_bytes_max = 1 << 20
    is_low = False

    def __init__(self) -> None:
        self.data = bytearray(4096)
        self.durable_seq = 0
        self.last_seq = 0

    def submit(self, blob: memoryview, last_seq: int) -> int:
        position = len(self.data)
        self.data += blob
        self.last_seq = last_seq
        return position

    def frame(self, position: int) -> bytes:
        size = int.from_bytes(self.data[position : position + 4], "little")
        return bytes(self.data[position : position + size])


class HandLink:
    """A broker link that keeps what it was given."""

    def __init__(self, budget: RateBudget) -> None:
        self.capabilities = Capabilities(
            broker="hand", tifs=frozenset(Tif), ord_types=frozenset(OrdType), has_native_replace=True,
            replace_changes_id=True, has_query_by_id=True, dedup=DedupClass.ALWAYS,
            budget=budget,
        )  # fmt: skip
        self.is_up = False
        self.submitted: list[Ticket] = []
        self.canceled: list[Ticket] = []
        self.replaced: list[Ticket] = []
        self.asked: list[Ticket] = []

    def submit(self, *tickets: Ticket) -> int:
        if not self.is_up:
            return 0
        self.submitted += tickets
        return len(tickets)

    def cancel(self, ticket: Ticket) -> bool:
        self.canceled += [ticket] * self.is_up
        return self.is_up

    def replace(self, ticket: Ticket) -> bool:
        self.replaced += [ticket] * self.is_up
        return self.is_up

    def query(self, ticket: Ticket) -> bool:
        self.asked += [ticket] * self.is_up
        return self.is_up

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None


class Rig:
    """The engine, with a market at 99.99 / 100.00."""

    def __init__(
        self, state: State | None = None, *, orders: int = 4_000, budget: RateBudget = UNLIMITED,
        core: Core = COMPILED, max_age_ns: int = 10**18,
    ) -> None:  # fmt: skip
        self.core = core
        self.max_age_ns = max_age_ns
        self.clock = HandClock()
        self.journal = MemoryJournal()
        self.link = HandLink(budget)
        self.later: list[tuple[int, Callable[[], None]]] = []
        self.turns: list[Callable[[], None]] = []
        self.state = state or self._new_state(orders)
        self.engine = Engine(
            state=self.state, journal=self.journal, clock=self.clock, adapter=self.link, is_durable=True,
            later=lambda delay_ns, call: self.later.append((delay_ns, call)), soon=self.turns.append,
            read_frame=self.journal.frame, core=core,
        )  # fmt: skip
        self.frames = 0
        for symbol in ("S0", "S1"):
            self.engine.parser.map_symbol(symbol, self.state.quotes.row_of(symbol))
            self.quote(symbol)

    def _new_state(self, orders: int) -> State:
        state = self.core.state(shard=0, orders=orders, accounts=2, instruments=2)
        world = self.core.world(state)
        world.start_epoch(1, bytes(range(16)), WALL_NS)
        for row in range(2):
            world.list_instrument(
                f"S{row}".encode(), tick_e9=CENT, lot_e9=E9, min_qty_e9=E9, max_age_ns=self.max_age_ns,
                outside_bps_e9=0, asset_class=1, wall_ns=WALL_NS,
            )  # fmt: skip
            world.open_account(f"A{row}".encode(), row, 10**15, WALL_NS)
            world.set_limits(row, LIMITS, 1, WALL_NS)
        return state

    # --- the disk, the link, the loop --------------------------------------------------------------------------------

    def sync(self) -> None:
        """All that was recorded is on disk now."""
        for _ in range(4):  # effects make records of their own
            self.engine.flush()
            self.journal.durable_seq = self.journal.last_seq
            self.engine.on_durable()

    def up(self) -> None:
        """The link comes up; every question is answered with `no such order`."""
        self.link.is_up = True
        self.engine.on_link(True, "login")
        while self.engine.router.asking:
            for order in list(self.engine.router.asking):
                self.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
        self.sync()

    def down(self) -> None:
        self.link.is_up = False
        self.engine.on_link(False, "lost")
        self.sync()

    def turn(self) -> None:
        """One turn of the loop: what was put off to it."""
        calls, self.turns[:] = list(self.turns), []
        for call in calls:
            call()

    # --- words -------------------------------------------------------------------------------------------------------

    def quote(self, symbol: str, bid: str = "99.99", ask: str = "100.00") -> None:
        self.frames += 1
        data = f'"u":{self.frames},"s":"{symbol}","b":"{bid}","B":"9","a":"{ask}","A":"9"'
        text = f'{{"stream":"{symbol.lower()}@bookTicker","data":{{{data}}}}}'
        self.engine.on_feed_frame(text.encode(), self.clock.mono)

    def trade(self, symbol: str, px: str) -> None:
        self.frames += 1
        text = trade_frame(symbol, px, "9", self.frames, 1, is_buyer_maker=False)
        self.engine.on_feed_frame(text, self.clock.mono)

    def place(self, name: str, **terms: Any) -> int:
        """An accepted order's row."""
        account = terms.pop("account", 0)
        fields: dict[str, Any] = {
            "symbol": "S0",
            "side": "buy",
            "ord_type": "limit",
            "qty": "10",
            "px": "100",
            "tif": "gtc",
            "stp": "allow",
        }
        stop = terms.pop("stop", None)
        if stop is not None:
            fields |= {"ord_type": "market", "px": None, "side": "sell"}
            terms["trigger"] = Trigger(kind="stop", stop_px=stop)
        item = PlaceItem(cl_ord_id=name, **(fields | terms))
        intake = self.engine.intake
        answer = intake.place(account, item, b"s", 0, False, self.clock.wall, self.clock.mono)
        assert answer > 0, (answer, intake.text, intake.decision)
        if item.tif in ("day", "gtd"):
            self.engine.note_expiry(intake.order)
        return int(intake.order)

    def replace(self, name: str, rev: int, **changes: Any) -> int:
        stop = changes.pop("stop", None)
        if stop is not None:
            changes["trigger"] = Trigger(kind="stop", stop_px=stop)
        item = ReplaceItem(cl_ord_id=name, rev=rev, **changes)
        return int(self.engine.intake.replace(0, item, 0, self.clock.wall, self.clock.mono))

    def new(self, order: int) -> None:
        self.engine.reports.new(order, b"b", 0, b"", self.clock.wall)
        self.sync()

    def fill(self, order: int, qty: int, exec_id: bytes, px_e9: int = 100 * E9) -> None:
        self.engine.reports.trade(order, exec_id, qty * E9, px_e9, 0, 0, 0, 0, b"", self.clock.wall)
        self.sync()

    def long(self, qty: int = 10) -> None:
        """The first order of the account: a position."""
        order = self.place("entry", qty=str(qty))
        self.sync()
        self.new(order)
        self.fill(order, qty, b"entry")

    def status(self, order: int) -> OrdStatus:
        return OrdStatus(self.engine.views.order(order)["ord_status"])
