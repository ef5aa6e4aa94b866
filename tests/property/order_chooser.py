"""What happens next to a pair of cores: mostly what fits, often what does not."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from gateway.contracts.requests import CancelItem, PlaceItem, ReplaceItem, Trigger
from tests.property.order_world import ACCOUNTS, CENT, E9, INSTRUMENTS, Pair


def px_text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


class Chooser:
    """Draws the next thing that happens."""

    KINDS = (
        "place",
        "place",
        "place",
        "cancel",
        "replace",
        "replace",
        "batch",
        "sent",
        "sent",
        "sent",
        "new",
        "new",
        "trade",
        "trade",
        "trade",
        "trade",
        "trade_canceled",
        "canceled",
        "canceled",
        "expired",
        "rejected",
        "cancel_rejected",
        "replaced",
        "replaced",
        "replace_rejected",
        "in_doubt",
        "requeue",
        "restate",
        "end_here",
        "quote",
        "rare",
    )

    def __init__(self, draw: random.Random, pair: Pair) -> None:
        self.draw = draw
        self.pair = pair
        self.execs: list[tuple[int, bytes]] = []

    def step(self) -> None:
        kind = self.draw.choice(self.KINDS)
        if not self.pair.twin.orders or kind == "place":
            self.place()
        elif self.draw.random() < 0.4:
            self.advance()
        elif kind in ("cancel", "replace", "batch", "quote", "rare"):
            getattr(self, kind)()
        else:
            self.report(kind)

    def _row(self) -> int:
        """A recent order more often than an old one."""
        count = len(self.pair.twin.orders)
        if self.draw.random() < 0.6 and (is_open := self.pair.live.views.open_orders(self.draw.randrange(ACCOUNTS))):
            return int(self.draw.choice(is_open))
        return (
            max(0, count - 1 - int(self.draw.expovariate(0.15)))
            if self.draw.random() < 0.9
            else self.draw.randrange(count)
        )

    def advance(self) -> None:
        """What a good broker would say next."""
        row = self._row()
        order = self.pair.twin.orders[row]
        if order.place == "queued":
            self.pair.report("sent", row)
        elif order.place == "sent":
            self.pair.report("new", row)
        elif order.asks and order.pending == "replace":
            rev = min(order.asks)
            asked = order.asks[rev]
            if asked.qty_e9 > order.cum_qty_e9 and self.draw.random() < 0.7:
                self.pair.report("replaced", row, rev, asked.qty_e9, asked.px_e9)
            else:
                self.pair.report("replace_rejected", row, rev)
        elif order.place == "working" and self.draw.random() < 0.3:
            self.pair.report("cancel_rejected", row)
        elif order.place == "in_doubt":
            self.pair.report("requeue", row)

    def place_item(self) -> tuple[int, PlaceItem]:
        draw, pair = self.draw, self.pair
        if pair.requests and draw.random() < 0.1:
            (account, _), old = draw.choice(list(pair.requests.items())[-20:])
            return account, old if draw.random() < 0.5 else msgspec.structs.replace(old, qty="77", tag="other")
        limit, stop = draw.random() < 0.7, draw.random() < 0.3
        cents = 10_000 + draw.randint(-300, 300)
        return draw.randrange(ACCOUNTS), PlaceItem(
            cl_ord_id=f"o{len(pair.twin.orders)}-{draw.randrange(3)}",
            symbol=f"S{draw.randrange(INSTRUMENTS)}",
            side=draw.choice(("buy", "sell")),
            ord_type="limit" if limit else "market",
            qty=str(draw.choice((1, 2, 5, 10))),
            px=px_text(cents) if limit else None,
            tif="gtc",
            stp="allow",
            reduce_only=draw.random() < 0.2,
            trigger=Trigger(
                kind="stop", stop_px=px_text(10_000 + draw.randint(-300, 300)), source="bid", if_through="fire"
            )
            if stop
            else None,
        )

    def place(self) -> None:
        account, req = self.place_item()
        self.pair.place(account, req, late=self.draw.random() < 0.03)

    def cancel(self) -> None:
        order = self.pair.twin.orders[self._row()]
        name = order.cl_ord_id if self.draw.random() < 0.97 else "nobody"
        self.pair.cancel(order.account, name, late=self.draw.random() < 0.03)

    def replace_item(self) -> tuple[int, ReplaceItem]:
        draw = self.draw
        order = self.pair.twin.orders[self._row()]
        rev = order.ask_rev + 1 if draw.random() < 0.8 else draw.randint(2, order.ask_rev + 2)
        answered = order.answers.get(rev)
        if answered is not None and draw.random() < 0.5:
            qty, px, stop = (None if value is None else value for value in answered[0])
        else:
            qty = draw.choice((None, 1, 3, 8, 20)) or None
            qty = qty * E9 if qty else None
            px = (10_000 + draw.randint(-300, 300)) * CENT if order.terms.px_e9 and draw.random() < 0.6 else None
            stop = 9_900 * CENT if order.terms.stop_px_e9 and draw.random() < 0.3 else None
        return order.account, ReplaceItem(
            cl_ord_id=order.cl_ord_id,
            rev=rev,
            qty=str(qty // E9) if qty else None,
            px=px_text(px // CENT) if px else None,
            trigger=Trigger(kind="stop", stop_px=px_text(stop // CENT)) if stop else None,
        )

    def replace(self) -> None:
        account, req = self.replace_item()
        self.pair.replace(account, req, late=self.draw.random() < 0.03)

    def batch(self) -> None:
        if self.pair.last_batch and self.draw.random() < 0.3:
            self.pair.run_batch(*self.pair.last_batch)
            return
        account, items, names = self.draw.randrange(ACCOUNTS), [], set()
        for at in range(self.draw.randint(1, 5)):
            kind = self.draw.random()
            item: PlaceItem | ReplaceItem | CancelItem
            owner, item = self.place_item() if kind < 0.7 else self.replace_item()
            if isinstance(item, PlaceItem) and (account, item.cl_ord_id) not in self.pair.requests:
                owner, item = account, msgspec.structs.replace(item, cl_ord_id=f"{item.cl_ord_id}.{at}")
            if kind > 0.85:
                item = CancelItem(cl_ord_id=item.cl_ord_id)
            if owner == account and item.cl_ord_id not in names:
                names.add(item.cl_ord_id)
                items.append(item)
        if items:
            self.pair.run_batch(account, items)

    def quote(self) -> None:
        self.pair.quote(self.draw.randrange(INSTRUMENTS), 10_000 + self.draw.randint(-400, 400))

    def rare(self) -> None:
        kind = self.draw.random()
        if kind < 0.3:
            self.pair.cancel_all(self.draw.randrange(ACCOUNTS), keep_protective=self.draw.random() < 0.5)
        elif kind < 0.5:
            self.pair.absurd_fill(self._row(), b"absurd")
        elif kind < 0.6:
            self.pair.restart()
        elif kind < 0.7:
            self.pair.suspect()
        else:
            self.pair.compare_all()

    def report(self, kind: str) -> None:
        draw, row = self.draw, self._row()
        order = self.pair.twin.orders[row]
        ahead = draw.choice(
            (0, 0, 0, order.cum_qty_e9, order.cum_qty_e9 + E9, order.terms.qty_e9, 3 * order.terms.qty_e9)
        )
        rev = draw.randint(order.rev, order.ask_rev + 1) if draw.random() < 0.2 else order.ask_rev
        args: tuple[Any, ...] = ()
        if kind == "trade":
            if self.execs and draw.random() < 0.1:
                row, exec_id = draw.choice(self.execs[-30:])
            else:
                exec_id = f"x{len(self.execs)}".encode()
                self.execs.append((row, exec_id))
            qty = draw.choice((1, 1, 2, 3, 10)) * E9 if draw.random() < 0.7 else max(order.leaves_qty_e9, E9)
            qty = qty if draw.random() < 0.98 else draw.choice((0, -E9))
            args = (exec_id, qty, (10_000 + draw.randint(-9, 9)) * CENT, ahead)
        elif kind == "trade_canceled":
            if self.execs and draw.random() < 0.9:
                row, exec_id = draw.choice(self.execs[-30:])
            else:  # it overtakes its fill, which comes later or never
                exec_id = f"x{len(self.execs)}".encode()
                self.execs.append((row, exec_id))
            args = (exec_id, ahead)
        elif kind in ("canceled", "expired"):
            args = (ahead,)
        elif kind == "replaced":
            asked = order.asks.get(rev, order.terms)
            other = draw.random() < 0.1
            args = (rev, draw.choice((0, E9, 7 * E9)) if other else asked.qty_e9, asked.px_e9)
        elif kind == "replace_rejected":
            args = (rev,)
        elif kind == "restate":
            args = (draw.choice(("new", "partially_filled", "filled", "canceled", "expired")), ahead)
        elif kind == "end_here":
            args = (draw.choice(("queue", "tif")),)
        self.pair.report(kind, row, *args)
