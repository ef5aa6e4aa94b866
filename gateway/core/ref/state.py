"""Twin of gateway.core.state: the whole state of a shard, changed by records only, in plain Python.

`apply` is the one function that moves it, live and in replay. Compiled are only what renders events (`names`) and the
enumerations; neither holds order state.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections import Counter, deque
from typing import Any

from gateway.core.recorder import torn
from gateway.core.ref import image, shares
from gateway.core.ref.clocks import Clocks
from gateway.core.ref.links import Links
from hotpath.enums import Direction, HaltLevel, HaltScope, Hold, OrdStatus, OrdType, Side, Stage, TriggerKind
from hotpath.ref import frame
from hotpath.ref import records as rec
from hotpath.ref.checks import Gate
from hotpath.ref.ledger import LIMIT_FIELDS
from hotpath.ref.orders import OrderRow, OrderTable
from hotpath.ref.quotes import QuoteTable
from hotpath.ref.records import OrderEvent, Terms
from hotpath.ref.stops import TriggerIndex
from hotpath.wire import Renderer
from risk.halts import HaltAction, HaltBook, HaltChange

OP_SUBMIT, OP_CANCEL, OP_REPLACE = 1, 2, 3
GROUP_ROWS_MAX = 1000  # records in one atomic group: it must fit the smallest segment's half
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PENDING_NEW, BUY, LIMIT = int(OrdStatus.PENDING_NEW), int(Side.BUY), int(OrdType.LIMIT)


class State:
    """Tables of one shard, and the records that have not been handed to the journal yet."""

    def __init__(self, *, shard: int, orders: int, accounts: int, instruments: int) -> None:
        """orders, accounts, instruments: capacities; a full table is a refusal, never a resize."""
        self.shard = shard
        self.quotes = QuoteTable(instruments)
        self.orders = OrderTable(orders)
        self.stops = TriggerIndex(instruments, orders)
        self.clocks = Clocks(instruments)  # orders that are held for a time
        self.trails: list[int] = []  # those that trail, in turn
        self.trail_at = 0
        self.links = Links(self.orders)
        self.is_deferring = False  # ties are settled later: what is under way must not be disturbed
        self.gate = Gate(self.quotes, accounts)
        self.names = Renderer(accounts, instruments)
        self.accounts: dict[str, int] = {}
        self.account_names: list[str] = []
        self.halts = HaltBook()
        self.revisions: dict[tuple[int, int], tuple[int, int]] = {}  # (order, rev) -> number of its answer, content
        self.batches: dict[tuple[int, int], int] = {}  # (account, acct_seq) of each batch -> number of its items
        self.limit_versions: dict[int, int] = {}
        self.suspects: dict[int, None] = {}  # may have left before a crash; in the order of asking
        self.epoch = 0
        self.history = bytes(16)
        self.history_tag = b""
        self.seq = 0  # last record
        self.events = 0
        self.wall_ns = 0  # of the present turn: stamps records
        self.last_wall_ns = 0  # of the last record
        self.is_torn = False  # a record could not be applied: nothing goes on from here
        self.is_grouped = False  # the next record's atomic group goes on after it
        self.acct_seqs = [0] * accounts  # last event of each account
        self.open_rows: list[list[int]] = [[] for _ in range(accounts)]  # in order of acceptance
        self.all_rows: list[list[int]] = [[] for _ in range(accounts)]
        self.held: Counter[int] = Counter()  # by instrument: orders that rest here for a price
        self.tight: dict[int, dict[int, int]] = {}  # instrument -> {age limit below its own: how many of those have it}
        self.doubts = 0  # open orders that are in doubt
        self.fired_px: dict[tuple[int, int], tuple[int, int]] = {}  # (instrument, source) -> prices yet to fire orders
        self.kind_counts: Counter[int] = Counter()
        self.done_counts: Counter[tuple[int, int]] = Counter()  # orders that ended, by (ord_status, reason)
        self._out = b""  # framed records, not yet taken
        self._unplaced: list[tuple[int, int]] = []  # (account, offset) of events in it
        self._positions: list[list[int]] = [[] for _ in range(accounts)]  # journal position of each event
        self._effects: deque[tuple[int, int, int]] = deque()  # (seq, op, order)
        self._wholes: deque[tuple[int, int]] = deque()  # first and last record of what is told only together

    # --- writing records ----------------------------------------------------------------------------------------------

    def event(self, order: int, **changes: Any) -> OrderEvent:
        """An order event from the order as it stands, with what the event changes."""
        row = self.orders.rows[order]
        event = OrderEvent(
            self.acct_seqs[row.account] + 1, row.account, order, row.cum_qty_e9, row.leaves_qty_e9, row.average_px(),
            row.rev, row.ord_status, row.stage, row.hold, row.pending, 0, 0, len(row.cl_ord_id), row.cl_ord_id,
        )  # fmt: skip
        return event._replace(**changes) if changes else event

    def commit(self, kind: int, event: OrderEvent, body: bytes = b"") -> int:
        """Write and apply an order event; returns its journal sequence."""
        return self.emit(kind, rec.pack(event) + body)

    def commit_replaced(self, event: OrderEvent, terms: Terms, body: rec.ReplaceBody) -> int:
        """Commit a REPLACED, with the order's texts behind it."""
        texts = self.texts_of(event.order)
        sizes = dict(zip(rec.TEXT_SIZES, map(len, texts), strict=True))
        body = body._replace(**sizes)
        return self.commit(rec.REPLACED, event, terms.pack() + rec.pack(body) + b"".join(texts))

    def texts_of(self, order: int) -> tuple[bytes, ...]:
        """Session, tag, signal, parent's name and group of an order, as its `order` block shows them."""
        row, texts = self.orders.rows[order], self.orders.texts
        after = self.orders.rows[row.terms.parent - 1].cl_ord_id if row.terms.parent else b""
        return texts[row.session], texts[row.tag], texts[row.signal], after, texts[row.oco]

    def emit(self, kind: int, payload: bytes) -> int:
        self.demand_whole()
        if kind >= rec.ACCEPTED:
            account = int.from_bytes(payload[8:12], "little")  # of both event prefixes
            self._unplaced.append((account, len(self._out)))
        self.seq += 1
        flags = frame.FLAG_CONTINUES if self.is_grouped else 0
        framed = frame.pack_frame(self.seq, self.wall_ns, self.epoch, kind, rec.PAYLOAD_VERSION, flags, payload)
        self.is_torn = True
        self.apply(kind, payload, self.wall_ns)
        self.is_torn = False
        self._out += framed  # only now: a record that cannot be applied must not wait for the next start
        seq = self.seq
        if rec.ACCEPTED <= kind < rec.CANCEL_ALL_EV or kind == rec.CLEARED:
            order = int.from_bytes(payload[12:16] if kind != rec.CLEARED else payload[:4], "little")
            if self.links.touches(order):
                self.links.due.append((order, kind))
        if self.links.due and not self.is_grouped and not self.is_deferring:
            shares.settle(self)
        return seq

    def demand_whole(self) -> None:
        """Raises StateTorn when a record could not be applied before."""
        if self.is_torn:
            raise torn(self.seq)

    def has_records(self) -> bool:
        """Whether records wait for the journal."""
        return bool(self._out)

    def peek(self) -> memoryview:
        """The framed records that the journal has not got yet."""
        return memoryview(self._out)

    def run(self, most: int) -> tuple[memoryview, int]:
        """(bytes, last seq) of the longest run of whole atomic groups within `most` bytes of what waits."""
        if len(self._out) <= most:
            return memoryview(self._out), self.seq
        at = end = last = 0
        while at < len(self._out):
            seq, flags, size = self._head(at)
            at += size
            if at > most:
                break
            if not flags & frame.FLAG_CONTINUES:
                end, last = at, seq
        if end == 0:
            raise RuntimeError(
                f"an atomic group of records is larger than the {most} bytes that the journal takes at once"
            )
        return memoryview(self._out)[:end], last

    def _head(self, at: int) -> tuple[int, int, int]:
        """Sequence, flags and padded size of a framed record of ours."""
        length = int.from_bytes(self._out[at : at + 4], "little")
        seq = int.from_bytes(self._out[at + 8 : at + 16], "little")
        return seq, self._out[at + 31], frame.space(length - frame.FRAME_HEADER_BYTES)

    def placed(self, base: int, size: int = -1) -> None:
        """The journal took the first `size` bytes of `peek` (all by default); `base` is where they begin in it."""
        size = len(self._out) if size < 0 else size
        for account, offset in self._unplaced:
            if offset < size:
                self._positions[account].append(base + offset)
        self._unplaced = [(account, offset - size) for account, offset in self._unplaced if offset >= size]
        self._out = self._out[size:]

    @property
    def waiting_bytes(self) -> int:
        """Bytes of records that the journal has not got yet."""
        return len(self._out)

    def told_together(self, first: int) -> None:
        """What was recorded from `first` on is one answer: nobody hears of it before all of it is durable."""
        if self.seq > first:
            self._wholes.append((first, self.seq))

    def whole(self, durable_seq: int) -> int:
        """The last record that may be told of when `durable_seq` is on disk."""
        wholes = self._wholes
        while wholes and wholes[0][1] <= durable_seq:
            wholes.popleft()
        return wholes[0][0] - 1 if wholes and wholes[0][0] <= durable_seq else durable_seq

    def position_of(self, account: int, acct_seq: int) -> int:
        """Journal position of an event of the account; 0 when it is not placed yet or never was."""
        known = self._positions[account]
        return known[acct_seq - 1] if 0 < acct_seq <= len(known) else 0

    def effect(self, op: int, order: int) -> None:
        self._effects.append((self.seq, op, order))

    def submit_later(self, order: int) -> None:
        """Hand the order over once all that is recorded by now is durable."""
        self.effect(OP_SUBMIT, order)

    def take_effects(self, durable_seq: int) -> list[tuple[int, int]]:
        """(op, order) of the effects whose records are durable, in order."""
        found = []
        while self._effects and self._effects[0][0] <= durable_seq:
            found.append(self._effects.popleft()[1:])
        return found

    def effect_count(self) -> int:
        """Effects that wait for their record to be durable."""
        return len(self._effects)

    def history_text(self) -> bytes:
        """The five characters of the history in broker-side ids."""
        return self.history_tag

    def broker_id(self, order: int, rev: int) -> bytes:
        """Identity shown to a broker: `B` + 2 shard + 5 history + 7 order + 2 revision, Crockford base32."""
        return b"B" + _digits(self.shard, 2) + self.history_tag + _digits(order, 7) + _digits(rev, 2)

    # --- applying records ---------------------------------------------------------------------------------------------

    def apply(self, kind: int, payload: bytes, wall_ns: int) -> None:
        """The one function that moves the state."""
        self.last_wall_ns = wall_ns
        self.kind_counts[kind] += 1
        if kind >= rec.CANCEL_ALL_EV:
            event = rec.read(rec.AccountEvent, payload, 0)
            self._count(event.account, event.acct_seq)
            if kind == rec.BATCH_EV:
                self.batches[event.account, event.acct_seq] = event.number
        elif kind >= rec.ACCEPTED:
            self._apply_order(kind, payload, wall_ns)
        else:
            self._apply_world(kind, payload, wall_ns)

    def _count(self, account: int, acct_seq: int) -> None:
        if account >= len(self.account_names) or acct_seq != self.acct_seqs[account] + 1:
            raise ValueError(
                f"record {self.seq}: event {acct_seq} of account row {account} does not follow the last one"
            )
        self.acct_seqs[account] = acct_seq
        self.events += 1

    def _apply_order(self, kind: int, payload: bytes, wall_ns: int) -> None:
        ev = rec.read(OrderEvent, payload, 0)
        self._count(ev.account, ev.acct_seq)
        was_open = was_held = was_watched = was_doubted = False
        trail = (0, 0, 0)
        if kind != rec.ACCEPTED and ev.order < self.orders.count:
            before = self.orders.rows[ev.order]
            was_open, was_held, was_watched = not before.is_done, before.is_held, before.is_watched
            was_doubted = before.is_doubted
            trail = trail_of(before.terms)
        if self.orders.apply(kind, ev, payload, wall_ns) != 0:
            raise ValueError(f"record {self.seq} of kind {kind} does not fit the order table (row {ev.order})")
        if kind == rec.SENT_EV:  # it fired in this life: its own story goes on
            self.suspects.pop(ev.order, None)
        row = self.orders.rows[ev.order]
        self.held[row.terms.instrument] += row.is_watched - was_watched
        self.tighten(row.terms, row.is_held - was_held)
        self.doubts += row.is_doubted - was_doubted
        if kind == rec.ACCEPTED:
            self.all_rows[row.account].append(ev.order)
            self.links.tie(ev.order)
        self._unreserve(row)
        self._book(kind, ev, row, payload)
        self._reserve(ev.order, row)
        if was_open and row.is_done:
            self.gate.count_open_py(row.account, -1)
            self.open_rows[row.account].remove(ev.order)
            self.done_counts[row.ord_status, ev.reason] += 1
        elif not was_open and not row.is_done:  # accepted, or found working after it was called done
            self.gate.count_open_py(row.account, 1)
            insort(self.open_rows[row.account], ev.order)
        extreme_e9 = 0
        is_moved = kind == rec.REPLACED and trail_of(row.terms) != trail
        if kind == rec.TRAILED:
            told = rec.read(rec.TrailedBody, payload)
            extreme_e9, is_moved = told.extreme_px_e9, bool(told.activated)
        self.watch(ev.order, row, is_moved=is_moved, extreme_px_e9=extreme_e9)

    def _book(self, kind: int, ev: OrderEvent, row: OrderRow, payload: bytes) -> None:
        """What a fill does to the books, and what a request for new terms is remembered by."""
        where = row.account, row.terms.instrument
        if kind == rec.TRADE:
            trade = rec.read(rec.TradeBody, payload)
            if self.gate.fill_py(*where, row.terms.side, trade.last_qty_e9, trade.last_px_e9, trade.fee_e4):
                raise ValueError(
                    f"record {self.seq}: the position cannot take a fill of {trade.last_qty_e9} at {trade.last_px_e9}"
                )
        elif kind == rec.TRADE_CANCELED:
            broken = rec.read(rec.TradeCanceledBody, payload)
            back = Side.SELL if row.terms.side == BUY else Side.BUY
            if self.gate.fill_py(*where, back, broken.last_qty_e9, broken.last_px_e9, 0):
                raise ValueError(f"record {self.seq}: the position cannot give back a fill of {broken.last_qty_e9}")
        elif kind in (rec.PENDING_REPLACE_EV, rec.REPLACED):
            body = rec.read(rec.ReplaceBody, payload, rec.ORDER_EVENT_BYTES + rec.TERMS_BYTES)
            if body.content_hash:
                self.revisions[ev.order, body.ask_rev] = ev.acct_seq, body.content_hash

    def _unreserve(self, row: OrderRow) -> None:
        if row.reserved_qty_e9:
            self.gate.unreserve_py(
                row.account, row.terms.instrument, row.terms.side, row.reserved_qty_e9, row.reserved_px_e9,
                bool(row.terms.reduce_only), bool(row.reserved_resting),
            )  # fmt: skip
            row.reserved_qty_e9 = row.reserved_resting = 0

    def _reserve(self, order: int, row: OrderRow) -> None:
        """Hold at the gate what may still fill: leaves under the largest terms in force there, or what is owed.

        While the order is open, what is owed is a part of leaves, or it is all that the broker's larger count says.
        """
        qty_e9, px_e9 = row.owed_qty_e9, row.ref_px_e9
        is_live = (row.ord_status >= PENDING_NEW and not row.is_done) or (row.is_held and order in self.suspects)
        if is_live:
            qty_e9 = max(qty_e9, row.terms.order_qty_e9 - row.cum_qty_e9)
            if row.open_asks:
                qty_e9 = max(qty_e9, row.ask_most_qty_e9 - row.cum_qty_e9)
                px_e9 = max(px_e9, row.ask_most_px_e9)
        if qty_e9 <= 0:
            return
        row.reserved_qty_e9, row.reserved_px_e9 = qty_e9, px_e9
        row.reserved_resting = int(is_live and row.terms.ord_type == LIMIT)
        row.reserved_side = row.terms.side
        if self.gate.reserve_py(
            row.account, row.terms.instrument, row.terms.side, qty_e9, px_e9, bool(row.terms.reduce_only),
            bool(row.reserved_resting),
        ):  # fmt: skip
            if not row.is_held:
                raise ValueError(f"record {self.seq}: the gate cannot hold {qty_e9} at {px_e9}")
            row.reserved_qty_e9 = row.reserved_resting = 0  # a suspect beyond all numbers must not stop a start

    def _reserve_again(self, order: int) -> None:
        self._unreserve(self.orders.rows[order])
        self._reserve(order, self.orders.rows[order])

    def doubt_of(self, order: int) -> dict[str, int]:
        """What an event that would end a held order says of one that may be at the broker: it is in doubt then."""
        if order not in self.suspects or not self.orders.rows[order].is_held:
            return {}
        return {"ord_status": OrdStatus.PENDING_NEW, "stage": Stage.IN_DOUBT, "hold": Hold.HOLD_NONE}

    def direction_of(self, terms: Terms) -> int:
        """Which way the price must go: a sell stop and a buy touch fire downwards."""
        is_down = (terms.trigger != TriggerKind.TOUCH) == (terms.side == Side.SELL)
        return Direction.DOWN if is_down else Direction.UP

    def is_fired(self, terms: Terms) -> bool:
        """Whether a price that waits for its turn to fire orders has reached the stop."""
        low_e9, high_e9 = self.fired_px.get((terms.instrument, terms.source), (0, 0))
        if self.direction_of(terms) == Direction.DOWN:
            return 0 < low_e9 <= terms.stop_px_e9
        return 0 < terms.stop_px_e9 <= high_e9

    def tighten(self, terms: Terms, change: int) -> None:
        """Count an order that rests here, or no longer, under an age limit of its own."""
        if terms.max_age_ns and change:
            limits = self.tight.setdefault(terms.instrument, {})
            limits[terms.max_age_ns] = limits.get(terms.max_age_ns, 0) + change
            if not limits[terms.max_age_ns]:
                del limits[terms.max_age_ns]

    def watch(self, order: int, row: OrderRow, *, is_moved: bool = False, extreme_px_e9: int = 0) -> None:
        """Keep the trigger index and the clocks equal to the set of orders that are held for a trigger.

        is_moved: its trail is another one now. extreme_px_e9: where a trail begins; 0: where it is, or at the next.
        """
        terms = row.terms
        if terms.trigger == TriggerKind.TIME:
            self.clocks.keep(order, terms.instrument, due_of(terms, row.live_ns) if row.is_held else 0)
            return
        if self.stops.holds(order):
            is_same = not is_moved and (row.is_trailing or self.stops.trigger_of(order) == terms.stop_px_e9)
            if row.is_held and is_same:
                return
            extreme_px_e9 = extreme_px_e9 or self.stops.extreme_of(order)
            self.stops.disarm_stop(order)
        if row.is_held and row.is_trailing:
            self._arm_trail(order, terms, extreme_px_e9)
        elif row.is_held:
            direction = self.direction_of(terms)
            if terms.trigger == TriggerKind.TRAIL:  # not active: it waits for a gain
                direction = Direction.UP if direction == Direction.DOWN else Direction.DOWN
            if self.stops.arm_stop(order, terms.instrument, terms.source, direction, terms.stop_px_e9) != 0:
                raise ValueError(f"order {order} cannot be armed at {terms.stop_px_e9}")

    def _arm_trail(self, order: int, terms: Terms, extreme_px_e9: int) -> None:
        line = terms.instrument, terms.source, self.direction_of(terms)
        tick_e9 = self.quotes.rows[terms.instrument].tick_e9
        if self.stops.arm_trailing(order, *line, terms.trail_e9, bool(terms.trail_unit), tick_e9, extreme_px_e9) != 0:
            raise ValueError(f"order {order} cannot trail by {terms.trail_e9} from {extreme_px_e9}")
        if order not in self.trails:
            self.trails.append(order)

    def begins_late(self, terms: Terms) -> bool:
        """A trail that begins at the next price, where older ones have yet to fire: they must not move it."""
        is_trail = terms.trigger == TriggerKind.TRAIL and not terms.stop_px_e9
        return is_trail and (terms.instrument, terms.source) in self.fired_px

    def has_trail_room(self, terms: Terms) -> bool:
        """Whether one more trail of this distance fits on its line."""
        line = terms.instrument, terms.source, self.direction_of(terms)
        tick_e9 = self.quotes.rows[terms.instrument].tick_e9
        return self.stops.has_trail_room(line, (terms.trail_unit, terms.trail_e9, tick_e9))

    def _apply_world(self, kind: int, payload: bytes, wall_ns: int) -> None:
        if kind == rec.EPOCH_STARTED:
            epoch = rec.read(rec.EpochBody, payload, 0)
            self.epoch = epoch.epoch
            self.name_history(epoch.history)
        elif kind == rec.ACCOUNT_OPENED:
            account = rec.read(rec.AccountBody, payload, 0)
            start = rec.LAYOUTS[rec.AccountBody].size
            if account.account != len(self.account_names):
                raise ValueError(
                    f"record {self.seq} opens account row {account.account}, expected {len(self.account_names)}"
                )
            self.open_account(account.account, payload[start : start + account.name_size])
            self.gate.open_account_py(account.account, account.group, account.cash_e4)
        elif kind == rec.INSTRUMENT_LISTED:
            self._list(payload)
        elif kind == rec.LIMITS_SET:
            limits = rec.read(rec.LimitsBody, payload, rec.LIMITS.size)
            fields = dict(zip(LIMIT_FIELDS, rec.LIMITS.unpack_from(payload), strict=True))
            self.gate.set_limits_py(limits.account, fields)
            self.limit_versions[limits.account] = limits.version
        elif kind == rec.HALT_CHANGED:
            self._halt(payload, wall_ns)
        elif kind == rec.INSTRUMENT_STATE:
            state = rec.read(rec.InstrumentStateBody, payload, 0)
            self.set_session(state.instrument, bool(state.is_open), bool(state.is_halted), bool(state.is_restricted))
        elif kind == rec.SUSPECTED:  # the end before was not orderly: what is held may have left, its firing lost
            for order in [order for rows in self.open_rows for order in rows if self.orders.rows[order].is_held]:
                self.suspects[order] = None
                self._reserve_again(order)
        elif kind == rec.CLEARED:
            order = int.from_bytes(payload, "little")
            self.suspects.pop(order, None)
            self._reserve_again(order)
        elif kind == rec.TRAIL_MARK:
            mark = rec.read(rec.TrailMarkBody, payload, 0)
            self.stops.advance(mark.instrument, mark.source, mark.px_e9)
        elif kind == rec.BROKEN_EARLY:
            body = rec.read(rec.BrokenEarlyBody, payload, 0)
            self.orders.break_early(body.order, body.exec_id[: body.exec_size])
        elif kind not in (rec.STOPPED, rec.BROKER_ANOMALY):
            raise ValueError(f"record {self.seq} has the unknown kind {kind}: written by a newer version?")

    def set_session(self, instrument: int, is_open: bool, is_halted: bool, is_restricted: bool) -> None:
        """What the market of the instrument does: it fires no order, for a price or a time, while it does not trade."""
        self.quotes.set_state(instrument, is_open, is_halted, is_restricted)
        self.clocks.let(instrument, is_open and not is_halted)

    def name_history(self, history: bytes) -> None:
        self.history = history
        self.history_tag = _digits(int.from_bytes(history[:4], "big") >> 7, 5)

    def open_account(self, row: int, name: bytes) -> None:
        self.accounts[name.decode()] = row
        self.account_names.append(name.decode())
        self.names.name_account(row, name)

    def _list(self, payload: bytes) -> None:
        body = rec.read(rec.InstrumentBody, payload, 0)
        start = rec.LAYOUTS[rec.InstrumentBody].size
        symbol = payload[start : start + body.symbol_size].decode()
        row = self.list_instrument(
            symbol, body.tick_e9, body.lot_e9, body.min_qty_e9, body.max_age_ns, body.outside_bps_e9, body.asset_class
        )
        if row != body.instrument:
            raise ValueError(f"record {self.seq} lists instrument row {body.instrument}, expected {row}")

    def list_instrument(
        self, symbol: str, tick_e9: int, lot_e9: int, min_qty_e9: int, max_age_ns: int, outside_bps_e9: int,
        asset_class: int,
    ) -> int:  # fmt: skip
        """A row in each table that has one for every instrument; open and not halted."""
        row = self.quotes.add(
            symbol, tick_e9=tick_e9, lot_e9=lot_e9, min_qty_e9=min_qty_e9, max_age_ns=max_age_ns,
            outside_bps_e9=outside_bps_e9, asset_class=asset_class,
        )  # fmt: skip
        self.names.name_symbol(row, symbol.encode())
        self.stops.set_tick(row, tick_e9)
        return row

    def _halt(self, payload: bytes, wall_ns: int) -> None:
        body = rec.read(rec.HaltBody, payload, 0)
        at = rec.LAYOUTS[rec.HaltBody].size
        target = ""
        if body.scope == HaltScope.ACCOUNT:
            target = self.account_names[body.row]
        elif body.scope == HaltScope.INSTRUMENT:
            target = self.quotes.symbol_of(body.row)
        actor = payload[at : at + body.actor_size].decode()
        reason = payload[at + body.actor_size : at + body.actor_size + body.reason_size].decode()
        self.halts.apply(
            HaltChange(
                action=HaltAction(body.action), halt_id=body.halt_id, scope=HaltScope(body.scope), target=target,
                level=HaltLevel(body.level), effective=HaltLevel(body.effective), actor=actor, reason=reason,
                wall_ns=wall_ns,
            )
        )  # fmt: skip
        self.gate.set_halt_py(body.scope, body.row, body.effective)

    # --- replay, snapshot, digest -------------------------------------------------------------------------------------

    def replay(self, block: memoryview, base: int) -> int:
        """Apply a run of sound frames whose first byte lies at journal position `base`; returns how many."""
        data = bytes(block)
        at = count = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 4], "little")
            seq, wall_ns, _, kind, version, _, _ = frame.COVERED.unpack_from(data, at + 8)
            payload = data[at + frame.FRAME_HEADER_BYTES : at + length]
            if version != rec.PAYLOAD_VERSION:
                raise ValueError(f"record {seq} has payload version {version}; this build reads {rec.PAYLOAD_VERSION}")
            self.seq = seq
            if kind >= rec.ACCEPTED:
                self._positions[int.from_bytes(payload[8:12], "little")].append(base + at)
            self.apply(kind, payload, wall_ns)
            at += frame.space(length - frame.FRAME_HEADER_BYTES)
            count += 1
        return count

    def dump(self) -> bytes:
        """Canonical bytes of the state: two states are equal when these are."""
        return b"".join(len(part).to_bytes(8, "little") + part for part in image.image_of(self))

    def digest(self) -> str:
        """BLAKE2b-256 of the canonical bytes, hexadecimal."""
        return hashlib.blake2b(self.dump(), digest_size=32).hexdigest()

    def positions_dump(self) -> bytes:
        """Journal positions of all events, the annex of a snapshot (no part of the digest)."""
        rows = (
            b"".join(at.to_bytes(8, "little") for at in self._positions[row]) for row in range(len(self.account_names))
        )
        return b"".join(len(row).to_bytes(8, "little") + row for row in rows)

    def load(self, data: bytes, positions: bytes) -> None:
        """Fill an empty state from `dump` and `positions_dump`; raises ValueError when they do not fit."""
        image.fill(self, data)
        at = 0
        for row in range(len(self.account_names)):
            size = int.from_bytes(positions[at : at + 8], "little")
            chunk = positions[at + 8 : at + 8 + size]
            self._positions[row] = [int.from_bytes(chunk[k : k + 8], "little") for k in range(0, size // 8 * 8, 8)]
            at += 8 + size


def due_of(terms: Terms, armed_ns: int) -> int:
    """When a time order fires by the wall clock, if it is armed then."""
    return terms.at_ns or armed_ns + terms.after_ns


def trail_of(terms: Terms) -> tuple[int, int, int]:
    """What a trailing stop must be armed anew for."""
    return terms.trail_e9, terms.trail_unit, terms.stop_px_e9


def _digits(value: int, count: int) -> bytes:
    """The last `count` digits of a number in Crockford base32."""
    return "".join(CROCKFORD[value >> 5 * place & 31] for place in reversed(range(count))).encode()
