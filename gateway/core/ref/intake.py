"""Twin of gateway.core.intake: what clients ask for, decided in one call and turned into records (order-api 5, 7, 8).

A refusal changes nothing at all. Every call returns the journal sequence of the record that answers it (> 0), 0 when
the request repeats one that was answered before (`dup_seq`), or a refusal (< 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.contracts.requests import PlaceItem, ReplaceItem
from gateway.core.ref import relations, shares
from gateway.core.ref.relations import AHEAD, Earlier, relate
from gateway.core.ref.state import GROUP_ROWS_MAX, OP_CANCEL, OP_REPLACE, OP_SUBMIT, State
from gateway.core.ref.terms import (
    BAD_FIELD,
    BUSY,
    CL_ORD_ID_CONFLICT,
    CONTROL,
    DEADLINE_PASSED,
    DRY_PASSED,
    LINK_DOWN,
    ORDER_CLOSING,
    ORDER_DONE,
    ORDER_IN_DOUBT,
    REV_CONFLICT,
    TRIGGER_THROUGH,
    UNKNOWN_ORDER,
    UNSUPPORTED,
    Refused,
    TermsReader,
    change_content,
    is_name,
)
from hotpath.enums import Control, Direction, Hold, OrdStatus, OrdType, Pending, Reason, Stage, Tif, TriggerKind
from hotpath.ref import records as rec
from hotpath.ref.orders import OPEN_ASKS_MAX, OrderRow
from hotpath.ref.records import OrderEvent, Terms

REV_MAX = 1000  # revisions are part of the broker-side id
REQUEST = int(Reason.REQUEST)
NO_TRAIL_ROOM = "too many different trails on the instrument; use a distance that others have"


class Repeated(Exception):
    """A request that was answered before; the number of that event is in `Intake.dup_seq`."""


class Intake(TermsReader):
    """The client side of the core."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.decision: dict[str, int] = {
            "control": 0, "unit": 0, "limit": 0, "value": 0, "passes": 0, "passes_unit": 0, "scope": 0,
            "ref_px_e9": 0, "tokens_left": 0,
        }  # fmt: skip
        self.path = self.text = ""
        self.order = -1  # row that the last call was about, -1 none
        self.dup_seq = 0  # account sequence of the answer that is repeated
        self.link_up = True
        self.ahead: list[Earlier] = []  # new orders before this one in its batch

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
        content = self._content(terms, req)
        if self.find(account, req.cl_ord_id) >= 0:
            row = self.state.orders.rows[self.order]
            if row.content_hash == content:
                self.dup_seq = row.accepted_acct_seq
                raise Repeated
            text = f"cl_ord_id {req.cl_ord_id} names another order; choose a new name"
            raise Refused(CL_ORD_ID_CONFLICT, "cl_ord_id", text)
        self.in_time(deadline_ns)
        relate(self.state, account, req, terms, self.ahead)
        self._live(terms, account, mono_ns, dry)
        return terms, content

    def _live(self, t: Terms, account: int, mono_ns: int, dry: bool) -> None:
        """The checks that need the present: grid, market, link, table, gate."""
        self._grid(t)
        if t.expire_ns and t.expire_ns <= self.state.wall_ns:
            raise Refused(BAD_FIELD, "expire_ns", "expire_ns lies in the past")
        if t.trigger == TriggerKind.TRAIL and not self.state.has_trail_room(t):
            raise Refused(BUSY, "trigger.trail", NO_TRAIL_ROOM)
        if not t.parent and self.state.begins_late(t):
            raise Refused(BUSY, "trigger.trail", "prices of a moment ago still fire orders there; send it again")
        if t.trigger and not t.parent and not t.fire_through and self._is_through(t, self.state.wall_ns, mono_ns):
            text = "the condition is already true; set if_through to fire, or move it"
            raise Refused(TRIGGER_THROUGH, member_of(t), text)
        if t.max_queue_ns == 0 and not t.trigger and not t.parent and not self.link_up:
            raise Refused(LINK_DOWN, "", "the broker link is down and the order may not wait (max_queue_ms 0)")
        if self.state.orders.count >= self.state.orders.capacity:
            text = "the order table is full; an operator must raise capacity.orders and restart"
            raise Refused(BUSY, "", text)
        self._check(account, t, None, mono_ns, dry)

    def _is_through(self, t: Terms, armed_ns: int, mono_ns: int) -> bool:
        """Whether the condition is true already. A trail's is never: it starts from now, or from its activation.

        armed_ns: since when, by the wall clock, the order is armed.
        """
        if t.trigger == TriggerKind.TRAIL:
            return False
        if t.trigger == TriggerKind.TIME:
            return due_of(t, armed_ns) <= self.state.wall_ns
        px_e9 = self.state.quotes.trigger(t.instrument, t.source, mono_ns)
        if t.max_age_ns and self.state.quotes.age(t.instrument, t.source, mono_ns) > t.max_age_ns:
            px_e9 = 0
        is_down = self.state.direction_of(t) == Direction.DOWN
        is_true = px_e9 > 0 and (px_e9 <= t.stop_px_e9 if is_down else px_e9 >= t.stop_px_e9)
        return is_true or self.state.is_fired(t)

    def _check(
        self, account: int, t: Terms, old: OrderRow | None, mono_ns: int, dry: bool, *, release: bool = False
    ) -> None:
        self._decide(account, t, old, mono_ns, dry, release=release)
        if self.decision["control"]:
            raise Refused(CONTROL, "", "")

    def _decide(
        self,
        account: int,
        t: Terms,
        old: OrderRow | None,
        mono_ns: int,
        dry: bool,
        *,
        release: bool,
        spared_e9: int = 0,
    ) -> None:
        """Ask the gate; its answer is in `decision`."""
        qty_e9, old_qty_e9, old_px_e9 = t.order_qty_e9, 0, 0
        if old is not None:
            qty_e9 -= old.cum_qty_e9
            old_qty_e9 = old.reserved_qty_e9 or old.terms.order_qty_e9  # held: marks a replace
            old_px_e9 = old.reserved_px_e9
        self.decision = self.state.gate.check_py(
            account=account, instrument=t.instrument, side=t.side,
            ord_type=OrdType.MARKET if t.has_limit_offset else t.ord_type, qty_e9=qty_e9, px_e9=t.px_e9,
            old_qty_e9=old_qty_e9, old_px_e9=old_px_e9, mono_ns=mono_ns, reduce_only=bool(t.reduce_only), stp=t.stp,
            is_release=release, is_dry=dry, spared_qty_e9=spared_e9,
            is_held=bool(t.trigger or t.parent) and (old is None or old.ord_status == OrdStatus.HELD),
        )  # fmt: skip

    def recheck(self, order: int, wall_ns: int, mono_ns: int) -> int:
        """The whole chain again for an order that waited and goes out now; 0 or the control that refuses."""
        row = self.state.orders.rows[order]
        self._decide(
            row.account, row.terms, row, mono_ns, False, release=True, spared_e9=shares.spared_e9(self.state, order)
        )
        self._keep_refusal()
        return self.decision["control"]

    def recheck_revision(self, order: int, mono_ns: int) -> int:
        """What stands against the revision that was last asked for as it leaves; 0 or the control that refuses.

        The whole chain of an order that waited where it adds quantity, kill switches alone where it does not.
        """
        row = self.state.orders.rows[order]
        terms = replace(row.terms, order_qty_e9=row.ask_qty_e9, px_e9=row.ask_px_e9)
        spared_e9 = shares.spared_e9(self.state, order)
        self._decide(row.account, terms, row, mono_ns, True, release=True, spared_e9=spared_e9)
        self._keep_refusal()
        control = self.decision["control"]
        return control if control == Control.KILL_GATE or row.ask_qty_e9 > row.terms.order_qty_e9 else 0

    def _keep_refusal(self) -> None:
        if self.decision["control"]:
            self.path = self.text = ""

    def accept(self, account: int, req: PlaceItem, t: Terms, content: int, session: bytes) -> int:
        state = self.state
        tag, signal, name = (text.encode() for text in (req.tag or "", req.signal or "", req.cl_ord_id))
        order = state.orders.count
        if t.tif == Tif.DAY:
            t.expire_ns = self._day_end(t.instrument)
        self._tie(account, req, t, order)
        is_held = bool(t.trigger or t.parent)
        event = OrderEvent(
            state.acct_seqs[account] + 1, account, order, cum_qty_e9=0, leaves_qty_e9=t.order_qty_e9, avg_px_e9=0,
            rev=1, ord_status=OrdStatus.HELD if is_held else OrdStatus.PENDING_NEW,
            stage=Stage.STAGE_NONE if is_held else Stage.QUEUED,
            hold=Hold.HOLD_PARENT if t.parent else Hold.HOLD_TRIGGER if t.trigger else Hold.HOLD_NONE,
            pending=Pending.PENDING_NONE, reason=0, late=0, cl_size=len(name), cl_ord_id=name,
        )  # fmt: skip
        after, oco = (req.after.cl_ord_id if req.after is not None else "").encode(), (req.oco or "").encode()
        texts = session, tag, signal, after, oco
        body = rec.AcceptedBody(self.decision["ref_px_e9"], content, *map(len, texts))
        seq = state.commit(rec.ACCEPTED, event, t.pack() + rec.pack(body) + b"".join(texts))
        self.order = order
        if not is_held:
            state.effect(OP_SUBMIT, order)
        return seq

    def _tie(self, account: int, req: PlaceItem, t: Terms, order: int) -> None:
        """The rows that the names mean: those before it in its batch have one by now."""
        if t.parent == AHEAD:
            assert req.after is not None
            t.parent = self.state.orders.find_row(account, req.after.cl_ord_id.encode()) + 1
        if req.oco is not None:
            first = self.state.links.group_of(account, req.oco.encode())
            t.group = (order if first < 0 else first) + 1

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
        state.is_grouped, state.is_deferring = bool(rows), True
        seq = state.emit(rec.CANCEL_ALL_EV, rec.pack(event) + symbol + session + tag)
        for count, row in enumerate(rows, 1):
            state.is_grouped = count < len(rows) and count % GROUP_ROWS_MAX != 0
            self.cancel_row(row, reason)
        state.is_grouped = False
        state.told_together(seq)
        shares.settle(state)
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
        content = change_content(req)
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
        is_moved = (terms.at_ns, terms.after_ns) != (row.terms.at_ns, row.terms.after_ns)
        if is_moved and row.ord_status != OrdStatus.HELD:
            raise Refused(UNSUPPORTED, member_of(terms), "the order has fired: its time is over")
        is_moved = is_moved or terms.stop_px_e9 != row.terms.stop_px_e9
        if row.is_held and is_moved and not terms.fire_through and self._is_through(terms, row.live_ns, mono_ns):
            raise Refused(TRIGGER_THROUGH, member_of(terms), "the condition is already true there")
        if row.is_trailing and terms.stop_px_e9 != row.terms.stop_px_e9:
            text = "the stop trails already: its activation price lies behind it"
            raise Refused(BAD_FIELD, "trigger.stop_px", text)
        is_held_trail = terms.trigger == TriggerKind.TRAIL and row.ord_status == OrdStatus.HELD
        if is_held_trail and not self.state.has_trail_room(terms):
            raise Refused(BUSY, "trigger.trail", NO_TRAIL_ROOM)
        self._grid(terms)
        if row.terms.parent or row.terms.group:
            relations.revise(self.state, self.order, terms)
            if req.qty is not None and row.hold != Hold.HOLD_PARENT:
                terms.order_qty_e9 = shares.share_of(self.state, self.order, terms.whole_qty_e9) or terms.order_qty_e9
        self._check(account, terms, row, mono_ns, dry)
        return terms, content

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


def member_of(t: Terms) -> str:
    """Where the condition of a trigger stands in a request."""
    if t.trigger != TriggerKind.TIME:
        return "trigger.stop_px"
    return "trigger.at_ns" if t.at_ns else "trigger.after_ms"


def _asked(row: OrderRow) -> Terms:
    """The terms that were asked for last."""
    return replace(
        row.terms, order_qty_e9=row.ask_qty_e9, whole_qty_e9=row.ask_whole_qty_e9, px_e9=row.ask_px_e9,
        stop_px_e9=row.ask_stop_px_e9, tif=row.ask_tif, expire_ns=row.ask_expire_ns,
    )  # fmt: skip
