"""Twin of gateway.core.reports: what brokers say becomes a record, or is kept and alarmed when it cannot be.

A report may come twice, late, out of order or never (brokers.md section 8), so each call looks at the order first.
Calls return the record's sequence, 0 when the report is old news, -1 when it does not fit: then the raw text is
journalled as an anomaly, counted in `anomalies`, and the caller asks the broker for the order's state.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from gateway.core.ref import shares
from gateway.core.ref.state import OP_SUBMIT, State
from hotpath.enums import Hold, OrdStatus, OrdType, Pending, Reason, Side, Stage
from hotpath.ref import records as rec
from hotpath.ref.fixed import INT64_MAX
from hotpath.ref.orders import EARLY_MAX, FIRST_REV, Exec, OrderRow
from hotpath.ticket import Ticket

ENDED = {"stage": Stage.STAGE_NONE, "hold": Hold.HOLD_NONE, "pending": Pending.PENDING_NONE, "leaves_qty_e9": 0}
BROKER_CODE_MAX = 64


def clip(text: bytes, most: int) -> bytes:
    """At most so many bytes, cut between characters; what is not UTF-8 is left out, because events are JSON."""
    return text[:most].decode("utf-8", "ignore").encode()


class Reports:
    """The broker side of the core."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.anomalies = 0
        self.repeats = 0

    def _row(self, order: int) -> OrderRow:
        if order >= self.state.orders.count:
            raise ValueError(f"order row {order} does not exist")
        return self.state.orders.rows[order]

    def _repeat(self) -> int:
        self.repeats += 1
        return 0

    def anomaly(self, cause: bytes, raw: bytes, wall_ns: int) -> int:
        """Keep what a broker said and no order may take: journalled raw, counted."""
        self.state.wall_ns = wall_ns
        self.anomalies += 1
        text = clip(raw, rec.TEXT_MAX)
        self.state.emit(rec.BROKER_ANOMALY, rec.pack(rec.TextBody(0, len(cause), 0, len(text))) + cause + text)
        return -1

    def _texts(
        self, kind: int, event: rec.OrderEvent, since_ns: int, code: bytes, broker_code: bytes = b"", text: bytes = b""
    ) -> int:
        broker_code, text = clip(broker_code, BROKER_CODE_MAX), clip(text, rec.TEXT_MAX)
        body = rec.pack(rec.TextBody(since_ns, len(code), len(broker_code), len(text)))
        return self.state.commit(kind, event, body + code + broker_code + text)

    # --- the hand-over ------------------------------------------------------------------------------------------------

    def ready(self, order: int, mono_ns: int) -> Ticket | Literal[False] | None:
        """The ticket of an order that may go now; None when it is not queued any more; False when a kill touches it.

        The last gate beside the write: between an order's acceptance and its durability a kill may have come (I10).
        """
        row = self._row(order)
        gate = self.state.gate
        if row.ord_status != OrdStatus.PENDING_NEW or row.stage != Stage.QUEUED:
            return None
        is_killed = (
            gate.global_halt
            or gate.instrument_halts.get(row.terms.instrument, 0)
            or gate.accounts[row.account].halt_level
        )
        if is_killed and not (row.triggered and row.terms.reduce_only):
            return False
        return self.ticket(order, mono_ns)

    def fit(self, order: int, wall_ns: int) -> bool:
        """Cut a reduce-only order that waited to what its position has left; False when it has ended for want of it."""
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        pair = state.gate.pairs.get((row.account, row.terms.instrument))
        room_e9 = 0
        if pair is not None:  # what the position has, less other orders that are bound to reduce it
            room_e9 = -pair.signed_pos(row.terms.side) + row.reserved_qty_e9 - pair.open_reduce_qty(row.terms.side)
            room_e9 += shares.spared_e9(state, order)
        if room_e9 >= row.terms.order_qty_e9:
            return True
        room_e9 = max(0, room_e9)
        room_e9 -= room_e9 % state.quotes.rows[row.terms.instrument].lot_e9
        if room_e9 == 0:
            self._done(order, rec.CANCELED_EV, OrdStatus.CANCELED, Reason.FLAT, 0)
            return False
        terms = replace(row.terms, order_qty_e9=room_e9)
        body = rec.ReplaceBody(row.ref_px_e9, content_hash=0, ask_rev=row.rev)
        state.commit_replaced(state.event(order, leaves_qty_e9=room_e9), terms, body)
        return True

    def ticket(self, order: int, mono_ns: int, replace: bool = False) -> Ticket:
        """The instruction for the adapter, from the terms in force (or asked for, with `replace`).

        A market order with a collar goes out as a limit order that far beyond the reference price, on the tick.
        """
        state, row = self.state, self._row(order)
        terms = row.terms
        rev = row.ask_rev if replace else row.broker_rev if row.was_sent else FIRST_REV
        px_e9, ord_type = row.ask_px_e9 if replace else terms.px_e9, terms.ord_type
        if terms.ord_type == OrdType.MARKET and terms.collar_bps_e9:
            px_e9 = state.quotes.collar(terms.instrument, terms.side == Side.BUY, terms.collar_bps_e9, mono_ns)
            ord_type = int(OrdType.LIMIT) if px_e9 else ord_type
        return Ticket(
            order=order, rev=rev, broker_cl_ord_id=state.broker_id(order, rev),
            orig_broker_cl_ord_id=state.broker_id(order, row.broker_rev) if row.was_sent else b"",
            broker_order_id=row.broker_order_id, symbol=state.quotes.symbol_of(terms.instrument).encode(),
            side=terms.side, ord_type=ord_type, tif=row.ask_tif if replace else terms.tif,
            protective=int(bool(terms.reduce_only or row.triggered)),
            qty_e9=row.ask_qty_e9 if replace else terms.order_qty_e9, px_e9=px_e9,
            expire_ns=row.ask_expire_ns if replace else terms.expire_ns,
        )  # fmt: skip

    def sent(self, order: int, before_ns: int, after_ns: int) -> int:
        """Its bytes are in the kernel: exposure is possible from here.

        before_ns, after_ns: wall clock before and after the hand-over; offsets count from when it could first go.
        """
        state, row = self.state, self._row(order)
        state.wall_ns = after_ns
        if not row.is_allowed(rec.SENT_EV):
            return 0
        waited_ns = max(0, before_ns - row.live_ns)
        name = state.broker_id(order, FIRST_REV)
        body = rec.SentBody(
            risk_ns=waited_ns if row.triggered else 0,  # the release was decided
            durable_ns=0 if row.triggered else waited_ns, wire_ns=max(0, after_ns - row.live_ns), id_size=len(name),
            protective=row.terms.reduce_only, broker_cl_ord_id=name,
        )  # fmt: skip
        return state.commit(rec.SENT_EV, state.event(order, stage=Stage.SENT), rec.pack(body))

    # --- words of the broker ------------------------------------------------------------------------------------------

    def new(self, order: int, broker_order_id: bytes, venue_ns: int, raw: bytes, wall_ns: int) -> int:
        """The broker has the order, working."""
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        if not row.is_allowed(rec.NEW_EV):
            return self._repeat() if row.was_sent else self.anomaly(b"new: the order never left", raw, wall_ns)
        self._arrive(row, b"new: nobody saw the order leave", raw)
        status = OrdStatus.NEW if row.cum_qty_e9 == 0 else OrdStatus.PARTIALLY_FILLED
        name = broker_order_id[: rec.BROKER_ORDER_ID_MAX]
        event = state.event(order, ord_status=status, stage=Stage.STAGE_NONE)
        return state.commit(rec.NEW_EV, event, rec.pack(rec.NewBody(venue_ns, len(name), name)))

    def trade(
        self, order: int, exec_id: bytes, last_qty_e9: int, last_px_e9: int, broker_cum_qty_e9: int, fee_e4: int,
        liquidity: int, venue_ns: int, raw: bytes, wall_ns: int,
    ) -> int:  # fmt: skip
        """A fill; each `exec_id` counts once. One beyond the order's quantity is booked too: the position is real."""
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        was_done = row.is_done
        is_sound = len(exec_id) <= rec.EXEC_ID_MAX and last_qty_e9 > 0 and last_px_e9 > 0
        if not is_sound or not self._fits(row, last_qty_e9, last_px_e9):
            return self.anomaly(b"trade: not a fill", raw, wall_ns)
        known = state.orders.find_exec(order, exec_id)
        if known is not None and not known.is_early:
            return self._repeat()
        is_early = known is not None
        self._arrive(row, b"trade: nobody saw the order leave", raw)
        if not row.is_allowed(rec.TRADE):
            self._adopt(order, OrdStatus.NEW, 0)
        broker_cum_qty_e9 = self._stated(row, last_qty_e9, broker_cum_qty_e9, raw)
        cum_qty_e9, owed_e9 = row.cum_qty_e9 + last_qty_e9, row.owed_qty_e9
        if cum_qty_e9 > row.terms.order_qty_e9 and not is_early:
            self.anomaly(b"trade: more than the order's quantity", raw, wall_ns)
        event = state.event(
            order, cum_qty_e9=cum_qty_e9, avg_px_e9=row.average_px(last_qty_e9, last_px_e9), late=was_done,
            stage=Stage.STAGE_NONE, hold=Hold.HOLD_NONE,
        )  # fmt: skip
        if cum_qty_e9 >= row.terms.order_qty_e9 and not is_early:
            event = event._replace(ord_status=OrdStatus.FILLED, leaves_qty_e9=0, pending=Pending.PENDING_NONE)
        elif not was_done:
            leaves_e9 = max(0, row.terms.order_qty_e9 - cum_qty_e9)
            event = event._replace(ord_status=OrdStatus.PARTIALLY_FILLED, leaves_qty_e9=leaves_e9)
        signed_e9 = last_qty_e9 if row.terms.side == Side.BUY else -last_qty_e9
        body = rec.TradeBody(
            last_qty_e9, last_px_e9, fee_e4, self._position(row) + signed_e9, venue_ns, broker_cum_qty_e9,
            len(exec_id), liquidity, exec_id,
        )  # fmt: skip
        excess_e9 = 0 if is_early else shares.excess_after(state, order, last_qty_e9)
        state.is_grouped = is_early or excess_e9 > 0
        seq = state.commit(rec.TRADE, event, rec.pack(body))
        if not is_early:
            shares.tell_excess(state, order, excess_e9)
            return seq
        state.is_grouped = False
        self._take_back(order, exec_id, Exec(last_qty_e9, last_px_e9), max(owed_e9, row.owed_qty_e9), venue_ns, raw)
        return -1  # it may have ended the order there before it was broken

    def trade_canceled(
        self, order: int, exec_id: bytes, broker_cum_qty_e9: int, venue_ns: int, raw: bytes, wall_ns: int
    ) -> int:
        """The broker broke a fill: it is taken back at its own price. An order that is done stays as it ended.

        Its fee stays booked: what becomes of it comes with the broker's cash, not with this report. A break that
        overtook its fill is remembered: when the fill comes it is told, taken back at once, and ends nothing.
        """
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        known = state.orders.find_exec(order, exec_id)
        if known is not None and known.qty_e9 == 0:
            return self._repeat()
        if known is None:
            return self._break_early(order, exec_id, venue_ns, raw)
        broker_cum_qty_e9 = self._stated(row, -known.qty_e9, broker_cum_qty_e9, raw)
        owed_e9 = max(row.owed_qty_e9, broker_cum_qty_e9 - row.cum_qty_e9 + known.qty_e9)
        return self._take_back(order, exec_id, known, owed_e9, venue_ns, raw)

    def _break_early(self, order: int, exec_id: bytes, venue_ns: int, raw: bytes) -> int:
        """Its fill is late, or the broker breaks what never was: remembered, and an anomaly until the fill comes."""
        if not 0 < len(exec_id) <= rec.EXEC_ID_MAX or self.state.orders.early_count >= EARLY_MAX:
            return self.anomaly(b"trade canceled: no such fill is booked", raw, self.state.wall_ns)
        self.anomalies += 1
        text = clip(raw, rec.TEXT_MAX)
        body = rec.BrokenEarlyBody(venue_ns, order, len(text), len(exec_id), exec_id)
        self.state.emit(rec.BROKEN_EARLY, rec.pack(body) + text)
        return -1

    def _take_back(self, order: int, exec_id: bytes, fill: Exec, owed_e9: int, venue_ns: int, raw: bytes) -> int:
        state, row = self.state, self._row(order)
        qty_e9, px_e9 = fill.qty_e9, fill.px_e9
        if not self._may_break(row, qty_e9, px_e9):
            return self.anomaly(b"trade canceled: the books cannot give it back", raw, state.wall_ns)
        cum_qty_e9 = row.cum_qty_e9 - qty_e9
        event = state.event(order, cum_qty_e9=cum_qty_e9, avg_px_e9=row.average_px(-qty_e9, px_e9), late=row.is_done)
        if not row.is_done:
            event = event._replace(
                ord_status=OrdStatus.PARTIALLY_FILLED if cum_qty_e9 else OrdStatus.NEW,
                leaves_qty_e9=max(0, row.terms.order_qty_e9 - cum_qty_e9),
            )
        signed_e9 = qty_e9 if row.terms.side == Side.BUY else -qty_e9
        body = rec.TradeCanceledBody(
            qty_e9, px_e9, self._position(row) - signed_e9, owed_e9, venue_ns, len(exec_id), exec_id
        )
        return state.commit(rec.TRADE_CANCELED, event, rec.pack(body))

    def _may_break(self, row: OrderRow, qty_e9: int, px_e9: int) -> bool:
        back = Side.SELL if row.terms.side == Side.BUY else Side.BUY
        where = row.account, row.terms.instrument
        return (
            qty_e9 <= row.cum_qty_e9
            and row.is_allowed(rec.TRADE_CANCELED)
            and self.state.gate.can_book(*where, back, qty_e9, px_e9)
            and self.state.gate.can_book(*where, row.terms.side, qty_e9, row.ref_px_e9)
        )

    def _position(self, row: OrderRow) -> int:
        pair = self.state.gate.pairs.get((row.account, row.terms.instrument))
        return 0 if pair is None else pair.pos_qty_e9

    def _done(self, order: int, kind: int, status: int, reason: int, broker_cum_qty_e9: int) -> int:
        event = self.state.event(order, ord_status=status, reason=reason, **ENDED)
        return self.state.commit(kind, event, rec.pack(rec.DoneBody(broker_cum_qty_e9)))

    def _arrive(self, row: OrderRow, cause: bytes, raw: bytes) -> None:
        """A word about an order that nobody saw leave is itself remarkable, unless that is what we doubted."""
        if not row.was_sent and row.stage != Stage.IN_DOUBT:
            self.anomaly(cause, raw, self.state.wall_ns)

    def _fits(self, row: OrderRow, qty_e9: int, px_e9: int) -> bool:
        """Whether the books can take the broker's number at all: a hostile one must not stop the core."""
        where = row.account, row.terms.instrument, row.terms.side
        return qty_e9 <= INT64_MAX - row.cum_qty_e9 and self.state.gate.can_book(*where, qty_e9, px_e9)

    def _stated(self, row: OrderRow, last_qty_e9: int, broker_cum_qty_e9: int, raw: bytes) -> int:
        """The broker's filled quantity; 0 = not stated, also when it is absurd."""
        stated_e9 = max(0, broker_cum_qty_e9)
        ahead_e9 = stated_e9 - row.cum_qty_e9 - last_qty_e9
        if ahead_e9 > 0 and not self._fits(row, ahead_e9, row.ref_px_e9):
            self.anomaly(b"a filled quantity that no book can hold", raw, self.state.wall_ns)
            return 0
        return stated_e9

    def canceled(self, order: int, broker_cum_qty_e9: int, raw: bytes, wall_ns: int) -> int:
        """Out at the broker, asked for or not; fills that it counts and we have not seen stay owed."""
        row = self._row(order)
        reason = row.cancel_reason if row.pending == Pending.PENDING_CANCEL else int(Reason.BROKER)
        end = rec.CANCELED_EV, OrdStatus.CANCELED, reason
        return self._ended_there(order, *end, broker_cum_qty_e9, raw, wall_ns)

    def expired(self, order: int, broker_cum_qty_e9: int, raw: bytes, wall_ns: int) -> int:
        """Ended at the broker by its own terms."""
        end = rec.EXPIRED_EV, OrdStatus.EXPIRED, Reason.TIF_END
        return self._ended_there(order, *end, broker_cum_qty_e9, raw, wall_ns)

    def _ended_there(
        self, order: int, kind: int, status: int, reason: int, broker_cum_qty_e9: int, raw: bytes, wall_ns: int
    ) -> int:
        row = self._row(order)
        self.state.wall_ns = wall_ns
        if row.is_done:
            return self._repeat()
        self._arrive(row, b"an end: nobody saw the order leave", raw)
        if row.ord_status == OrdStatus.HELD:
            return -1
        return self._done(order, kind, status, reason, self._stated(row, 0, broker_cum_qty_e9, raw))

    def end_here(self, order: int, reason: int, wall_ns: int) -> int:
        """Expire an order that the gateway holds or that waits in line (`tif` over, or queued too long)."""
        row = self._row(order)
        self.state.wall_ns = wall_ns
        return self._done(order, rec.EXPIRED_EV, OrdStatus.EXPIRED, reason, 0) if row.is_ours else 0

    def rejected(self, order: int, code: bytes, broker_code: bytes, text: bytes, raw: bytes, wall_ns: int) -> int:
        """Refused after acceptance: by the broker (BROKER_REJECTED), or by a check at release (its RC_ code)."""
        row = self._row(order)
        self.state.wall_ns = wall_ns
        if row.is_done:
            return self._repeat()
        event = self.state.event(order, ord_status=OrdStatus.REJECTED, **ENDED)
        return self._texts(rec.REJECTED_EV, event, 0, code, broker_code, text)

    def cancel_rejected(self, order: int, code: bytes, broker_code: bytes, text: bytes, wall_ns: int) -> int:
        """The cancel was refused; the order stands as it is."""
        row = self._row(order)
        self.state.wall_ns = wall_ns
        if not row.is_allowed(rec.CANCEL_REJECTED):
            return self._repeat()
        pending = Pending.PENDING_REPLACE if row.open_asks else Pending.PENDING_NONE
        event = self.state.event(order, pending=pending)
        return self._texts(rec.CANCEL_REJECTED, event, 0, code, broker_code, text)

    def replaced(self, order: int, rev: int, order_qty_e9: int, px_e9: int, raw: bytes, wall_ns: int) -> int:
        """Revision `rev` is in force at the broker, and with it every earlier one is answered.

        A fill or the order's own `new` that overtook it does not make it old news: the order works under the new terms.
        """
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        is_asked = rev in row.open_asks
        grows = row.ord_status == OrdStatus.FILLED and order_qty_e9 > row.cum_qty_e9 and is_asked
        if rev <= row.rev or (row.is_done and not grows):
            return self._repeat()
        if not is_asked or order_qty_e9 <= 0 or order_qty_e9 < row.cum_qty_e9:
            return self.anomaly(b"replaced: not what was asked", raw, wall_ns)
        if not self._fits(row, order_qty_e9 - row.cum_qty_e9, max(px_e9, row.ask_most_px_e9)):
            return self.anomaly(b"replaced: not what was asked", raw, wall_ns)
        if not row.is_allowed(rec.REPLACED):
            self.anomaly(b"replaced: another report is missing or came first", raw, wall_ns)
            self._adopt(order, OrdStatus.NEW, row.cum_qty_e9 + row.owed_qty_e9)
        terms, ref_px_e9 = replace(row.terms, order_qty_e9=order_qty_e9), row.ref_px_e9
        if terms.ord_type == OrdType.LIMIT and px_e9 > 0:
            terms.px_e9 = ref_px_e9 = px_e9
        if rev == row.ask_rev:
            terms.tif, terms.expire_ns, terms.whole_qty_e9 = row.ask_tif, row.ask_expire_ns, row.ask_whole_qty_e9
        event = state.event(order, rev=rev, leaves_qty_e9=order_qty_e9 - row.cum_qty_e9)
        if row.pending != Pending.PENDING_CANCEL:
            is_open = row.open_asks[-1] > rev
            event = event._replace(pending=Pending.PENDING_REPLACE if is_open else Pending.PENDING_NONE)
        state.is_grouped = event.leaves_qty_e9 == 0
        seq = state.commit_replaced(event, terms, rec.ReplaceBody(ref_px_e9, content_hash=0, ask_rev=rev))
        if state.is_grouped:  # cut to what is filled: a replace ends nothing, the broker's truth does
            state.is_grouped = False
            self._adopt(order, OrdStatus.FILLED, row.cum_qty_e9 + row.owed_qty_e9)
        return seq

    def replace_rejected(self, order: int, rev: int, code: bytes, raw: bytes, wall_ns: int) -> int:
        """Revision `rev` was refused: the old terms stand, the number is used."""
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        if row.is_done or rev <= row.rev or (rev <= row.ask_rev and rev not in row.open_asks):
            return self._repeat()
        if rev > row.ask_rev:
            return self.anomaly(b"replace_rejected: never asked", raw, wall_ns)
        event = state.event(order)
        if row.pending == Pending.PENDING_REPLACE and row.open_asks == [rev]:
            event = event._replace(pending=Pending.PENDING_NONE)
        body = rec.ReplaceBody(row.ref_px_e9, content_hash=0, ask_rev=rev, code_size=len(code))
        return state.commit(rec.REPLACE_REJECTED, event, row.terms.pack() + rec.pack(body) + code)

    # --- doubt --------------------------------------------------------------------------------------------------------

    def in_doubt(self, order: int, cause: bytes, wall_ns: int) -> int:
        """It may or may not be at the broker: say so, keep its reservation, and ask."""
        row = self._row(order)
        self.state.wall_ns = wall_ns
        if not row.is_allowed(rec.IN_DOUBT_EV) or row.stage == Stage.IN_DOUBT:
            return 0
        return self._texts(rec.IN_DOUBT_EV, self.state.event(order, stage=Stage.IN_DOUBT), wall_ns, cause)

    def requeue(self, order: int, evidence: bytes, wall_ns: int) -> int:
        """The broker is certain that it never had the order: back in line under the same id, or held if it never fired.

        What was asked meanwhile takes effect here and now: its end, or its last revision.
        """
        state, row = self.state, self._row(order)
        state.wall_ns = wall_ns
        if not row.is_allowed(rec.REQUEUED):
            return 0
        state.is_grouped = row.pending != Pending.PENDING_NONE
        event, is_unfired = state.event(order, stage=Stage.QUEUED), bool(row.terms.trigger and not row.triggered)
        if is_unfired:
            event = state.event(order, ord_status=OrdStatus.HELD, stage=Stage.STAGE_NONE, hold=Hold.HOLD_TRIGGER)
        seq = self._texts(rec.REQUEUED, event, 0, evidence)
        state.is_grouped = False
        if row.pending == Pending.PENDING_CANCEL:
            self._done(order, rec.CANCELED_EV, OrdStatus.CANCELED, row.cancel_reason, 0)
            return seq
        if row.open_asks:
            self._take_revision(order)
        if not is_unfired:
            state.effect(OP_SUBMIT, order)
        return seq

    def _take_revision(self, order: int) -> None:
        """The last terms asked for come into force without the broker, which never had the order."""
        row = self._row(order)
        terms = replace(
            row.terms, order_qty_e9=row.ask_qty_e9, whole_qty_e9=row.ask_whole_qty_e9, px_e9=row.ask_px_e9,
            stop_px_e9=row.ask_stop_px_e9, tif=row.ask_tif, expire_ns=row.ask_expire_ns,
        )  # fmt: skip
        event = self.state.event(
            order, rev=row.ask_rev, pending=Pending.PENDING_NONE, leaves_qty_e9=row.ask_qty_e9 - row.cum_qty_e9
        )
        self.state.commit_replaced(event, terms, rec.ReplaceBody(row.ask_ref_px_e9, 0, row.ask_rev))

    def restate(self, order: int, status: int, broker_cum_qty_e9: int, wall_ns: int) -> int:
        """Adopt the broker's truth about an order whose own story does not explain it; unseen fills stay owed.

        One that we call done, or held, may work there: then it is open, with what is left of it.
        """
        row = self._row(order)
        self.state.wall_ns = wall_ns
        is_end = status >= OrdStatus.FILLED
        if row.ord_status == OrdStatus.HELD and is_end:
            return 0
        if not is_end:
            status = OrdStatus.PARTIALLY_FILLED if row.cum_qty_e9 else OrdStatus.NEW
            if row.terms.order_qty_e9 <= row.cum_qty_e9:
                return 0
        elif row.is_done:
            status = row.ord_status  # which end it was is history; only quantities are corrected
        broker_cum_qty_e9 = self._stated(row, 0, broker_cum_qty_e9, b"answer to a query")
        if row.ord_status == status and row.owed_qty_e9 == max(0, broker_cum_qty_e9 - row.cum_qty_e9):
            return 0
        return self._adopt(order, status, broker_cum_qty_e9)

    def _adopt(self, order: int, status: int, broker_cum_qty_e9: int) -> int:
        state, row = self.state, self._row(order)
        body = rec.RestatedBody(
            row.cum_qty_e9, row.leaves_qty_e9, max(0, broker_cum_qty_e9 - row.cum_qty_e9), row.ord_status, row.stage
        )
        event = state.event(order, stage=Stage.STAGE_NONE, hold=Hold.HOLD_NONE, reason=Reason.RECONCILED)
        if status >= OrdStatus.FILLED:
            event = event._replace(ord_status=status, leaves_qty_e9=0, pending=Pending.PENDING_NONE)
        else:
            event = event._replace(
                ord_status=OrdStatus.PARTIALLY_FILLED if row.cum_qty_e9 else OrdStatus.NEW,
                leaves_qty_e9=max(0, row.terms.order_qty_e9 - row.cum_qty_e9),
            )
        return state.commit(rec.RESTATED, event, rec.pack(body))
