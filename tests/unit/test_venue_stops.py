"""Stops that the venue holds: its own touch fires them, once, in order; they outlive it by its ledger."""

from __future__ import annotations

from typing import Any

import pytest

from brokers.sim import messages as m
from brokers.sim.exchange import Exchange
from brokers.sim.rebuild import Rebuilder
from hotpath.fixed import to_e9

KEY = "k"


class Venue:
    """One exchange with a symbol at 100 to 101, and a ledger in memory."""

    def __init__(self) -> None:
        self.exchange = Exchange(1, None, frozenset({"A"}))
        self.lines: list[tuple[str, Any]] = []
        self.exchange.note = lambda key, message: self.lines.append(("fact", message))
        self.now_ns = 0
        self.quote("100", "101")

    def quote(self, bid: str, ask: str, qty: str = "100") -> list[m.Message]:
        self.now_ns += 1
        out = self.exchange.on_quote(
            "A", bid_px_e9=to_e9(bid), bid_qty_e9=to_e9(qty), ask_px_e9=to_e9(ask), ask_qty_e9=to_e9(qty),
            now_ns=self.now_ns,
        )  # fmt: skip
        return messages(out)

    def new(self, id: str, kind: str, **terms: Any) -> list[m.Message]:
        fields = {"sym": "A", "side": "sell", "tif": "gtc", "qty": "2"} | terms
        new = m.New(id=id, type=kind, **fields)
        self.lines.append(("in", new))
        return messages(self.exchange.on_order(KEY, new, self.now_ns))

    def restarted(self) -> Venue:
        """Another process over the same ledger; no quote yet."""
        found = Venue.__new__(Venue)
        found.exchange, found.lines, found.now_ns = Exchange(1, None, frozenset({"A"})), [], self.now_ns
        book = Rebuilder(found.exchange)
        for kind, message in self.lines:
            if kind == "in":
                book.ask(KEY, message)
            elif isinstance(message, m.Fact):
                book.apply(KEY, message)
        book.finish()
        return found

    def status(self, id: str) -> str:
        return self.exchange.orders[KEY, id].status


def messages(out: list[tuple[int, str, Any]]) -> list[m.Message]:
    return [message for _, _, message in out]


@pytest.fixture
def venue() -> Venue:
    return Venue()


def kinds(told: list[m.Message]) -> list[str]:
    return [type(message).__name__ for message in told]


def test_a_sell_stop_fires_when_the_bid_reaches_it_and_not_before(venue: Venue) -> None:
    assert kinds(venue.new("s", "stop", stop="98")) == ["Ack"]
    assert venue.quote("98.01", "98.02") == []
    told = venue.quote("97.5", "98")
    assert kinds(told) == ["Triggered", "Fill"]
    assert isinstance(told[0], m.Triggered) and told[0].px == "97.5"
    assert venue.quote("90", "91") == []


def test_a_buy_stop_fires_by_the_ask(venue: Venue) -> None:
    venue.new("s", "stop", side="buy", stop="103")
    assert venue.quote("103", "102.99") == []  # crossed: nobody knows the market
    assert venue.quote("102.5", "102.99") == []
    assert kinds(venue.quote("102", "103")) == ["Triggered", "Fill"]


def test_a_stop_limit_rests_at_its_limit_after_it_has_fired(venue: Venue) -> None:
    venue.new("s", "stop_limit", stop="98", px="97")
    assert kinds(venue.quote("96", "97.5")) == ["Triggered"]
    assert venue.status("s") == "new"
    told = venue.quote("97", "98")
    assert kinds(told) == ["Fill"] and isinstance(told[0], m.Fill) and told[0].px == "97"


def test_one_whose_trigger_was_passed_before_fires_at_once(venue: Venue) -> None:
    assert kinds(venue.new("s", "stop", stop="100")) == ["Ack", "Triggered", "Fill"]


def test_a_print_fires_nothing(venue: Venue) -> None:
    venue.new("s", "stop", stop="98")
    assert venue.exchange.on_trade("A", px_e9=to_e9("90"), qty_e9=to_e9("5"), now_ns=2) == []


def test_a_gap_fires_the_nearest_trigger_first_then_the_oldest(venue: Venue) -> None:
    for id, stop in (("low", "95"), ("high", "99"), ("high2", "99")):
        venue.new(id, "stop", stop=stop)
    told = venue.quote("90", "91", qty="3")
    assert [(type(item).__name__, getattr(item, "id", "")) for item in told] == [
        ("Triggered", "high"), ("Fill", "high"), ("Triggered", "high2"), ("Fill", "high2"), ("Triggered", "low"),
    ]  # fmt: skip
    assert venue.status("high2") == "partially_filled" and venue.status("low") == "new"


def test_what_rested_before_takes_the_touch_first(venue: Venue) -> None:
    venue.new("rest", "limit", px="103", qty="3")
    venue.new("stop", "stop", stop="99")
    told = venue.quote("103", "104", qty="3")
    assert kinds(told) == ["Fill"]
    assert venue.status("stop") == "held"


