"""Twin of gateway.core.world: records about epochs, accounts, instruments, limits, halts and protection."""

from __future__ import annotations

from gateway.core.ref import shares
from gateway.core.ref.state import State
from hotpath.enums import HaltScope
from hotpath.ref import records as rec
from hotpath.ref.ledger import LIMIT_FIELDS
from risk.halts import ACTOR_MAX, HaltAction, HaltChange

GUARD_ORDERS_MAX = 1500  # bytes of names in one `guard` event


class World:
    """Writes the records that are no order's."""

    def __init__(self, state: State) -> None:
        self.state = state

    def _emit(self, kind: int, payload: bytes, wall_ns: int) -> int:
        self.state.wall_ns = wall_ns
        return self.state.emit(kind, payload)

    def start_epoch(self, epoch: int, history: bytes, wall_ns: int) -> int:
        """One term of leadership begins; `history` (16 bytes) names this journal's past."""
        if len(history) != 16:
            raise ValueError("a history is named by 16 bytes")
        self.state.epoch = epoch
        return self._emit(rec.EPOCH_STARTED, rec.pack(rec.EpochBody(epoch, self.state.shard, history)), wall_ns)

    def stopped(self, wall_ns: int) -> int:
        """An orderly end: nothing was under way that this journal does not tell."""
        return self._emit(rec.STOPPED, bytes(8), wall_ns)

    def suspect(self, wall_ns: int) -> int:
        """The end before was not orderly: each order held for its trigger may be at the broker, until `clear`."""
        return self._emit(rec.SUSPECTED, bytes(8), wall_ns)

    def clear(self, order: int, wall_ns: int) -> int:
        """The broker said where a suspect is, or proved that it has not got it."""
        return self._emit(rec.CLEARED, order.to_bytes(8, "little"), wall_ns)

    def heal(self, wall_ns: int) -> None:
        """Make up for what a crash cut off between a record and what it means for tied orders."""
        shares.heal(self.state, wall_ns)

    def open_account(self, name: bytes, group: int, cash_e4: int, wall_ns: int) -> int:
        """A new account; returns its row."""
        row = len(self.state.account_names)
        if row >= self.state.gate.account_capacity:
            raise ValueError(f"no room for account {name.decode()}: raise capacity.accounts ({row})")
        body = rec.AccountBody(cash_e4, row, group, broker=0, name_size=len(name), group_size=0)
        self._emit(rec.ACCOUNT_OPENED, rec.pack(body) + name, wall_ns)
        return row

    def list_instrument(
        self, symbol: bytes, *, tick_e9: int, lot_e9: int, min_qty_e9: int, max_age_ns: int, outside_bps_e9: int,
        asset_class: int, wall_ns: int,
    ) -> int:  # fmt: skip
        """A new instrument; returns its row."""
        row = self.state.quotes.count
        if row >= self.state.quotes.capacity:
            raise ValueError(f"no room for instrument {symbol.decode()}: raise capacity.instruments ({row})")
        body = rec.InstrumentBody(
            tick_e9, lot_e9, min_qty_e9, max_age_ns, outside_bps_e9, row, asset_class, len(symbol)
        )
        self._emit(rec.INSTRUMENT_LISTED, rec.pack(body) + symbol, wall_ns)
        return row

    def set_limits(self, account: int, limits: dict[str, int], version: int, wall_ns: int) -> int:
        """The account's limits, whole: a dict with every member of `LIMIT_FIELDS`."""
        numbers = rec.LIMITS.pack(*(limits[name] for name in LIMIT_FIELDS))
        return self._emit(rec.LIMITS_SET, numbers + rec.pack(rec.LimitsBody(account, version)), wall_ns)

    def change_halt(self, change: HaltChange, index: int) -> int:
        """A change for account or instrument row `index` (0 for all); in force when this returns."""
        state = self.state
        actor, reason = change.actor.encode(), change.reason.encode()
        if len(actor) > ACTOR_MAX or len(reason) > rec.TEXT_MAX:
            raise ValueError("actor or reason of a halt is too long for its record")
        body = rec.HaltBody(
            change.halt_id, change.scope, index, change.level, change.effective, len(actor), len(reason), change.action
        )
        has_event = change.scope == HaltScope.ACCOUNT and change.action != HaltAction.LIFT_REQUESTED
        state.is_grouped = has_event  # halt and event, or neither
        seq = self._emit(rec.HALT_CHANGED, rec.pack(body) + actor + reason, change.wall_ns)
        state.is_grouped = False
        if not has_event:
            return seq
        event = rec.AccountEvent(
            state.acct_seqs[index] + 1, index, number=change.halt_id & 0xFFFFFFFF, level=change.level,
            state=change.action == HaltAction.SET, text_size=len(reason),
        )  # fmt: skip
        return self._emit(rec.HALT_EV, rec.pack(event) + reason, change.wall_ns)

    def guard(
        self, account: int, state: int, symbol: bytes, cause: bytes, orders: bytes, since_ns: int, wall_ns: int
    ) -> int:
        """Protection of some orders changed: state 0 unguarded, 1 armed, 2 blind; `orders`: names with commas."""
        if len(orders) > GUARD_ORDERS_MAX:
            raise ValueError("too many orders for one guard event: make several")
        event = rec.AccountEvent(
            self.state.acct_seqs[account] + 1, account, state=state, since_ns=since_ns, symbol_size=len(symbol),
            text_size=len(cause), orders_size=len(orders),
        )  # fmt: skip
        return self._emit(rec.GUARD_EV, rec.pack(event) + symbol + cause + orders, wall_ns)

    def set_instrument(self, instrument: int, is_open: bool, is_halted: bool, is_restricted: bool, wall_ns: int) -> int:
        """Session, market halt and restriction of an instrument."""
        body = rec.InstrumentStateBody(instrument, is_open, is_halted, is_restricted)
        return self._emit(rec.INSTRUMENT_STATE, rec.pack(body), wall_ns)
