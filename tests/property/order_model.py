"""The story of an order as order-api.md tells it: a model apart from both cores, whose twin is hotpath.ref.orders.

Written from order-api.md, sections 5 to 7. What clients ask and what brokers say come in as calls; each answers with
one of the words below and appends to `events` what the account would be told. Whether the limits let an order pass is
another specification (hotpath.ref.checks); here `may_*` says whether the order's own story does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

DONE_STATES = ("filled", "canceled", "expired", "rejected")
REV_MAX = 1000
OPEN_ASKS_MAX = 64  # revisions asked of a broker and not answered yet
RECORD, REPEAT, MISFIT = "record", "repeat", "misfit"

# What may happen to an order, by where it is; `restated` adopts a truth that its own story does not explain, any time.
TABLE = {
    "held": {"released", "triggered", "pending_cancel", "canceled", "expired", "rejected", "replaced"},
    "queued": {"sent", "new", "trade", "in_doubt", "rejected", "canceled", "expired", "replaced"},
    "sent": {"new", "trade", "in_doubt", "requeued", "rejected", "canceled", "expired", "pending_cancel",
             "cancel_rejected", "pending_replace", "replace_rejected"},
    "in_doubt": {"new", "trade", "requeued", "rejected", "canceled", "expired", "pending_cancel", "cancel_rejected",
                 "replace_rejected"},
    "working": {"trade", "canceled", "expired", "rejected", "pending_cancel", "cancel_rejected", "pending_replace",
                "replaced", "replace_rejected"},
    "done": {"trade"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client may set and a replace may change; quantities and prices in 1e-9."""

    qty_e9: int
    px_e9: int = 0  # 0 = market
    stop_px_e9: int = 0  # 0 = no trigger


class Change(NamedTuple):
    """What a replace asks for; None leaves a term as it is."""

    qty_e9: int | None = None
    px_e9: int | None = None
    stop_px_e9: int | None = None


class Event(NamedTuple):
    """One event of an account: the order's whole condition after it."""

    t: str
    cl_ord_id: str
    rev: int
    ord_status: str
    stage: str | None
    hold: str | None
    pending: str | None
    cum_qty_e9: int
    leaves_qty_e9: int
    avg_px_e9: int | None
    reason: str | None
    late: bool
    ask_rev: int | None


@dataclass(slots=True)
class Order:
    """One order; `asks` are the revisions that a broker was asked for and has not answered."""

    account: int
    cl_ord_id: str
    side: int
    content: object
    terms: Terms
    ord_status: str
    stage: str | None
    hold: str | None
    accepted_seq: int
    instrument: int = 0
    reduce_only: bool = False
    pending: str | None = None
    rev: int = 1
    ask_rev: int = 1
    asks: dict[int, Terms] = field(default_factory=dict)
    asked: Terms | None = None  # by the last replace
    most_qty_e9: int = 0  # the largest asked since the last time that none was unanswered
    rejected_revs: set[int] = field(default_factory=set)
    answers: dict[int, tuple[Change, int]] = field(default_factory=dict)  # rev -> content and number of its answer
    cum_qty_e9: int = 0
    cost: int = 0
    owed_qty_e9: int = 0
    execs: dict[bytes, tuple[int, int]] = field(
        default_factory=dict
    )  # exec_id -> quantity and price; broken ones have quantity 0, those that were broken before they came price 0 too
    was_sent: bool = False
    cancel_seq: int = 0
    cancel_reason: str | None = None
    has_fired: bool = False
    is_suspect: bool = False  # it may have left before a crash, held or not

    @property
    def is_done(self) -> bool:
        return self.ord_status in DONE_STATES

    @property
    def place(self) -> str:
        """Its row in TABLE."""
        if self.is_done:
            return "done"
        if self.ord_status == "pending_new":
            return self.stage or ""
        return "held" if self.ord_status == "held" else "working"

    @property
    def is_ours(self) -> bool:
        """Never at a broker, or certainly not any more: its changes need nobody's consent."""
        return self.place in ("held", "queued")

    @property
    def leaves_qty_e9(self) -> int:
        return 0 if self.is_done else max(0, self.terms.qty_e9 - self.cum_qty_e9)

    @property
    def avg_px_e9(self) -> int | None:
        return self.cost // self.cum_qty_e9 if self.cum_qty_e9 else None

    @property
    def reserved_qty_e9(self) -> int:
        """What may still fill: leaves under the largest terms that can be in force there, or what is owed."""
        if self.is_done:
            return self.owed_qty_e9
        if self.place == "held" and not self.is_suspect:
            return 0
        largest = max(self.terms.qty_e9, self.most_qty_e9 if self.asks else 0)
        return max(largest - self.cum_qty_e9, self.owed_qty_e9)

    def allows(self, event: str) -> bool:
        return event in TABLE[self.place]


