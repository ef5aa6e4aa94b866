"""The journal's records folded into orders, by code of its own: what the gateway has decided, one record at a time.

Independent of the product's reducer on purpose: it knows the layout of the records (hotpath/records.pxd), nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hotpath.enums import Side
from hotpath.records import Kind
from tests.sim.history import Record

EVENT = struct.Struct("<QIIqqqIBBBBBBB37s")  # OrderEvent, 88 bytes
TERMS = struct.Struct("<qqqqqqqIIBBBBBBBBBB6x")  # Terms, 80 bytes
TRADE = struct.Struct("<qqqqqqBB6x48s")
BROKEN = struct.Struct("<qqqqqB7x48s")
TRIGGERED = struct.Struct("<qqqqqqqqqqQBB")
HALT = struct.Struct("<QIIBBHHB")
ACCOUNT = struct.Struct("<qIIIHH")
INSTRUMENT = struct.Struct("<qqqqqIBB2x")
STOP_KIND, SELL = 1, 2
FLAT_STATE = (0, 0, 0, 0, 0)
CHECKED = (Kind.ACCEPTED, Kind.TRIGGERED, Kind.PENDING_REPLACE_EV, Kind.REPLACED)  # what is decided by limits


@dataclass(slots=True)
class Folded:
    """One order as its records tell it. Quantities 1e-9."""

    row: int
    account: int
    name: str
    instrument: int
    side: int
    qty_e9: int
    px_e9: int
    stop_px_e9: int
    source: int
    trigger: int
    reduce_only: int
    expire_ns: int
    accepted_ns: int  # true time
    accepted_wall_ns: int  # by the gateway's clock
    state: tuple[int, int, int, int, int]  # status, stage, hold, pending, reason
    cum_qty_e9: int = 0
    leaves_qty_e9: int = 0
    rev: int = 1
    triggered: int = 0
    checked_seq: int = 0  # record of the last decision that took it, or more of it, to the broker
    fills: dict[str, int] = field(default_factory=dict)  # exec_id -> quantity, 0 when it was broken since

    @property
    def is_done(self) -> bool:
        return self.state[0] >= 5

    @property
    def fires_down(self) -> bool:
        """Which way the price must go: a sell stop and a buy touch fire downwards."""
        return (self.trigger == STOP_KIND) == (self.side == SELL)


class Change(NamedTuple):
    """One record, folded: the order after it (None: no order's record) and its state before."""

    record: Record
    order: Folded | None
    before: tuple[int, int, int, int, int]
    before_cum_qty_e9: int
    exec_id: str = ""
    is_repeat: bool = False  # an execution that the order had before
    late: bool = False


class Journal:
    """All records that are on disk or on their way there, in order; what a crash lost is taken back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._clear()

    def _clear(self) -> None:
        self.orders: dict[int, Folded] = {}
        self.accounts: list[str] = []
        self.symbols: list[str] = []
        self.heads: dict[int, int] = {}  # last event of each account
        self.events: dict[tuple[int, int], int] = {}  # (account, number of the event) -> record
        self.names: dict[tuple[int, str], Folded] = {}
        self.halts: dict[tuple[int, int], int] = {}  # (scope, index) -> level in force

    def cut(self, seq: int) -> Sequence[Record]:
        """Take back the records from `seq` on: a crash lost them. Returns them."""
        kept = [record for record in self.records if record.seq < seq]
        lost = self.records[len(kept) :]
        self.records = []
        self._clear()
        for record in kept:
            self.add(record)
        return lost

    def add(self, record: Record) -> Change:
        """Fold one record."""
        self.records.append(record)
        kind, data = record.kind, record.payload
        if kind < Kind.ACCEPTED:
            self._world(kind, data)
            return Change(record, None, FLAT_STATE, 0)
        acct_seq, account = struct.unpack_from("<QI", data)
        self.heads[account] = acct_seq
        self.events[account, acct_seq] = record.seq
        if kind >= Kind.CANCEL_ALL_EV:
            return Change(record, None, FLAT_STATE, 0)
        return self._order(record, data)

    def _world(self, kind: int, data: bytes) -> None:
        if kind == Kind.ACCOUNT_OPENED:
            size = ACCOUNT.unpack_from(data)[4]
            self.accounts.append(data[ACCOUNT.size : ACCOUNT.size + size].decode())
        elif kind == Kind.INSTRUMENT_LISTED:
            size = INSTRUMENT.unpack_from(data)[7]
            self.symbols.append(data[INSTRUMENT.size : INSTRUMENT.size + size].decode())
        elif kind == Kind.HALT_CHANGED:
            _, scope, index, _, effective, *_ = HALT.unpack_from(data)
            self.halts[scope, index] = effective

    def _order(self, record: Record, data: bytes) -> Change:
        (_, account, row, cum, leaves, _, rev, status, stage, hold, pending, reason, late, size, name) = (
            EVENT.unpack_from(data)
        )
        kind = record.kind
        if kind == Kind.ACCEPTED:
            terms = TERMS.unpack_from(data, EVENT.size)
            self.orders[row] = Folded(
                row, account, name[:size].decode(), terms[7], terms[9], terms[0], terms[1], terms[2], terms[14],
                terms[13], terms[16], terms[4], record.at_ns, record.wall_ns, FLAT_STATE,
            )  # fmt: skip
            self.names[account, self.orders[row].name] = self.orders[row]
        order = self.orders[row]
        before, before_cum = order.state, order.cum_qty_e9
        if kind in CHECKED:
            order.checked_seq = record.seq
        exec_id, is_repeat = self._body(order, kind, data)
        order.state = (status, stage, hold, pending, reason)
        order.cum_qty_e9, order.leaves_qty_e9, order.rev = cum, leaves, rev
        return Change(record, order, before, before_cum, exec_id, is_repeat, bool(late))

    def _body(self, order: Folded, kind: int, data: bytes) -> tuple[str, bool]:
        """What is special to the kind; (execution, whether the order had it before)."""
        if kind == Kind.TRADE:
            qty_e9, _, _, _, _, _, size, _, raw = TRADE.unpack_from(data, EVENT.size)
            exec_id = raw[:size].decode()
            is_repeat = exec_id in order.fills
            order.fills[exec_id] = order.fills.get(exec_id, 0) + qty_e9
            return exec_id, is_repeat
        if kind == Kind.TRADE_CANCELED:
            qty_e9, _, _, _, _, size, raw = BROKEN.unpack_from(data, EVENT.size)
            exec_id = raw[:size].decode()
            is_repeat = order.fills.get(exec_id, 0) != qty_e9
            order.fills[exec_id] = order.fills.get(exec_id, 0) - qty_e9
            return exec_id, is_repeat
        if kind == Kind.REPLACED:
            terms = TERMS.unpack_from(data, EVENT.size)
            order.qty_e9, order.px_e9, order.stop_px_e9, order.expire_ns = terms[0], terms[1], terms[2], terms[4]
        elif kind == Kind.TRIGGERED:
            order.triggered += 1
            order.qty_e9 = TRIGGERED.unpack_from(data, EVENT.size)[8]
        return "", False

    def far_qty_e9(self, order: Folded) -> int:
        """How much of the position lies on the other side of the order: that much of it reduces."""
        position = sum(
            signed(one.side, one.cum_qty_e9)
            for one in self.orders.values()
            if (one.account, one.instrument) == (order.account, order.instrument)
        )
        return max(0, -signed(order.side, position))

    def halt_of(self, order: Folded) -> int:
        """The strictest kill switch that touches the order."""
        halts = self.halts
        return max(halts.get((0, 0), 0), halts.get((1, order.account), 0), halts.get((2, order.instrument), 0))


def signed(side: int, qty_e9: int) -> int:
    """A buy adds to a position, a sell takes from it."""
    return qty_e9 if side == Side.BUY else -qty_e9
