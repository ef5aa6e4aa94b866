"""Twin of hotpath.orders: one object an order, changed by records only; the life of an order as a table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from struct import Struct

from hotpath.enums import Hold, OrdStatus, Stage, TriggerKind
from hotpath.ref import records as rec
from hotpath.ref.records import OrderEvent, Terms

OPEN_ASKS_MAX = 64  # revisions asked of the broker and not answered
EARLY_MAX = 4096  # executions that were broken before they were reported; one more is not remembered
FIRST_REV = 1  # of the id that an order is handed over under, whatever was changed before: durable with it
HELD, PENDING_NEW, FILLED = int(OrdStatus.HELD), int(OrdStatus.PENDING_NEW), int(OrdStatus.FILLED)
QUEUED, IN_DOUBT = int(Stage.QUEUED), int(Stage.IN_DOUBT)
PENDING_CANCEL, PENDING_REPLACE = 1, 2

# What may happen to an order by where it is (order-api section 7). A restatement, a broken or a corrected trade may
# come any time after the order left; what else an order's own pending requests demand, `is_allowed` says.
ENDS = (rec.CANCELED_EV, rec.EXPIRED_EV, rec.REJECTED_EV)
AFTERWARDS = (rec.RESTATED, rec.TRADE_CORRECTED, rec.TRADE_CANCELED)
LIFE: dict[str, tuple[int, ...]] = {
    "held": (*ENDS, rec.PENDING_CANCEL_EV, rec.TRIGGERED, rec.RELEASED, rec.TRAILED, rec.REPLACED, rec.REPLACE_REJECTED,
             rec.CANCEL_REJECTED),
    "queued": (*ENDS, *AFTERWARDS, rec.TRADE, rec.SENT_EV, rec.NEW_EV, rec.IN_DOUBT_EV, rec.REPLACED,
               rec.REPLACE_REJECTED, rec.CANCEL_REJECTED),
    "sent": (*ENDS, *AFTERWARDS, rec.TRADE, rec.NEW_EV, rec.IN_DOUBT_EV, rec.REQUEUED, rec.PENDING_REPLACE_EV,
             rec.REPLACE_REJECTED, rec.PENDING_CANCEL_EV, rec.CANCEL_REJECTED),
    "in_doubt": (*ENDS, *AFTERWARDS, rec.TRADE, rec.NEW_EV, rec.IN_DOUBT_EV, rec.REQUEUED, rec.REPLACE_REJECTED,
                 rec.PENDING_CANCEL_EV, rec.CANCEL_REJECTED),
    "working": (*ENDS, *AFTERWARDS, rec.TRADE, rec.PENDING_REPLACE_EV, rec.REPLACED, rec.REPLACE_REJECTED,
                rec.PENDING_CANCEL_EV, rec.CANCEL_REJECTED),
    "done": (*AFTERWARDS, rec.TRADE),
}  # fmt: skip

ROW = Struct("<qQq14q7Q2q8I13B3x40s40s")
EXEC = Struct("<2Q2q")


@dataclass(slots=True)
class OrderRow:
    """One order. Quantities and prices in 1e-9."""

    terms: Terms  # in force
    account: int
    cl_ord_id: bytes
    ord_status: int
    stage: int
    hold: int
    pending: int
    rev: int  # in force
    ask_rev: int  # last asked
    ref_px_e9: int
    content_hash: int
    accepted_ns: int
    live_ns: int  # since when it could go to the broker; while it is held for a trigger: since when it is armed
    accepted_acct_seq: int
    session: int  # interned text
    tag: int
    signal: int
    oco: int  # text of its group
    cum_qty_e9: int = 0
    cost: int = 0  # sum of last_qty * last_px in 1e-18
    reserved_qty_e9: int = 0  # what the gate holds for it now
    reserved_px_e9: int = 0
    reserved_resting: int = 0
    reserved_side: int = 0
    owed_qty_e9: int = 0  # in the broker's cum_qty, its execution not seen yet
    ask_qty_e9: int = 0  # terms asked for by the replace under way
    ask_whole_qty_e9: int = 0
    ask_px_e9: int = 0
    ask_stop_px_e9: int = 0
    ask_expire_ns: int = 0
    ask_tif: int = 0
    ask_ref_px_e9: int = 0
    ask_most_qty_e9: int = 0  # largest of the revisions under way, and the highest price to reserve at
    ask_most_px_e9: int = 0
    open_asks: list[int] = field(default_factory=list)  # revisions that the broker owes an answer about, ascending
    ask_hash: int = 0
    ask_acct_seq: int = 0  # event that answered the last replace request
    cancel_acct_seq: int = 0  # event that answered the cancel
    fired_acct_seq: int = 0  # event that says what fired it
    cancel_reason: int = 0
    broker_rev: int = 0  # last one that was sent to the broker
    was_sent: int = 0
    broker_order_id: bytes = b""
    triggered: int = 0  # its trigger fired
    told_stop_px_e9: int = 0  # where the client was last told that its stop has moved to
    told_stop_ns: int = 0
    is_trailing: int = 0  # a trailing stop that is active

    @property
    def is_done(self) -> bool:
        return self.ord_status >= FILLED

    @property
    def place(self) -> str:
        """Its row in LIFE."""
        if self.ord_status >= FILLED:
            return "done"
        if self.ord_status == PENDING_NEW:
            return ("", "queued", "sent", "in_doubt")[self.stage]
        return "held" if self.ord_status == HELD else "working"

    @property
    def is_ours(self) -> bool:
        """Never at a broker, or certainly not any more: its changes need nobody's consent."""
        return self.ord_status == HELD or (self.ord_status == PENDING_NEW and self.stage == QUEUED)

    @property
    def is_held(self) -> bool:
        """Whether it rests here for a trigger."""
        return self.ord_status == HELD and self.hold == Hold.HOLD_TRIGGER

    @property
    def is_watched(self) -> bool:
        """Whether it rests here for a price."""
        return self.is_held and self.terms.trigger != TriggerKind.TIME

    @property
    def is_doubted(self) -> bool:
        return self.stage == IN_DOUBT

    @property
    def leaves_qty_e9(self) -> int:
        return 0 if self.ord_status >= FILLED else max(0, self.terms.order_qty_e9 - self.cum_qty_e9)

    def average_px(self, add_qty_e9: int = 0, add_px_e9: int = 0) -> int:
        """Average price of its fills, with one more; 0 without a fill."""
        cum_qty_e9 = self.cum_qty_e9 + add_qty_e9
        return (self.cost + add_qty_e9 * add_px_e9) // cum_qty_e9 if cum_qty_e9 > 0 else 0

    def is_allowed(self, kind: int) -> bool:
        """Whether the event may happen to the order as it is."""
        if kind not in LIFE[self.place]:
            return False
        if kind == rec.PENDING_REPLACE_EV:
            return self.pending != PENDING_CANCEL
        if kind == rec.REPLACE_REJECTED:
            return bool(self.open_asks)
        if kind == rec.CANCEL_REJECTED:
            return self.pending == PENDING_CANCEL
        return True

    def pack(self) -> bytes:
        """The bytes of the compiled row."""
        asked = sum(1 << rev % OPEN_ASKS_MAX for rev in self.open_asks)
        return self.terms.pack() + ROW.pack(
            self.cum_qty_e9, self.cost & rec.MASK, self.cost >> 64, self.ref_px_e9, self.reserved_qty_e9,
            self.reserved_px_e9, self.owed_qty_e9, self.accepted_ns, self.live_ns, self.ask_qty_e9,
            self.ask_whole_qty_e9, self.ask_px_e9, self.ask_stop_px_e9, self.ask_expire_ns, self.ask_ref_px_e9,
            self.ask_most_qty_e9, self.ask_most_px_e9, asked, self.ask_hash, self.ask_acct_seq, self.accepted_acct_seq,
            self.cancel_acct_seq, self.fired_acct_seq, self.content_hash, self.told_stop_px_e9, self.told_stop_ns,
            self.account, self.rev, self.ask_rev, self.broker_rev, self.session, self.tag, self.signal, self.oco,
            self.ord_status, self.stage, self.hold, self.pending, self.reserved_resting, self.was_sent, self.ask_tif,
            len(self.cl_ord_id), len(self.broker_order_id), self.triggered, self.reserved_side, self.cancel_reason,
            self.is_trailing, self.cl_ord_id, self.broker_order_id,
        )  # fmt: skip


