"""The whole state of a shard, changed by records only: `apply` is the one function that moves it, live and in replay.

Deterministic: no clock, no random number, no I/O. `Recorder` writes the records.
"""
import hashlib

from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from hotpath.checks cimport Gate, Limits, PairRow
from hotpath.enums cimport *
from hotpath.frame cimport FrameHeader, frame_space
from hotpath.orders cimport OrderRow, OrderTable, is_done
from hotpath.plants cimport FREE_ALL_ON_CANCEL, KEEP_TRAILS_STILL, RESERVE_ON_ACKNOWLEDGEMENT, is_planted
from hotpath.quotes cimport QuoteTable
from hotpath.records cimport *
from hotpath.stops cimport TriggerIndex
from hotpath.wire cimport Renderer
from gateway.core.clocks cimport Clocks
from gateway.core.links cimport Due, Links
from gateway.core.recorder cimport Recorder
from gateway.core.trails cimport Trails

from hotpath.enums import HaltLevel as _HaltLevel, HaltScope as _HaltScope
from risk.halts import HaltAction, HaltBook, HaltChange


cdef class State(Recorder):
    """Tables of one shard.

    Args:
        shard: number of the shard, part of every broker-side id.
        orders, accounts, instruments: capacities; a full table is a refusal, never a resize.
    """

    def __cinit__(self, *, uint32_t shard, uint32_t orders, uint32_t accounts, uint32_t instruments):
        self.shard = shard
        self.quotes = QuoteTable(instruments)
        self.orders = OrderTable(orders)
        self.stops = TriggerIndex(instruments, orders)
        self.clocks = Clocks(instruments)
        self.trails = Trails(orders)
        self.links = Links(self.orders)
        self.gate = Gate(self.quotes, accounts)
        self.names = Renderer(accounts, instruments)
        self.accounts, self.account_names = {}, []
        self.halts = HaltBook()
        self.revisions, self.batches, self.suspects, self.limit_versions, self.tight = {}, {}, {}, {}, {}
        self.history = bytes(16)
        self.acct_seqs = <uint64_t*>calloc(accounts, sizeof(uint64_t))
        self.make_room(accounts)
        self.held = <uint32_t*>calloc(instruments, sizeof(uint32_t))
        self.fired_px = <FiredSpan*>calloc(instruments * SOURCES, sizeof(FiredSpan))
        self.order_before = <uint32_t*>malloc(orders * sizeof(uint32_t))
        self.order_last = <uint32_t*>malloc(accounts * sizeof(uint32_t))
        self.open_next = <uint32_t*>malloc(orders * sizeof(uint32_t))
        self.open_prev = <uint32_t*>malloc(orders * sizeof(uint32_t))
        self.open_head = <uint32_t*>malloc(accounts * sizeof(uint32_t))
        self.open_tail = <uint32_t*>malloc(accounts * sizeof(uint32_t))
        if (self.acct_seqs == NULL or self.held == NULL or self.fired_px == NULL or self.order_before == NULL or self.order_last == NULL or self.open_next == NULL
                or self.open_prev == NULL or self.open_head == NULL or self.open_tail == NULL):
            raise MemoryError("no room for the state of the shard")
        memset(self.order_last, 0xFF, accounts * sizeof(uint32_t))
        memset(self.open_head, 0xFF, accounts * sizeof(uint32_t))
        memset(self.open_tail, 0xFF, accounts * sizeof(uint32_t))

    def __dealloc__(self):
        free(self.acct_seqs)
        free(self.held)
        free(self.fired_px)
        free(self.order_before)
        free(self.order_last)
        free(self.open_next)
        free(self.open_prev)
        free(self.open_head)
        free(self.open_tail)

    # --- writing records -----------------------------------------------------------------------------------------

    cdef OrderEvent* begin(self, uint32_t order) noexcept nogil:
        """Start an order event from the order as it stands; the caller changes what the event changes."""
        cdef OrderEvent* ev = <OrderEvent*>self.scratch
        cdef OrderRow* row = &self.orders.rows[order]
        memset(self.scratch, 0, 512)
        ev.account = row.account
        ev.order = order
        ev.acct_seq = self.acct_seqs[row.account] + 1
        ev.cum_qty_e9 = row.cum_qty_e9
        ev.leaves_qty_e9 = self.orders.leaves_qty(row)
        ev.avg_px_e9 = self.orders.average_px(row, 0, 0)
        ev.rev = row.rev
        ev.ord_status = row.ord_status
        ev.stage = row.stage
        ev.hold = row.hold
        ev.pending = row.pending
        ev.cl_size = row.cl_size
        memcpy(ev.cl_ord_id, row.cl_ord_id, 37)
        return ev

    cdef uint64_t commit_replaced(self, uint32_t order) except 0:
        """Commit a REPLACED whose body is in the scratch buffer, with the order's texts behind it."""
        cdef bytes texts = self.texts_of(order, &(<ReplaceBody*>self.body()).session_size)
        memcpy(self.body() + sizeof(ReplaceBody), <const char*>texts, len(texts))
        return self.commit(Kind.REPLACED, sizeof(ReplaceBody) + len(texts))

    cdef bytes texts_of(self, uint32_t order, uint8_t* sizes):
        cdef OrderRow* row = &self.orders.rows[order]
        cdef OrderRow* parent = &self.orders.rows[row.terms.parent - 1 if row.terms.parent else 0]
        cdef list texts = self.orders.texts
        after = parent.cl_ord_id[: parent.cl_size] if row.terms.parent else b""
        found = (texts[row.session], texts[row.tag], texts[row.signal], after, texts[row.oco])
        for i, text in enumerate(found):
            sizes[<Py_ssize_t>i] = <uint8_t>len(text)
        return b"".join(found)

    cdef uint64_t emit(self, int kind, Py_ssize_t payload_bytes) except 0:
        cdef uint64_t seq = Recorder.emit(self, kind, payload_bytes)
        cdef uint32_t order
        if Kind.ACCEPTED <= kind < Kind.CANCEL_ALL_EV or kind == Kind.CLEARED:
            order = (<ClearedBody*>self.scratch).order if kind == Kind.CLEARED else (<OrderEvent*>self.scratch).order
            if self.links.touches(order):
                self.links.due.push_back(Due(order, kind))
        if not self.links.due.empty() and not self.grouped and not self.is_deferring:
            self._settle()
        return seq

    cdef int _settle(self) except -1:
        """What the record means for orders that are tied to its own."""
        from gateway.core.shares import settle

        settle(self)
        return 0

    # --- applying records ----------------------------------------------------------------------------------------

    def history_text(self) -> bytes:
        """The five characters of the history in broker-side ids."""
        return self.history_tag[:5]

    cdef int apply(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1:
        self.last_wall_ns = wall_ns
        if 0 <= kind < 96:
            self.kind_counts[kind] += 1
        if kind >= Kind.CANCEL_ALL_EV:
            self._count((<const AccountEvent*>payload).account, (<const AccountEvent*>payload).acct_seq)
            if kind == Kind.BATCH_EV:
                self.batches[(<const AccountEvent*>payload).account, (<const AccountEvent*>payload).acct_seq] = (
                    (<const AccountEvent*>payload).count)
            return 0
        if kind >= Kind.ACCEPTED:
            return self._apply_order(kind, payload, size, wall_ns)
        return self._apply_world(kind, payload, size, wall_ns)

    cdef int _count(self, uint32_t account, uint64_t acct_seq) except -1:
        if account >= <uint32_t>len(self.account_names) or acct_seq != self.acct_seqs[account] + 1:
            raise ValueError(f"record {self.seq}: event {acct_seq} of account row {account} does not follow the last one")
        self.acct_seqs[account] = acct_seq
        self.events += 1
        return 0

    cdef int _apply_order(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1:
        cdef const OrderEvent* ev = <const OrderEvent*>payload
        cdef const TradeBody* trade = <const TradeBody*>(payload + sizeof(OrderEvent))
        cdef const TradeCanceledBody* broken = <const TradeCanceledBody*>(payload + sizeof(OrderEvent))
        cdef const ReplaceBody* replace = <const ReplaceBody*>(payload + sizeof(OrderEvent))
        cdef const TrailedBody* trailed = <const TrailedBody*>(payload + sizeof(OrderEvent))
        cdef OrderRow* row
        cdef bint is_moved = False
        cdef bint was_open = False
        cdef bint was_held = False
        cdef bint was_watched = False
        cdef bint was_doubted = False
        self._count(ev.account, ev.acct_seq)
        if kind != Kind.ACCEPTED and ev.order < self.orders.count:
            was_open = not is_done(self.orders.rows[ev.order].ord_status)
            was_held = is_held(&self.orders.rows[ev.order])
            was_watched = is_watched(&self.orders.rows[ev.order])
            was_doubted = is_doubted(&self.orders.rows[ev.order])
            if kind == Kind.REPLACED:
                is_moved = not is_same_trail(&replace.terms, &self.orders.rows[ev.order].terms)
            elif kind == Kind.TRAILED:
                is_moved = trailed.activated
        if self.orders.apply(kind, payload, size, wall_ns) != 0:
            raise ValueError(f"record {self.seq} of kind {kind} does not fit the order table (row {ev.order})")
        if kind == Kind.SENT_EV and self.suspects:     # it fired in this life: its own story goes on
            self.suspects.pop(ev.order, None)
        row = &self.orders.rows[ev.order]
        self.held[row.terms.instrument] += is_watched(row)
        self.held[row.terms.instrument] -= was_watched
        if row.terms.max_age_ns and is_held(row) != was_held:
            self._tighten(&row.terms, 1 if is_held(row) else -1)
        self.doubts += is_doubted(row)
        self.doubts -= was_doubted
        if kind == Kind.ACCEPTED:
            self._chain(ev.order, row.account)
            self.links.tie(ev.order)
        self._unreserve(row)
        if kind == Kind.TRADE:
            if self.gate.fill(row.account, row.terms.instrument, row.terms.side, trade.last_qty_e9, trade.last_px_e9, trade.fee_e4):
                raise ValueError(f"record {self.seq}: the position cannot take a fill of {trade.last_qty_e9} at {trade.last_px_e9}")
        elif kind == Kind.TRADE_CANCELED:
            if self.gate.fill(row.account, row.terms.instrument, Side.SELL if row.terms.side == Side.BUY else Side.BUY,
                              broken.last_qty_e9, broken.last_px_e9, 0):
                raise ValueError(f"record {self.seq}: the position cannot give back a fill of {broken.last_qty_e9}")
        elif (kind == Kind.PENDING_REPLACE_EV or kind == Kind.REPLACED) and replace.content_hash:
            self.revisions[(ev.order, replace.ask_rev)] = (ev.acct_seq, replace.content_hash)
        self._reserve(row)
        if was_open and is_done(row.ord_status):
            self.gate.count_open(row.account, -1)
            self._unlink(ev.order, row.account)
            self.done_counts[row.ord_status * 32 + ev.reason % 32] += 1
        elif not was_open and not is_done(row.ord_status):      # accepted, or found working after it was called done
            self.gate.count_open(row.account, 1)
            self._link(ev.order, row.account)
        return self._watch(ev.order, row, is_moved, trailed.extreme_px_e9 if kind == Kind.TRAILED else 0)

    cdef void _chain(self, uint32_t order, uint32_t account) noexcept nogil:
        self.order_before[order] = self.order_last[account]
        self.order_last[account] = order

    cdef void _link(self, uint32_t order, uint32_t account) noexcept nogil:
        cdef uint32_t before = self.open_tail[account]
        cdef uint32_t after
        while before != NO_ROW and before > order:              # only an order that was called done finds one
            before = self.open_prev[before]
        after = self.open_head[account] if before == NO_ROW else self.open_next[before]
        self.open_prev[order] = before
        self.open_next[order] = after
        if before == NO_ROW:
            self.open_head[account] = order
        else:
            self.open_next[before] = order
        if after == NO_ROW:
            self.open_tail[account] = order
        else:
            self.open_prev[after] = order

    cdef void _unlink(self, uint32_t order, uint32_t account) noexcept nogil:
        cdef uint32_t before = self.open_prev[order]
        cdef uint32_t after = self.open_next[order]
        if before == NO_ROW:
            self.open_head[account] = after
        else:
            self.open_next[before] = after
        if after == NO_ROW:
            self.open_tail[account] = before
        else:
            self.open_prev[after] = before

    cdef int _unreserve(self, OrderRow* row) except -1:
        if row.reserved_qty_e9:
            self.gate.unreserve(row.account, row.terms.instrument, row.terms.side, row.reserved_qty_e9, row.reserved_px_e9,
                                row.terms.reduce_only, row.reserved_resting)
        row.reserved_qty_e9 = row.reserved_resting = 0
        return 0

    cdef int _reserve(self, OrderRow* row) except -1:
        """Hold at the gate what may still fill: leaves under the largest terms that can be in force there, or what is owed.

        While the order is open, what is owed is a part of leaves, or it is all that the broker's larger count says.
        """
        cdef int64_t qty_e9 = row.owed_qty_e9
        cdef int64_t px = row.ref_px_e9
        cdef bint live = row.ord_status >= OrdStatus.PENDING_NEW and not is_done(row.ord_status)
        if self.suspects and is_held(row) and <uint32_t>(row - self.orders.rows) in self.suspects:
            live = True
        if is_planted(RESERVE_ON_ACKNOWLEDGEMENT) and row.ord_status == OrdStatus.PENDING_NEW:
            return 0
        if is_planted(FREE_ALL_ON_CANCEL) and row.ord_status == OrdStatus.CANCELED:
            return 0
        if live:
            qty_e9 = max(qty_e9, row.terms.order_qty_e9 - row.cum_qty_e9)
            if row.open_asks:
                qty_e9 = max(qty_e9, row.ask_most_qty_e9 - row.cum_qty_e9)
                px = max(px, row.ask_most_px_e9)
        if qty_e9 <= 0:
            return 0
        row.reserved_qty_e9, row.reserved_px_e9, row.reserved_side = qty_e9, px, row.terms.side
        row.reserved_resting = live and row.terms.ord_type == OrdType.LIMIT
        if self.gate.reserve(row.account, row.terms.instrument, row.terms.side, qty_e9, px, row.terms.reduce_only,
                             row.reserved_resting):
            if not is_held(row):
                raise ValueError(f"record {self.seq}: the gate cannot hold {qty_e9} at {px}")
            row.reserved_qty_e9 = row.reserved_resting = 0       # a suspect beyond all numbers must not stop a start
        return 0

    cdef int _tighten(self, const Terms* terms, int change) except -1:
        """Count an order that rests here, or no longer, under an age limit of its own."""
        cdef dict limits = self.tight.setdefault(terms.instrument, {})
        limits[terms.max_age_ns] = limits.get(terms.max_age_ns, 0) + change
        if not limits[terms.max_age_ns]:
            del limits[terms.max_age_ns]
        return 0

    cdef int _watch(self, uint32_t order, OrderRow* row, bint is_moved, int64_t extreme_px_e9) except -1:
        """Keep the trigger index and the clocks equal to the set of orders that are held for a trigger.

        Args:
            is_moved: its trail is another one now. extreme_px_e9: where a trail begins, 0 = where it is, or at the next price.
        """
        cdef bint wanted = is_held(row)
        if row.terms.trigger == TriggerKind.TIME:
            return self.clocks.keep(order, row.terms.instrument, due_of(&row.terms, row.live_ns) if wanted else 0)
        if self.stops.is_armed(order):
            if wanted and not is_moved and (row.is_trailing or self.stops.trigger_px(order) == row.terms.stop_px_e9):
                return 0
            if extreme_px_e9 == 0:
                extreme_px_e9 = self.stops.extreme_px(order)
            self.stops.disarm(order)
        if wanted and row.is_trailing:
            return self._arm_trail(order, row, extreme_px_e9)
        if wanted and self.stops.arm(order, row.terms.instrument, row.terms.source, armed_direction(row),
                                     row.terms.stop_px_e9) != 0:
            raise ValueError(f"order {order} cannot be armed at {row.terms.stop_px_e9}")
        return 0

    cdef int _arm_trail(self, uint32_t order, OrderRow* row, int64_t extreme_px_e9) except -1:
        cdef const Terms* t = &row.terms
        if self.stops.arm_trail(order, t.instrument, t.source, direction_of(t), t.trail_e9, t.trail_unit,
                                self.quotes.rows[t.instrument].tick_e9, extreme_px_e9) != 0:
            raise ValueError(f"order {order} cannot trail by {t.trail_e9} from {extreme_px_e9}")
        self.trails.add(order)
        return 0

    cdef int _apply_world(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1:
        cdef const EpochBody* epoch = <const EpochBody*>payload
        cdef const AccountBody* account = <const AccountBody*>payload
        cdef const LimitsBody* limits = <const LimitsBody*>payload
        cdef const InstrumentStateBody* state = <const InstrumentStateBody*>payload
        cdef const TrailMarkBody* mark = <const TrailMarkBody*>payload
        cdef bytes name
        if kind == Kind.EPOCH_STARTED:
            self.epoch = epoch.epoch
            self._name_history(epoch.history[:16])
        elif kind == Kind.ACCOUNT_OPENED:
            name = payload[sizeof(AccountBody) : sizeof(AccountBody) + account.name_size]
            if account.account != len(self.account_names):
                raise ValueError(f"record {self.seq} opens account row {account.account}, expected {len(self.account_names)}")
            self._open(account.account, name)
            self.gate.open_account(account.account, account.group, account.cash_e4)
        elif kind == Kind.INSTRUMENT_LISTED:
            self._list(<const InstrumentBody*>payload)
        elif kind == Kind.LIMITS_SET:
            self.gate.set_limits(limits.account, &limits.limits)
            self.limit_versions[limits.account] = limits.version
        elif kind == Kind.HALT_CHANGED:
            self._halt(<const HaltBody*>payload, payload + sizeof(HaltBody), wall_ns)
        elif kind == Kind.INSTRUMENT_STATE:
            self._set_session(state.instrument, state.is_open, state.is_halted, state.is_restricted)
        elif kind == Kind.TRAIL_MARK:
            if not is_planted(KEEP_TRAILS_STILL):
                self.stops.advance_trails(mark.instrument, mark.source, mark.px_e9)
        elif kind == Kind.BROKEN_EARLY:
            self.orders.break_early(<const BrokenEarlyBody*>payload)
        elif kind == Kind.SUSPECTED:
            self._suspect()
        elif kind == Kind.CLEARED:
            self.suspects.pop((<const ClearedBody*>payload).order, None)
            self._reserve_again((<const ClearedBody*>payload).order)
        elif kind != Kind.STOPPED and kind != Kind.BROKER_ANOMALY:
            raise ValueError(f"record {self.seq} has the unknown kind {kind}: written by a newer version?")
        return 0

    cdef int _suspect(self) except -1:
        """The end before was not orderly: what is held for a trigger may have left, its firing lost."""
        cdef uint32_t order, account
        for account in range(<uint32_t>len(self.account_names)):
            order = self.open_head[account]
            while order != NO_ROW:
                if is_held(&self.orders.rows[order]):
                    self.suspects[order] = None
                    self._reserve_again(order)
                order = self.open_next[order]
        return 0

    cdef int _reserve_again(self, uint32_t order) except -1:
        self._unreserve(&self.orders.rows[order])
        return self._reserve(&self.orders.rows[order])

    cdef bint begin_doubt(self, uint32_t order) except -1:
        """Whether the event begun is of a held order that may be at the broker: it cannot just end, it is in doubt then."""
        cdef OrderEvent* ev = <OrderEvent*>self.scratch
        if not (self.suspects and is_held(&self.orders.rows[order]) and order in self.suspects):
            return False
        ev.ord_status, ev.stage, ev.hold = OrdStatus.PENDING_NEW, Stage.IN_DOUBT, Hold.HOLD_NONE
        return True

    def _name_history(self, bytes history):
        cdef int i
        cdef uint64_t bits = int.from_bytes(history[:4], "big") >> 7
        self.history = history
        for i in range(5):
            self.history_tag[i] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[(bits >> (5 * (4 - i))) & 31]
        self.history_tag[5] = 0

    def _open(self, uint32_t row, bytes name):
        self.accounts[name.decode()] = row
        self.account_names.append(name.decode())
        self.names.name_account(row, name)

    cdef int _list(self, const InstrumentBody* body) except -1:
        cdef bytes symbol = (<const char*>body + sizeof(InstrumentBody))[: body.symbol_size]
        row = self.quotes.add(
            symbol.decode(), tick_e9=body.tick_e9, lot_e9=body.lot_e9, min_qty_e9=body.min_qty_e9,
            max_age_ns=body.max_age_ns, outside_bps_e9=body.outside_bps_e9, asset_class=body.asset_class,
        )
        if row != body.instrument:
            raise ValueError(f"record {self.seq} lists instrument row {body.instrument}, expected {row}")
        self.names.name_symbol(row, symbol)
        self.stops.set_tick(row, body.tick_e9)
        return self._set_session(row, True, False, False)

    cdef int _set_session(self, uint32_t instrument, bint is_open, bint is_halted, bint is_restricted) except -1:
        """What the market of the instrument does: it fires no order, for a price or a time, while it does not trade."""
        self.quotes.set_session(instrument, is_open, is_halted, is_restricted)
        return self.clocks.let(instrument, is_open and not is_halted)

    cdef int _halt(self, const HaltBody* body, const char* tail, int64_t wall_ns) except -1:
        target = ""
        if body.scope == HaltScope.ACCOUNT:
            target = self.account_names[body.index]
        elif body.scope == HaltScope.INSTRUMENT:
            target = self.quotes.symbol_of(body.index)
        self.halts.apply(HaltChange(
            action=HaltAction(body.action), halt_id=body.halt_id, scope=_HaltScope(body.scope), target=target,
            level=_HaltLevel(body.level), effective=_HaltLevel(body.effective), actor=tail[: body.actor_size].decode(),
            reason=tail[body.actor_size : body.actor_size + body.reason_size].decode(), wall_ns=wall_ns,
        ))
        self.gate.set_halt(body.scope, body.index, body.effective)
        return 0

    # --- replay, snapshot, digest --------------------------------------------------------------------------------

    def replay(self, block: memoryview, uint64_t base) -> int:
        """Apply a run of sound frames whose first byte lies at journal position `base`; returns how many."""
        cdef const unsigned char[::1] view = block
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t size = view.shape[0]
        cdef const FrameHeader* head
        cdef const char* payload
        cdef int count = 0
        while at < size:
            head = <const FrameHeader*>&view[at]
            payload = <const char*>head + sizeof(FrameHeader)
            if head.version != PAYLOAD_VERSION:
                raise ValueError(f"record {head.seq} has payload version {head.version}; this build reads {PAYLOAD_VERSION}")
            self.seq = head.seq
            if head.kind >= Kind.ACCEPTED:
                if head.kind < Kind.CANCEL_ALL_EV:
                    self.lies_at((<const OrderEvent*>payload).account, base + at)
                else:
                    self.lies_at((<const AccountEvent*>payload).account, base + at)
            self.apply(head.kind, payload, head.length - sizeof(FrameHeader), head.wall_ns)
            at += frame_space(head.length - sizeof(FrameHeader))
            count += 1
        return count

    def dump(self) -> bytes:
        """Canonical bytes of the state: two states are equal when these are."""
        from gateway.core.image import image_of

        return b"".join(len(part).to_bytes(8, "little") + part for part in image_of(self))

    def digest(self) -> str:
        """BLAKE2b-256 of the canonical bytes, hexadecimal."""
        from gateway.core.image import image_of

        total = hashlib.blake2b(digest_size=32)
        for part in image_of(self):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
        return total.hexdigest()

    def positions_dump(self) -> bytes:
        """Journal positions of all events, the annex of a snapshot (no part of the digest)."""
        return self.positions_image(<uint32_t>len(self.account_names))

    def load(self, data: bytes, positions: bytes) -> None:
        """Fill an empty state from `dump` and `positions_dump`; raises ValueError when they do not fit."""
        from gateway.core.image import fill

        fill(self, data)
        self.load_positions(<uint32_t>len(self.account_names), positions)
