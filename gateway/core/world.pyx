"""Records about the world around orders: epochs, accounts, instruments, limits, halts, protection."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t, uint16_t
from libc.string cimport memcpy, memset
from hotpath.checks cimport Limits
from hotpath.enums cimport HaltScope
from hotpath.records cimport *
from gateway.core.shares cimport heal
from gateway.core.state cimport State

cdef enum:
    ACTOR_MAX = 64
    SET = 0                              # risk.halts.HaltAction
    LIFT_REQUESTED = 1


cdef class World:
    """Writes the records that are no order's.

    Args:
        state: the shard's state.
    """

    cdef State state

    def __cinit__(self, State state not None):
        self.state = state

    cdef char* _clear(self, int64_t wall_ns) noexcept:
        self.state.wall_ns = wall_ns
        memset(self.state.scratch, 0, 1024)
        return self.state.scratch

    def start_epoch(self, uint32_t epoch, bytes history not None, int64_t wall_ns) -> int:
        """One term of leadership begins; `history` (16 bytes) names this journal's past."""
        cdef EpochBody* body = <EpochBody*>self._clear(wall_ns)
        if len(history) != 16:
            raise ValueError("a history is named by 16 bytes")
        self.state.epoch = epoch
        body.epoch = epoch
        body.shard = self.state.shard
        memcpy(body.history, <const char*>history, 16)
        return self.state.emit(Kind.EPOCH_STARTED, sizeof(EpochBody))

    def stopped(self, int64_t wall_ns) -> int:
        """An orderly end: nothing was under way that this journal does not tell."""
        self._clear(wall_ns)
        return self.state.emit(Kind.STOPPED, 8)

    def suspect(self, int64_t wall_ns) -> int:
        """The end before was not orderly: each order held for its trigger may be at the broker, until `clear`."""
        self._clear(wall_ns)
        return self.state.emit(Kind.SUSPECTED, 8)

    def clear(self, uint32_t order, int64_t wall_ns) -> int:
        """The broker said where a suspect is, or proved that it has not got it."""
        cdef ClearedBody* body = <ClearedBody*>self._clear(wall_ns)
        body.order = order
        return self.state.emit(Kind.CLEARED, sizeof(ClearedBody))

    def heal(self, int64_t wall_ns) -> None:
        """Make up for what a crash cut off between a record and what it means for tied orders."""
        heal(self.state, wall_ns)

    def open_account(self, bytes name not None, uint32_t group, int64_t cash_e4, int64_t wall_ns) -> int:
        """A new account; returns its row."""
        cdef AccountBody* body = <AccountBody*>self._clear(wall_ns)
        cdef uint32_t row = <uint32_t>len(self.state.account_names)
        if row >= self.state.gate.account_capacity:
            raise ValueError(f"no room for account {name.decode()}: raise capacity.accounts ({row})")
        body.cash_e4 = cash_e4
        body.account = row
        body.group = group
        body.name_size = <uint16_t>len(name)
        memcpy(self.state.scratch + sizeof(AccountBody), <const char*>name, len(name))
        self.state.emit(Kind.ACCOUNT_OPENED, sizeof(AccountBody) + len(name))
        return row

    def list_instrument(self, bytes symbol not None, *, int64_t tick_e9, int64_t lot_e9, int64_t min_qty_e9,
                        int64_t max_age_ns, int64_t outside_bps_e9, int asset_class, int64_t wall_ns) -> int:
        """A new instrument; returns its row."""
        cdef InstrumentBody* body = <InstrumentBody*>self._clear(wall_ns)
        cdef uint32_t row = self.state.quotes.count
        if row >= self.state.quotes.capacity:
            raise ValueError(f"no room for instrument {symbol.decode()}: raise capacity.instruments ({row})")
        body.tick_e9 = tick_e9
        body.lot_e9 = lot_e9
        body.min_qty_e9 = min_qty_e9
        body.max_age_ns = max_age_ns
        body.outside_bps_e9 = outside_bps_e9
        body.instrument = row
        body.asset_class = asset_class
        body.symbol_size = <uint8_t>len(symbol)
        memcpy(self.state.scratch + sizeof(InstrumentBody), <const char*>symbol, len(symbol))
        self.state.emit(Kind.INSTRUMENT_LISTED, sizeof(InstrumentBody) + len(symbol))
        return row

    def set_limits(self, uint32_t account, limits: dict, uint32_t version, int64_t wall_ns) -> int:
        """The account's limits, whole: a dict with every member of `hotpath.checks.Limits`."""
        cdef LimitsBody* body = <LimitsBody*>self._clear(wall_ns)
        body.limits = limits
        body.account = account
        body.version = version
        return self.state.emit(Kind.LIMITS_SET, sizeof(LimitsBody))

    def change_halt(self, change not None, uint32_t index) -> int:
        """A `risk.halts.HaltChange` of account or instrument row `index` (0 for all); in force when this returns."""
        cdef HaltBody* body = <HaltBody*>self._clear(change.wall_ns)
        cdef bytes actor = change.actor.encode()
        cdef bytes reason = change.reason.encode()
        if len(actor) > ACTOR_MAX or len(reason) > TEXT_MAX:
            raise ValueError("actor or reason of a halt is too long for its record")
        body.halt_id = change.halt_id
        body.scope = change.scope
        body.index = index
        body.level = change.level
        body.effective = change.effective
        body.action = change.action
        body.actor_size = <uint16_t>len(actor)
        body.reason_size = <uint16_t>len(reason)
        memcpy(self.state.scratch + sizeof(HaltBody), <const char*>actor, len(actor))
        memcpy(self.state.scratch + sizeof(HaltBody) + len(actor), <const char*>reason, len(reason))
        self.state.grouped = change.scope == HaltScope.ACCOUNT and change.action != LIFT_REQUESTED   # halt and event, or neither
        seq = self.state.emit(Kind.HALT_CHANGED, sizeof(HaltBody) + len(actor) + len(reason))
        if self.state.grouped:
            self.state.grouped = 0
            self._account_halt(change.halt_id, index, change.level, change.action == SET, reason)
            return self.state.seq
        return seq

    cdef int _account_halt(self, uint64_t halt_id, uint32_t account, int level, bint on, bytes reason) except -1:
        cdef AccountEvent* ev = <AccountEvent*>self._clear(self.state.wall_ns)
        ev.account = account
        ev.acct_seq = self.state.acct_seqs[account] + 1
        ev.count = <uint32_t>halt_id
        ev.level = level
        ev.state = on
        ev.text_size = <uint16_t>len(reason)
        memcpy(self.state.scratch + sizeof(AccountEvent), <const char*>reason, len(reason))
        self.state.emit(Kind.HALT_EV, sizeof(AccountEvent) + len(reason))
        return 0

    def guard(self, uint32_t account, int state, bytes symbol not None, bytes cause not None, bytes orders not None,
              int64_t since_ns, int64_t wall_ns) -> int:
        """Protection of some orders changed: state 0 unguarded, 1 armed, 2 blind; `orders` are names joined by commas."""
        cdef AccountEvent* ev = <AccountEvent*>self._clear(wall_ns)
        cdef char* tail = self.state.scratch + sizeof(AccountEvent)
        if len(orders) > 1500:
            raise ValueError("too many orders for one guard event: make several")
        ev.account = account
        ev.acct_seq = self.state.acct_seqs[account] + 1
        ev.state = state
        ev.since_ns = since_ns
        ev.symbol_size = <uint16_t>len(symbol)
        ev.text_size = <uint16_t>len(cause)
        ev.orders_size = <uint16_t>len(orders)
        memcpy(tail, <const char*>symbol, len(symbol))
        memcpy(tail + len(symbol), <const char*>cause, len(cause))
        memcpy(tail + len(symbol) + len(cause), <const char*>orders, len(orders))
        return self.state.emit(Kind.GUARD_EV, sizeof(AccountEvent) + len(symbol) + len(cause) + len(orders))

    def set_instrument(self, uint32_t instrument, bint is_open, bint is_halted, bint is_restricted, int64_t wall_ns) -> int:
        """Session, market halt and restriction of an instrument."""
        cdef InstrumentStateBody* body = <InstrumentStateBody*>self._clear(wall_ns)
        body.instrument = instrument
        body.is_open = is_open
        body.is_halted = is_halted
        body.is_restricted = is_restricted
        return self.state.emit(Kind.INSTRUMENT_STATE, sizeof(InstrumentStateBody))
