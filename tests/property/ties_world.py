"""Both cores under orders that wait for others and share with others, with what must hold after every step."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.contracts.lint import StreamLint
from gateway.contracts.requests import After, CancelItem, PlaceItem, ReplaceItem, Trigger
from gateway.core import Core
from gateway.core.terms import Refusal
from hotpath import frame
from hotpath.enums import Hold, OrdStatus, Reason, Stage
from tests.property.both_cores import BOTH
from tests.property.order_world import ACCOUNTS, CENT, E9, FIRST_ACCOUNT_EVENT, INSTRUMENTS, LIMITS, Live, new_state

TARGETS, STOPS = 0, 1
DONE = int(OrdStatus.FILLED)


def px(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def order(
    name: str, side: str, qty: str, *, at: str = "", stop: str = "", touch: str = "", after: str = "", on: str = "fill",
    oco: str = "", reduce_only: bool = False, symbol: str = "S0", ioc: bool = False,
) -> PlaceItem:  # fmt: skip
    """A new order in few words; without a price it is a market order."""
    trigger = Trigger(kind="stop" if stop else "touch", stop_px=stop or touch, source="bid", if_through="fire")
    return PlaceItem(
        cl_ord_id=name, symbol=symbol, side=side, ord_type="limit" if at else "market", qty=qty, px=at or None,
        tif="ioc" if ioc else "gtc", stp="allow", reduce_only=reduce_only, trigger=trigger if stop or touch else None,
        after=After(cl_ord_id=after, on=on) if after else None, oco=oco or None,  # type: ignore[arg-type]
    )  # fmt: skip


class Ties:
    """A state of both cores, and short names for what may happen to it."""

    def __init__(self, core: Core = BOTH) -> None:
        self.core = core
        self.live = Live.over(new_state(core), core)
        self.wall_ns, self.mono_ns, self.execs = 10**18, 10**9, 0
        self.journal = bytearray()
        self.events: list[dict[str, Any]] = []
        self.lint = StreamLint()
        world = core.world(self.live.state)
        world.start_epoch(1, bytes(range(16)), self.wall_ns)
        for row in range(INSTRUMENTS):
            world.list_instrument(
                f"S{row}".encode(), tick_e9=CENT, lot_e9=E9, min_qty_e9=E9, max_age_ns=10**18, outside_bps_e9=10**15,
                asset_class=0, wall_ns=self.wall_ns,
            )  # fmt: skip
        for row in range(ACCOUNTS):
            world.open_account(f"A{row}".encode(), row, 10**15, self.wall_ns)
            world.set_limits(row, LIMITS, 1, self.wall_ns)
        for row in range(INSTRUMENTS):
            self.quote(10_000, row)
        self.take()

    def tick(self) -> tuple[int, int]:
        self.wall_ns, self.mono_ns = self.wall_ns + 1, self.mono_ns + 1000
        return self.wall_ns, self.mono_ns

    def take(self) -> list[dict[str, Any]]:
        """The events since the last call, judged."""
        data, found, at = bytes(self.live.state.peek()), [], 0
        while at < len(data):
            one = frame.unpack_frame(data, at)
            if one.kind >= FIRST_ACCOUNT_EVENT:
                found.append(msgspec.json.decode(self.live.state.names.render_frame(data[at : at + one.space])))
            at += one.space
        self.live.state.placed(len(self.journal))
        self.journal += data
        self.lint.feed_all(found)
        self.events += found
        return found

    # --- what happens -------------------------------------------------------------------------------------------------

    def place(self, item: PlaceItem, account: int = 0) -> str:
        """The name of the refusal; empty when there was none."""
        answer = self.live.intake.place(account, item, b"s", 0, False, *self.tick())
        return "" if answer >= 0 else Refusal(answer).name

    def batch(self, *items: Any, account: int = 0) -> str:
        before = self.live.state.digest()
        answer, _ = self.live.batch.run(account, list(items), b"s", 0, *self.tick())
        if answer < 0:
            assert self.live.state.digest() == before, "a refused batch left a trace"
        return "" if answer >= 0 else Refusal(answer).name

    def cancel(self, name: str, account: int = 0) -> None:
        self.live.intake.cancel(account, name, 0, self.tick()[0])

    def cancel_all(self, account: int = 0) -> None:
        rows = self.live.views.open_orders(account)
        self.live.intake.cancel_all(account, rows, 0, b"", b"", b"", False, Reason.REQUEST, self.tick()[0])

    def replace(self, name: str, account: int = 0, **changes: Any) -> str:
        rev = self.of(name, account)["ask_rev"] + 1
        item = ReplaceItem(cl_ord_id=name, rev=rev, **changes)
        answer = self.live.intake.replace(account, item, 0, *self.tick())
        return "" if answer >= 0 else Refusal(answer).name

    def works(self, *names: str) -> None:
        """Sent and confirmed."""
        for name in names:
            self.live.reports.sent(self.row(name), self.wall_ns, self.tick()[0])
            self.live.reports.new(self.row(name), b"b", 5, b"raw", self.tick()[0])

    def fill(self, name: str, qty: int, cents: int = 10_000) -> bytes:
        self.execs += 1
        exec_id = f"x{self.execs}".encode()
        self.live.reports.trade(self.row(name), exec_id, qty * E9, cents * CENT, 0, 0, 1, 7, b"raw", self.tick()[0])
        return exec_id

    def bust(self, name: str, exec_id: bytes) -> None:
        self.live.reports.trade_canceled(self.row(name), exec_id, 0, 7, b"raw", self.tick()[0])

    def agree(self) -> None:
        """The broker does what it was asked for, until nothing is under way."""
        for _ in range(100):
            busy = False
            for row in range(self.live.state.orders.count):
                one = self.live.views.order(row)
                if one["ord_status"] >= DONE or not one["pending"]:
                    continue
                busy = True
                if one["pending"] == 1:
                    self.live.reports.canceled(row, 0, b"raw", self.tick()[0])
                else:
                    ticket = self.live.reports.ticket(row, self.mono_ns, True)
                    self.live.reports.replaced(row, ticket.rev, ticket.qty_e9, ticket.px_e9, b"raw", self.tick()[0])
            if not busy:
                return
        raise AssertionError("it never comes to rest")

    def quote(self, cents: int, instrument: int = 0) -> None:
        wall_ns, mono_ns = self.tick()
        self.live.state.quotes.quote(instrument, cents * CENT, E9, (cents + 1) * CENT, E9, mono_ns, 0, mono_ns)
        self.live.watch.sweep(instrument, mono_ns, wall_ns)
        while self.live.watch.has_backlog():
            self.live.watch.drain(mono_ns, wall_ns)
        while (refused := self.live.watch.next_refused()) is not None:
            self.live.reports.rejected(refused[0], b"RC_KILL", b"", b"", b"", self.tick()[0])
        while self.live.watch.take_fired(16):
            pass

    def restart(self, *, is_clean: bool) -> None:
        """Another process goes on from a snapshot; after a crash what is held may have left."""
        state = self.live.state
        loaded = new_state(self.core)
        loaded.load(state.dump(), state.positions_dump())
        assert loaded.digest() == state.digest()
        for row in range(INSTRUMENTS):
            old = state.quotes.snapshot(row)
            loaded.quotes.quote(row, old["bid_px_e9"], E9, old["ask_px_e9"], E9, self.mono_ns, 0, self.mono_ns)
        self.live = Live.over(loaded, self.core)
        world = self.core.world(loaded)
        if not is_clean:
            world.suspect(self.tick()[0])
            for row in list(loaded.suspects):
                world.clear(row, self.tick()[0])

    # --- what must hold -----------------------------------------------------------------------------------------------

    def row(self, name: str, account: int = 0) -> int:
        return self.live.state.orders.find_row(account, name.encode())

    def of(self, name: str, account: int = 0) -> dict[str, Any]:
        return dict(self.live.views.order(self.row(name, account)))

    def shown(self, name: str) -> str:
        """An order in one word: `held/parent 100`, `queued 40`, `new 40`, `canceled 0`."""
        one = self.of(name)
        place = OrdStatus(one["ord_status"]).name.lower()
        if one["ord_status"] == OrdStatus.HELD:
            place = f"held/{Hold(one['hold']).name[5:].lower()}"
        elif one["ord_status"] == OrdStatus.PENDING_NEW:
            place = Stage(one["stage"]).name.lower()
        pending = ("", "-cancel", "-replace")[one["pending"]]
        return f"{place}{pending} {one['leaves_qty_e9'] // E9}"

    def check(self) -> None:
        """Asked again, the rules write nothing; the records alone give the same state; and the quantities are true."""
        self.take()
        state = self.live.state
        last = {event["cl_ord_id"]: event["t"] for event in self.events if "cl_ord_id" in event}
        self.core.world(state).heal(self.wall_ns)
        for event in self.take():  # what a broker refused is asked again only here
            assert last[event["cl_ord_id"]] in ("cancel_rejected", "replace_rejected"), event
        replayed = new_state(self.core)
        replayed.replay(memoryview(bytes(self.journal)), 0)
        assert replayed.digest() == state.digest()
        self._check_children()

    def _check_children(self) -> None:
        """No child leaves without a fill of its parent, and exits never exceed what the parent brought."""
        shown = [msgspec.json.decode(self.live.views.order_json(row)) for row in range(self.live.state.orders.count)]
        by_name = {(self.live.views.order(at)["account"], one["cl_ord_id"]): at for at, one in enumerate(shown)}
        for at, one in enumerate(shown):
            after = one["order"].get("after")
            if after is None:
                continue
            row = self.live.views.order(at)
            parent = self.live.views.order(by_name[row["account"], after["cl_ord_id"]])
            if row["was_sent"] or one["ord_status"] == "pending_new":
                brought = any(
                    event["t"] == "trade" and event["cl_ord_id"] == after["cl_ord_id"] for event in self.events
                )
                assert brought, one
            is_exit = (row["instrument"], row["side"]) == (parent["instrument"], 3 - parent["side"])
            is_waiting = row["hold"] == Hold.HOLD_PARENT or row["pending"] or row["stage"] == Stage.IN_DOUBT
            if is_exit and row["ord_status"] < DONE and not is_waiting and not row["triggered"]:
                assert row["leaves_qty_e9"] <= max(0, parent["cum_qty_e9"]) or row["was_sent"], one


def cancel_item(name: str) -> CancelItem:
    return CancelItem(cl_ord_id=name)
