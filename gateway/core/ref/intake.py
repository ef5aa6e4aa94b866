"""Twin of gateway.core.intake: what clients ask for, decided in one call and turned into records (order-api 5, 7, 8).

A refusal changes nothing at all. Every call returns the journal sequence of the record that answers it (> 0), 0 when
the request repeats one that was answered before (`dup_seq`), or a refusal (< 0).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gateway.contracts.requests import PlaceItem, ReplaceItem, Trigger
from gateway.core.ref.state import GROUP_ROWS_MAX, OP_CANCEL, OP_REPLACE, OP_SUBMIT, State
from hotpath.enums import (
    Control,
    Direction,
    Hold,
    OrdStatus,
    OrdType,
    Pending,
    PriceSource,
    Reason,
    Side,
    Stage,
    Stp,
    Tif,
    TriggerKind,
)
from hotpath.ref import records as rec
from hotpath.ref.fixed import PARSE_OK, PARSE_PRECISION, from_e9, parse_code
from hotpath.ref.orders import OPEN_ASKS_MAX, OrderRow
from hotpath.ref.records import OrderEvent, Terms

(CONTROL, CL_ORD_ID_CONFLICT, UNKNOWN_ORDER, ORDER_DONE, ORDER_CLOSING, ORDER_IN_DOUBT, REV_CONFLICT, TRIGGER_THROUGH,
 UNSUPPORTED, BAD_FIELD, BAD_DECIMAL, BAD_COMBINATION, UNKNOWN_SYMBOL, DEADLINE_PASSED, LINK_DOWN, BUSY, BAD_TICK,
 BAD_LOT, DRY_PASSED) = range(-1, -20, -1)  # fmt: skip

DAY_NS = 86_400_000_000_000
MS_END = 9_000_000_000_000  # milliseconds that still fit as nanoseconds
MS_NS = 1_000_000
QUEUE_NS = 60_000_000_000  # how long an order waits for its link when it does not say
REV_MAX = 1000  # revisions are part of the broker-side id
TAG_BYTES_MAX = 64
TIFS = {"day": 0, "gtc": 1, "opg": 2, "ioc": 3, "fok": 4, "gtd": 6, "cls": 7}
SOURCES = {"last": 0, "bid": 1, "ask": 2, "mid": 3, "mark": 4}
NAME = re.compile(r"[A-Za-z0-9._:-]{1,36}")
TRIGGER_EXTRAS = ("trail", "limit_offset", "at_ns", "after_ms", "breakeven", "backstop_bps", "policy")
SEED_TERMS, SEED_CHANGE = 7, 11
REQUEST = int(Reason.REQUEST)


class Refused(Exception):
    """A request that has no effect, and why; raised, so that each check reads as what it demands."""

    def __init__(self, code: int, path: str, text: str) -> None:
        super().__init__(code)
        self.code, self.path, self.text = code, path, text


class Repeated(Exception):
    """A request that was answered before; the number of that event is in `Intake.dup_seq`."""


def is_name(text: str) -> bool:
    """1 to 36 of `A-Z a-z 0-9 . _ : -`."""
    return NAME.fullmatch(text) is not None


class Intake:
    """The client side of the core."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.day_ends: dict[int, int] = {}
        self.sources: dict[int, int] = {}  # by instrument: what triggers watch by default; absent: by asset class
        self.decision: dict[str, int] = {
            "control": 0, "unit": 0, "limit": 0, "value": 0, "passes": 0, "passes_unit": 0, "scope": 0,
            "ref_px_e9": 0, "tokens_left": 0,
        }  # fmt: skip
        self.path = self.text = ""
        self.order = -1  # row that the last call was about, -1 none
        self.dup_seq = 0  # account sequence of the answer that is repeated
        self.link_up = True

    def set_day_end(self, instrument: int, wall_ns: int) -> None:
        """When `day` orders of the instrument end."""
        self.day_ends[instrument] = wall_ns

    def _day_end(self, instrument: int) -> int:
        """End of the day that is on; one that has passed moves by whole days until somebody sets the next."""
        end_ns, now_ns = self.day_ends.get(instrument, 0), self.state.wall_ns
        if 0 < end_ns <= now_ns:
            end_ns += ((now_ns - end_ns) // DAY_NS + 1) * DAY_NS
        return end_ns

    def set_source(self, instrument: int, source: str) -> None:
        """What a trigger of the instrument watches when it does not say; empty: by asset class (order-api 8)."""
        self.sources.pop(instrument, None)
        if source:
            self.sources[instrument] = SOURCES[source]

    def refuse(self, refusal: Refused) -> int:
        """Keep why; returns the code."""
        self.path, self.text = refusal.path, refusal.text
        return refusal.code

    def find(self, account: int, cl_ord_id: str) -> int:
        self.order = self.state.orders.find_row(account, cl_ord_id.encode())
        return self.order

    def known(self, account: int, cl_ord_id: str) -> OrderRow:
        if self.find(account, cl_ord_id) < 0:
            raise Refused(UNKNOWN_ORDER, "cl_ord_id", f"no order {cl_ord_id} in this account")
        return self.state.orders.rows[self.order]

    def in_time(self, deadline_ns: int) -> None:
        if deadline_ns and self.state.wall_ns > deadline_ns:
            raise Refused(DEADLINE_PASSED, "deadline_ns", "the deadline had passed when the request was applied")

    # --- place --------------------------------------------------------------------------------------------------------

    def place(
        self, account: int, req: PlaceItem, session: bytes, deadline_ns: int, dry: bool, wall_ns: int, mono_ns: int
    ) -> int:
        """Accept or refuse a new order.

        deadline_ns: 0 or the server time after which nothing may happen. dry: all checks, no effect.
        """
        self.state.wall_ns = wall_ns
        try:
            terms, content = self.admit(account, req, deadline_ns, mono_ns, dry)
        except Refused as refusal:
            return self.refuse(refusal)
        except Repeated:
            return 0
        return DRY_PASSED if dry else self.accept(account, req, terms, content, session)

    def admit(self, account: int, req: PlaceItem, deadline_ns: int, mono_ns: int, dry: bool) -> tuple[Terms, int]:
        """Terms and content hash of an order that may be accepted. Raises Refused or Repeated."""
        if not is_name(req.cl_ord_id):
            raise Refused(BAD_FIELD, "cl_ord_id", "cl_ord_id must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        terms = self._terms(req)
        content = rec.hash_bytes(terms.pack(), SEED_TERMS)
        for text in (req.tag, req.signal):
            content = rec.hash_bytes((text or "").encode(), content)
        content |= 1
        if self.find(account, req.cl_ord_id) >= 0:
            row = self.state.orders.rows[self.order]
            if row.content_hash == content:
                self.dup_seq = row.accepted_acct_seq
                raise Repeated
            text = f"cl_ord_id {req.cl_ord_id} names another order; choose a new name"
            raise Refused(CL_ORD_ID_CONFLICT, "cl_ord_id", text)
        self.in_time(deadline_ns)
        self._live(terms, account, mono_ns, dry)
        return terms, content

    def _live(self, t: Terms, account: int, mono_ns: int, dry: bool) -> None:
        """The checks that need the present: grid, market, link, table, gate."""
        self._grid(t)
        if t.expire_ns and t.expire_ns <= self.state.wall_ns:
            raise Refused(BAD_FIELD, "expire_ns", "expire_ns lies in the past")
        if t.trigger and not t.fire_through and self._is_through(t, mono_ns):
            text = "the condition is already true; set if_through to fire, or move stop_px"
            raise Refused(TRIGGER_THROUGH, "trigger.stop_px", text)
        if t.max_queue_ns == 0 and not t.trigger and not self.link_up:
            raise Refused(LINK_DOWN, "", "the broker link is down and the order may not wait (max_queue_ms 0)")
        if self.state.orders.count >= self.state.orders.capacity:
            text = "the order table is full; an operator must raise capacity.orders and restart"
            raise Refused(BUSY, "", text)
        self._check(account, t, None, mono_ns, dry)

    def _terms(self, req: PlaceItem) -> Terms:
        row = self.state.quotes.row_of(req.symbol)
        if row < 0:
            raise Refused(UNKNOWN_SYMBOL, "symbol", f"symbol {req.symbol} is not listed; see /v1/instruments")
        t = Terms(instrument=row, order_qty_e9=_decimal(req.qty, "qty"))
        t.side = int(Side.BUY if req.side == "buy" else Side.SELL)
        t.ord_type = int(OrdType.MARKET if req.ord_type == "market" else OrdType.LIMIT)
        is_market = t.ord_type == OrdType.MARKET
        if req.px is not None:
            t.px_e9 = _decimal(req.px, "px")
        if is_market == (req.px is not None):
            raise Refused(BAD_COMBINATION, "px", "a limit order needs px, a market order has none")
        t.tif = TIFS[req.tif]
        t.extended = int(req.hours == "extended")
        t.reduce_only = int(req.reduce_only)
        if req.stp not in (None, "cancel_new", "allow"):
            raise Refused(UNSUPPORTED, "stp", "stp supports cancel_new and allow")
        t.stp = int(Stp.ALLOW if req.stp == "allow" else Stp.CANCEL_NEW)
        self._unsupported(req, t)
        if req.trigger is not None:
            self._trigger(req.trigger, t)
        if req.collar_bps is not None:
            if not is_market:
                raise Refused(BAD_COMBINATION, "collar_bps", "collar_bps belongs to a market order")
            t.collar_bps_e9 = _decimal(req.collar_bps, "collar_bps")
        if req.max_queue_ms is not None:
            if req.max_queue_ms >= MS_END:
                raise Refused(BAD_FIELD, "max_queue_ms", "max_queue_ms is too far away")
            t.max_queue_ns = req.max_queue_ms * MS_NS
        elif t.reduce_only:
            t.max_queue_ns = -1
        elif not is_market and t.tif not in (Tif.IOC, Tif.FOK):
            t.max_queue_ns = QUEUE_NS
        return t

    def _unsupported(self, req: PlaceItem, t: Terms) -> None:
        if t.tif in (Tif.OPG, Tif.CLS):
            raise Refused(UNSUPPORTED, "tif", "this broker has no opening or closing auction")
        if (t.tif == Tif.GTD) != (req.expire_ns is not None):
            raise Refused(BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        t.expire_ns = req.expire_ns or 0
        if req.tag is not None and len(req.tag.encode()) > TAG_BYTES_MAX:
            raise Refused(BAD_FIELD, "tag", "tag is at most 64 bytes of UTF-8")
        if req.signal is not None and not is_name(req.signal):
            raise Refused(BAD_FIELD, "signal", "signal must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        if req.after is not None:
            raise Refused(UNSUPPORTED, "after", "orders that wait for a parent are not supported here")
        if req.oco is not None:
            raise Refused(UNSUPPORTED, "oco", "oco groups are not supported here")
        if req.post_only:
            raise Refused(UNSUPPORTED, "post_only", "this broker has no post-only orders")
        if req.display_qty is not None:
            raise Refused(UNSUPPORTED, "display_qty", "this broker has no iceberg orders")

    def _trigger(self, trigger: Trigger, t: Terms) -> None:
        """A condition that the gateway holds: kinds stop and touch."""
        if trigger.kind not in ("stop", "touch"):
            raise Refused(UNSUPPORTED, "trigger.kind", "trigger kinds here are stop and touch")
        t.trigger = int(TriggerKind.STOP if trigger.kind == "stop" else TriggerKind.TOUCH)
        if trigger.stop_px is None:
            raise Refused(BAD_COMBINATION, "trigger.stop_px", f"a {trigger.kind} needs stop_px")
        t.stop_px_e9 = _decimal(trigger.stop_px, "trigger.stop_px")
        for name in TRIGGER_EXTRAS:
            if getattr(trigger, name) is not None:
                raise Refused(UNSUPPORTED, f"trigger.{name}", f"trigger.{name} is not supported here")
        if trigger.confirm is not None and (trigger.confirm.ms is not None or trigger.confirm.ticks != 1):
            raise Refused(UNSUPPORTED, "trigger.confirm", "confirmation by one tick is supported here")
        if trigger.placement not in (None, "gateway"):
            text = "this broker has no native stops; placement is gateway"
            raise Refused(UNSUPPORTED, "trigger.placement", text)
        t.source = self._source(trigger, t)
        t.fire_through = int(trigger.if_through == "fire")
        t.rearm_missed = int(trigger.on_missed == "rearm")
        if trigger.max_age_ms is not None:
            if trigger.max_age_ms >= MS_END:
                raise Refused(BAD_FIELD, "trigger.max_age_ms", "trigger.max_age_ms is too far away")
            t.max_age_ns = trigger.max_age_ms * MS_NS
            if t.max_age_ns < self.state.quotes.rows[t.instrument].max_age_ns:
                text = "the age limit here is the instrument's; see /v1/instruments"
                raise Refused(UNSUPPORTED, "trigger.max_age_ms", text)

    def _source(self, trigger: Trigger, t: Terms) -> int:
        if trigger.source is not None:
            if trigger.source == "mark":
                raise Refused(UNSUPPORTED, "trigger.source", "no mark price here; use last, bid, ask or mid")
            return SOURCES[trigger.source]
        if t.instrument in self.sources:
            return self.sources[t.instrument]
        if self.state.quotes.rows[t.instrument].asset_class == 0:
            return int(PriceSource.LAST)
        return int(PriceSource.BID if t.side == Side.SELL else PriceSource.ASK)

    def _move_trigger(self, trigger: Trigger, t: Terms) -> None:
        """A replace moves the stop; whatever else it says about the trigger must be as it is."""
        asked = replace(t)
        self._trigger(trigger, asked)
        is_other = (
            asked.trigger != t.trigger
            or (trigger.source is not None and asked.source != t.source)
            or (trigger.max_age_ms is not None and asked.max_age_ns != t.max_age_ns)
            or (asked.fire_through and not t.fire_through)
            or (asked.rearm_missed and not t.rearm_missed)
        )
        if is_other:
            raise Refused(UNSUPPORTED, "trigger", "a replace can change trigger.stop_px only")
        t.stop_px_e9 = asked.stop_px_e9

    def _grid(self, t: Terms) -> None:
        """Prices on the tick, quantity on the lot; the text gives the nearest value below."""
        row = self.state.quotes.rows[t.instrument]
        if t.order_qty_e9 % row.lot_e9 or t.order_qty_e9 < row.min_qty_e9:
            nearest_e9 = max(row.min_qty_e9, t.order_qty_e9 - t.order_qty_e9 % row.lot_e9)
            raise Refused(BAD_LOT, "qty", from_e9(nearest_e9))
        for path, px_e9 in (("px", t.px_e9), ("trigger.stop_px", t.stop_px_e9)):
            if px_e9 % row.tick_e9:
                raise Refused(BAD_TICK, path, from_e9(px_e9 - px_e9 % row.tick_e9))

    def _is_through(self, t: Terms, mono_ns: int) -> bool:
        px_e9 = self.state.quotes.trigger(t.instrument, t.source, mono_ns)
        is_down = self.state.direction_of(t) == Direction.DOWN
        is_true = px_e9 > 0 and (px_e9 <= t.stop_px_e9 if is_down else px_e9 >= t.stop_px_e9)
        return is_true or self.state.is_fired(t)

    def _check(
        self, account: int, t: Terms, old: OrderRow | None, mono_ns: int, dry: bool, *, release: bool = False
    ) -> None:
        self._decide(account, t, old, mono_ns, dry, release=release)
        if self.decision["control"]:
            raise Refused(CONTROL, "", "")

    def _decide(self, account: int, t: Terms, old: OrderRow | None, mono_ns: int, dry: bool, *, release: bool) -> None:
        """Ask the gate; its answer is in `decision`."""
        qty_e9, old_qty_e9, old_px_e9 = t.order_qty_e9, 0, 0
        if old is not None:
            qty_e9 -= old.cum_qty_e9
            old_qty_e9 = old.reserved_qty_e9 or old.terms.order_qty_e9  # held: marks a replace
            old_px_e9 = old.reserved_px_e9
        self.decision = self.state.gate.check_py(
            account=account, instrument=t.instrument, side=t.side, ord_type=t.ord_type, qty_e9=qty_e9, px_e9=t.px_e9,
            old_qty_e9=old_qty_e9, old_px_e9=old_px_e9, mono_ns=mono_ns, reduce_only=bool(t.reduce_only), stp=t.stp,
            is_release=release, is_held=bool(t.trigger) and (old is None or old.ord_status == OrdStatus.HELD),
            is_dry=dry,
        )  # fmt: skip

    def recheck(self, order: int, wall_ns: int, mono_ns: int) -> int:
        """The whole chain again for an order that waited and goes out now; 0 or the control that refuses."""
        row = self.state.orders.rows[order]
        self._decide(row.account, row.terms, row, mono_ns, False, release=True)
        self._keep_refusal()
        return self.decision["control"]

    def is_killed(self, order: int, mono_ns: int) -> bool:
        """Whether a kill switch forbids the revision that was last asked for."""
        row = self.state.orders.rows[order]
        terms = replace(row.terms, order_qty_e9=row.ask_qty_e9, px_e9=row.ask_px_e9)
        self._decide(row.account, terms, row, mono_ns, True, release=False)
        self._keep_refusal()
        return self.decision["control"] == Control.KILL_GATE

    def _keep_refusal(self) -> None:
        if self.decision["control"]:
            self.path = self.text = ""

    def accept(self, account: int, req: PlaceItem, t: Terms, content: int, session: bytes) -> int:
        state = self.state
        tag, signal, name = (text.encode() for text in (req.tag or "", req.signal or "", req.cl_ord_id))
        order = state.orders.count
        if t.tif == Tif.DAY:
            t.expire_ns = self._day_end(t.instrument)
        event = OrderEvent(
            state.acct_seqs[account] + 1, account, order, cum_qty_e9=0, leaves_qty_e9=t.order_qty_e9, avg_px_e9=0,
            rev=1, ord_status=OrdStatus.HELD if t.trigger else OrdStatus.PENDING_NEW,
            stage=Stage.STAGE_NONE if t.trigger else Stage.QUEUED,
            hold=Hold.HOLD_TRIGGER if t.trigger else Hold.HOLD_NONE, pending=Pending.PENDING_NONE, reason=0, late=0,
            cl_size=len(name), cl_ord_id=name,
        )  # fmt: skip
        body = rec.AcceptedBody(self.decision["ref_px_e9"], content, len(session), len(tag), len(signal))
        seq = state.commit(rec.ACCEPTED, event, t.pack() + rec.pack(body) + session + tag + signal)
        self.order = order
        if not t.trigger:
            state.effect(OP_SUBMIT, order)
        return seq

    # --- cancel -------------------------------------------------------------------------------------------------------

    def cancel(self, account: int, cl_ord_id: str, deadline_ns: int, wall_ns: int) -> int:
        """Ask for the end of an order; one that never left the gateway ends at once."""
        self.state.wall_ns = wall_ns
        try:
            row = self.known(account, cl_ord_id)
            if row.pending == Pending.PENDING_CANCEL and not row.is_done:
                self.dup_seq = row.cancel_acct_seq
                return 0
            if row.is_done:
                raise Refused(ORDER_DONE, "cl_ord_id", f"order {cl_ord_id} is done")
            self.in_time(deadline_ns)
        except Refused as refusal:
            return self.refuse(refusal)
        return self.cancel_row(self.order, REQUEST)

    def cancel_row(self, order: int, reason: int) -> int:
        state = self.state
        doubt = state.doubt_of(order)
        if state.orders.rows[order].is_ours and not doubt:
            event = state.event(
                order, reason=reason, ord_status=OrdStatus.CANCELED, stage=Stage.STAGE_NONE, hold=Hold.HOLD_NONE,
                pending=Pending.PENDING_NONE, leaves_qty_e9=0,
            )  # fmt: skip
            return state.commit(rec.CANCELED_EV, event, rec.pack(rec.DoneBody()))
        event = state.event(order, reason=reason, pending=Pending.PENDING_CANCEL, **doubt)
        seq = state.commit(rec.PENDING_CANCEL_EV, event)
        state.effect(OP_CANCEL, order)
        return seq

    def cancel_order(self, order: int, reason: int, wall_ns: int) -> int:
        """Cancel by the gateway's own will (halt, end of a group); 0 when the order is done or on its way out."""
        self.state.wall_ns = wall_ns
        rows = self.state.orders.rows
        if order >= len(rows) or rows[order].is_done or rows[order].pending == Pending.PENDING_CANCEL:
            return 0
        return self.cancel_row(order, reason)

    def cancel_all(
        self, account: int, rows: Sequence[int], side: int, symbol: bytes, session: bytes, tag: bytes,
        keep_protective: bool, reason: int, wall_ns: int,
    ) -> int:  # fmt: skip
        """One `cancel_all` event, then the cancel of each of `rows`; told of when all of it is durable.

        In atomic groups of a bounded size. A crash between them leaves cancels that nobody heard of: the asker resends.
        """
        state = self.state
        state.wall_ns = wall_ns
        event = rec.AccountEvent(
            state.acct_seqs[account] + 1, account, number=len(rows), side=side, keep=keep_protective,
            symbol_size=len(symbol), session_size=len(session), tag_size=len(tag),
        )  # fmt: skip
        state.is_grouped = bool(rows)
        seq = state.emit(rec.CANCEL_ALL_EV, rec.pack(event) + symbol + session + tag)
        for count, row in enumerate(rows, 1):
            state.is_grouped = count < len(rows) and count % GROUP_ROWS_MAX != 0
            self.cancel_row(row, reason)
        state.is_grouped = False
        state.told_together(seq)
        return seq

    # --- replace ------------------------------------------------------------------------------------------------------

    def replace(self, account: int, req: ReplaceItem, deadline_ns: int, wall_ns: int, mono_ns: int) -> int:
        """New terms under revision `req.rev`: in force at once while the order is ours, else asked of the broker."""
        self.state.wall_ns = wall_ns
        try:
            terms, content = self.revise(account, req, deadline_ns, mono_ns, False)
        except Refused as refusal:
            return self.refuse(refusal)
        except Repeated:
            return 0
        return self.replace_row(self.order, terms, req.rev, content)

    def revise(self, account: int, req: ReplaceItem, deadline_ns: int, mono_ns: int, dry: bool) -> tuple[Terms, int]:
        """Terms and content hash of a revision that may be asked for. Raises Refused or Repeated."""
        row = self.known(account, req.cl_ord_id)
        terms = _asked(row) if row.open_asks else replace(row.terms)  # pipelined: builds on what was asked last
        self._changes(req, terms)
        content = _change_content(req)
        answered = self.state.revisions.get((self.order, req.rev))
        if answered is not None and answered[1] == content:
            self.dup_seq = answered[0]
            raise Repeated
        if row.is_done:
            raise Refused(ORDER_DONE, "cl_ord_id", f"order {req.cl_ord_id} is done")
        if row.pending == Pending.PENDING_CANCEL:
            raise Refused(ORDER_CLOSING, "cl_ord_id", "a cancel of the order was asked before")
        if row.stage == Stage.IN_DOUBT or self.order in self.state.suspects:
            text = "the order may or may not be at the broker; cancel it or wait"
            raise Refused(ORDER_IN_DOUBT, "cl_ord_id", text)
        if req.rev != row.ask_rev + 1 or req.rev > REV_MAX:
            raise Refused(REV_CONFLICT, "rev", f"the next revision is {row.ask_rev + 1}, at most {REV_MAX}")
        if row.open_asks and req.rev - row.open_asks[0] >= OPEN_ASKS_MAX:
            raise Refused(BUSY, "rev", f"{OPEN_ASKS_MAX} revisions wait for the broker's answer")
        if (req.tif is not None or req.expire_ns is not None) and row.was_sent:
            text = "this broker cannot change when a working order ends: cancel it and place another"
            raise Refused(UNSUPPORTED, "tif", text)
        self.in_time(deadline_ns)
        if terms.order_qty_e9 <= row.cum_qty_e9:
            raise Refused(BAD_FIELD, "qty", "qty is the new total and must exceed what is filled")
        is_moved = row.ord_status == OrdStatus.HELD and terms.stop_px_e9 != row.terms.stop_px_e9
        if is_moved and not terms.fire_through and self._is_through(terms, mono_ns):
            raise Refused(TRIGGER_THROUGH, "trigger.stop_px", "the condition is already true there")
        self._grid(terms)
        self._check(account, terms, row, mono_ns, dry)
        return terms, content

    def _changes(self, req: ReplaceItem, t: Terms) -> None:
        if req.display_qty is not None:
            raise Refused(UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        if req.qty is not None:
            t.order_qty_e9 = _decimal(req.qty, "qty")
        if req.px is not None:
            if t.ord_type == OrdType.MARKET:
                raise Refused(BAD_COMBINATION, "px", "a market order has no px")
            t.px_e9 = _decimal(req.px, "px")
        if req.trigger is not None:
            if not t.trigger:
                raise Refused(BAD_COMBINATION, "trigger", "the order has no trigger")
            self._move_trigger(req.trigger, t)
        not_gtd = Refused(BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        if req.tif is not None:
            t.tif = TIFS[req.tif]
            if (t.tif == Tif.GTD) != (req.expire_ns is not None):
                raise not_gtd
            if t.tif not in (Tif.DAY, Tif.GTC, Tif.GTD):
                raise Refused(UNSUPPORTED, "tif", "an order can be changed to day, gtc or gtd")
            t.expire_ns = self._day_end(t.instrument) if t.tif == Tif.DAY else 0
        if req.expire_ns is not None:
            if t.tif != Tif.GTD:
                raise not_gtd
            t.expire_ns = req.expire_ns

    def replace_row(self, order: int, t: Terms, rev: int, content: int) -> int:
        state = self.state
        row = state.orders.rows[order]
        body = rec.ReplaceBody(self.decision["ref_px_e9"], content, rev)
        if row.is_ours:
            event = state.event(order, rev=rev, leaves_qty_e9=t.order_qty_e9 - row.cum_qty_e9)
            return state.commit_replaced(event, t, body)
        event = state.event(order, pending=Pending.PENDING_REPLACE)
        seq = state.commit(rec.PENDING_REPLACE_EV, event, t.pack() + rec.pack(body))
        state.effect(OP_REPLACE, order)
        return seq


def _decimal(text: str, path: str) -> int:
    """A positive decimal string in 1e-9; the reason of a refusal names the member."""
    code, value_e9 = parse_code(text)
    if code == PARSE_PRECISION:
        raise Refused(BAD_DECIMAL, path, f"{path} has more than nine digits after the point")
    if code != PARSE_OK:
        raise Refused(BAD_DECIMAL, path, f'{path} must be a decimal string below 9200000000, like "187.20"')
    if value_e9 <= 0:
        raise Refused(BAD_FIELD, path, f"{path} must be above zero")
    return value_e9


def _asked(row: OrderRow) -> Terms:
    """The terms that were asked for last."""
    return replace(
        row.terms, order_qty_e9=row.ask_qty_e9, px_e9=row.ask_px_e9, stop_px_e9=row.ask_stop_px_e9, tif=row.ask_tif,
        expire_ns=row.ask_expire_ns,
    )  # fmt: skip


def _change_content(req: ReplaceItem) -> int:
    """What a repeated request is known by: the changes that it asks for, as terms."""
    stop = req.trigger.stop_px if req.trigger is not None else None
    numbers = [0 if text is None else _decimal(text, "") for text in (req.qty, req.px, stop)]
    changes = Terms(*numbers[:3])
    changes.tif = TIFS[req.tif] + 1 if req.tif is not None else 0
    changes.expire_ns = req.expire_ns or 0
    return rec.hash_bytes(changes.pack(), SEED_CHANGE) | 1
