"""The venue's matching model: orders against streaming quotes. Pure: time is an argument, chance is seeded.

Every method returns what leaves the venue as (delay_ns, key, message). Rules are in docs/venue.md, faults in quirks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from random import Random

from brokers.sim import messages as m
from brokers.sim.book import Book, Order
from brokers.sim.pace import Pace
from brokers.sim.quirks import MILLION, Delivery, Drop, Outbound, Quirks
from hotpath.fixed import from_e4, from_e9, to_e9

MAX_ORDERS = 20_000_000
SIDES = frozenset({"buy", "sell"})
TIFS = frozenset({"day", "gtc", "ioc", "fok", "gtd"})
STOPS = frozenset({"stop", "stop_limit"})
TYPES = frozenset({"market", "limit"}) | STOPS
MONEY_SCALE = 10**14  # px_e9 * qty_e9 to 1e-4
TOO_FAST = ("throttled", "RATE", "too many messages: send it again later")


class Refusal(Exception):
    """Why an order is refused: reason, code, text."""


class Exchange:
    """Orders, touch and executions of one venue."""

    def __init__(self, seed: int, quirks: Quirks | None = None, symbols: frozenset[str] = frozenset()) -> None:
        self.delivery = Delivery(Random(seed), quirks or Quirks())
        self.pace = Pace()
        self.books: dict[str, Book] = {sym: Book() for sym in sorted(symbols)}
        self.orders: dict[tuple[str, str], Order] = {}
        self.executions: dict[str, list[m.Fill]] = {}
        self.exec_seq = 0
        self.order_count = 0
        self._place = 0
        self._timers: list[tuple[int, int, Order]] = []
        self._by_exec: dict[str, Order] = {}
        self._day: list[Order] = []
        self._position_qty_e9: dict[tuple[str, str], int] = {}
        self.note: Callable[[str, m.Message], None] = lambda key, message: None  # told each fact as it is made

    @property
    def quirks(self) -> Quirks:
        return self.delivery.quirks

    def set_quirks(self, quirks: Quirks) -> None:
        self.delivery.quirks = quirks

    @property
    def next_timer_ns(self) -> int:
        """When `on_timer` has work, 0 for never."""
        return self._timers[0][0] if self._timers else 0

    # --- market -------------------------------------------------------------------------------------------------------

    def on_quote(
        self, sym: str, *, bid_px_e9: int, bid_qty_e9: int, ask_px_e9: int, ask_qty_e9: int, now_ns: int
    ) -> list[Outbound]:
        """A new touch: its size is fresh, and resting orders that it reaches fill."""
        book = self.books.get(sym)
        if book is None:
            book = self.books[sym] = Book()
        if self.quirks.is_depth_unlimited:
            bid_qty_e9 = ask_qty_e9 = 2**62
        book.set_touch(bid_px_e9, bid_qty_e9, ask_px_e9, ask_qty_e9)
        out: list[Outbound] = []
        if book.bids or book.asks:
            self._match_resting(book, "buy", now_ns, out)
            self._match_resting(book, "sell", now_ns, out)
        for order in book.follow() if book.trails else ():
            self.note(order.key, m.Trailed(order.id, order.oid, from_e9(order.stop_px_e9), now_ns))
        if book.stop_buys or book.stop_sells:
            self._fire(book, now_ns, out)
        return out

    def _fire(self, book: Book, now_ns: int, out: list[Outbound]) -> None:
        """Stops that the touch has reached become the orders that they are of, after all that rested before."""
        while (order := book.next_fired()) is not None:
            order.status = "new"
            px_e9 = book.ask_px_e9 if order.side == "buy" else book.bid_px_e9
            self._say(order.key, m.Triggered(order.id, order.oid, from_e9(px_e9), now_ns), now_ns, out)
            self._enter(order, now_ns, out)

    def on_trade(self, sym: str, *, px_e9: int, qty_e9: int, now_ns: int) -> list[Outbound]:
        """A print: resting limit orders at or beyond its price share its size."""
        book = self.books.get(sym)
        out: list[Outbound] = []
        if book is None:
            return out
        for side in ("buy", "sell"):
            left = qty_e9
            while left > 0:
                order = book.best(side)
                if order is None or order.is_market:
                    break
                if (order.px_e9 < px_e9) if side == "buy" else (order.px_e9 > px_e9):
                    break
                taken = self._fill(order, min(left, order.leaves_qty_e9), order.px_e9, "M", now_ns, out)
                left -= taken
                if order.is_live:
                    break
        return out

    def _match_resting(self, book: Book, side: str, now_ns: int, out: list[Outbound]) -> None:
        while (available := book.available_qty_e9(side)) > 0:
            order = book.best(side)
            if order is None or not book.is_marketable(order):
                return
            touch_px_e9 = book.ask_px_e9 if side == "buy" else book.bid_px_e9
            px_e9, liquidity = (touch_px_e9, "T") if order.is_market else (order.px_e9, "M")
            taken = self._fill(order, min(available, order.leaves_qty_e9), px_e9, liquidity, now_ns, out)
            book.take(side, taken)
            if order.is_live:  # a partial fill by chance: the rest waits for the next quote
                book.exhaust(side)

    # --- orders -------------------------------------------------------------------------------------------------------

    def on_order(self, key: str, new: m.New, now_ns: int) -> list[Outbound]:
        """Take or refuse one order, and match it."""
        out: list[Outbound] = []
        if self._is_too_fast(key, now_ns):
            return self._turn_away(key, m.Rejected(new.id, *TOO_FAST, now_ns), now_ns)
        if self.delivery.hits(self.quirks.swallow_ppm):
            return self._reset(key, out)
        if (key, new.id) in self.orders:
            self._say(key, m.Rejected(new.id, "duplicate", "DUPLICATE_ID", "id was used before", now_ns), now_ns, out)
            return out
        self.order_count += 1
        order = Order(key, new.id, f"V{self.order_count}", new.sym, new.side)
        self.orders[key, new.id] = order
        try:
            self._admit(order, new, now_ns)
        except Refusal as refusal:
            order.status = "rejected"
            reason, code, text = refusal.args
            self._say(key, m.Rejected(new.id, reason, code, text, now_ns), now_ns, out)
            return out
        ack = m.Ack(order.id, order.oid, now_ns)
        if self.delivery.hits(self.quirks.fill_first_ppm):
            self._enter(order, now_ns, out)
            self._say(key, ack, now_ns, out)
        else:
            self._say(key, ack, now_ns, out)
            self._enter(order, now_ns, out)
        if self.delivery.hits(self.quirks.disconnect_ppm):
            return self._reset(key, out)
        return out

    def _is_too_fast(self, key: str, now_ns: int) -> bool:
        """Whether a message is one too many for its key's rate: refused at the door, and nothing remembers it."""
        rate_per_s, burst = self.quirks.rate_per_s, self.quirks.rate_burst
        return rate_per_s > 0 and not self.pace.takes(key, rate_per_s, burst, now_ns)

    def _turn_away(self, key: str, refusal: m.Message, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = []
        self._say(key, refusal, now_ns, out)
        return out

    def _reset(self, key: str, out: list[Outbound]) -> list[Outbound]:
        """The link goes down before anything of `out` leaves: only a query will tell."""
        return [(0, key, Drop()), *(item for item in out if item[1] != key)]

    def _admit(self, order: Order, new: m.New, now_ns: int) -> None:
        """Fill in the terms, or raise Refusal."""
        if not 1 <= len(new.id) <= 36 or not new.id.isascii() or not new.id.isprintable():
            raise Refusal("other", "BAD_ID", "id must be 1 to 36 printable ASCII characters")
        if self.order_count > MAX_ORDERS:
            raise Refusal("other", "FULL", "the venue takes no more orders")
        if new.sym not in self.books:
            raise Refusal("symbol", "NO_SYMBOL", f"no such symbol: {new.sym}")
        if new.side not in SIDES or new.tif not in TIFS or new.type not in TYPES:
            raise Refusal("other", "BAD_TERMS", "side, type or tif is not one of ours")
        if new.stop is not None and new.type not in STOPS:
            raise Refusal("other", "BAD_TERMS", "only stop and stop_limit have a trigger")
        if (new.trail or new.trail_bps) and (new.type != "stop" or (new.trail and new.trail_bps)):
            raise Refusal("other", "BAD_TERMS", "only stop has a trail, an amount or basis points")
        order.qty_e9 = _positive(new.qty, "qty")
        order.is_market = new.type in ("market", "stop")
        order.px_e9 = 0 if order.is_market else _positive(new.px or "", "price")
        if new.type in STOPS:
            order.stop_px_e9 = _positive(new.stop or "", "price")
            order.trail_e9, order.trail_bps_e9 = trail_of(new)
            order.status = "held"
        order.tif = new.tif
        order.expire_ns = new.exp
        if new.tif == "gtd" and new.exp <= now_ns:
            raise Refusal("other", "EXPIRED", "exp is past")
        if new.type == "market" and not self.books[new.sym].is_quoted:
            raise Refusal("session", "NO_MARKET", f"no quote yet: {new.sym}")
        if self.delivery.hits(self.quirks.reject_ppm):
            raise Refusal("funds", "CREDIT", "insufficient funds")

    def _enter(self, order: Order, now_ns: int, out: list[Outbound]) -> None:
        """Match against the touch; what is left rests or expires by its time in force. A stop waits for its trigger."""
        book = self.books[order.sym]
        if order.status == "held":
            book.hold(order, self.next_place())
            self.note_end(order)
            self._fire(book, now_ns, out)
            return
        available = book.available_qty_e9(order.side) if book.is_marketable(order) else 0
        if order.tif == "fok" and available < order.qty_e9:
            available = 0
        if available > 0:
            px_e9 = book.ask_px_e9 if order.side == "buy" else book.bid_px_e9
            is_whole = order.tif == "fok"
            taken = self._fill(order, min(available, order.leaves_qty_e9), px_e9, "T", now_ns, out, is_whole=is_whole)
            book.take(order.side, taken)
        if not order.is_live:
            return
        if order.tif in ("ioc", "fok"):
            self._end(order, "expired", now_ns, out)
            return
        self._rest(book, order)
        if not order.stop_px_e9:  # of a stop it was noted when it came
            self.note_end(order)

    def note_end(self, order: Order) -> None:
        """Remember when a resting order ends by itself."""
        if order.tif == "gtd":
            heappush(self._timers, (order.expire_ns, order.place, order))
        elif order.tif == "day":
            self._day.append(order)

    def next_place(self) -> int:
        """The place behind all that rest."""
        self._place += 1
        return self._place

    def _rest(self, book: Book, order: Order) -> None:
        book.rest(order, self.next_place())

    def on_cancel(self, key: str, cancel: m.Cancel, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = []
        if self._is_too_fast(key, now_ns):
            return self._turn_away(key, m.CancelRejected(cancel.id, *TOO_FAST, now_ns), now_ns)
        if self.delivery.hits(self.quirks.swallow_ppm):
            return self._reset(key, out)
        order = self.orders.get((key, cancel.id))
        if order is None:
            refused = m.CancelRejected(cancel.id, "unknown", "UNKNOWN_ID", "no such order", now_ns)
            self._say(key, refused, now_ns, out)
        elif not order.is_live:
            refused = m.CancelRejected(order.id, "too_late", "DONE", f"order is {order.status}", now_ns)
            self._say(key, refused, now_ns, out)
        else:
            self._end(order, "canceled", now_ns, out)
        if self.delivery.hits(self.quirks.disconnect_ppm):
            return self._reset(key, out)
        return out

    def on_mass_cancel(self, key: str, mass: m.MassCancel, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = []
        count = 0
        for order in self.open_orders(key):
            if mass.sym is None or order.sym == mass.sym:
                self._end(order, "canceled", now_ns, out)
                count += 1
        self._say(key, m.MassCanceled(count, now_ns), now_ns, out)
        return out

    def on_replace(self, key: str, replace: m.Replace, now_ns: int) -> list[Outbound]:
        """New terms under a new id; less quantity at the same price keeps the place in line."""
        out: list[Outbound] = []
        if self._is_too_fast(key, now_ns):
            return self._turn_away(key, m.ReplaceRejected(replace.id, replace.orig, *TOO_FAST, now_ns), now_ns)
        if self.delivery.hits(self.quirks.swallow_ppm):
            return self._reset(key, out)
        order = self.orders.get((key, replace.orig))
        try:
            qty_e9, px_e9, stop_px_e9 = self._judge_replace(order, key, replace)
            named = trail_of(replace)
        except Refusal as refusal:
            reason, code, text = refusal.args
            refused = m.ReplaceRejected(replace.id, replace.orig, reason, code, text, now_ns)
            self._say(key, refused, now_ns, out)
            return out
        assert order is not None
        trail = named if any(named) else (order.trail_e9, order.trail_bps_e9)
        before = order.px_e9, order.stop_px_e9, (order.trail_e9, order.trail_bps_e9)
        keeps_place = qty_e9 <= order.qty_e9 and (px_e9, stop_px_e9, trail) == before
        orig = order.id
        self.orders[key, replace.id] = order
        order.id, order.qty_e9, order.px_e9, order.stop_px_e9 = replace.id, qty_e9, px_e9, stop_px_e9
        order.trail_e9, order.trail_bps_e9 = trail
        replaced = m.Replaced(
            order.id, orig, order.oid, from_e9(qty_e9), from_e9(px_e9),
            from_e9(order.cum_qty_e9), from_e9(order.leaves_qty_e9), now_ns, from_e9(_held_px_e9(order)),
            from_e9(order.trail_e9), from_e9(order.trail_bps_e9),
        )  # fmt: skip
        self._say(key, replaced, now_ns, out)
        if not keeps_place:
            self._requeue(order, now_ns, out)
        if self.delivery.hits(self.quirks.disconnect_ppm):
            return self._reset(key, out)
        return out

    def _judge_replace(self, order: Order | None, key: str, replace: m.Replace) -> tuple[int, int, int]:
        """Quantity, limit and trigger from now on; a trigger that is not named stays as it is. Raises Refusal."""
        if order is None:
            raise Refusal("unknown", "UNKNOWN_ID", "no such order")
        if (key, replace.id) in self.orders:
            raise Refusal("duplicate", "DUPLICATE_ID", "id was used before")
        if not order.is_live:
            raise Refusal("too_late", "DONE", f"order is {order.status}")
        qty_e9 = _positive(replace.qty, "qty")
        if qty_e9 <= order.cum_qty_e9:
            raise Refusal("qty", "BELOW_FILLED", "new quantity is not above what is filled")
        stop_px_e9 = order.stop_px_e9 if replace.stop is None else _positive(replace.stop, "price")
        if (replace.trail or replace.trail_bps) and (order.status != "held" or not order.is_market):
            raise Refusal("other", "NO_TRAIL", "the order has no trigger that could follow")
        if stop_px_e9 != order.stop_px_e9 and order.status != "held":
            if not order.stop_px_e9:
                raise Refusal("other", "NO_STOP", "the order has no trigger")
            raise Refusal("too_late", "TRIGGERED", "the stop has fired")
        return qty_e9, 0 if order.is_market else _positive(replace.px or "", "price"), stop_px_e9

    def _requeue(self, order: Order, now_ns: int, out: list[Outbound]) -> None:
        book = self.books[order.sym]
        if order.status == "held":
            book.hold(order, self.next_place())
            self._fire(book, now_ns, out)
            return
        self._rest(book, order)
        self._match_resting(book, order.side, now_ns, out)

    # --- questions ----------------------------------------------------------------------------------------------------

    def on_query(self, key: str, query: m.Query, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = []
        if self._is_too_fast(key, now_ns):
            return self._turn_away(key, m.QueryRejected(query.id, *TOO_FAST, now_ns), now_ns)
        order = self.orders.get((key, query.id))
        if order is None or self.delivery.hits(self.quirks.stale_query_ppm):
            self._say(key, m.State(query.id, False, now_ns), now_ns, out)
        else:
            self._say(key, self.state_of(order, now_ns), now_ns, out)
        return out

    def state_of(self, order: Order, now_ns: int) -> m.State:
        average_e9 = order.notional // order.cum_qty_e9 if order.cum_qty_e9 else 0
        return m.State(
            id=order.id, found=True, ts=now_ns, oid=order.oid, status=order.status, sym=order.sym, side=order.side,
            qty=from_e9(order.qty_e9), px=from_e9(order.px_e9), stop=from_e9(_held_px_e9(order)),
            cum=from_e9(order.cum_qty_e9),
            leaves=from_e9(order.leaves_qty_e9), avg=from_e9(average_e9), execs=tuple(order.exec_list),
        )  # fmt: skip

    def open_orders(self, key: str) -> Iterator[Order]:
        """Open orders of a key, each once, oldest first."""
        for (owner, id), order in list(self.orders.items()):
            if owner == key and order.id == id and order.is_live:
                yield order

    def fills_since(self, key: str, since: int) -> list[m.Fill]:
        fills = self.executions.get(key, [])
        return fills[max(0, since) :]

    def exec_seq_of(self, key: str) -> int:
        """Execution sequence of a key: its fills are numbered from 1 without a gap."""
        return len(self.executions.get(key, ()))

    def positions(self, key: str) -> tuple[m.Position, ...]:
        rows = sorted((sym, qty) for (owner, sym), qty in self._position_qty_e9.items() if owner == key)
        return tuple(m.Position(sym, from_e9(qty)) for sym, qty in rows)

    # --- time and the control channel ---------------------------------------------------------------------------------

    def on_timer(self, now_ns: int) -> list[Outbound]:
        """Expire `gtd` orders that are due."""
        out: list[Outbound] = []
        while self._timers and self._timers[0][0] <= now_ns:
            order = heappop(self._timers)[2]
            if order.is_live:
                self._end(order, "expired", now_ns, out)
        return out

    def end_day(self, now_ns: int) -> list[Outbound]:
        out: list[Outbound] = []
        for order in self._day:
            if order.is_live:
                self._end(order, "expired", now_ns, out)
        self._day.clear()
        return out

    def bust(self, exec_id: str, now_ns: int) -> list[Outbound]:
        """Break an execution. Raises KeyError when there is none of that name."""
        out: list[Outbound] = []
        order = self.break_fill(exec_id)
        self._say(order.key, m.Busted(order.id, order.oid, exec_id, from_e9(order.cum_qty_e9), now_ns), now_ns, out)
        return out

    # --- leaves -------------------------------------------------------------------------------------------------------

    def _fill(
        self, order: Order, qty_e9: int, px_e9: int, liquidity: str, now_ns: int, out: list[Outbound],
        *, is_whole: bool = False,
    ) -> int:  # fmt: skip
        """Execute up to `qty_e9`; the quantity that was."""
        if qty_e9 > 1 and not is_whole and self.delivery.hits(self.quirks.partial_ppm):
            qty_e9 = 1 + self.delivery.rng.randrange(qty_e9 - 1)
        fee_ppm = self.quirks.taker_fee_ppm if liquidity == "T" else self.quirks.maker_fee_ppm
        fee = from_e4(-(-qty_e9 * px_e9 * fee_ppm // (MONEY_SCALE * MILLION))) if fee_ppm else "0"
        cum_qty_e9 = order.cum_qty_e9 + qty_e9
        fill = m.Fill(
            order.id, order.oid, f"X{self.exec_seq + 1}", self.exec_seq_of(order.key) + 1, from_e9(qty_e9),
            from_e9(px_e9), from_e9(cum_qty_e9), from_e9(order.qty_e9 - cum_qty_e9), fee, liquidity, now_ns,
        )  # fmt: skip
        self.book_fill(order, fill)
        self._say(order.key, fill, now_ns, out)
        return qty_e9

    def book_fill(self, order: Order, fill: m.Fill) -> None:
        """The books after an execution."""
        qty_e9 = to_e9(fill.qty)
        order.cum_qty_e9 += qty_e9
        order.notional += qty_e9 * to_e9(fill.px)
        order.status = "filled" if order.cum_qty_e9 == order.qty_e9 else "partially_filled"
        order.exec_list.append(m.Exec(fill.exec, fill.n, fill.qty, fill.px, fill.fee, fill.liq, fill.ts))
        self._move(order, qty_e9)
        self.exec_seq = int(fill.exec[1:])
        self.executions.setdefault(order.key, []).append(fill)
        self._by_exec[fill.exec] = order

    def break_fill(self, exec_id: str) -> Order:
        """The books without it: a working order may fill again, one that is done stays done. Raises KeyError."""
        order = self._by_exec.pop(exec_id)
        broken = next(item for item in order.exec_list if item.exec == exec_id)
        order.exec_list.remove(broken)
        qty_e9 = to_e9(broken.qty)
        order.cum_qty_e9 -= qty_e9
        order.notional -= qty_e9 * to_e9(broken.px)
        self._move(order, -qty_e9)
        if order.is_live and order.cum_qty_e9 == 0:
            order.status = "new"
        return order

    def _move(self, order: Order, qty_e9: int) -> None:
        where = (order.key, order.sym)
        signed = qty_e9 if order.side == "buy" else -qty_e9
        self._position_qty_e9[where] = self._position_qty_e9.get(where, 0) + signed

    def _end(self, order: Order, status: str, now_ns: int, out: list[Outbound]) -> None:
        order.status = status
        kind = m.Canceled if status == "canceled" else m.Expired
        self._say(order.key, kind(order.id, order.oid, from_e9(order.cum_qty_e9), now_ns), now_ns, out)

    def _say(self, key: str, message: m.Message, now_ns: int, out: list[Outbound]) -> None:
        self.note(key, message)
        self.delivery.deliver(key, message, now_ns, out)


def trail_of(terms: m.New | m.Replace) -> tuple[int, int]:
    """Amount and basis points at which a trigger follows; (0, 0) when neither is named. Raises Refusal."""
    amount_e9 = _positive(terms.trail, "price") if terms.trail else 0
    return amount_e9, _positive(terms.trail_bps, "price") if terms.trail_bps else 0


def _held_px_e9(order: Order) -> int:
    """The trigger of a stop that has not fired; 0 of any other order."""
    return order.stop_px_e9 if order.status == "held" else 0


def _positive(text: str, reason: str) -> int:
    try:
        value = to_e9(text)
    except ValueError as error:
        raise Refusal(reason, f"BAD_{reason.upper()}", str(error)) from error
    if value <= 0:
        raise Refusal(reason, f"BAD_{reason.upper()}", f"{text} is not positive")
    return value
