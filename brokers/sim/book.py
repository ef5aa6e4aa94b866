"""One symbol's touch, the orders that rest against it (better price first, then time), and the stops that it fires."""

from __future__ import annotations

from heapq import heappop, heappush

from brokers.sim import messages as m

BPS = 10_000 * 10**9  # basis points in 1e-9 to a share
ANY_PX_E9 = 2**62  # a market order's price, beyond every quote
WORKING = frozenset({"new", "partially_filled"})
LIVE = WORKING | {"held"}


class Order:
    """One order at the venue, all its revisions; quantities and prices in 1e-9."""

    __slots__ = (
        "cum_qty_e9",
        "exec_list",
        "expire_ns",
        "id",
        "is_market",
        "key",
        "notional",
        "oid",
        "place",
        "px_e9",
        "qty_e9",
        "side",
        "status",
        "stop_px_e9",
        "sym",
        "tif",
        "trail_bps_e9",
        "trail_e9",
    )

    def __init__(self, key: str, id: str, oid: str, sym: str, side: str) -> None:
        self.key = key
        self.id = id
        self.oid = oid
        self.sym = sym
        self.side = side
        self.tif = "day"
        self.is_market = False
        self.px_e9 = 0
        self.stop_px_e9 = 0  # of a stop, also after it fired
        self.trail_e9 = 0  # the trigger follows the touch at this distance, or
        self.trail_bps_e9 = 0  # at this share of it
        self.qty_e9 = 0
        self.cum_qty_e9 = 0
        self.expire_ns = 0
        self.notional = 0  # sum of px_e9 * qty_e9 of the fills, exact
        self.status = "new"
        self.place = 0  # of its entry in the book; an entry with another number is stale
        self.exec_list: list[m.Exec] = []

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def leaves_qty_e9(self) -> int:
        return self.qty_e9 - self.cum_qty_e9 if self.status in LIVE else 0


class Book:
    """Top of book with the size that is still unused, two queues of resting orders, and two of stops."""

    __slots__ = (
        "ask_px_e9",
        "ask_qty_e9",
        "asks",
        "bid_px_e9",
        "bid_qty_e9",
        "bids",
        "is_quoted",
        "stop_buys",
        "stop_sells",
        "trails",
    )

    def __init__(self) -> None:
        self.is_quoted = False
        self.bid_px_e9 = 0
        self.bid_qty_e9 = 0
        self.ask_px_e9 = 0
        self.ask_qty_e9 = 0
        self.bids: list[tuple[int, int, Order]] = []
        self.asks: list[tuple[int, int, Order]] = []
        self.stop_buys: list[tuple[int, int, Order]] = []  # the lowest trigger first
        self.stop_sells: list[tuple[int, int, Order]] = []  # the highest first
        self.trails: list[Order] = []  # stops whose trigger follows

    def set_touch(self, bid_px_e9: int, bid_qty_e9: int, ask_px_e9: int, ask_qty_e9: int) -> None:
        """A side that is missing, or both when they cross, shows no size: nothing can match there."""
        is_crossed = bid_px_e9 > 0 and 0 < ask_px_e9 < bid_px_e9
        self.is_quoted = True
        self.bid_px_e9 = bid_px_e9
        self.ask_px_e9 = ask_px_e9
        self.bid_qty_e9 = 0 if is_crossed or bid_px_e9 <= 0 else bid_qty_e9
        self.ask_qty_e9 = 0 if is_crossed or ask_px_e9 <= 0 else ask_qty_e9

    def rest(self, order: Order, place: int) -> None:
        order.place = place
        if order.side == "buy":
            heappush(self.bids, (-(ANY_PX_E9 if order.is_market else order.px_e9), place, order))
        else:
            heappush(self.asks, (0 if order.is_market else order.px_e9, place, order))

    def best(self, side: str) -> Order | None:
        """First in line on a side; entries of done or moved orders are dropped on the way."""
        queue = self.bids if side == "buy" else self.asks
        while queue:
            _, place, order = queue[0]
            if order.place == place and order.status in WORKING:
                return order
            heappop(queue)
        return None

    def hold(self, order: Order, place: int) -> None:
        """Keep a stop until the touch reaches its trigger."""
        order.place = place
        if order.trail_e9 or order.trail_bps_e9:
            self.trails.append(order)
        self._queue(order)

    def _queue(self, order: Order) -> None:
        place = order.place
        if order.side == "buy":
            heappush(self.stop_buys, (order.stop_px_e9, place, order))
        else:
            heappush(self.stop_sells, (-order.stop_px_e9, place, order))

    def follow(self) -> list[Order]:
        """Move the triggers that the touch has left behind, never towards it; the stops whose trigger moved."""
        self.trails = [order for order in dict.fromkeys(self.trails) if order.status == "held"]
        if self.bid_px_e9 > 0 and 0 < self.ask_px_e9 < self.bid_px_e9:
            return []
        moved = [order for order in self.trails if self._follows(order)]
        if moved:
            held = [entry[2] for entry in (*self.stop_buys, *self.stop_sells) if entry[1] == entry[2].place]
            self.stop_buys, self.stop_sells = [], []
            for order in held:
                if order.status == "held":
                    self._queue(order)
        return moved

    def _follows(self, order: Order) -> bool:
        px_e9 = self.ask_px_e9 if order.side == "buy" else self.bid_px_e9
        distance_e9 = order.trail_e9 or px_e9 * order.trail_bps_e9 // BPS
        stop_px_e9 = px_e9 + distance_e9 if order.side == "buy" else px_e9 - distance_e9
        is_left = px_e9 > 0 and (
            stop_px_e9 < order.stop_px_e9 if order.side == "buy" else stop_px_e9 > order.stop_px_e9
        )
        if is_left:
            order.stop_px_e9 = stop_px_e9
        return is_left

    def next_fired(self) -> Order | None:
        """Take out a stop that the touch has reached: a sell by the bid, a buy by the ask; none by a crossed quote."""
        if self.bid_px_e9 > 0 and 0 < self.ask_px_e9 < self.bid_px_e9:
            return None
        for queue in (self.stop_sells, self.stop_buys):
            while queue:
                _, place, order = queue[0]
                is_current = order.place == place and order.status == "held"
                if is_current and not self._is_reached(order):
                    break
                heappop(queue)
                if is_current:
                    return order
        return None

    def _is_reached(self, stop: Order) -> bool:
        if stop.side == "buy":
            return 0 < stop.stop_px_e9 <= self.ask_px_e9
        return 0 < self.bid_px_e9 <= stop.stop_px_e9

    def is_marketable(self, order: Order) -> bool:
        if order.side == "buy":
            return self.ask_px_e9 > 0 and (order.is_market or order.px_e9 >= self.ask_px_e9)
        return self.bid_px_e9 > 0 and (order.is_market or order.px_e9 <= self.bid_px_e9)

    def available_qty_e9(self, side: str) -> int:
        """Unused size that an order of this side can take from the touch."""
        return self.ask_qty_e9 if side == "buy" else self.bid_qty_e9

    def take(self, side: str, qty_e9: int) -> None:
        if side == "buy":
            self.ask_qty_e9 -= qty_e9
        else:
            self.bid_qty_e9 -= qty_e9

    def exhaust(self, side: str) -> None:
        """No more size on the touch that orders of `side` take from, until the next quote."""
        if side == "buy":
            self.ask_qty_e9 = 0
        else:
            self.bid_qty_e9 = 0