class Orders:
    """All orders of a shard, and what their accounts were told."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.names: dict[tuple[int, str], int] = {}
        self.events: list[tuple[int, Event]] = []  # with the account
        self.seqs: dict[int, int] = {}
        self.batches: dict[tuple[int, int], int] = {}  # account and number of the `batch` event -> its items
        self.positions: dict[tuple[int, int], int] = {}  # of an account in an instrument
        self.repeated_seq = 0
        self.anomalies = 0

    # --- what clients ask: first whether it may be, then the deed -----------------------------------------------------

    def may_place(
        self, account: int, cl_ord_id: str, content: object, *, late: bool = False, busy: bool = False
    ) -> str:
        """The name is looked up before anything else is judged."""
        row = self.names.get((account, cl_ord_id))
        if row is not None:
            if self.orders[row].content != content:
                return "CL_ORD_ID_CONFLICT"
            self.repeated_seq = self.orders[row].accepted_seq
            return REPEAT
        if late:
            return "DEADLINE_PASSED"
        return "BUSY" if busy else RECORD

    def place(
        self,
        account: int,
        cl_ord_id: str,
        side: int,
        content: object,
        terms: Terms,
        *,
        instrument: int = 0,
        reduce_only: bool = False,
    ) -> str:
        held = terms.stop_px_e9 > 0
        order = Order(
            account, cl_ord_id, side, content, terms, "held" if held else "pending_new", None if held else "queued",
            "trigger" if held else None, self.seqs.get(account, 0) + 1, instrument, reduce_only,
        )  # fmt: skip
        self.names[account, cl_ord_id] = len(self.orders)
        self.orders.append(order)
        return self._tell(order, "accepted")

    def may_cancel(self, account: int, cl_ord_id: str, *, late: bool = False) -> str:
        row = self.names.get((account, cl_ord_id))
        if row is None:
            return "UNKNOWN_ORDER"
        order = self.orders[row]
        if order.pending == "cancel":
            self.repeated_seq = order.cancel_seq
            return REPEAT
        if order.is_done:
            return "ORDER_DONE"
        return "DEADLINE_PASSED" if late else RECORD

    def cancel(self, row: int, reason: str) -> str:
        """Certain and at once while the order is ours, else a request to the broker."""
        order = self.orders[row]
        if order.is_suspect and order.place == "held":
            order.ord_status, order.stage, order.hold = "pending_new", "in_doubt", None
        if order.is_ours:
            return self._end(order, "canceled", reason)
        order.pending = "cancel"
        order.cancel_reason = reason
        self._tell(order, "pending_cancel", reason=reason)
        order.cancel_seq = self.seqs[order.account]
        return RECORD

    def may_replace(self, account: int, cl_ord_id: str, rev: int, change: Change, *, late: bool = False) -> str:
        row = self.names.get((account, cl_ord_id))
        if row is None:
            return "UNKNOWN_ORDER"
        order = self.orders[row]
        answer = order.answers.get(rev)
        if answer is not None and answer[0] == change:
            self.repeated_seq = answer[1]
            return REPEAT
        if order.is_done:
            return "ORDER_DONE"
        if order.pending == "cancel":
            return "ORDER_CLOSING"
        if order.place == "in_doubt" or order.is_suspect:
            return "ORDER_IN_DOUBT"
        if rev != order.ask_rev + 1 or rev > REV_MAX:
            return "REV_CONFLICT"
        if order.asks and rev - min(order.asks) >= OPEN_ASKS_MAX:
            return "BUSY"
        if late:
            return "DEADLINE_PASSED"
        return RECORD if self.changed(order, change).qty_e9 > order.cum_qty_e9 else "BAD_FIELD"

    def changed(self, order: Order, change: Change) -> Terms:
        """A replace that is asked while others are under way builds on the last of them."""
        base = order.asked if order.asks and order.asked else order.terms
        changes = {name: value for name, value in change._asdict().items() if value is not None}
        return replace(base, **changes)

    def replace(self, row: int, rev: int, change: Change) -> str:
        order = self.orders[row]
        terms = self.changed(order, change)
        order.ask_rev = rev
        order.answers[rev] = (change, self.seqs[order.account] + 1)
        if order.is_ours:
            order.terms, order.rev = terms, rev
            return self._tell(order, "replaced", ask_rev=rev)
        order.most_qty_e9 = max(order.most_qty_e9 if order.asks else 0, terms.qty_e9)
        order.asks[rev] = order.asked = terms
        order.pending = "replace"
        return self._tell(order, "pending_replace", ask_rev=rev)

    def cancel_all(self, account: int, rows: Sequence[int], reason: str) -> str:
        self._tell_account(account, "cancel_all")
        for row in rows:
            self.cancel(row, reason)
        return RECORD

    def may_batch(self, account: int, verdicts: Sequence[tuple[str, str, str, int]]) -> tuple[str, int]:
        """All or nothing, and a repetition only as a whole. Takes (kind, name, verdict, number of the old answer)."""
        repeats = 0
        for at, (kind, cl_ord_id, verdict, seq) in enumerate(verdicts):
            if verdict == REPEAT and repeats == at and self.batches.get((account, seq - at - 1)) == len(verdicts):
                repeats += 1
                self.repeated_seq = seq - at - 1
            elif verdict == REPEAT or (verdict == RECORD and repeats):
                return self._asked_apart(account, kind, cl_ord_id), at
            elif verdict != RECORD:
                return verdict, at
        return (REPEAT if repeats else RECORD), -1

    def _asked_apart(self, account: int, kind: str, cl_ord_id: str) -> str:
        if kind == "cancel":
            return "ORDER_DONE" if self.orders[self.names[account, cl_ord_id]].is_done else "ORDER_CLOSING"
        return "REV_CONFLICT" if kind == "replace" else "CL_ORD_ID_CONFLICT"

    def may_cancel_in_batch(self, account: int, cl_ord_id: str) -> str:
        """Here the end of an order may be the old answer of a batch that is asked again."""
        verdict = self.may_cancel(account, cl_ord_id)
        if verdict == "ORDER_DONE" and self.orders[self.names[account, cl_ord_id]].cancel_seq:
            self.repeated_seq = self.orders[self.names[account, cl_ord_id]].cancel_seq
            return REPEAT
        return verdict

    def begin_batch(self, account: int, count: int) -> None:
        """The `batch` event; the caller does the items, each of which may be."""
        self._tell_account(account, "batch")
        self.batches[account, self.seqs[account]] = count

    # --- the hand-over ------------------------------------------------------------------------------------------------

    def triggered(self, row: int, send_qty_e9: int) -> str:
        """Its condition came true; `send_qty_e9` is what the position lets out."""
        order = self.orders[row]
        if not order.allows("triggered"):
            return REPEAT
        if send_qty_e9 <= 0:
            return self.cancel(row, "flat")
        order.terms = replace(order.terms, qty_e9=send_qty_e9)
        order.ord_status, order.stage, order.hold, order.has_fired = "pending_new", "queued", None, True
        return self._tell(order, "triggered")

    def sent(self, row: int) -> str:
        order = self.orders[row]
        if not order.allows("sent"):
            return REPEAT
        order.stage, order.was_sent, order.is_suspect = "sent", True, False
        return self._tell(order, "sent")

    def end_here(self, row: int, reason: str) -> str:
        order = self.orders[row]
        return self._end(order, "expired", reason) if order.is_ours else REPEAT

    # --- what brokers say ---------------------------------------------------------------------------------------------

    def new(self, row: int) -> str:
        order = self.orders[row]
        if not order.allows("new"):
            return REPEAT if order.was_sent else self._misfit()
        self._arrive(order)
        order.ord_status, order.stage = "partially_filled" if order.cum_qty_e9 else "new", None
        return self._tell(order, "new")

    def trade(self, row: int, exec_id: bytes, last_qty_e9: int, last_px_e9: int, broker_cum_qty_e9: int = 0) -> str:
        """Each execution counts once, whenever it comes; one beyond the order's quantity is booked too."""
        order = self.orders[row]
        if last_qty_e9 <= 0 or last_px_e9 <= 0 or len(exec_id) > 48:
            return self._misfit()
        early = order.execs.get(exec_id) == (0, 0)
        if exec_id in order.execs and not early:
            return REPEAT
        self._arrive(order)
        if not order.allows("trade"):
            self._restate(order, "new", 0)
        late = order.is_done
        order.execs[exec_id] = last_qty_e9, last_px_e9
        order.cum_qty_e9 += last_qty_e9
        order.cost += last_qty_e9 * last_px_e9
        owed_before = order.owed_qty_e9
        owed_still = max(order.owed_qty_e9 - last_qty_e9, 0)
        order.owed_qty_e9 = max(owed_still, broker_cum_qty_e9 - order.cum_qty_e9)
        pair = order.account, order.instrument
        self.positions[pair] = self.positions.get(pair, 0) + (last_qty_e9 if order.side == 1 else -last_qty_e9)
        self.anomalies += order.cum_qty_e9 > order.terms.qty_e9 and not early
        order.stage = None
        if order.cum_qty_e9 >= order.terms.qty_e9 and not early:
            order.ord_status, order.pending = "filled", None
        elif not late:
            order.ord_status = "partially_filled"
        self._tell(order, "trade", late=late)
        if not early:
            return RECORD
        self._take_back(order, exec_id, max(owed_before, order.owed_qty_e9))
        return MISFIT  # told and taken back; it may have ended the order there before

    def trade_canceled(self, row: int, exec_id: bytes, broker_cum_qty_e9: int = 0) -> str:
        """The broker broke a fill: taken back at its own price; an order that is done stays as it ended."""
        order = self.orders[row]
        qty_e9, _ = order.execs.get(exec_id, (-1, 0))
        if qty_e9 == 0:
            return REPEAT
        if qty_e9 < 0:
            order.execs[exec_id] = 0, 0
            return self._misfit()
        return self._take_back(order, exec_id, max(order.owed_qty_e9, broker_cum_qty_e9 - order.cum_qty_e9 + qty_e9))

    def _take_back(self, order: Order, exec_id: bytes, owed_qty_e9: int) -> str:
        qty_e9, px_e9 = order.execs[exec_id]
        order.execs[exec_id] = 0, px_e9
        order.cum_qty_e9 -= qty_e9
        order.cost -= qty_e9 * px_e9
        order.owed_qty_e9 = owed_qty_e9
        self.positions[order.account, order.instrument] -= qty_e9 if order.side == 1 else -qty_e9
        if not order.is_done:
            order.ord_status = "partially_filled" if order.cum_qty_e9 else "new"
        return self._tell(order, "trade_canceled")

    def canceled(self, row: int, broker_cum_qty_e9: int = 0) -> str:
        order = self.orders[row]
        asked = order.pending == "cancel"
        return self._ended_there(order, "canceled", order.cancel_reason if asked else "broker", broker_cum_qty_e9)

    def expired(self, row: int, broker_cum_qty_e9: int = 0) -> str:
        return self._ended_there(self.orders[row], "expired", "tif", broker_cum_qty_e9)

    def rejected(self, row: int) -> str:
        """By the broker, or by a check when the order was released."""
        order = self.orders[row]
        return self._end(order, "rejected") if order.allows("rejected") else REPEAT

    def cancel_rejected(self, row: int) -> str:
        order = self.orders[row]
        if order.pending != "cancel":
            return REPEAT
        order.pending = "replace" if order.asks else None
        return self._tell(order, "cancel_rejected")

    def replaced(self, row: int, rev: int, qty_e9: int, px_e9: int) -> str:
        """Revision `rev` is in force there, and with it every earlier one is answered."""
        order = self.orders[row]
        if rev <= order.rev:
            return REPEAT
        if order.is_done and not (order.ord_status == "filled" and qty_e9 > order.cum_qty_e9 and rev in order.asks):
            return REPEAT
        if rev not in order.asks or qty_e9 <= 0 or qty_e9 < order.cum_qty_e9:
            return self._misfit()
        if not order.allows("replaced"):  # its own `new` is still to come, or a fill overtook it
            self._misfit()
            self._restate(order, "new", order.cum_qty_e9 + order.owed_qty_e9)
        order.terms = replace(order.terms, qty_e9=qty_e9)
        if order.terms.px_e9 and px_e9 > 0:
            order.terms = replace(order.terms, px_e9=px_e9)
        order.rev = rev
        order.asks = {ask: terms for ask, terms in order.asks.items() if ask > rev}
        order.pending = "cancel" if order.pending == "cancel" else "replace" if order.asks else None
        self._tell(order, "replaced", ask_rev=rev)
        if order.leaves_qty_e9 == 0:  # cut to what is filled: a replace ends nothing, the broker's truth does
            self._restate(order, "filled", order.cum_qty_e9 + order.owed_qty_e9)
        return RECORD

    def replace_rejected(self, row: int, rev: int) -> str:
        """The old terms stand; the number is used."""
        order = self.orders[row]
        if order.is_done or rev <= order.rev or rev in order.rejected_revs:
            return REPEAT
        if rev not in order.asks:
            return self._misfit()
        del order.asks[rev]
        order.rejected_revs.add(rev)
        if order.pending == "replace" and not order.asks:
            order.pending = None
        return self._tell(order, "replace_rejected", ask_rev=rev)

    # --- doubt --------------------------------------------------------------------------------------------------------

    def in_doubt(self, row: int) -> str:
        order = self.orders[row]
        if not order.allows("in_doubt") or order.stage == "in_doubt":
            return REPEAT
        order.stage = "in_doubt"
        return self._tell(order, "in_doubt")

    def requeue(self, row: int) -> str:
        """The broker never had it: back in line, with the last terms that were asked for, or ended if its end was."""
        order = self.orders[row]
        if not order.allows("requeued"):
            return REPEAT
        order.stage, order.was_sent = "queued", False
        if order.terms.stop_px_e9 and not order.has_fired:
            order.ord_status, order.stage, order.hold = "held", None, "trigger"
        self._tell(order, "requeued")
        if order.pending == "cancel":
            return self._end(order, "canceled", order.cancel_reason)
        if order.asks and order.asked:
            order.terms, order.rev, order.asks, order.pending = order.asked, order.ask_rev, {}, None
            self._tell(order, "replaced", ask_rev=order.rev)
        return RECORD

    def restate(self, row: int, status: str, broker_cum_qty_e9: int) -> str:
        """Adopt the broker's truth: a working order may be done, and one called done may work."""
        order = self.orders[row]
        if order.place == "held" and status in DONE_STATES:
            return REPEAT
        if status not in DONE_STATES:
            status = "partially_filled" if order.cum_qty_e9 else "new"
            if order.terms.qty_e9 <= order.cum_qty_e9:
                return REPEAT  # nothing of it is left that could work
        elif order.is_done:
            status = order.ord_status  # which end it was is history; only quantities are corrected
        if order.ord_status == status and order.owed_qty_e9 == max(0, broker_cum_qty_e9 - order.cum_qty_e9):
            return REPEAT
        return self._restate(order, status, broker_cum_qty_e9)

    # --- what the calls above share -----------------------------------------------------------------------------------

    def _arrive(self, order: Order) -> None:
        """A word about an order that nobody saw leave is itself remarkable, unless that is what we doubted."""
        if not order.was_sent and order.place != "in_doubt":
            self._misfit()
        order.was_sent = order.was_sent or order.place != "held"

    def _ended_there(self, order: Order, status: str, reason: str | None, broker_cum_qty_e9: int) -> str:
        if order.is_done:
            return REPEAT
        if not order.was_sent and order.place != "in_doubt":
            self._misfit()
        if order.place == "held":
            return MISFIT
        order.owed_qty_e9 = max(order.owed_qty_e9, broker_cum_qty_e9 - order.cum_qty_e9)
        return self._end(order, status, reason)

    def _end(self, order: Order, status: str, reason: str | None = None) -> str:
        order.ord_status, order.stage, order.hold, order.pending = status, None, None, None
        self._tell(order, status, reason=reason)
        if status == "canceled" and not order.cancel_seq:
            order.cancel_seq = self.seqs[order.account]
        return RECORD

    def _restate(self, order: Order, status: str, broker_cum_qty_e9: int) -> str:
        order.owed_qty_e9 = max(0, broker_cum_qty_e9 - order.cum_qty_e9)
        order.stage, order.hold, order.was_sent = None, None, True
        if status in DONE_STATES:
            order.ord_status, order.pending = status, None
        else:
            order.ord_status = "partially_filled" if order.cum_qty_e9 else "new"
        return self._tell(order, "restated", reason="reconciled")

    def _misfit(self) -> str:
        self.anomalies += 1
        return MISFIT

    def _tell(
        self, order: Order, t: str, *, reason: str | None = None, late: bool = False, ask_rev: int | None = None
    ) -> str:
        self.seqs[order.account] = self.seqs.get(order.account, 0) + 1
        event = Event(
            t, order.cl_ord_id, order.rev, order.ord_status, order.stage, order.hold, order.pending, order.cum_qty_e9,
            order.leaves_qty_e9, order.avg_px_e9, reason, late, ask_rev,
        )  # fmt: skip
        self.events.append((order.account, event))
        return RECORD

    def _tell_account(self, account: int, t: str) -> None:
        self.seqs[account] = self.seqs.get(account, 0) + 1
        self.events.append((account, Event(t, "", 0, "", None, None, None, 0, 0, None, None, False, None)))
