"""One turn of the loop: records to the journal, events to clients and orders to the broker once they are durable.

The engine owns the core and calls it; it decides nothing itself. What arrives (a client's frame, a tick, a broker's
report, a timer) is given to the core, then `flush` hands the turn's records to the journal. Effects wait for the
journal's word, but the release of a protective order: its bytes leave in the tick's own turn (architecture, rule 3).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

from brokers.ports import Adapter, Report
from gateway.clock import Clock
from gateway.core import COMPILED, Core
from gateway.core.recorder import Op
from gateway.core.state import State
from gateway.explain import Readers
from gateway.flatten import Flatten
from gateway.guard import CHECK_NS, Guard
from gateway.halts import Halts
from gateway.journal.errors import JournalFull, JournalStopped
from gateway.plants import PLANTED, handed_over, is_on, reach, renamed
from gateway.router import Router
from gateway.stages import Stages
from gateway.stream.fanout import Fanout, Outbox
from hotpath.enums import OrdStatus, Reason, Stage
from risk.catalogue import code_of

log = structlog.get_logger("engine")
LAZY_NS = 1_000_000
ROWS_AHEAD = 16_384  # order rows whose memory is committed before they are needed
ROWS_A_TURN = 512
DUE_A_TURN = 256  # time orders that fire in one turn
TRAILS_A_TURN = 64  # trailing stops looked at, whose clients may have to be told
SUSPECT_NS = 100_000_000  # how soon an end that waits for the broker's word is looked at again
LATE_NS = 2_000_000_000  # of a planted bug
RELEASE_RUN = 16  # fired orders in one write: the first does not wait long for the last


class Journal(Protocol):
    """What the engine needs of a journal; the native writer is one, the simulated disk another."""

    @property
    def durable_seq(self) -> int: ...

    @property
    def run_bytes_max(self) -> int: ...

    @property
    def is_low(self) -> bool: ...

    def submit(self, blob: memoryview, last_seq: int) -> int: ...


class Engine:
    """The core of one shard and everything that its records move."""

    def __init__(
        self,
        *,
        state: State,
        journal: Journal,
        clock: Clock,
        adapter: Adapter,
        is_durable: bool,
        later: Callable[[int, Callable[[], None]], None],
        soon: Callable[[Callable[[], None]], object],
        read_frame: Callable[[int], bytes],
        answer_ns: int = 2_000_000_000,
        oco_wait_ns: int = 250_000_000,
        core: Core = COMPILED,
    ) -> None:
        """is_durable: acknowledgements wait for the disk. later, soon: the loop's timer (ns) and its next turn.

        oco_wait_ns: how long a fired order waits for the end of one that its group has at the broker.
        read_frame: the journal's whole frame at a position. core: the one that the state is of.
        """
        self.state = state
        self.journal = journal
        self.clock = clock
        self.is_durable = is_durable
        self.later = later
        self.soon = soon
        self.read_frame = read_frame
        self.core = core
        self.intake = core.intake(state)
        self.batch = core.batch(state, self.intake)
        self.reports = core.reports(state)
        self.views = core.views(state)
        self.parser = core.parser(state.quotes)
        self.watch = core.watch(state, self.parser)
        self.fanout = Fanout(state.names, state.gate.account_capacity)
        self.fanout.start(state.seq, [self.views.acct_seq(row) for row in range(len(state.account_names))])
        self.router = Router(self, adapter, answer_ns, oco_wait_ns)
        self.halts = Halts(self)
        self.world = core.world(state)
        self.guard = Guard(state, self.watch, self.views, self.world, Flatten(self).close)
        self.is_admitting = True  # false: protect-only, nothing new is accepted
        self.is_backed_up = False  # the journal would not take what is recorded: entries are answered BUSY
        self.stop_cause = ""
        self.expiries: list[tuple[int, int]] = []  # heap of (wall, order) of what the gateway itself must end
        self.stages = Stages()
        self.explaining = Readers(soon)
        self.turn = core.turn(
            state, self.fanout, journal, mono_ns=clock.mono_ns, wall_ns=clock.wall_ns, times=self.stages.durable,
            is_durable=is_durable and not (PLANTED and is_on("acknowledge_before_durable")), act=self.router.run,
        )  # fmt: skip
        self.on_status_change: Callable[[], None] = lambda: None
        self.on_journal_stopped: Callable[[], None] = lambda: None
        self._in_report_batch = False
        self._is_flush_due = False
        self._relief_due_ns = 0
        self._is_drain_due = False
        self._is_firing = False  # more time orders are due than one turn takes
        self._lazy_since_ns = 0  # age of the oldest record that waits for company
        self._durable_waits: deque[tuple[int, Callable[[], None]]] = deque()

    # --- records -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Hand the turn's records to the journal; without durability, act on them at once."""
        self._lazy_since_ns = 0
        for instrument in self.state.links.take_armed():  # the present price may fire what its parent has just armed
            self.soon(lambda instrument=instrument: self.sweep(instrument))  # type: ignore[misc]
        if not self.is_admitting:
            self._flush_unwritten()
            return
        try:
            self.turn.flush()
        except JournalFull:
            self.is_backed_up = True
            reach("engine.journal_full")
            self.fanout.load(self.state.peek())  # answers keep their order; the next durable notice tries again
            return
        except JournalStopped as error:
            self.journal_failed(str(error))
            return
        self.is_backed_up = False
        if not self.is_durable:
            self._end_waits()
            self.flush_later()

    def _flush_unwritten(self) -> None:
        """Protect-only: the journal has ended, the watching has not."""
        if self.state.has_records():
            self.state.placed(0)
            self._protect()

    @property
    def backlog_bytes(self) -> int:
        """Records that the journal would not take yet, while its buffer is full; 0 in fair weather."""
        return self.state.waiting_bytes if self.is_backed_up else 0

    def flush_later(self) -> None:
        """Records that nobody waits for (`sent`, `new`) go with the next turn's, or in a millisecond.

        A commit of their own would stand in the way of the next order's: the disk does one at a time.
        """
        if self.state.has_records():
            if not self._lazy_since_ns:
                self._lazy_since_ns = self.clock.mono_ns()
            if not self._is_flush_due:
                self._is_flush_due = True
                self.later(LAZY_NS, self._flush_due)

    def _flush_due(self) -> None:
        """The timer may be early, and a turn since may have taken what it was set for: only age counts."""
        self._is_flush_due = False
        if self._lazy_since_ns and self.clock.mono_ns() - self._lazy_since_ns < LAZY_NS:
            self.flush_later()
        else:
            self.flush()

    def on_durable(self) -> None:
        """The journal's writer has made progress."""
        self.turn.on_durable()
        self._end_waits()
        if self.is_backed_up:
            self.flush()
        else:
            self.flush_later()

    def _end_waits(self) -> None:
        waits, durable_seq = self._durable_waits, self.fanout.durable
        while waits and waits[0][0] <= durable_seq:
            waits.popleft()[1]()

    def once_durable(self, call: Callable[[], None]) -> None:
        """Call it once all that is true now is on disk; never when the journal fails before."""
        self.flush()
        if self.state.seq <= self.fanout.durable:
            call()
        else:
            self._durable_waits.append((self.state.seq, call))

    def journal_failed(self, cause: str) -> None:
        """The writer reports an error of the disk: nothing more is acknowledged (reliability.md, section 1)."""
        if self.is_admitting:
            self._journal_stopped(cause)

    def _journal_stopped(self, cause: str) -> None:
        self.turn.settle(self.journal.durable_seq)
        self._end_waits()
        self.is_admitting = False
        self.stop_cause = cause
        log.error("journal stopped: protect-only until a restart", cause=cause)
        self.state.placed(0)
        self._protect()
        self.on_journal_stopped()

    def _protect(self) -> None:
        """Effects that need no disk now that there is none: cancels, and releases of durably accepted orders."""
        while effects := self.state.take_effects(self.state.seq):
            reach("engine.protect_only")
            self.router.run([(op, order) for op, order in effects if op == Op.OP_CANCEL or self._may_leave(op, order)])

    def _may_leave(self, op: int, order: int) -> bool:
        return op == Op.OP_SUBMIT and self._is_told(order) and bool(self.views.order(order)["triggered"])

    def reply(self, outbox: Outbox, text: bytes) -> None:
        """An answer that is no event, in its place among the connection's answers."""
        if outbox.awaits_seq > self.fanout.loaded:
            self.flush()
        self.fanout.reply(outbox, text)

    def event_text(self, account: int, acct_seq: int) -> bytes:
        """An event that was let out before, rendered again from the journal.

        Empty while the writer has not written it yet, which happens only where durability is off.
        """
        frame = self.read_frame(self.state.position_of(account, acct_seq))
        return self.state.names.render_frame(frame) if frame else b""

    # --- market data -------------------------------------------------------------------------------------------------

    def on_feed_frame(self, frame: bytes, mono_ns: int, feed: int = 0) -> None:
        """One frame of a feed (its number in the configuration), at the moment of its receipt."""
        fired = self.watch.feed_frame(frame, mono_ns, self.clock.wall_ns(), feed)
        took_ns = self.clock.mono_ns() - mono_ns
        if fired < 0:
            self.flush_later()
        elif fired:
            self._release(mono_ns)  # first: what is only measured can wait
            self.stages.trigger.record(took_ns)
        self.stages.tick.record(took_ns)

    def on_feed(self, feed: int, up: bool) -> None:
        """A feed's connection was made, and its numbering begins anew, or was lost: others stand in for it."""
        self._judge_again(self.state.quotes.set_up(feed, up, self.clock.mono_ns()))
        self.flush()

    def _judge_again(self, instruments: list[int]) -> None:
        """Another feed's prices are in force there from now."""
        for instrument in instruments:
            reach("engine.feed_stands_in")
            self.sweep(instrument)

    def _release(self, mono_ns: int) -> None:
        watch, router = self.watch, self.router
        while run := watch.take_fired(RELEASE_RUN):
            told = [order for order in run if self._is_told(order)]
            if told:
                router.submit(told)
                took_ns = self.clock.mono_ns() - mono_ns
                for _ in told:
                    self.stages.tick_to_wire.record(took_ns)
            if len(told) < len(run):
                reach("engine.fired_before_told")
            for order in run if len(told) < len(run) else ():
                if order not in told:  # accepted a moment ago: after a crash now, nobody would know its id
                    self.state.submit_later(order)
        while (refused := watch.next_refused()) is not None:
            order, control = refused
            if order in self.router.suspects:
                self.router.doubt_suspect(order)
                continue
            code = code_of(control).encode()
            self.reports.rejected(order, code, b"", b"refused when it fired", b"", self.clock.wall_ns())
        if watch.has_backlog() and not self._is_drain_due:
            self._is_drain_due = True
            self.soon(self._drain)
        self.flush()

    def _is_told(self, order: int) -> bool:
        """Whether the order's acceptance is durable, and what its parent brought it since."""
        account, acct_seq = self.views.accepted(order)
        return bool(acct_seq <= self.fanout.heads[account])

    def are_terms_told(self, order: int) -> bool:
        """Whether the terms of an order that never left are durable."""
        account, acct_seq = self.views.terms_since(order)
        return bool(acct_seq <= self.fanout.heads[account])

    def is_cancel_told(self, order: int) -> bool:
        """Whether the cancel that was asked for is durable: else its own effect is still to come."""
        account, acct_seq = self.views.cancel_since(order)
        return bool(acct_seq <= self.fanout.heads[account])

    def _drain(self) -> None:
        """The next batch of a gap that fires more orders than one turn takes."""
        self._is_drain_due = False
        mono_ns = self.clock.mono_ns()
        self.watch.drain(mono_ns, self.clock.wall_ns())
        self._release(mono_ns)

    def set_session(self, instrument: int, *, is_open: bool | None = None, is_halted: bool | None = None) -> None:
        """The session of an instrument begins or ends, its market is halted or resumes; None leaves it as it is."""
        facts = self.state.quotes.snapshot(instrument)
        now = bool(facts["is_open"]), bool(facts["is_halted"])
        new = now[0] if is_open is None else is_open, now[1] if is_halted is None else is_halted
        if new != now:
            self.world.set_instrument(instrument, *new, bool(facts["is_restricted"]), self.clock.wall_ns())
            self.watch.on_session(instrument, self.clock.mono_ns())
            self.flush()

    def sweep(self, instrument: int) -> None:
        """Judge the present prices again: an order that may fire at once was just accepted."""
        mono_ns = self.clock.mono_ns()
        if self.watch.sweep(instrument, mono_ns, self.clock.wall_ns()):
            self._release(mono_ns)

    # --- broker (ReportSink) -----------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        self.router.on_report(report)

    def on_link(self, up: bool, cause: str) -> None:
        log.info("broker link", up=up, cause=cause)
        self.router.on_link(up, cause)

    def on_writable(self) -> None:
        self.router.on_writable()

    def after_report(self, is_urgent: bool) -> None:
        """Reports come in bursts: one flush a turn is enough for all of them."""
        if not is_urgent:
            self.flush_later()
        elif not self._in_report_batch:
            self._in_report_batch = True
            self.soon(self._end_reports)

    def _end_reports(self) -> None:
        self._in_report_batch = False
        self.flush()

    # --- time --------------------------------------------------------------------------------------------------------

    def note_expiry(self, order: int) -> None:
        """Remember when the gateway must end an order, unless its broker does."""
        expire_ns = self.views.order(order)["expire_ns"]
        if expire_ns:
            heapq.heappush(self.expiries, (expire_ns, order))

    def on_timer(self) -> None:
        """Called every few milliseconds: expiries, time orders, doubts, waiting lines."""
        wall_ns, mono_ns = self.clock.wall_ns(), self.clock.mono_ns()
        while self.expiries and self.expiries[0][0] <= wall_ns:
            _, order = heapq.heappop(self.expiries)
            row = self.views.order(order)
            if row["ord_status"] >= OrdStatus.FILLED or not row["expire_ns"]:
                continue  # done, or made good till canceled since
            if order in self.router.suspects:  # it may be at the broker: its end must not hide it
                reach("engine.suspect_expires")
                self.later(SUSPECT_NS, lambda order=order: self.note_expiry(order))  # type: ignore[misc]
            elif row["expire_ns"] > wall_ns:
                heapq.heappush(self.expiries, (row["expire_ns"], order))
            else:
                self.reports.end_here(order, Reason.TIF_END, wall_ns)
        if self.watch.confirm_due(mono_ns, wall_ns):
            reach("engine.confirmed_by_time")
            self._release(mono_ns)
        if not self._is_firing:
            self._fire_due()
        self.router.on_timer(wall_ns, mono_ns)
        self.watch.tell_trails(wall_ns, TRAILS_A_TURN)
        if mono_ns >= self._relief_due_ns:  # before the guard, which else would call blind what another feed prices
            self._relief_due_ns = mono_ns + CHECK_NS
            self._judge_again(self.state.quotes.relieve(mono_ns))
        self.guard.on_timer(wall_ns, mono_ns)
        self.state.orders.commit_ahead(ROWS_AHEAD, ROWS_A_TURN)
        self.flush()

    def _fire_due(self) -> None:
        """Time orders whose hour has come, a batch in a turn."""
        wall_ns, mono_ns = self.clock.wall_ns(), self.clock.mono_ns()
        if PLANTED and is_on("fire_time_orders_late"):
            wall_ns -= LATE_NS
        count = self.watch.fire_due(mono_ns, wall_ns, DUE_A_TURN)
        if count:
            reach("engine.fired_by_the_clock")
            self._release(mono_ns)
        self._is_firing = count == DUE_A_TURN
        if self._is_firing:
            self.soon(self._fire_due)

    # --- start -------------------------------------------------------------------------------------------------------

    def recover(self, last_wall_ns: int, *, is_clean: bool) -> None:
        """After a replay: what may have left is in doubt until the broker's word; expiries are remembered again.

        last_wall_ns: of the last record before this start. Since then nobody watched the stops.
        is_clean: the end was an orderly one. Else a stop may have fired whose record was lost: each is asked about.
        """
        if PLANTED:
            renamed.clear()
        is_any_held = bool(self.views.held()) or self.state.clocks.count > 0
        if not is_clean and is_any_held and not (PLANTED and is_on("trigger_twice_after_restart")):
            self.world.suspect(self.clock.wall_ns())
        self.router.doubted = dict.fromkeys(self.state.suspects, self.clock.mono_ns())
        self.router.unheard.start(self.views.owing())
        for account in range(len(self.state.account_names)):
            for order in self.views.open_orders(account):
                row = self.views.order(order)
                if PLANTED and is_on("trigger_twice_after_restart") and row["ord_status"] == OrdStatus.HELD:
                    renamed.update(handed_over & {order})  # what did not leave before leaves under its own id
                if PLANTED and is_on("new_id_after_restart") and row["ord_status"] == OrdStatus.PENDING_NEW:
                    renamed.add(order)
                if row["stage"] in (Stage.QUEUED, Stage.SENT):
                    self.router.put_in_doubt(order, b"restart")
                elif row["stage"] == Stage.IN_DOUBT:
                    self.router.doubted[order] = self.clock.mono_ns()  # since the last life: nothing was sent later
                if row["expire_ns"]:
                    heapq.heappush(self.expiries, (row["expire_ns"], order))
        self.world.heal(self.clock.wall_ns())
        self.guard.start(self.clock.wall_ns(), self.clock.mono_ns(), last_wall_ns)
        self.flush()