def read_row(data: bytes, at: int) -> OrderRow:
    """The order of a compiled row's bytes."""
    (cum, low, high, ref, reserved, reserved_px, owed, accepted_ns, live_ns, ask_qty, ask_whole, ask_px, ask_stop,
     ask_expire, ask_ref, most_qty, most_px, asked, ask_hash, ask_seq, accepted_seq, cancel_seq, fired_seq, content,
     told_px, told_ns, account, rev, ask_rev, broker_rev, session, tag, signal, oco, status, stage, hold, pending,
     resting, was_sent, ask_tif, cl_size, id_size, triggered, side, cancel_reason, is_trailing, name,
     broker_id) = ROW.unpack_from(data, at + rec.TERMS_BYTES)  # fmt: skip
    first = max(1, ask_rev - OPEN_ASKS_MAX + 1)
    return OrderRow(
        rec.read_terms(data, at), account, name[:cl_size], status, stage, hold, pending, rev, ask_rev, ref, content,
        accepted_ns, live_ns, accepted_seq, session, tag, signal, oco, cum, high << 64 | low, reserved, reserved_px,
        resting, side, owed, ask_qty, ask_whole, ask_px, ask_stop, ask_expire, ask_tif, ask_ref, most_qty, most_px,
        [one for one in range(first, ask_rev + 1) if asked >> one % OPEN_ASKS_MAX & 1], ask_hash, ask_seq, cancel_seq,
        fired_seq, cancel_reason, broker_rev, was_sent, broker_id[:id_size], triggered, told_px,
        told_ns, is_trailing,
    )  # fmt: skip


