"""Twin of hotpath.rules: the controls of the pre-trade gate in their order, in plain integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from hotpath.enums import Control, HaltLevel, OrdType, Side, Stp
from hotpath.ref.fixed import INT64_MAX, notional, scale
from hotpath.ref.ledger import Account, Pair, fits

SCOPE_GLOBAL, SCOPE_ACCOUNT, SCOPE_INSTRUMENT, SCOPE_PAIR = range(4)
NONE, QTY, PX, MONEY, COUNT, NS = range(6)
MONEY_SCALE = 10**14  # a product of two 1e-9 numbers over money in 1e-4
UNFIT_TOUCH = 1 | 2 | 4  # QuoteFlag CROSSED, LOCKED, ONE_SIDED
PASSES_UNIT = {
    Control.SYN_LOT: QTY,
    Control.SYN_TICK: PX,
    Control.SZ_MAX_QTY: QTY,
    Control.SZ_MAX_NOTIONAL: QTY,
    Control.PX_COLLAR: PX,
    Control.RATE_MSG: NS,
    Control.RATE_ORDER: NS,
    Control.SMP: PX,
    Control.REDUCE_ONLY_CTL: QTY,
    Control.CR_POS_QTY: QTY,
    Control.CR_GROSS: QTY,
    Control.CR_BUYPOWER: QTY,
}


class Quotes(Protocol):
    @property
    def count(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    def snapshot(self, row: int) -> dict[str, Any]: ...
    def reference(self, row: int, mono_ns: int) -> int: ...


class Books(Protocol):
    """What a decision reads of the gate."""

    quotes: Quotes
    accounts: dict[int, Account]
    pairs: dict[tuple[int, int], Pair]
    global_halt: int
    instrument_halts: dict[int, int]

    def best_resting(self, group: int, instrument: int, side: int) -> int: ...


class Ask(NamedTuple):
    account: int
    instrument: int
    side: int
    ord_type: int
    qty_e9: int
    px_e9: int = 0
    old_qty_e9: int = 0
    old_px_e9: int = 0
    mono_ns: int = 0
    reduce_only: bool = False
    stp: int = 0
    is_release: bool = False
    is_held: bool = False
    is_dry: bool = False
    spared_qty_e9: int = 0  # reduce-only quantity of its own group's other camp: not taken


class Refused(Exception):
    """A control's refusal with its numbers; raised, so that each control reads as what it demands."""

    def __init__(
        self, control: int, scope: int, unit: int = 0, limit: int = 0, value: int = 0, passes: int = 0
    ) -> None:
        super().__init__(control)
        self.control, self.scope, self.unit = control, scope, unit
        self.limit, self.value, self.passes = limit, value, passes

    def decision(self, ref_px_e9: int = 0, tokens_left: int = 0) -> dict[str, int]:
        return {
            "control": int(self.control),
            "unit": self.unit,
            "limit": int(self.limit),
            "value": int(self.value),
            "passes": self.passes,
            "passes_unit": PASSES_UNIT.get(Control(self.control), NONE),
            "scope": self.scope,
            "ref_px_e9": ref_px_e9,
            "tokens_left": tokens_left,
        }


def floor_to(value: int, step: int) -> int:
    return value - value % step


