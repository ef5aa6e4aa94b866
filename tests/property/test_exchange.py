"""The venue's matching model: its reports tell one consistent story, and faults touch delivery only."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from brokers.sim import messages as m
from brokers.sim.exchange import Exchange
from brokers.sim.quirks import Outbound, Quirks
from hotpath.fixed import from_e9, to_e9

E9 = 1_000_000_000
KEY = "k"


class Story:
    """Folds reports in the order in which they were made, and refuses what cannot be true."""

    def __init__(self) -> None:
        self.terms: dict[str, tuple[str, int, int]] = {}  # oid: side, quantity, limit (0 = market)
        self.cum: Counter[str] = Counter()
        self.done: set[str] = set()
        self.held: set[str] = set()  # stops that have not fired
        self.exec_ids: set[str] = set()
        self.numbers: list[int] = []
        self.fills: list[m.Fill] = []

    def tell(self, out: list[Outbound], orders: dict[str, m.New]) -> None:
        for _, key, message in out:
            assert key == KEY
            if isinstance(message, m.Ack):
                new = orders[message.id]
                self.terms[message.oid] = (new.side, to_e9(new.qty), to_e9(new.px) if new.px else 0)
                if new.stop:
                    self.held.add(message.oid)
            elif isinstance(message, m.Triggered):
                self.held.remove(message.oid)  # once
            elif isinstance(message, m.Replaced):
                assert message.oid not in self.done
                side, _, _ = self.terms[message.oid]
                self.terms[message.oid] = (side, to_e9(message.qty), to_e9(message.px))
                assert to_e9(message.cum) == self.cum[message.oid]
                assert to_e9(message.qty) > to_e9(message.cum)
            elif isinstance(message, m.Fill):
                self._fill(message)
            elif isinstance(message, m.Canceled | m.Expired):
                assert message.oid not in self.done
                assert to_e9(message.cum) == self.cum[message.oid]
                self.done.add(message.oid)

    def _fill(self, fill: m.Fill) -> None:
        side, qty_e9, limit_e9 = self.terms[fill.oid]
        last_qty_e9, last_px_e9 = to_e9(fill.qty), to_e9(fill.px)
        assert fill.oid not in self.done | self.held and last_qty_e9 > 0 and last_px_e9 > 0
        assert limit_e9 == 0 or (last_px_e9 <= limit_e9 if side == "buy" else last_px_e9 >= limit_e9)
        self.cum[fill.oid] += last_qty_e9
        assert (to_e9(fill.cum), to_e9(fill.leaves)) == (self.cum[fill.oid], qty_e9 - self.cum[fill.oid])
        if fill.leaves == "0":
            self.done.add(fill.oid)
        assert fill.exec not in self.exec_ids
        self.exec_ids.add(fill.exec)
        self.numbers.append(fill.n)
        self.fills.append(fill)


class History:
    """Drives one exchange with drawn requests; ids repeat now and then, terms are sometimes unsound."""

    def __init__(self, seed: int, quirks: Quirks) -> None:
        self.draw = Random(seed)
        self.exchange = Exchange(seed, quirks, frozenset({"A", "B"}))
        self.orders: dict[str, m.New] = {}
        self.ids: list[str] = ["none"]
        self.now_ns = 0

    def step(self) -> list[Outbound]:
        draw, exchange = self.draw, self.exchange
        self.now_ns += draw.randrange(1000)
        kind = draw.randrange(10)
        if kind < 3:
            mid = draw.randrange(95, 106) * E9
            return exchange.on_quote(
                draw.choice("AB"), bid_px_e9=mid - draw.choice((-E9, 0, E9, 2 * E9)), bid_qty_e9=draw.randrange(6) * E9,
                ask_px_e9=mid + draw.choice((0, E9)), ask_qty_e9=draw.randrange(6) * E9, now_ns=self.now_ns,
            )  # fmt: skip
        if kind == 3:
            px, qty = draw.randrange(95, 106) * E9, draw.randrange(1, 6) * E9
            return exchange.on_trade(draw.choice("AB"), px_e9=px, qty_e9=qty, now_ns=self.now_ns)
        if kind < 7:
            return exchange.on_order(KEY, self._new(), self.now_ns)
        if kind == 7:
            return exchange.on_cancel(KEY, m.Cancel(draw.choice(self.ids)), self.now_ns)
        if kind == 8:
            id = f"r{len(self.ids)}"
            self.ids.append(id)
            qty, px = str(draw.randrange(6)), str(draw.randrange(95, 106))
            stop = draw.choice((None, None, str(draw.randrange(95, 106))))
            replace = m.Replace(id, draw.choice(self.ids), qty, px, stop, draw.choice((None, None, None, "2")))
            return exchange.on_replace(KEY, replace, self.now_ns)
        return exchange.on_timer(self.now_ns)

    def _new(self) -> m.New:
        draw = self.draw
        id = draw.choice(self.ids) if draw.randrange(8) == 0 else f"o{len(self.ids)}"
        is_limit, is_stop = draw.randrange(4) > 0, draw.randrange(4) == 0
        kind = ("stop_limit" if is_limit else "stop") if is_stop else "limit" if is_limit else "market"
        new = m.New(
            id=id, sym=draw.choice("AABBX"), side=draw.choice(("buy", "sell")), type=kind,
            tif=draw.choice(("day", "gtc", "ioc", "fok", "gtd")), qty=str(draw.randrange(8)),
            px=str(draw.randrange(95, 106)) if is_limit else None, exp=self.now_ns + draw.randrange(-10, 5000),
            stop=str(draw.randrange(95, 106)) if is_stop else None,
            trail="3" if kind == "stop" and id[-1] < "3" else None,
            trail_bps="150" if kind == "stop" and id[-1] > "6" else None,
        )  # fmt: skip
        self.ids.append(id)
        if (KEY, id) not in self.exchange.orders:
            self.orders[id] = new
        return new


@given(st.integers(0, 2**32))
def test_the_reports_of_a_clean_venue_tell_one_story_and_queries_agree_with_it(seed: int) -> None:
    history, story = History(seed, Quirks()), Story()
    for _ in range(200):
        story.tell(history.step(), history.orders)
    exchange = history.exchange
    assert story.numbers == list(range(1, len(story.numbers) + 1))
    assert exchange.fills_since(KEY, 0) == story.fills
    assert exchange.fills_since(KEY, 3) == story.fills[3:]
    position: Counter[str] = Counter()
    for (_, _), order in exchange.orders.items():
        state = exchange.state_of(order, 0)
        if state.oid not in story.terms:
            assert state.status == "rejected"
            continue
        assert to_e9(state.cum) == story.cum[state.oid] == sum(to_e9(item.qty) for item in state.execs)
        assert (state.leaves == "0") == (state.oid in story.done)
    for order in {id(order): order for order in exchange.orders.values()}.values():
        position[order.sym] += order.cum_qty_e9 if order.side == "buy" else -order.cum_qty_e9
    told = {item.sym: to_e9(item.qty) for item in exchange.positions(KEY)}
    assert all(qty == told.get(sym, 0) for sym, qty in position.items())


FAULTS = Quirks(
    latency_ns=100, latency_jitter_ns=1000, partial_ppm=300_000, swallow_ppm=50_000, lost_answer_ppm=100_000,
    lost_ppm=50_000, duplicate_ppm=200_000, delay_ppm=200_000, fill_first_ppm=300_000, disconnect_ppm=50_000,
    unknown_word_ppm=50_000, reject_ppm=50_000,
)  # fmt: skip


@given(st.integers(0, 2**32))
def test_faults_touch_delivery_only_and_the_same_seed_gives_the_same_faults(seed: int) -> None:
    histories = [History(seed, FAULTS), History(seed, FAULTS)]
    outs = [[history.step() for _ in range(150)] for history in histories]
    assert outs[0] == outs[1]
    exchange = histories[0].exchange
    for order in exchange.orders.values():
        assert order.cum_qty_e9 == sum(to_e9(item.qty) for item in order.exec_list) <= order.qty_e9
        assert order.status != "filled" or order.cum_qty_e9 == order.qty_e9
    known = {fill.exec: fill for fill in exchange.fills_since(KEY, 0)}
    for out in outs[0]:
        for delay_ns, _, message in out:
            assert delay_ns >= 0
            assert not isinstance(message, m.Fill) or known[message.exec] == message


@given(st.lists(st.tuples(st.integers(95, 105), st.integers(1, 5)), min_size=1, max_size=20), st.integers(1, 60))
def test_resting_buyers_fill_better_price_first_then_older_first(rest: list[tuple[int, int]], size: int) -> None:
    exchange = Exchange(1, symbols=frozenset({"A"}))
    for number, (px, qty) in enumerate(rest):
        exchange.on_order(KEY, m.New(f"o{number}", "A", "buy", "limit", "gtc", str(qty), str(px)), 0)
    out = exchange.on_quote("A", bid_px_e9=80 * E9, bid_qty_e9=E9, ask_px_e9=90 * E9, ask_qty_e9=size * E9, now_ns=1)
    fills = [message for _, _, message in out if isinstance(message, m.Fill)]
    left, expected = size, []
    for number in sorted(range(len(rest)), key=lambda number: (-rest[number][0], number)):
        taken = min(left, rest[number][1])
        left -= taken
        if taken:
            expected.append((f"o{number}", str(taken), str(rest[number][0])))
    assert [(fill.id, fill.qty, fill.px) for fill in fills] == expected
    assert from_e9(sum(to_e9(fill.qty) for fill in fills)) == str(size - left)