@dataclass(slots=True)
class Exec:
    """An execution as it was booked; one that the broker broke has quantity 0 and stays known.

    Price 0 as well: it was broken before it was reported, and is still to come.
    """

    qty_e9: int
    px_e9: int

    @property
    def is_early(self) -> bool:
        return self.qty_e9 == 0 and self.px_e9 == 0


def exec_key(order: int, exec_id: bytes) -> tuple[int, int]:
    """What an execution is known by: 128 bits over the order and the broker's id."""
    return (
        rec.hash_bytes(exec_id, 0x51ED270B0 + order),
        rec.hash_bytes(exec_id, 0xA5A5F00D1 ^ order << 20),
    )


class OrderTable:
    """All orders of a shard, their names and their executions. A full table refuses, it never grows."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: list[OrderRow] = []
        self.names: dict[tuple[int, bytes], int] = {}
        self.execs: dict[tuple[int, int], Exec] = {}
        self.early_count = 0  # of those, broken before they were reported and still to come
        self.texts = [b""]  # interned session, tag and signal texts
        self.text_ids = {b"": 0}

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def open_count(self) -> int:
        return sum(not row.is_done for row in self.rows)

    def commit_ahead(self, ahead: int, most: int) -> int:
        """Rows made ready: none, an object takes its memory when it is made."""
        return 0

    def intern(self, text: bytes) -> int:
        if text not in self.text_ids:
            self.text_ids[text] = len(self.texts)
            self.texts.append(text)
        return self.text_ids[text]

    def find_row(self, account: int, cl_ord_id: bytes) -> int:
        """Row of an order by its client's name, -1 when the account never used it."""
        return self.names.get((account, cl_ord_id), -1)

    def find_exec(self, order: int, exec_id: bytes) -> Exec | None:
        return self.execs.get(exec_key(order, exec_id))

    # --- records ------------------------------------------------------------------------------------------------------

    def break_early(self, order: int, exec_id: bytes) -> None:
        """Remember a fill that is broken and still to come; raises ValueError when no sound journal says so."""
        key = exec_key(order, exec_id)
        if order >= len(self.rows) or key in self.execs:
            raise ValueError(f"a fill that order row {order} cannot wait for is broken")
        self._book(key, 0, 0)

    def _book(self, key: tuple[int, int], qty_e9: int, px_e9: int) -> None:
        before, self.execs[key] = self.execs.get(key), Exec(qty_e9, px_e9)
        self.early_count += self.execs[key].is_early - (before is not None and before.is_early)

    def apply(self, kind: int, ev: OrderEvent, payload: bytes, wall_ns: int) -> int:
        """Apply one order record. 0 ok, -1 a record that no sound journal holds (out of order, unknown row)."""
        if kind == rec.ACCEPTED:
            return self._accept(ev, payload, wall_ns)
        if ev.order >= len(self.rows):
            return -1
        row = self.rows[ev.order]
        if kind == rec.TRADE:
            self._trade(row, ev.order, rec.read(rec.TradeBody, payload))
        elif kind == rec.TRADE_CANCELED:
            self._break_trade(row, ev.order, rec.read(rec.TradeCanceledBody, payload))
        elif kind in (rec.PENDING_REPLACE_EV, rec.REPLACED, rec.REPLACE_REJECTED):
            self._replace(row, kind, ev, payload)
        else:
            self._move(row, kind, ev, payload, wall_ns)
        row.ord_status, row.stage, row.hold, row.pending = ev.ord_status, ev.stage, ev.hold, ev.pending
        row.rev = ev.rev
        return 0

    def _accept(self, ev: OrderEvent, payload: bytes, wall_ns: int) -> int:
        if ev.order != len(self.rows) or ev.order >= self.capacity:
            return -1
        terms = rec.read_terms(payload)
        body = rec.read(rec.AcceptedBody, payload, rec.ORDER_EVENT_BYTES + rec.TERMS_BYTES)
        at = rec.ORDER_EVENT_BYTES + rec.TERMS_BYTES + rec.LAYOUTS[rec.AcceptedBody].size
        session = payload[at : at + body.session_size]
        tag = payload[at + body.session_size : at + body.session_size + body.tag_size]
        at += body.session_size + body.tag_size
        oco = at + body.signal_size + body.after_size
        name = ev.cl_ord_id[: ev.cl_size]
        row = OrderRow(
            terms, ev.account, name, ev.ord_status, ev.stage, ev.hold, ev.pending, ev.rev, ev.rev, body.ref_px_e9,
            body.content_hash, wall_ns, wall_ns, ev.acct_seq, self.intern(session), self.intern(tag),
            self.intern(payload[at : at + body.signal_size]), self.intern(payload[oco : oco + body.oco_size]),
        )  # fmt: skip
        row.is_trailing = int(terms.trigger == TriggerKind.TRAIL and terms.stop_px_e9 == 0)
        self.names[ev.account, name] = ev.order
        self.rows.append(row)
        return 0

    def _move(self, row: OrderRow, kind: int, ev: OrderEvent, payload: bytes, wall_ns: int) -> None:
        """What the other records change besides the order's condition."""
        if kind == rec.SENT_EV:
            row.was_sent, row.broker_rev = 1, FIRST_REV
        elif kind == rec.NEW_EV:
            body = rec.read(rec.NewBody, payload)
            row.broker_order_id = body.broker_order_id[: body.id_size]
            self._arrived(row)
        elif kind == rec.TRIGGERED:
            fired = rec.read(rec.TriggeredBody, payload)
            row.triggered, row.live_ns, row.ref_px_e9 = 1, wall_ns, fired.ref_px_e9
            row.fired_acct_seq = ev.acct_seq
            row.terms = replace(
                row.terms, order_qty_e9=fired.send_qty_e9, px_e9=fired.send_px_e9, has_limit_offset=0, limit_offset_e9=0
            )
        elif kind == rec.TRAILED:
            told = rec.read(rec.TrailedBody, payload)
            row.told_stop_px_e9, row.told_stop_ns, row.is_trailing = told.stop_px_e9, wall_ns, 1
        elif kind == rec.RELEASED:
            row.live_ns = wall_ns
            if qty_e9 := rec.read(rec.ReleasedBody, payload).qty_e9:
                row.terms = replace(row.terms, order_qty_e9=qty_e9)
        elif kind == rec.PENDING_CANCEL_EV:
            row.cancel_acct_seq, row.cancel_reason = ev.acct_seq, ev.reason
        elif kind in (rec.CANCELED_EV, rec.EXPIRED_EV):
            stated_e9 = rec.read(rec.DoneBody, payload).broker_cum_qty_e9
            row.owed_qty_e9 = max(row.owed_qty_e9, stated_e9 - row.cum_qty_e9)
            if kind == rec.CANCELED_EV and row.cancel_acct_seq == 0:
                row.cancel_acct_seq = ev.acct_seq
        elif kind == rec.RESTATED:
            row.owed_qty_e9 = rec.read(rec.RestatedBody, payload).owed_qty_e9
            self._arrived(row)
        elif kind == rec.REQUEUED:
            row.was_sent = 0
            if ev.ord_status != HELD:  # else it never fired, and is armed since it was
                row.live_ns = wall_ns

    def _arrived(self, row: OrderRow) -> None:
        """The broker has it, whether or not we saw it leave (a crash may have lost `sent`)."""
        if not row.was_sent:
            row.was_sent, row.broker_rev = 1, FIRST_REV

    def _trade(self, row: OrderRow, order: int, body: rec.TradeBody) -> None:
        row.cost += body.last_qty_e9 * body.last_px_e9
        row.cum_qty_e9 += body.last_qty_e9
        still_owed_e9 = max(0, row.owed_qty_e9 - body.last_qty_e9)
        row.owed_qty_e9 = max(still_owed_e9, body.broker_cum_qty_e9 - row.cum_qty_e9)
        self._book(exec_key(order, body.exec_id[: body.exec_size]), body.last_qty_e9, body.last_px_e9)
        self._arrived(row)

    def _break_trade(self, row: OrderRow, order: int, body: rec.TradeCanceledBody) -> None:
        broken = self.find_exec(order, body.exec_id[: body.exec_size])
        if broken is not None:
            broken.qty_e9 = 0
        row.cost -= body.last_qty_e9 * body.last_px_e9
        row.cum_qty_e9 -= body.last_qty_e9
        row.owed_qty_e9 = body.owed_qty_e9

    def _replace(self, row: OrderRow, kind: int, ev: OrderEvent, payload: bytes) -> None:
        terms = rec.read_terms(payload)
        body = rec.read(rec.ReplaceBody, payload, rec.ORDER_EVENT_BYTES + rec.TERMS_BYTES)
        if body.ask_rev > row.ask_rev:  # the record that answers the request
            row.ask_rev, row.ask_hash, row.ask_acct_seq = body.ask_rev, body.content_hash, ev.acct_seq
        if kind == rec.PENDING_REPLACE_EV:
            row.ask_qty_e9, row.ask_px_e9, row.ask_stop_px_e9 = terms.order_qty_e9, terms.px_e9, terms.stop_px_e9
            row.ask_whole_qty_e9 = terms.whole_qty_e9
            row.ask_expire_ns, row.ask_tif, row.ask_ref_px_e9 = terms.expire_ns, terms.tif, body.ref_px_e9
            row.ask_most_qty_e9 = max(row.ask_most_qty_e9 if row.open_asks else 0, terms.order_qty_e9)
            row.ask_most_px_e9 = max(row.ask_most_px_e9 if row.open_asks else 0, body.ref_px_e9)
            row.open_asks.append(body.ask_rev)
        elif kind == rec.REPLACE_REJECTED:
            row.open_asks = [rev for rev in row.open_asks if rev != body.ask_rev]
        else:  # in force: it and every earlier one is answered
            row.terms, row.ref_px_e9 = terms, body.ref_px_e9
            row.open_asks = [rev for rev in row.open_asks if rev > body.ask_rev]
            if row.was_sent:
                row.broker_rev = body.ask_rev

    # --- the table as bytes -------------------------------------------------------------------------------------------

    def parts(self) -> list[bytes | memoryview]:
        """Canonical bytes of the whole table in four pieces."""
        texts = b"".join(len(text).to_bytes(4, "little") + text for text in self.texts)
        numbers = (self.count, self.open_count, len(self.execs), len(self.texts), len(texts))
        return [
            b"".join(number.to_bytes(8, "little") for number in numbers),
            texts,
            b"".join(row.pack() for row in self.rows),
            b"".join(EXEC.pack(*key, one.qty_e9, one.px_e9) for key, one in self.execs.items()),
        ]

    def dump(self) -> bytes:
        """The bytes of `parts`: equal states give equal bytes."""
        return b"".join(self.parts())

    def load(self, data: bytes) -> None:
        """Rebuild an empty table from `dump` bytes; raises ValueError when they do not fit."""
        count, _, execs, texts, text_bytes = (int.from_bytes(data[8 * k : 8 * k + 8], "little") for k in range(5))
        if self.rows or count > self.capacity:
            raise ValueError(f"order table of {self.capacity} rows cannot take {count} from the snapshot")
        at = 40
        for _ in range(texts):
            size = int.from_bytes(data[at : at + 4], "little")
            self.intern(data[at + 4 : at + 4 + size])
            at += 4 + size
        row_bytes = rec.TERMS_BYTES + ROW.size
        if at != 40 + text_bytes or len(data) != at + count * row_bytes + execs * EXEC.size:
            raise ValueError("order table bytes have the wrong length")
        self.rows = [read_row(data, at + number * row_bytes) for number in range(count)]
        self.names = {(row.account, row.cl_ord_id): number for number, row in enumerate(self.rows)}
        at += count * row_bytes
        for high, low, qty_e9, px_e9 in EXEC.iter_unpack(data[at:]):
            self._book((high, low), qty_e9, px_e9)
