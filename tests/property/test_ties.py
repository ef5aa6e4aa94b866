"""Random histories of brackets, groups and scale-outs on both cores: settled after every step, quantities true."""

from __future__ import annotations

import os
import random

from hotpath.enums import OrdStatus
from tests.property.order_world import E9
from tests.property.ties_world import Ties, cancel_item, order, px

STEPS = 60
HISTORIES = max(6, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // 500)


class Chooser:
    """Draws what happens next to orders that are tied."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.ties = Ties()
        self.count = 0
        self.fills: list[tuple[str, bytes]] = []

    def step(self) -> None:
        names = self._open()
        self.draw.choice((
            self._batch, self._report, self._report, self._report, self._report, self._fill, self._fill, self._quote,
            self._change, self._bust, self._restart, self._agree, self._cancel_all,
        ) if names else (self._batch,))()  # fmt: skip
        self.ties.check()

    def _open(self) -> list[str]:
        views = self.ties.live.views
        return [views.order(row)["cl_ord_id"].decode() for row in views.open_orders(0)]

    def _name(self) -> str:
        self.count += 1
        return f"o{self.count}"

    def _batch(self) -> None:
        draw = self.draw
        entry, side = self._name(), draw.choice(("buy", "sell"))
        back, sign = ("sell", 1) if side == "buy" else ("buy", -1)
        qty, mid = draw.randint(1, 20), 10_000
        items = [order(entry, side, str(qty), at=px(mid))] if draw.random() < 0.8 else []
        after = entry if items else draw.choice([*self._open(), ""])
        oco = draw.choice(("", f"g{self.count}", f"g{self.count}", "shared"))
        on = draw.choice(("fill", "fill", "full"))
        for _ in range(draw.randint(0, 3)):
            far = draw.randint(1, 300)
            where: dict[str, str] = {}
            kind = draw.random()
            if kind < 0.4:
                where["stop"] = px(mid - sign * far)
            elif kind < 0.7:
                where["at"] = px(mid + sign * far)
            elif kind < 0.95:
                where["touch"] = px(mid + sign * far)
            exits = back if draw.random() < 0.9 else side
            items.append(
                order(
                    self._name(),
                    exits,
                    str(draw.randint(1, qty)),
                    after=after,
                    on=on,
                    oco=oco,
                    reduce_only=draw.random() < 0.5,
                    symbol=draw.choice(("S0", "S0", "S0", "S1")),
                    **where,
                )
            )
        if draw.random() < 0.1 and self._open():
            items.append(cancel_item(draw.choice(self._open())))
        if items:
            self.ties.batch(*items)

    def _row(self) -> tuple[str, dict[str, object]]:
        name = self.draw.choice(self._open())
        return name, self.ties.of(name)

    def _report(self) -> None:
        """What a broker may say of an order that left, or that leaves now."""
        ties, draw = self.ties, self.draw
        name, one = self._row()
        row, reports = ties.row(name), ties.live.reports
        if one["ord_status"] == OrdStatus.HELD:
            return
        if not one["was_sent"] and one["stage"] == 1:
            reports.sent(row, ties.wall_ns, ties.tick()[0])
            return
        kind, wall_ns = draw.random(), ties.tick()[0]
        if kind < 0.4:
            reports.new(row, b"b", 5, b"raw", wall_ns)
        elif kind < 0.5:
            reports.canceled(row, draw.choice((0, 0, int(str(one["cum_qty_e9"])) + E9)), b"raw", wall_ns)
        elif kind < 0.6:
            reports.replace_rejected(row, one["ask_rev"], b"BROKER_REJECTED", b"raw", wall_ns)
        elif kind < 0.7:
            reports.cancel_rejected(row, b"BROKER_REJECTED", b"", b"", wall_ns)
        elif kind < 0.8:
            reports.in_doubt(row, b"no answer", wall_ns)
        elif kind < 0.9:
            reports.requeue(row, b"unknown id", wall_ns)
        else:
            reports.rejected(row, b"BROKER_REJECTED", b"7", b"no", b"raw", wall_ns)

    def _fill(self) -> None:
        name, one = self._row()
        if one["ord_status"] == OrdStatus.HELD or not one["was_sent"]:
            return
        most = max(1, int(str(one["leaves_qty_e9"])) // E9)
        self.fills.append((name, self.ties.fill(name, self.draw.choice((1, most, self.draw.randint(1, most))))))

    def _bust(self) -> None:
        if self.fills:
            self.ties.bust(*self.draw.choice(self.fills[-5:]))

    def _quote(self) -> None:
        self.ties.quote(10_000 + self.draw.randint(-350, 350), self.draw.choice((0, 0, 0, 1)))

    def _change(self) -> None:
        name, _ = self._row()
        if self.draw.random() < 0.5:
            self.ties.cancel(name)
        else:
            self.ties.replace(name, qty=str(self.draw.randint(1, 20)))

    def _restart(self) -> None:
        self.ties.take()
        self.ties.restart(is_clean=self.draw.random() < 0.5)

    def _agree(self) -> None:
        self.ties.agree()

    def _cancel_all(self) -> None:
        if self.draw.random() < 0.2:
            self.ties.cancel_all()


def test_ties_are_settled_and_true_over_random_histories() -> None:
    for seed in range(HISTORIES):
        chooser = Chooser(seed)
        try:
            for _ in range(STEPS):
                chooser.step()
        except (AssertionError, ValueError, RuntimeError) as error:
            error.add_note(f"history {seed}, after {len(chooser.ties.events)} events")
            raise
