"""Trailing stops against a model that folds prices, on both cores in step: where each stop is, and what fires.

The model is order-api section 8 in its own words: an extreme that only improves, a stop that never loosens, one price
at a time. A snapshot and a replay in the middle of a history must put every stop where it was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from random import Random

from gateway.contracts.requests import PlaceItem, ReplaceItem, Trail, Trigger
from gateway.core import COMPILED, Core
from hotpath.enums import OrdStatus
from hotpath.fixed import from_e9, to_e9
from tests.property.both_cores import BOTH
from tests.property.order_world import CENT, E9, LIMITS, Live, new_state

STEPS = 250  # of one history
HISTORIES = max(4, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // STEPS)
TELL_NS = 250_000_000


@dataclass
class Model:
    """One trailing stop. Prices in ticks of a cent, as exact fractions where they are in between."""

    is_sell: bool
    unit: str
    distance: Fraction  # cents, or share of the price
    activation: int | None
    offset: int | None
    stop: int | None = None
    told: int | None = None
    is_active: bool = False
    fired_at: int | None = None
    is_gone: bool = False

    def stop_of(self, extreme: Fraction) -> int:
        away = self.distance if self.unit == "amount" else extreme * self.distance
        return floor(extreme - away) if self.is_sell else ceil(extreme + away)

    def extreme(self) -> Fraction:
        """The least favourable price, in steps of 1e-7 cents, whose stop this is."""
        assert self.stop is not None
        if self.unit == "amount":
            return self.stop + self.distance if self.is_sell else self.stop - self.distance
        share = 1 - self.distance if self.is_sell else 1 + self.distance
        exact = self.stop / share
        return Fraction(ceil(exact * CENT) if self.is_sell else floor(exact * CENT), CENT)

    def on_price(self, px: int) -> None:
        if not self.is_active:
            assert self.activation is not None
            if px >= self.activation if self.is_sell else px <= self.activation:
                self.is_active, self.stop = True, self.stop_of(Fraction(px))
                self.told = self.stop
            return
        wanted = self.stop_of(Fraction(px))
        if self.stop is None or (wanted > self.stop if self.is_sell else wanted < self.stop):
            self.stop = wanted
        elif px <= self.stop if self.is_sell else px >= self.stop:
            self.fired_at = px


class History:
    """A random life of many trailing stops on one instrument."""

    def __init__(self, seed: int, core: Core) -> None:
        self.draw = Random(seed)
        self.core = core
        self.live = Live.over(new_state(core), core)
        self.wall_ns, self.mono_ns, self.px = 10**18, 10**9, 10_000
        self.journal = bytearray()
        self.models: list[Model] = []
        world = core.world(self.live.state)
        world.start_epoch(1, bytes(range(16)), self.wall_ns)
        world.list_instrument(
            b"S0", tick_e9=CENT, lot_e9=E9, min_qty_e9=E9, max_age_ns=10**18, outside_bps_e9=10**6 * E9, asset_class=0,
            wall_ns=self.wall_ns,
        )  # fmt: skip
        world.open_account(b"A0", 0, 10**15, self.wall_ns)
        world.set_limits(0, LIMITS, 1, self.wall_ns)
        self.quote()
        self.write()

    def write(self) -> None:
        state = self.live.state
        if state.has_records():
            taken = bytes(state.peek())
            state.placed(len(self.journal))
            self.journal += taken

    def step(self) -> None:
        self.wall_ns += 7_000_000
        self.mono_ns += 7_000_000
        kind = self.draw.random()
        if kind < 0.25:
            self.place()
        elif kind < 0.33:
            self.replace()
        elif kind < 0.38:
            self.cancel()
        elif kind < 0.45:
            self.tell()
        else:
            self.quote()
        self.write()
        self.compare()

    def trail(self, unit: str) -> tuple[Trail, Fraction]:
        if unit == "amount":
            cents = Fraction(self.draw.choice((1, 5, 30, 200)) * 10 + self.draw.choice((0, 0, 3)), 10)
            return Trail(amount=from_e9(int(cents * CENT))), cents
        bps = self.draw.choice((1, 7, 25, 120))
        if unit == "pct":
            return Trail(pct=from_e9(bps * E9 // 100)), Fraction(bps, 10_000)
        return Trail(bps=str(bps)), Fraction(bps, 10_000)

    def place(self) -> None:
        draw, is_sell = self.draw, self.draw.random() < 0.5
        trail, distance = self.trail(unit := draw.choice(("amount", "bps", "pct")))
        ahead = draw.randint(1, 60) if draw.random() < 0.4 else 0
        activation = (self.px + ahead if is_sell else self.px - ahead) if ahead else None
        offset = draw.randint(0, 20) if draw.random() < 0.4 else None
        trigger = Trigger(
            kind="trail", trail=trail, source="bid", stop_px=None if activation is None else px_text(activation),
            limit_offset=None if offset is None else px_text(offset),
        )  # fmt: skip
        item = PlaceItem(
            cl_ord_id=f"t{len(self.models)}", symbol="S0", side="sell" if is_sell else "buy", qty="1", tif="gtc",
            ord_type="market" if offset is None else "limit", trigger=trigger, stp="allow",
        )  # fmt: skip
        answer = self.live.intake.place(0, item, b"s", 0, False, self.wall_ns, self.mono_ns)
        assert answer > 0, (answer, self.live.intake.path, self.live.intake.text)
        kind = "amount" if unit == "amount" else "share"
        self.models.append(Model(is_sell, kind, distance, activation, offset, is_active=activation is None))

    def _resting(self) -> int:
        found = [row for row, one in enumerate(self.models) if one.fired_at is None and not one.is_gone]
        return self.draw.choice(found) if found else -1

    def replace(self) -> None:
        if (row := self._resting()) < 0:
            return
        model = self.models[row]
        trail, distance = self.trail(unit := self.draw.choice(("amount", "bps", "pct")))
        rev = self.live.views.order(row)["ask_rev"] + 1
        item = ReplaceItem(cl_ord_id=f"t{row}", rev=rev, trigger=Trigger(kind="trail", trail=trail))
        assert self.live.intake.replace(0, item, 0, self.wall_ns, self.mono_ns) > 0
        extreme = None if model.stop is None else model.extreme()
        is_other = (unit == "amount") != (model.unit == "amount") or distance != model.distance
        model.unit, model.distance = "amount" if unit == "amount" else "share", distance
        if extreme is not None and is_other:
            model.stop = model.stop_of(extreme)

    def cancel(self) -> None:
        if (row := self._resting()) >= 0:
            assert self.live.intake.cancel(0, f"t{row}", 0, self.wall_ns) > 0
            self.models[row].is_gone = True

    def tell(self) -> None:
        """A client is told of its stop when that has moved, and not more often than it is time."""
        before = {row: self.live.views.order(row)["told_stop_px_e9"] for row in range(len(self.models))}
        self.wall_ns += self.draw.choice((0, TELL_NS))
        told = self.live.watch.tell_trails(self.wall_ns, 1_000)
        after = {row: self.live.views.order(row)["told_stop_px_e9"] for row in range(len(self.models))}
        moved = [row for row in before if before[row] != after[row]]
        assert len(moved) == told
        for row in moved:
            assert after[row] == (self.models[row].stop or 0) * CENT

    def quote(self) -> None:
        draw = self.draw
        self.px = max(500, self.px + draw.randint(-12, 12) + (draw.randint(-300, 300) if draw.random() < 0.05 else 0))
        state, watch = self.live.state, self.live.watch
        state.quotes.quote(0, self.px * CENT, E9, (self.px + 1) * CENT, E9, self.mono_ns, 0, self.mono_ns)
        watch.sweep(0, self.mono_ns, self.wall_ns)
        while watch.has_backlog():
            watch.drain(self.mono_ns, self.wall_ns)
        while watch.next_refused() is not None:
            pass
        watch.take_fired(1_000)
        for model in self.models:
            if model.fired_at is None and not model.is_gone:
                model.on_price(self.px)

    def compare(self) -> None:
        state, views = self.live.state, self.live.views
        for row, model in enumerate(self.models):
            order = views.order(row)
            if model.is_gone:
                assert order["ord_status"] == OrdStatus.CANCELED
            elif model.fired_at is None:
                assert order["ord_status"] == OrdStatus.HELD, (row, model)
                at = model.stop if model.is_active else model.activation
                assert state.stops.trigger_of(row) == (at or 0) * CENT, (row, model)
            else:
                assert order["ord_status"] == OrdStatus.PENDING_NEW, (row, model)
                if model.offset is not None:
                    assert model.stop is not None
                    limit = model.stop - model.offset if model.is_sell else model.stop + model.offset
                    assert order["px_e9"] == max(limit, 1) * CENT

    def reload(self) -> None:
        """Where a snapshot or the whole journal begins again, every stop is where it was."""
        state = self.live.state
        again = new_state(COMPILED)
        again.load(state.dump(), state.positions_dump())
        replayed = new_state(COMPILED)
        replayed.replay(memoryview(bytes(self.journal)), 0)
        for other in (again, replayed):
            assert other.digest() == state.digest()
            for row in range(len(self.models)):
                assert other.stops.trigger_of(row) == state.stops.trigger_of(row)


def px_text(cents: int) -> str:
    return from_e9(cents * CENT)


def test_trailing_stops_are_where_the_prices_put_them() -> None:
    for seed in range(HISTORIES):
        history = History(seed, BOTH)
        for step in range(STEPS):
            history.step()
            if step % 50 == 49:
                history.reload()


def test_ten_thousand_trails_move_by_one_record() -> None:
    """What a new high costs does not grow with the number of stops that it moves."""
    core = COMPILED
    state = core.state(shard=1, orders=10_000, accounts=1, instruments=1)
    live = Live.over(state, core)
    world = core.world(state)
    world.start_epoch(1, bytes(16), 1)
    world.list_instrument(
        b"S0", tick_e9=CENT, lot_e9=E9, min_qty_e9=E9, max_age_ns=10**18, outside_bps_e9=10**6 * E9, asset_class=0,
        wall_ns=1,
    )  # fmt: skip
    world.open_account(b"A0", 0, 10**15, 1)
    world.set_limits(0, LIMITS, 1, 1)
    for row in range(10_000):
        item = PlaceItem(
            cl_ord_id=f"t{row}", symbol="S0", side="sell", qty="1", tif="gtc", ord_type="market", stp="allow",
            trigger=Trigger(kind="trail", trail=Trail(amount="0.5"), source="bid"),
        )  # fmt: skip
        assert live.intake.place(0, item, b"s", 0, False, 1, 1) > 0
    for px in (100, 101, 102):
        before = state.seq
        state.quotes.quote(0, px * E9, E9, px * E9 + CENT, E9, px, 0, px)
        live.watch.sweep(0, px, px)
        assert state.seq == before + 1
        assert {state.stops.trigger_of(row) for row in range(10_000)} == {px * E9 - to_e9("0.5")}
