"""One symbol's touch and the orders that rest against it: better price first, then time."""

from __future__ import annotations

from heapq import heappop, heappush

from brokers.sim import messages as m

ANY_PX_E9 = 2**62  # a market order's price, beyond every quote
LIVE = frozenset({"new", "partially_filled"})


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
        "sym",
        "tif",
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
    """Top of book with the size that is still unused, and two queues of resting orders."""

    __slots__ = ("ask_px_e9", "ask_qty_e9", "asks", "bid_px_e9", "bid_qty_e9", "bids", "is_quoted")

    def __init__(self) -> None:
        self.is_quoted = False
        self.bid_px_e9 = 0
        self.bid_qty_e9 = 0
        self.ask_px_e9 = 0
        self.ask_qty_e9 = 0
        self.bids: list[tuple[int, int, Order]] = []
        self.asks: list[tuple[int, int, Order]] = []

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
            if order.place == place and order.status in LIVE:
                return order
            heappop(queue)
        return None

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
