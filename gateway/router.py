"""Orders to the broker and its words back: what goes out, the doubts, and what settles them.

At most once: an order leaves under its one id; after any doubt the broker is asked before anything is sent again
(architecture, rule 4). What cannot leave now waits in the lines of `gateway.egress`.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brokers.capabilities import DedupClass
from brokers.ports import (
    Adapter,
    RejectReason,
    Report,
    ReportCanceled,
    ReportCancelRejected,
    ReportExpired,
    ReportNew,
    ReportQueryRejected,
    ReportRejected,
    ReportReplaced,
    ReportReplaceRejected,
    ReportState,
    ReportTrade,
    ReportTradeCanceled,
)
from gateway.core.recorder import Op
from gateway.egress import Egress, Turn, wait_ns
from gateway.overrate import OverRate
from gateway.plants import PLANTED, is_on, reach, renamed, sometimes, under_new_ids
from gateway.revisions import Revisions
from gateway.siblings import Siblings
from gateway.unheard import Unheard
from hotpath.enums import OrdStatus, Pending, Rank, Reason, Stage
from hotpath.ticket import Ticket
from recon.resolve import Step, resolve
from risk.catalogue import code_of

if TYPE_CHECKING:
    from gateway.engine import Engine

PATIENCE_MAX = 5  # a question without an answer is repeated after 1, 2, 4, ... 32 times the answer time
WORKING = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
WORKED = (OrdStatus.PENDING_NEW, *WORKING)
QUEUED = (OrdStatus.PENDING_NEW, Stage.QUEUED)
COUNTING = (ReportTrade, ReportCanceled, ReportExpired, ReportTradeCanceled)  # they say what is filled
LIQUIDITY = {b"M": 1, b"T": 2}
ROUSE_NS = 100_000_000  # how often what is held back is looked at again
NARROW_PPM = 50_000  # how often a simulation lets one question out at a time
ASKING_MAX = 512  # questions under way at once: a hundred thousand stops are asked about without a stall


class Router:
    """The one writer to one broker link. All calls on the loop thread; the engine flushes after each."""

    def __init__(self, engine: Engine, adapter: Adapter, answer_ns: int, oco_wait_ns: int) -> None:
        """answer_ns: how long a sent order may stay without a word before it is in doubt. oco_wait_ns: `Siblings`."""
        self.engine, self.adapter = engine, adapter
        self.answer_ns = answer_ns
        self.may_repeat = adapter.capabilities.dedup is DedupClass.ALWAYS  # no second order of a known id
        self.is_open = False  # link up and recovery done: the line moves
        self.since_ns = engine.clock.wall_ns()
        self.cause = "starting"
        self.egress = Egress(engine, adapter.capabilities.budget, self._take_turn, self.on_writable)
        self.in_line = self.egress.in_line  # with no rate and nobody in line, a fired stop costs two looks more
        self.is_limited = adapter.capabilities.budget.messages_per_s > 0
        self.asking: dict[int, int] = {}  # order -> when it was asked, monotonic
        self.overdue: list[tuple[int, int, int]] = []  # heap of (monotonic, order, when it was asked)
        self.tries: dict[int, list[int]] = {}  # order -> when its questions without an answer were put, oldest first
        self.left_ns: dict[int, int] = {}  # order that left with questions open -> when, monotonic: theirs are moot
        self.unasked: dict[int, None] = {}
        self.suspects: Mapping[int, None] = engine.state.suspects  # asked about first; records alone change it
        self.unheard = Unheard(engine, answer_ns)
        self.siblings = Siblings(engine, oco_wait_ns)
        self.revisions = Revisions(self)
        self.deadlines: deque[tuple[int, int]] = deque()  # (monotonic, order) in the order of sending
        self.answered: dict[int, int] = {}  # order -> when the broker gave its newest answer, its clock
        self.disputed: dict[int, int] = {}  # done here, worked there: order -> when the broker said so, its clock
        self.doubted: dict[int, int] = {}  # order -> since when it is in doubt, monotonic: no hand-over came later
        self.returned: set[int] = set()  # requeued: the risk chain runs again before they go
        self.over_rate = OverRate(self)
        self.rouse_ns = 0  # when held orders are looked at again, monotonic
        self.handed_ns: dict[int, int] = {}  # order without a word yet -> when it was handed over, monotonic
        self.submitted = 0
        self.in_doubt = 0

    # --- effects -----------------------------------------------------------------------------------------------------

    def run(self, effects: list[tuple[int, int]]) -> None:
        """Run effects whose records are durable, in order; a run of submits leaves in one write."""
        run: list[int] = []
        for op, order in effects:
            if op == Op.OP_SUBMIT:
                run.append(order)
                continue
            self.submit(run)
            run = []
            if op == Op.OP_CANCEL:
                self._cancel(order)
            else:
                self.revisions.leave(order)
        self.submit(run)
        if self.in_line and self.is_open:
            self.drain()

    def submit(self, orders: list[int]) -> None:
        """Hand orders over, or put them in line."""
        engine = self.engine
        before, mono = engine.clock.wall_ns(), engine.clock.mono_ns()
        tickets = []
        is_clear = self.is_open and not self.in_line and (not self.is_limited or self.egress.may_pass(len(orders)))
        for order in orders:
            ticket = engine.reports.ready(order, mono)
            if ticket is None:
                continue  # canceled while it waited
            if order in self.returned or not is_clear or self.siblings.is_child(order):
                self.returned.discard(order)
                self._wait(order)
                continue
            if order in self.suspects and (ticket is False or not self.may_repeat):  # no end before the broker's word
                self._wait(order)
                continue
            if ticket is False:  # a kill switch touches it
                if self._refused(order, before, mono):
                    reach("router.killed_beside_the_wire")
                    continue
                ticket = engine.reports.ticket(order, mono)
            if not ticket.protective and not engine.are_terms_told(order):
                engine.state.submit_later(order)  # replaced a moment ago: a crash now would lose the terms
            elif not self.siblings.hold_back(order):
                tickets.append(ticket)
            elif order in self.suspects:  # standing back it could be ended here, and may be at the broker since before
                self.siblings.forget(order)
                self.doubt_suspect(order)
        if tickets:
            for ticket in tickets[self._hand_over(tickets, before, mono) :]:
                self._wait(ticket.order)
        if self.in_line and self.is_open:
            self.drain()

    def _hand_over(self, tickets: list[Ticket], before: int, mono: int) -> int:
        """How many of them left: their bytes are in the kernel, in one write."""
        count = self.adapter.submit(*(under_new_ids(tickets) if PLANTED else tickets))
        after, due = self.engine.clock.wall_ns(), mono + self.answer_ns
        sent = self.engine.reports.sent
        for ticket in tickets if count == len(tickets) else tickets[:count]:
            order = ticket.order
            sent(order, before, after)
            self.deadlines.append((due, order))
            self.handed_ns[order] = mono
            if self.tries and order in self.tries:
                self.left_ns[order] = mono
        if self.doubted:
            for ticket in tickets[:count]:
                self.doubted.pop(ticket.order, None)
        self.submitted += count
        if self.is_limited:
            self.egress.has_left(count)
        return count

    def _resend(self, orders: list[int]) -> None:
        """The planted bug of a restart that sends again, under new ids, what has no answer yet."""
        mono = self.engine.clock.mono_ns()
        open_still = [order for order in orders if self.engine.views.status(order)[0] == OrdStatus.PENDING_NEW]
        self._hand_over([self.engine.reports.ticket(order, mono) for order in open_still], self._now(), mono)

    def put_in_doubt(self, order: int, cause: bytes) -> None:
        """Nobody knows whether the order is at the broker: say so, and ask."""
        if self.engine.reports.in_doubt(order, cause, self._now()):
            self.doubted[order] = self.engine.clock.mono_ns()
            self.in_doubt += 1

    def _wait(self, order: int) -> None:
        if order in self.suspects:  # in line it could be changed or ended here, and may be at the broker since before
            self.doubt_suspect(order)
            return
        self.egress.put_until(order, self.engine.views.order(order))

    def doubt_suspect(self, order: int) -> None:
        """It fired, cannot leave now, and may have left in the life before: only the broker's word may end it."""
        reach("router.suspect_in_doubt")
        since_ns = self.doubted[order]
        self.put_in_doubt(order, b"it may have fired before the restart")
        self.doubted[order] = since_ns
        self.unasked[order] = None

    def _cancel(self, order: int) -> None:
        status, stage, pending = self.engine.views.status(order)
        if status >= OrdStatus.FILLED or pending != Pending.PENDING_CANCEL:
            return
        is_clear = self.is_open and stage != Stage.IN_DOUBT and self.egress.may_pass(1)
        if not is_clear or self._send_cancel(order) is not Turn.GONE:
            self.egress.put(order)

    def _send_cancel(self, order: int) -> Turn:
        mono = self.engine.clock.mono_ns()
        is_sent = self.adapter.cancel(self.engine.reports.ticket(order, mono))
        return Turn.GONE if self.has_left(is_sent, order, mono) else Turn.BLOCKED

    def has_left(self, is_sent: bool, order: int, mono_ns: int) -> bool:
        """A cancel or replace that left is answered by then, or doubted."""
        if is_sent:
            self.egress.has_left(1)
            self.deadlines.append((mono_ns + self.answer_ns, order))
        return is_sent

    @property
    def waiting(self) -> int:
        """Orders in line."""
        return len(self.egress)

    # --- the link ----------------------------------------------------------------------------------------------------

    def on_link(self, up: bool, cause: str) -> None:
        """Down: everything unanswered is in doubt. Up: ask about all of it, then let the line move."""
        engine = self.engine
        self.cause = cause
        self.since_ns = engine.clock.wall_ns()
        self.is_open = False
        engine.intake.link_up = False
        self.asking.clear()
        self.tries.clear()
        self.left_ns.clear()
        self.overdue.clear()
        self.unasked.clear()
        self.answered.clear()  # what was on the old link does not come by the new one
        self.over_rate.link_changed()
        if PLANTED and up and is_on("new_id_after_restart"):
            self._resend(sorted(renamed))
        if up:
            self.unasked.update(self.suspects)
            self.unasked.update(dict.fromkeys(self.unheard))
            for order in engine.views.unsettled():
                if order in self.suspects:
                    continue
                row = engine.views.order(order)
                if row["stage"] == Stage.SENT:
                    self.put_in_doubt(order, b"link lost before an answer")
                if PLANTED and is_on("forget_what_is_in_doubt"):
                    continue
                if row["was_sent"] or row["stage"] == Stage.IN_DOUBT:
                    self.unasked[order] = None
            self._ask()
        engine.flush()
        engine.on_status_change()

    def _ask(self) -> None:
        """Send the questions that window and rate budget let out; open the line when none is left."""
        mono = self.engine.clock.mono_ns()
        most = 1 if sometimes("router.narrow_window", NARROW_PPM) else ASKING_MAX
        while self.unasked and len(self.asking) < most and self.egress.may_ask(self.is_open):
            order = next(iter(self.unasked))
            if not self.adapter.query(self.engine.reports.ticket(order, mono)):
                return  # on_writable comes
            self.egress.has_left(1)
            del self.unasked[order]
            self.asking[order] = mono
            tries = self.tries.setdefault(order, [])
            heapq.heappush(self.overdue, (mono + (self.answer_ns << min(len(tries), PATIENCE_MAX)), order, mono))
            tries.append(mono)
        if self.unasked:
            reach("router.questions_wait")
        if not self.asking and not self.unasked and not self.is_open and self.adapter.is_up:
            self._open()

    def _open(self) -> None:
        self.is_open = self.engine.intake.link_up = True
        self.engine.on_status_change()
        self.drain()

    def on_writable(self) -> None:
        """The adapter takes bytes again."""
        self._ask()
        if self.is_open:
            self.drain()
        self.engine.flush()

    def on_lifted(self) -> None:
        """A kill switch was lifted: replaces that it held may go."""
        self.egress.rouse()
        self.on_writable()

    def drain(self) -> None:
        """Move the lines: exits, cancels, then questions, then reductions and new risk."""
        if self.egress.move(Rank.EXITS, Rank.CANCELS):
            if self.unasked:
                self._ask()
            self.egress.move(Rank.REDUCTIONS, Rank.ENTRIES)

    def _take_turn(self, order: int) -> Turn:
        """Its turn has come: send what its state asks for now."""
        status, stage, pending = self.engine.views.status(order)
        if status >= OrdStatus.FILLED:
            return Turn.GONE
        if (status, stage) == QUEUED:
            return Turn.GONE if self._release(order) else Turn.BLOCKED
        is_cancel = pending == Pending.PENDING_CANCEL
        if is_cancel and stage == Stage.IN_DOUBT:
            return Turn.HELD  # the broker's word about it comes first
        is_told = self.engine.is_cancel_told(order) if is_cancel else self.engine.are_terms_told(order)
        if pending == Pending.PENDING_NONE or (self.engine.is_admitting and not is_told):
            return Turn.GONE  # it stood here for something before: the effect of what is asked now is still to come
        return self._send_cancel(order) if is_cancel else self.revisions.send(order)

    def _release(self, order: int) -> bool:
        """Let an order leave the line; what has not fired passes the whole risk chain again. False: it must stay."""
        engine, row = self.engine, self.engine.views.order(order)
        before, mono = engine.clock.wall_ns(), engine.clock.mono_ns()
        if 0 < row["expire_ns"] <= before:
            reach("router.expired_in_line")
            engine.reports.end_here(order, Reason.TIF_END, before)
            return True
        if row["reduce_only"] and (row["triggered"] or row["is_child"]) and not engine.reports.fit(order, before):
            reach("router.flat_in_line")
            return True  # its position is gone
        is_entry = not (row["triggered"] and row["reduce_only"])
        if is_entry and 0 <= wait_ns(row) <= before - row["live_ns"]:
            reach("router.waited_too_long")
            engine.reports.end_here(order, Reason.QUEUE, before)
            return True
        if is_entry and self._refused(order, before, mono):
            reach("router.refused_in_line")
            return True
        if is_entry and self._must_tell_first(order, row):
            reach("router.terms_not_told")
            self.returned.add(order)
            engine.state.submit_later(order)
            return True
        is_back = self.siblings.hold_back(order)
        return is_back or self._hand_over([engine.reports.ticket(order, mono)], before, mono) == 1

    def _must_tell_first(self, order: int, row: Mapping[str, Any]) -> bool:
        """Whether its terms have yet to be on disk; what fired does not wait for a disk that has failed."""
        return (self.engine.is_admitting or not row["triggered"]) and not self.engine.are_terms_told(order)

    def _refused(self, order: int, wall_ns: int, mono_ns: int) -> bool:
        """Whether the risk chain of now says no: then the order has ended."""
        control = self.engine.intake.recheck(order, wall_ns, mono_ns)
        if control:
            text = b"refused when it was to leave"
            self.engine.reports.rejected(order, code_of(control).encode(), b"", text, b"", wall_ns)
        return bool(control)

    def _now(self) -> int:
        if PLANTED and is_on("read_real_clock"):
            return time.time_ns()
        return self.engine.clock.wall_ns()

    # --- time --------------------------------------------------------------------------------------------------------

    def on_timer(self, wall_ns: int, mono_ns: int) -> None:
        """Doubt what got no answer, ask again what got none either, expire entries that waited too long."""
        views = self.engine.views
        while self.deadlines and self.deadlines[0][0] <= mono_ns:
            due_ns, order = self.deadlines.popleft()
            if self.handed_ns.get(order, 0) + self.answer_ns > due_ns:
                continue  # it has left again since
            self.handed_ns.pop(order, None)
            status, stage, pending = views.status(order)
            if not self.is_open:
                continue
            if PLANTED and is_on("timeout_is_refusal") and status == OrdStatus.PENDING_NEW and stage == Stage.SENT:
                self.engine.reports.rejected(order, b"BROKER_REJECTED", b"", b"no answer", b"", wall_ns)
            elif status == OrdStatus.PENDING_NEW and stage == Stage.SENT:
                self.put_in_doubt(order, b"no answer")
                self.unasked[order] = None
            elif status in WORKING and pending:
                self.doubt(order)  # a cancel or replace without a word: what the broker says decides what goes again
            elif status in WORKING and views.is_unfinished(order):
                self.doubt(order)  # it was to be done at once: its end may be lost
        while self.overdue and self.overdue[0][0] <= mono_ns:
            _, order, asked = heapq.heappop(self.overdue)
            if self.asking.get(order) == asked:
                reach("router.asked_again")
                del self.asking[order]
                self.unasked[order] = None
        if self.adapter.is_up and self.unasked:
            self._ask()
        for order in self.egress.overdue(wall_ns):
            if views.status(order)[:2] == QUEUED and self.engine.reports.end_here(order, Reason.QUEUE, wall_ns):
                self.egress.take(order)
        if self.egress.held and mono_ns >= self.rouse_ns:  # fills can end a switch's hold on an order, too
            self.rouse_ns = mono_ns + ROUSE_NS
            self.egress.rouse()
            if self.is_open:
                self.drain()

    # --- reports -----------------------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        """Turn a broker's word into a record."""
        order = report.order
        if order is None or order >= self.engine.state.orders.count:
            self.engine.reports.anomaly(b"report about an order that is not ours", report.raw, self._now())
        else:
            self._report(order, report)
        self.engine.after_report(is_urgent=type(report) is not ReportNew)

    def _report(self, order: int, report: Report) -> None:
        if handed_ns := self.handed_ns.pop(order, 0):
            self.engine.stages.venue_ack.record(self.engine.clock.mono_ns() - handed_ns)
        reports, wall, raw = self.engine.reports, self._now(), report.raw
        answer = 0
        if type(report) is ReportTrade:
            if report.rev > self.engine.views.sent_rev(order):
                self._in_force(order, report, wall)
            answer = reports.trade(
                order, report.exec_id, report.last_qty_e9, report.last_px_e9, report.cum_qty_e9, report.fee_e4,
                LIQUIDITY.get(report.liquidity, 0), report.venue_ns, raw, wall,
            )  # fmt: skip
        elif type(report) is ReportNew:
            answer = reports.new(order, report.broker_order_id, report.venue_ns, raw, wall)
        elif type(report) is ReportCanceled:
            answer = reports.canceled(order, report.cum_qty_e9, raw, wall)
        elif type(report) is ReportExpired:
            answer = reports.expired(order, report.cum_qty_e9, raw, wall)
        elif type(report) is ReportRejected:
            answer = self._rejected(order, report, wall)
        elif type(report) is ReportReplaced:
            answer = reports.replaced(order, report.rev, report.order_qty_e9, report.px_e9, raw, wall)
        elif type(report) is ReportReplaceRejected:
            answer = self._replace_rejected(order, report, wall)
        elif type(report) is ReportCancelRejected:
            answer = self._cancel_rejected(order, report, wall)
        elif type(report) is ReportTradeCanceled:
            answer = reports.trade_canceled(order, report.exec_id, report.cum_qty_e9, report.venue_ns, raw, wall)
        elif type(report) is ReportState:
            self._state(order, report)
        elif type(report) is ReportQueryRejected:
            self.over_rate.question(order, report)
        else:
            answer = reports.anomaly(b"report of an unknown kind", raw, wall)
        if answer < 0:
            self.doubt(order)
        if type(report) in COUNTING:
            self.unheard.note(order)
        if type(report) is ReportTradeCanceled and self.engine.views.status(order)[0] == OrdStatus.FILLED:
            self.unheard.start((order,))  # its quantity was never full, perhaps: it may work there
            self.doubt(order)
        self.siblings.look()
        if order in self.egress.held and self.is_open and self.engine.views.status(order)[1] != Stage.IN_DOUBT:
            self.egress.put(order)  # it may have waited for this word
            self.drain()

    def _in_force(self, order: int, report: ReportTrade, wall: int) -> None:
        """A fill under the id of a revision says that it is in force there, though the broker's word of it is late.

        Without that the order is full too early, and what its larger revision leaves open is not counted.
        """
        row = self.engine.views.order(order)
        order_qty_e9 = report.cum_qty_e9 + report.leaves_qty_e9
        if row["ord_status"] < OrdStatus.FILLED and report.rev == row["ask_rev"] and report.leaves_qty_e9:
            reach("router.fill_before_its_revision")
            px_e9 = self.engine.reports.ticket(order, self.engine.clock.mono_ns(), replace=True).px_e9
            self.engine.reports.replaced(order, report.rev, order_qty_e9, px_e9, report.raw, wall)

    def doubt(self, order: int) -> None:
        """What the broker said does not fit: ask it for the whole truth."""
        if order not in self.asking and order not in self.unasked:
            self.unasked[order] = None
            self._ask()

    def _rejected(self, order: int, report: ReportRejected, wall: int) -> int:
        if report.reason == RejectReason.THROTTLED:
            return self.over_rate.order(order, report, wall)
        if report.reason == RejectReason.DUPLICATE:  # the id is there already: ask for it
            reach("router.id_known_there")
            self.put_in_doubt(order, b"the broker knows the id")
            return -1
        code, text = report.code.encode(), report.text.encode()
        return self.engine.reports.rejected(order, b"BROKER_REJECTED", code, text, report.raw, wall)

    def _replace_rejected(self, order: int, report: ReportReplaceRejected, wall: int) -> int:
        if report.reason == RejectReason.DUPLICATE:
            return -1
        if report.reason == RejectReason.THROTTLED and report.rev == self.engine.views.order(order)["ask_rev"]:
            return self.over_rate.change(order)
        return self.engine.reports.replace_rejected(order, report.rev, b"BROKER_REJECTED", report.raw, wall)

    def _cancel_rejected(self, order: int, report: ReportCancelRejected, wall: int) -> int:
        if report.reason == RejectReason.THROTTLED:
            return self.over_rate.change(order)
        code, text = report.code.encode(), report.text.encode()
        self.engine.reports.cancel_rejected(order, b"BROKER_REJECTED", code, text, wall)
        return -1 if self.engine.views.status(order)[0] < OrdStatus.FILLED else 0

    def _state(self, order: int, report: ReportState) -> None:
        """The answer to a question: bring the order to the broker's truth, step by step.

        An absence no newer than an answer before it came twice, or was overtaken: the order may have left since.
        """
        newest_ns = self.answered.get(order, 0)
        if not report.found and 0 < report.venue_ns <= newest_ns:
            reach("router.absence_told_twice")
            return
        self.answered[order] = max(newest_ns, report.venue_ns)
        reports, wall = self.engine.reports, self._now()
        asked = self.question(order, is_last=report.found)
        if not report.found and 0 < asked <= self.left_ns.get(order, 0):
            reach("router.absence_before_it_left")
            return
        self.asking.pop(order, None)
        was_suspect = order in self.suspects
        since = self.doubted.get(order, asked)
        proven = asked > 0 and asked - since >= self.adapter.capabilities.horizon_ns
        for execution in report.executions:
            reports.trade(
                order, execution.exec_id, execution.last_qty_e9, execution.last_px_e9, 0, execution.fee_e4,
                LIQUIDITY.get(execution.liquidity, 0), execution.venue_ns, report.raw, wall,
            )  # fmt: skip
        row = self.engine.views.order(order)
        is_settled = report.status != OrdStatus.NONE if report.found else proven  # an unknown word settles nothing
        if is_settled:
            self.doubted.pop(order, None)
        elif was_suspect:  # it may have fired, and the broker may not find it yet
            self.engine.later(self.answer_ns, lambda: self.doubt(order))
        if self._is_disputed(order, row, report):
            self.doubt(order)
            return
        for step in resolve(row, report, absence_proven=proven):
            self._apply(order, step, report, wall)
        if order in self.suspects and is_settled:  # last: a crash may keep only what came before
            self.engine.world.clear(order, wall)
        self.unheard.answered(order, asked, is_found=report.found, cum_qty_e9=report.cum_qty_e9, wall_ns=wall)
        self._ask()

    def question(self, order: int, *, is_last: bool) -> int:
        """When the question was put that this answers, monotonic: it may be any of them, so the oldest; 0 for none."""
        tries = self.tries.get(order, [])
        asked = tries.pop(0) if tries else 0
        if is_last or not tries:
            self.tries.pop(order, None)
        return asked

    def _is_disputed(self, order: int, row: Mapping[str, Any], report: ReportState) -> bool:
        """We have its end, the answer has it working: one that came late or twice, unless a newer one says so too."""
        if row["ord_status"] < OrdStatus.FILLED or not report.found or report.status not in WORKED:
            self.disputed.pop(order, None)
            return False
        if row["ord_status"] == OrdStatus.FILLED and report.rev > row["rev"]:
            return False  # a revision that we do not know yet is no old news
        before = self.disputed.pop(order, None)
        if before is not None and report.venue_ns > before:
            return False
        self.disputed[order] = report.venue_ns
        reach("router.disputed")
        return True

    def _apply(self, order: int, step: Step, report: ReportState, wall: int) -> None:
        reports, raw = self.engine.reports, report.raw
        if step is Step.CONFIRM:
            if not reports.new(order, report.broker_order_id, report.venue_ns, raw, wall):
                reports.restate(order, int(report.status), report.cum_qty_e9, wall)
        elif step is Step.ADOPT:
            reports.restate(order, OrdStatus.NEW, 0, wall)
        elif step is Step.RESTATE:
            reports.restate(order, int(report.status), report.cum_qty_e9, wall)
        elif step is Step.CANCELED:
            reports.canceled(order, report.cum_qty_e9, raw, wall)
        elif step is Step.EXPIRED:
            reports.expired(order, report.cum_qty_e9, raw, wall)
        elif step is Step.REJECTED:
            reports.rejected(order, b"BROKER_REJECTED", b"", b"learnt from the broker's answer to a query", raw, wall)
        elif step is Step.REPLACED:
            reports.replaced(order, report.rev, report.order_qty_e9, report.px_e9, raw, wall)
        elif step is Step.REQUEUE:
            reach("router.absence_proven")
            self.returned.add(order)
            reports.requeue(order, b"the broker does not know the id", wall)
        elif step is Step.RESEND_REPLACE:
            self.revisions.repeat(order)
        elif step is Step.RESEND_CANCEL:
            reach("router.cancel_again")
            if self.engine.is_cancel_told(order) or not self.engine.is_admitting:  # a failed disk will never have it
                self.egress.put(order)
        elif step is Step.ASK_AGAIN:
            self.doubted.setdefault(order, self.engine.clock.mono_ns())  # of one that works, its absence is measured so
            self.deadlines.append((self.engine.clock.mono_ns() + self.answer_ns, order))
            self.engine.later(self.answer_ns, lambda: self.doubt(order))
        elif step is Step.ALARM:
            reach("router.stories_differ")
            reports.anomaly(b"the broker's answer does not fit the order", raw, wall)
        if self.is_open and step in (Step.RESEND_CANCEL, Step.RESEND_REPLACE):
            self.drain()
