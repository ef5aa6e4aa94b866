"""A core and its twin under the same words of clients and brokers, compared after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.contracts.lint import StreamLint
from gateway.contracts.requests import CancelItem, PlaceItem, ReplaceItem
from gateway.core import COMPILED, Core
from gateway.core.batch import Batch
from gateway.core.intake import Intake
from gateway.core.reports import Reports
from gateway.core.state import State
from gateway.core.terms import Refusal
from gateway.core.views import Views
from gateway.core.watch import Watch
from hotpath import frame
from hotpath.enums import OrdStatus, Reason
from hotpath.fixed import to_e9
from tests.property.order_model import MISFIT, RECORD, REPEAT, Change, Order, Orders, Terms

E9 = 10**9
CENT = E9 // 100
ORDERS, ACCOUNTS, INSTRUMENTS = 1000, 2, 2
LIMITS = {
    "max_order_qty_e9": 10**6 * E9,
    "max_order_notional_e4": 10**13,
    "max_position_qty_e9": 10**8 * E9,
    "max_gross_e4": 10**16,
    "leverage_bps_e9": 10**6 * E9,
    "collar_bps_e9": 9000 * E9,
    "max_open_orders": 10**6,
    "order_rate_per_s": E9,
    "order_burst": 10**6,
    "msg_rate_per_s": E9,
    "msg_burst": 10**6,
}
STATUS = {status.name.lower(): int(status) for status in OrdStatus}
FIRST_ACCOUNT_EVENT = 20


def decimal(text: str | None) -> int:
    return 0 if text is None else to_e9(text)


def new_state(core: Core = COMPILED) -> State:
    return core.state(shard=3, orders=ORDERS, accounts=ACCOUNTS, instruments=INSTRUMENTS)


@dataclass(slots=True)
class Live:
    """The parts of a core over one state."""

    state: State
    intake: Intake
    reports: Reports
    batch: Batch
    views: Views
    watch: Watch

    @classmethod
    def over(cls, state: State, core: Core = COMPILED) -> Live:
        intake = core.intake(state)
        return cls(
            state,
            intake,
            core.reports(state),
            core.batch(state, intake),
            core.views(state),
            core.watch(state, core.parser(state.quotes)),
        )


class Pair:
    """The core and the twin; each method does one thing to both and compares."""

    def __init__(self, core: Core = COMPILED) -> None:
        self.core = core
        self.live = Live.over(new_state(core), core)
        self.twin = Orders()
        self.wall_ns, self.mono_ns = 10**18, 10**9
        self.journal = bytearray()
        self.seen = 0  # events of the twin already compared
        self.anomalies = 0  # of the cores before the present one
        self.requests: dict[tuple[int, str], PlaceItem] = {}
        self.last_batch: tuple[int, list[Any]] | None = None
        self.lint = StreamLint()
        self.told: list[dict[str, Any]] = []  # every event of the core, as clients see them
        self._open_the_world()

    def _open_the_world(self) -> None:
        world = self.core.world(self.live.state)
        world.start_epoch(1, bytes(range(16)), self.wall_ns)
        for row in range(INSTRUMENTS):
            world.list_instrument(
                f"S{row}".encode(),
                tick_e9=CENT,
                lot_e9=E9,
                min_qty_e9=E9,
                max_age_ns=10**18,
                outside_bps_e9=10**6 * E9,
                asset_class=0,
                wall_ns=self.wall_ns,
            )
        for row in range(ACCOUNTS):
            world.open_account(f"A{row}".encode(), row, 10**15, self.wall_ns)
            world.set_limits(row, LIMITS, 1, self.wall_ns)
        for row in range(INSTRUMENTS):
            self.quote(row, 10_000)
        self.compare_events()

    # --- what clients ask ---------------------------------------------------------------------------------------------

    def place(self, account: int, req: PlaceItem, *, late: bool = False) -> None:
        answer = self.live.intake.place(account, req, b"s", self._deadline(late), False, *self._tick())
        verdict = self.twin.may_place(account, req.cl_ord_id, self._content(req), late=late)
        if self._same(answer, verdict):
            self._placed(account, req)
        self.compare_events()

    def _placed(self, account: int, req: PlaceItem) -> None:
        stop = decimal(req.trigger.stop_px) if req.trigger else 0
        terms = Terms(to_e9(req.qty), decimal(req.px), stop)
        self.requests[account, req.cl_ord_id] = req
        self.twin.place(
            account,
            req.cl_ord_id,
            1 if req.side == "buy" else 2,
            self._content(req),
            terms,
            instrument=int(req.symbol[1:]),
            reduce_only=req.reduce_only,
        )

    @staticmethod
    def _content(req: PlaceItem) -> object:
        return msgspec.json.encode(req)

    def cancel(self, account: int, cl_ord_id: str, *, late: bool = False) -> None:
        answer = self.live.intake.cancel(account, cl_ord_id, self._deadline(late), self._tick()[0])
        if self._same(answer, self.twin.may_cancel(account, cl_ord_id, late=late)):
            self.twin.cancel(self.twin.names[account, cl_ord_id], "request")
        self.compare_events()

    def cancel_all(self, account: int, *, keep_protective: bool) -> None:
        rows = self.live.views.select(account, -1, 0, None, None, keep_protective)
        assert rows == [
            row
            for row, order in enumerate(self.twin.orders)
            if order.account == account
            and not order.is_done
            and order.pending != "cancel"
            and not (keep_protective and order.reduce_only)
        ]
        self.live.intake.cancel_all(account, rows, 0, b"", b"", b"", keep_protective, Reason.LEASE, self._tick()[0])
        self.twin.cancel_all(account, rows, "lease")
        self.compare_events()

    def replace(self, account: int, req: ReplaceItem, *, late: bool = False) -> None:
        answer = self.live.intake.replace(account, req, self._deadline(late), *self._tick())
        verdict = self.twin.may_replace(account, req.cl_ord_id, req.rev, self._change(req), late=late)
        if self._same(answer, verdict):
            self.twin.replace(self.twin.names[account, req.cl_ord_id], req.rev, self._change(req))
        self.compare_events()

    @staticmethod
    def _change(req: ReplaceItem) -> Change:
        stop = req.trigger.stop_px if req.trigger else None
        return Change(*(None if text is None else to_e9(text) for text in (req.qty, req.px, stop)))

    def run_batch(self, account: int, items: list[Any]) -> None:
        before = self.live.state.digest() if len(items) % 3 == 0 else ""
        answer, at = self.live.batch.run(account, items, b"s", 0, *self._tick())
        verdict, item = self.twin.may_batch(account, [self._judge(account, part) for part in items])
        if answer == Refusal.CONTROL:  # the gate's word, which is not the twin's: only that nothing came of it
            verdict, item = "CONTROL", at
        assert item == at
        if answer < 0 and before:
            assert self.live.state.digest() == before, "a refused batch left a trace"
        if self._same(answer, verdict):
            self.last_batch = account, items
            self.twin.begin_batch(account, len(items))
            for part in items:
                self._do(account, part)
        self.compare_events()

    def _judge(self, account: int, part: Any) -> tuple[str, str, str, int]:
        if isinstance(part, PlaceItem):
            verdict = self.twin.may_place(account, part.cl_ord_id, self._content(part))
            return "place", part.cl_ord_id, verdict, self.twin.repeated_seq
        if isinstance(part, ReplaceItem):
            verdict = self.twin.may_replace(account, part.cl_ord_id, part.rev, self._change(part))
            return "replace", part.cl_ord_id, verdict, self.twin.repeated_seq
        verdict = self.twin.may_cancel_in_batch(account, part.cl_ord_id)
        return "cancel", part.cl_ord_id, verdict, self.twin.repeated_seq

    def _do(self, account: int, part: Any) -> None:
        if isinstance(part, PlaceItem):
            self._placed(account, part)
        elif isinstance(part, ReplaceItem):
            self.twin.replace(self.twin.names[account, part.cl_ord_id], part.rev, self._change(part))
        else:
            assert isinstance(part, CancelItem)
            self.twin.cancel(self.twin.names[account, part.cl_ord_id], "request")

    # --- what the market and brokers say ------------------------------------------------------------------------------

    def report(self, name: str, row: int, *args: Any) -> None:
        """One of `Reports`, by name; the arguments are the twin's."""
        live: dict[str, Callable[..., int]] = {
            "sent": lambda: self.live.reports.sent(row, self.wall_ns, self._tick()[0]),
            "new": lambda: self.live.reports.new(row, b"broker-7", 5, b"raw", self._tick()[0]),
            "trade": lambda exec_id, qty, px, cum: self.live.reports.trade(
                row, exec_id, qty, px, cum, 3, 1, 7, b"raw", self._tick()[0]
            ),
            "trade_canceled": lambda exec_id, cum: self.live.reports.trade_canceled(
                row, exec_id, cum, 7, b"raw", self._tick()[0]
            ),
            "canceled": lambda cum: self.live.reports.canceled(row, cum, b"raw", self._tick()[0]),
            "expired": lambda cum: self.live.reports.expired(row, cum, b"raw", self._tick()[0]),
            "rejected": lambda: self.live.reports.rejected(
                row, b"BROKER_REJECTED", b"7", b"no", b"raw", self._tick()[0]
            ),
            "cancel_rejected": lambda: self.live.reports.cancel_rejected(
                row, b"BROKER_REJECTED", b"", b"", self._tick()[0]
            ),
            "replaced": lambda rev, qty, px: self.live.reports.replaced(row, rev, qty, px, b"raw", self._tick()[0]),
            "replace_rejected": lambda rev: self.live.reports.replace_rejected(
                row, rev, b"BROKER_REJECTED", b"raw", self._tick()[0]
            ),
            "in_doubt": lambda: self.live.reports.in_doubt(row, b"no answer", self._tick()[0]),
            "requeue": lambda: self.live.reports.requeue(row, b"unknown id", self._tick()[0]),
            "restate": lambda status, cum: self.live.reports.restate(row, STATUS[status], cum, self._tick()[0]),
            "end_here": lambda reason: self.live.reports.end_here(
                row, Reason.QUEUE if reason == "queue" else Reason.TIF_END, self._tick()[0]
            ),
        }
        answer = live[name](*args)
        self._same(answer, getattr(self.twin, name)(row, *args))
        self.compare_events()
        self.compare_order(row)

    def absurd_fill(self, row: int, exec_id: bytes) -> None:
        """A fill that no book can hold: kept, counted, nothing booked."""
        assert self.live.reports.trade(row, exec_id, 2**62, 10**18, 0, 0, 0, 0, b"raw", self._tick()[0]) == -1
        self.twin.anomalies += 1
        self.compare_events()

    def quote(self, instrument: int, cents: int) -> None:
        """A new bid and ask; what rests here and is reached goes out, what a check refuses then is rejected."""
        wall, mono = self._tick()
        self.live.state.quotes.quote(instrument, cents * CENT, E9, (cents + 1) * CENT, E9, mono, 0, mono)
        due = [row for row, order in enumerate(self.twin.orders) if self._is_reached(order, instrument, cents)]
        self.live.watch.sweep(instrument, mono, wall)
        while self.live.watch.has_backlog():
            self.live.watch.drain(mono, wall)
        rows = []
        for event in self._new_events(move=False):
            row = self.twin.names[int(event["account"][1:]), event["cl_ord_id"]]
            rows.append(row)
            self.twin.triggered(row, self._sendable(self.twin.orders[row]))
        assert sorted(rows) == due
        while (refused := self.live.watch.next_refused()) is not None:
            assert self.live.reports.rejected(refused[0], b"RC_KILL", b"", b"", b"", self._tick()[0]) > 0
            self.twin.rejected(refused[0])
        while self.live.watch.take_fired(16):
            pass
        self.compare_events()

    @staticmethod
    def _is_reached(order: Order, instrument: int, cents: int) -> bool:
        if order.hold != "trigger" or order.instrument != instrument:
            return False
        bid = cents * CENT
        return bid <= order.terms.stop_px_e9 if order.side == 2 else bid >= order.terms.stop_px_e9

    def _sendable(self, order: Order) -> int:
        """A reduce-only order is cut to what the position allows less what others of its kind have working."""
        if not order.reduce_only:
            return order.terms.qty_e9
        position = self.twin.positions.get((order.account, order.instrument), 0)
        far = position if order.side == 2 else -position
        taken = sum(
            other.reserved_qty_e9
            for other in self.twin.orders
            if other.reduce_only
            and (other.account, other.instrument, other.side) == (order.account, order.instrument, order.side)
        )
        return min(order.terms.qty_e9, max(0, far - taken)) // E9 * E9

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _tick(self) -> tuple[int, int]:
        self.wall_ns += 1
        self.mono_ns += 1000
        return self.wall_ns, self.mono_ns

    def _deadline(self, late: bool) -> int:
        return self.wall_ns if late else 0

    def _same(self, answer: int, verdict: str) -> bool:
        """Whether both did something; raises when they answer differently."""
        if answer == Refusal.CONTROL and verdict in (RECORD, MISFIT):
            return False
        expected = {RECORD: "record", REPEAT: "repeat", MISFIT: "misfit"}.get(verdict, verdict)
        got = (
            "record"
            if answer > 0
            else "repeat"
            if answer == 0
            else "misfit"
            if expected == "misfit"
            else Refusal(answer).name
        )
        assert got == expected
        if got == "repeat" and self.live.intake.dup_seq and self.twin.repeated_seq:
            assert self.live.intake.dup_seq == self.twin.repeated_seq
        self.live.intake.dup_seq = self.twin.repeated_seq = 0
        return got == "record"

    def _new_events(self, *, move: bool) -> list[dict[str, Any]]:
        data = bytes(self.live.state.peek())
        at, found = 0, []
        while at < len(data):
            one = frame.unpack_frame(data, at)
            if one.kind >= FIRST_ACCOUNT_EVENT:
                found.append(msgspec.json.decode(self.live.state.names.render_frame(data[at : at + one.space])))
            at += one.space
        if move:
            self.live.state.placed(len(self.journal))
            self.journal += data
        return found

    def compare_events(self) -> None:
        got = self._new_events(move=True)
        self.told += got
        told = self.twin.events[self.seen :]
        self.seen = len(self.twin.events)
        assert [event["t"] for event in got] == [event.t for _, event in told]
        self.lint.feed_all(got)
        for real, (account, event) in zip(got, told, strict=True):
            assert real["account"] == f"A{account}"
            if not event.cl_ord_id:
                continue
            average = event.avg_px_e9
            assert (
                real["cl_ord_id"],
                real["rev"],
                real["ord_status"],
                real.get("stage"),
                real.get("hold"),
                real["pending"],
                to_e9(real["cum_qty"]),
                to_e9(real["leaves_qty"]),
                real["avg_px"] and to_e9(real["avg_px"]),
                real.get("reason"),
                real.get("late", False),
                real.get("ask_rev"),
            ) == (
                event.cl_ord_id,
                event.rev,
                event.ord_status,
                event.stage,
                event.hold,
                event.pending,
                event.cum_qty_e9,
                event.leaves_qty_e9,
                average,
                event.reason,
                event.late,
                event.ask_rev,
            ), (real, event)
        assert self.live.reports.anomalies + self.anomalies == self.twin.anomalies

    def compare_order(self, row: int) -> None:
        real, order = self.live.views.order(row), self.twin.orders[row]
        assert (
            real["ord_status"],
            real["rev"],
            real["ask_rev"],
            real["cum_qty_e9"],
            real["leaves_qty_e9"],
            real["owed_qty_e9"],
            real["reserved_qty_e9"],
            real["order_qty_e9"],
            real["px_e9"],
            real["stop_px_e9"],
            real["was_sent"],
        ) == (
            STATUS[order.ord_status],
            order.rev,
            order.ask_rev,
            order.cum_qty_e9,
            order.leaves_qty_e9,
            order.owed_qty_e9,
            order.reserved_qty_e9,
            order.terms.qty_e9,
            order.terms.px_e9,
            order.terms.stop_px_e9,
            order.was_sent,
        ), (real, order)

    def compare_execs(self) -> None:
        """What an order has filled is the sum of its trades that the broker did not break."""
        for row, order in enumerate(self.twin.orders):
            assert self.live.views.order(row)["cum_qty_e9"] == sum(qty for qty, _ in order.execs.values())

    def compare_all(self) -> None:
        """Every order; and the gate's exposure is what the orders and fills add up to."""
        for row in range(len(self.twin.orders)):
            self.compare_order(row)
        self.compare_execs()
        gate = self.live.state.gate
        for account in range(ACCOUNTS):
            is_open = [
                row for row, order in enumerate(self.twin.orders) if order.account == account and not order.is_done
            ]
            assert self.live.views.open_orders(account) == is_open
            assert gate.account(account)["open_orders"] == len(is_open)
            for instrument in range(INSTRUMENTS):
                self._compare_pair(gate.pair_of(account, instrument), account, instrument)

    def _compare_pair(self, pair: dict[str, int] | None, account: int, instrument: int) -> None:
        mine = [order for order in self.twin.orders if (order.account, order.instrument) == (account, instrument)]
        held = {
            (side, reduces): sum(o.reserved_qty_e9 for o in mine if o.side == side and o.reduce_only >= reduces)
            for side in (1, 2)
            for reduces in (False, True)
        }
        expected = (
            self.twin.positions.get((account, instrument), 0),
            held[1, False],
            held[2, False],
            held[1, True],
            held[2, True],
        )
        if pair is None:
            assert not any(expected)
            return
        assert expected == (
            pair["pos_qty_e9"],
            pair["open_buy_qty_e9"],
            pair["open_sell_qty_e9"],
            pair["open_reduce_buy_qty_e9"],
            pair["open_reduce_sell_qty_e9"],
        )

    def compare_replay(self) -> None:
        """The records alone give the same state, to the byte."""
        replayed = new_state(self.core)
        replayed.replay(memoryview(bytes(self.journal)), 0)
        assert replayed.digest() == self.live.state.digest()
        assert replayed.dump() == self.live.state.dump()
        assert replayed.positions_dump() == self.live.state.positions_dump()

    def suspect(self) -> None:
        """An end that was not orderly: what is held may have left. What the broker has answered since is cleared."""
        wall, _ = self._tick()
        world, suspects = self.core.world(self.live.state), self.live.state.suspects
        for order in list(suspects)[::2]:
            world.clear(order, wall)
            self.twin.orders[order].is_suspect = False
        world.suspect(wall)
        for order in self.twin.orders:
            order.is_suspect |= (order.ord_status, order.hold) == ("held", "trigger")
        assert suspects.keys() == {row for row, order in enumerate(self.twin.orders) if order.is_suspect}
        self.compare_events()

    def restart(self) -> None:
        """Go on from a snapshot, as a new process does."""
        loaded = new_state(self.core)
        loaded.load(self.live.state.dump(), self.live.state.positions_dump())
        assert loaded.digest() == self.live.state.digest()
        assert loaded.positions_dump() == self.live.state.positions_dump()
        for row in range(INSTRUMENTS):
            old = self.live.state.quotes.snapshot(row)
            loaded.quotes.quote(row, old["bid_px_e9"], E9, old["ask_px_e9"], E9, self.mono_ns, 0, self.mono_ns)
        self.anomalies += self.live.reports.anomalies
        self.live = Live.over(loaded, self.core)