def test_a_replace_moves_the_trigger_in_one_step(venue: Venue) -> None:
    venue.new("s", "stop", stop="98")
    told = messages(venue.exchange.on_replace(KEY, m.Replace("s2", "s", "5", stop="95"), 1))
    assert isinstance(told[0], m.Replaced) and (told[0].stop, told[0].qty, told[0].px) == ("95", "5", "0")
    assert venue.quote("96", "97") == []
    told = messages(venue.exchange.on_replace(KEY, m.Replace("s3", "s2", "5", stop="96"), 1))
    assert kinds(told) == ["Replaced", "Triggered", "Fill"]


def test_a_replace_that_the_firing_overtook_is_refused(venue: Venue) -> None:
    venue.new("s", "stop_limit", stop="98", px="97")
    venue.quote("96", "97.5")
    told = messages(venue.exchange.on_replace(KEY, m.Replace("s2", "s", "2", "97", "95"), 1))
    assert isinstance(told[0], m.ReplaceRejected) and (told[0].reason, told[0].code) == ("too_late", "TRIGGERED")
    told = messages(venue.exchange.on_replace(KEY, m.Replace("s3", "s", "2", "96.5"), 1))
    assert isinstance(told[0], m.Replaced) and told[0].stop == "0"


@pytest.mark.parametrize("terms", [{"stop": "0"}, {"stop": "-1"}, {"stop": "x"}, {}])
def test_a_stop_without_a_sound_trigger_is_refused(venue: Venue, terms: dict[str, str]) -> None:
    told = venue.new("s", "stop", **terms)
    assert isinstance(told[0], m.Rejected) and told[0].reason == "price"


def test_a_held_stop_is_shown_and_ends_by_cancel_and_by_its_time(venue: Venue) -> None:
    venue.new("s", "stop", stop="98")
    venue.new("t", "stop", stop="97", tif="gtd", exp=50)
    state = venue.exchange.state_of(venue.exchange.orders[KEY, "s"], 1)
    assert (state.status, state.stop, state.leaves) == ("held", "98", "2")
    assert [order.id for order in venue.exchange.open_orders(KEY)] == ["s", "t"]
    assert kinds(messages(venue.exchange.on_cancel(KEY, m.Cancel("s"), 1))) == ["Canceled"]
    assert kinds(messages(venue.exchange.on_timer(50))) == ["Expired"]
    assert venue.quote("90", "91") == []


def test_stops_outlive_the_venue_and_none_fires_twice(venue: Venue) -> None:
    venue.new("fired", "stop_limit", stop="99", px="98.5")
    venue.quote("98", "98.4")
    venue.new("held", "stop", stop="95")
    venue.exchange.on_replace(KEY, m.Replace("held2", "held", "2", stop="96"), 1)
    again = venue.restarted()
    assert (again.status("fired"), again.status("held2")) == ("new", "held")
    assert kinds(again.quote("96.5", "97")) == []
    told = again.quote("96", "97")
    assert [(type(item).__name__, getattr(item, "id", "")) for item in told] == [
        ("Triggered", "held2"), ("Fill", "held2"),
    ]  # fmt: skip


def test_a_trailing_sell_follows_the_bid_up_and_never_down(venue: Venue) -> None:
    venue.new("s", "stop", stop="97", trail="3")
    assert venue.quote("105", "106") == []
    assert venue.quote("102.5", "103") == []
    assert venue.quote("110", "109") == []  # crossed: nothing to follow
    assert venue.exchange.orders[KEY, "s"].stop_px_e9 == to_e9("102")
    assert kinds(venue.quote("102", "103")) == ["Triggered", "Fill"]


def test_a_trailing_buy_follows_the_ask_down_by_basis_points(venue: Venue) -> None:
    venue.new("s", "stop", side="buy", stop="104", trail_bps="100")
    assert venue.quote("89", "90") == []
    assert venue.exchange.orders[KEY, "s"].stop_px_e9 == to_e9("90.9")
    assert kinds(venue.quote("90", "90.9")) == ["Triggered", "Fill"]


def test_a_trail_comes_back_where_it_was_and_with_the_distance_it_has(venue: Venue) -> None:
    venue.new("s", "stop", stop="97", trail="3")
    venue.quote("105", "106")
    venue.exchange.on_replace(KEY, m.Replace("s2", "s", "2", trail="2"), 1)
    again = venue.restarted()
    assert again.quote("103", "104") == []
    assert again.exchange.orders[KEY, "s2"].stop_px_e9 == to_e9("102")
    assert again.quote("106", "107") == []
    assert kinds(again.quote("104", "105")) == ["Triggered", "Fill"]


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": "stop", "stop": "98", "trail": "1", "trail_bps": "5"},
        {"kind": "stop_limit", "stop": "98", "px": "97", "trail": "1"},
        {"kind": "limit", "px": "97", "trail": "1"},
        {"kind": "stop", "stop": "98", "trail": "0"},
        {"kind": "stop", "stop": "98", "trail_bps": "-1"},
    ],
)
def test_a_trail_that_cannot_be_is_refused(venue: Venue, terms: dict[str, str]) -> None:
    assert kinds(venue.new("s", **terms)) == ["Rejected"]
    refused = venue.exchange.on_replace(KEY, m.Replace("s2", "s", "2", trail="1"), 1)
    assert kinds(messages(refused)) == ["ReplaceRejected"]