def ceil_to(value: int, step: int) -> int:
    return -(-value // step) * step


def affordable(money_e4: int, px_e9: int) -> int:
    """Largest quantity whose rounded-up notional stays within the money."""
    return 0 if money_e4 <= 0 or px_e9 <= 0 else min(money_e4 * MONEY_SCALE // px_e9, INT64_MAX)


class Decider:
    """One decision: the controls in their order, each a method that returns or raises Refused."""

    def __init__(self, gate: Books, ask: Ask) -> None:
        self.gate, self.ask = gate, ask
        self.instrument = gate.quotes.snapshot(ask.instrument)
        self.account = gate.accounts.get(ask.account)
        self.pair = gate.pairs.get((ask.account, ask.instrument)) or Pair(ask.account, ask.instrument)
        self.is_replace = ask.old_qty_e9 > 0 and not ask.is_release
        same = self.pair.open_qty(ask.side)
        self.reserved = 0 if ask.is_held else min(max(ask.old_qty_e9, 0), same)
        self.same_open = same - self.reserved
        # An order that is bound to reduce competes with others that are; one that is not, with all of its side.
        taken = self.same_open
        if ask.reduce_only:
            taken = max(self.pair.open_reduce_qty(ask.side) - self.reserved - ask.spared_qty_e9, 0)
        far = max(-self.pair.signed_pos(ask.side), 0)
        self.reducible = max(far - taken, 0)
        self.reduces = 0 < ask.qty_e9 <= self.reducible
        self.reference_px_e9: int = 0
        self.touch_px_e9: int = 0
        self.ref_px_e9 = self.tokens_left = 0

    @property
    def owner(self) -> Account:
        if self.account is None:
            raise Refused(Control.NO_LIMIT, SCOPE_ACCOUNT)
        return self.account

    @property
    def limits(self) -> dict[str, int]:
        return self.owner.limits

    @property
    def is_protective(self) -> bool:
        """The release of an order that is bound to reduce, and does."""
        return self.ask.is_release and self.ask.reduce_only and self.reduces

    def controls(self) -> list[Callable[[], None]]:
        if self.is_protective:
            return [self.kill, self.limits_exist, self.trading, self.release]
        first = [self.kill, self.limits_exist, self.tradable, self.steps, self.size]
        collared = [] if self.ask.is_held else [self.collar]
        rates = [] if self.ask.reduce_only else [self.rates]
        entry = [] if self.ask.is_release else [*rates, self.open_orders]
        exposure = [] if self.ask.is_held else [self.self_match, self.reduce_only, self.credit]
        return [*first, *collared, *entry, *exposure]

    def decide(self) -> dict[str, int]:
        outcome = Refused(Control.PASS, SCOPE_GLOBAL)
        try:
            for control in self.controls():
                control()
        except Refused as refusal:
            outcome = refusal
        except OverflowError:
            outcome = Refused(Control.OVERFLOW, SCOPE_PAIR, QTY, 0, self.ask.qty_e9)
        return outcome.decision(self.ref_px_e9, self.tokens_left)

    def kill(self) -> None:
        levels = [
            (self.gate.global_halt, SCOPE_GLOBAL),
            (self.account.halt_level if self.account else 0, SCOPE_ACCOUNT),
            (self.gate.instrument_halts.get(self.ask.instrument, 0), SCOPE_INSTRUMENT),
        ]
        level, scope = max(levels, key=lambda pair: pair[0])  # the first of equals
        if level == HaltLevel.ARMED or (level == HaltLevel.NO_NEW and self.reduces):
            return
        bound = self.reduces and self.ask.reduce_only
        if self.is_protective or (bound and level == HaltLevel.REDUCE_ONLY):
            return
        raise Refused(Control.KILL_GATE, scope, COUNT, HaltLevel.ARMED, level)

    def limits_exist(self) -> None:
        if not self.owner.has_limits:
            raise Refused(Control.NO_LIMIT, SCOPE_ACCOUNT)

    def tradable(self) -> None:
        if self.instrument["is_restricted"]:
            raise Refused(Control.RESTRICT_LIST, SCOPE_INSTRUMENT)
        if not self.ask.is_held:
            self.trading()

    def trading(self) -> None:
        if self.instrument["is_halted"]:
            raise Refused(Control.HALT_SYM, SCOPE_INSTRUMENT)
        if not self.instrument["is_open"]:
            raise Refused(Control.SESSION_CAL, SCOPE_INSTRUMENT)

    def lots_within(self, qty_e9: int) -> int:
        """Largest permitted order quantity up to qty_e9, 0 when there is none."""
        down = floor_to(qty_e9, self.instrument["lot_e9"])
        return down if down > 0 and down >= self.instrument["min_qty_e9"] else 0

    def steps(self) -> None:
        lot, least, tick = self.instrument["lot_e9"], self.instrument["min_qty_e9"], self.instrument["tick_e9"]
        qty_e9, px_e9 = self.ask.qty_e9, self.ask.px_e9
        if qty_e9 <= 0 or qty_e9 < least or qty_e9 % lot:
            nearest = (self.lots_within(qty_e9) if qty_e9 > 0 else 0) or min(ceil_to(least, lot), INT64_MAX) or lot
            bound = least if qty_e9 < least else lot
            raise Refused(Control.SYN_LOT, SCOPE_INSTRUMENT, QTY, bound, qty_e9, nearest)
        if self.ask.ord_type == OrdType.LIMIT and (px_e9 <= 0 or px_e9 % tick):
            down, up = floor_to(max(px_e9, 0), tick), min(ceil_to(max(px_e9, 1), tick), INT64_MAX)
            nearest = down if down > 0 and px_e9 - down <= tick - (px_e9 - down) else up
            raise Refused(Control.SYN_TICK, SCOPE_INSTRUMENT, PX, tick, px_e9, nearest)

    def look_at_market(self) -> None:
        """A held limit order needs no price but its own; a held market order is sized by the market of now."""
        if self.ask.is_held and self.ask.ord_type == OrdType.LIMIT:
            return
        row = self.instrument
        self.reference_px_e9 = self.gate.quotes.reference(self.ask.instrument, self.ask.mono_ns)
        is_young = row["quote_mono_ns"] > 0 and self.ask.mono_ns - row["quote_mono_ns"] <= row["max_age_ns"]
        if is_young and not row["flags_quote"] & UNFIT_TOUCH:
            self.touch_px_e9 = row["ask_px_e9"] if self.ask.side == Side.BUY else row["bid_px_e9"]

    def collared_px(self) -> int:
        """Far touch, or reference, moved by the collar and rounded against the account; 0 without a fresh one."""
        tick: int = self.instrument["tick_e9"]
        base = self.touch_px_e9 or self.reference_px_e9
        if base == 0:
            return 0
        step = scale(base, self.limits["collar_bps_e9"])
        if self.ask.side == Side.BUY:
            return min(ceil_to(fits(base + step), tick), INT64_MAX)
        return max(floor_to(max(base - step, 0), tick), tick)

    def release(self) -> None:
        """A protective release states its price; only numbers that no book can hold stop it here."""
        self.look_at_market()
        self.ref_px_e9 = self.ask.px_e9 if self.ask.ord_type == OrdType.LIMIT else self.collared_px()
        fits(self.same_open + self.ask.qty_e9)
        notional(self.ref_px_e9, self.ask.qty_e9)

    def size(self) -> None:
        most_qty, most_e4 = self.limits["max_order_qty_e9"], self.limits["max_order_notional_e4"]
        self.look_at_market()
        if self.ask.qty_e9 > most_qty:
            raise Refused(Control.SZ_MAX_QTY, SCOPE_ACCOUNT, QTY, most_qty, self.ask.qty_e9, self.lots_within(most_qty))
        self.ref_px_e9 = self.ask.px_e9 if self.ask.ord_type == OrdType.LIMIT else self.collared_px()
        px_e9 = self.ref_px_e9 or max(self.pair.long_px_e9, self.pair.short_px_e9)
        money_e4 = notional(px_e9, self.ask.qty_e9)
        if money_e4 > most_e4:
            passes = self.lots_within(affordable(most_e4, px_e9))
            raise Refused(Control.SZ_MAX_NOTIONAL, SCOPE_ACCOUNT, MONEY, most_e4, money_e4, passes)

    def collar(self) -> None:
        row, is_limit = self.instrument, self.ask.ord_type == OrdType.LIMIT
        tick = row["tick_e9"]
        if self.reference_px_e9 == 0:
            newest = max(row["quote_mono_ns"], row["last_mono_ns"])
            if not self.reduces and (newest > 0 or is_limit):
                age_ns = self.ask.mono_ns - newest if newest > 0 else -1
                raise Refused(Control.PX_STALE, SCOPE_INSTRUMENT, NS, row["max_age_ns"], age_ns)
            if not is_limit and not (self.reduces and self.ask.reduce_only):
                raise Refused(Control.PX_MKT_CONVERT, SCOPE_INSTRUMENT)
            return
        if not is_limit:
            return
        step = scale(self.reference_px_e9, self.limits["collar_bps_e9"])
        high, low = fits(self.reference_px_e9 + step), max(self.reference_px_e9 - step, -INT64_MAX)
        if self.ask.px_e9 > high:
            raise Refused(Control.PX_COLLAR, SCOPE_INSTRUMENT, PX, high, self.ask.px_e9, floor_to(high, tick))
        if self.ask.px_e9 < low:
            raise Refused(Control.PX_COLLAR, SCOPE_INSTRUMENT, PX, low, self.ask.px_e9, ceil_to(low, tick))

    def rates(self) -> None:
        now_ns, account = self.ask.mono_ns, self.owner
        charged = [account.messages] if self.is_replace else [account.orders, account.messages]
        if not self.is_replace and not account.orders.holds(now_ns):
            rate, wait_ns = self.limits["order_rate_per_s"], account.orders.wait_ns(now_ns)
            raise Refused(Control.RATE_ORDER, SCOPE_ACCOUNT, COUNT, rate, 0, wait_ns)
        if not account.messages.holds(now_ns):
            rate, wait_ns = self.limits["msg_rate_per_s"], account.messages.wait_ns(now_ns)
            raise Refused(Control.RATE_MSG, SCOPE_ACCOUNT, COUNT, rate, 0, wait_ns)
        if not self.ask.is_dry:
            self.tokens_left = min([bucket.charge(now_ns) for bucket in charged])

    def open_orders(self) -> None:
        most = self.limits["max_open_orders"]
        if not self.is_replace and self.owner.open_orders >= most:
            raise Refused(Control.OPEN_ORDERS, SCOPE_ACCOUNT, COUNT, most, self.owner.open_orders + 1)

    def self_match(self) -> None:
        if self.ask.stp == Stp.ALLOW:
            return
        tick, px = self.instrument["tick_e9"], self.ref_px_e9
        is_buy = self.ask.side == Side.BUY
        best = self.gate.best_resting(self.owner.group, self.ask.instrument, Side.SELL if is_buy else Side.BUY)
        if best == 0 or (is_buy and 0 < px < best) or (not is_buy and px > best):
            return  # an unpriced order (0) matches whatever rests
        clear = max(best - tick, 0) if is_buy else min(ceil_to(best + 1, tick), INT64_MAX)
        raise Refused(Control.SMP, SCOPE_PAIR, PX, best, px, clear)

    def reduce_only(self) -> None:
        if self.ask.reduce_only and not self.reduces:
            passes = self.lots_within(self.reducible)
            raise Refused(Control.REDUCE_ONLY_CTL, SCOPE_PAIR, QTY, self.reducible, self.ask.qty_e9, passes)

    def credit(self) -> None:
        """Only an order that makes the worst case or exposure larger can be refused; what waited is judged as new."""
        side, pair, account = self.ask.side, self.pair, self.owner
        open_qty = fits(self.same_open + max(self.ask.qty_e9, self.reserved))  # a replace holds the larger of both
        own_qty = self.reserved if self.ask.is_release else 0
        now = pair.worst(side, self.same_open) if own_qty else pair.worst()
        worst, most_qty = pair.worst(side, open_qty), self.limits["max_position_qty_e9"]
        if worst > most_qty and worst > now:
            raise Refused(Control.CR_POS_QTY, SCOPE_PAIR, QTY, most_qty, worst, self.passing_qty(max(most_qty, now)))
        if side == Side.BUY:
            px_e9 = max(self.ref_px_e9, pair.long_px_e9)
        else:  # a sell fills at the market when that is better than its price
            px_e9 = max(self.ref_px_e9, pair.short_px_e9, self.reference_px_e9, self.touch_px_e9)
        value_e4 = pair.side_value_e4(side, open_qty, px_e9)
        if value_e4 < pair.expo_e4 or (value_e4 == pair.expo_e4 and not own_qty):
            return
        gross_e4, most_e4 = fits(account.gross_e4 - pair.expo_e4 + value_e4), self.limits["max_gross_e4"]
        if gross_e4 > most_e4:
            passes = self.payable_qty(most_e4, px_e9)
            raise Refused(Control.CR_GROSS, SCOPE_ACCOUNT, MONEY, most_e4, gross_e4, passes)
        power_e4 = scale(account.cash_e4, self.limits["leverage_bps_e9"])
        if gross_e4 > power_e4:
            passes = self.payable_qty(power_e4, px_e9)
            raise Refused(Control.CR_BUYPOWER, SCOPE_ACCOUNT, MONEY, power_e4, gross_e4, passes)

    def passing_qty(self, worst_e9: int) -> int:
        room = min(max(worst_e9 - self.pair.signed_pos(self.ask.side) - self.same_open, 0), INT64_MAX)
        return self.lots_within(room) if room >= self.reserved else 0

    def payable_qty(self, most_e4: int, px_e9: int) -> int:
        allowed_e4 = max(most_e4 - (self.owner.gross_e4 - self.pair.expo_e4), self.pair.expo_e4)
        return self.passing_qty(affordable(min(allowed_e4, INT64_MAX), px_e9))
