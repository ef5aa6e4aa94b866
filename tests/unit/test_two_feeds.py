"""Two feeds of one instrument: which of them is believed, and what happens when that one is silent, lost or late."""

from typing import Any

import pytest

from hotpath.quotes import QuoteFlag, QuoteTable

LAST, BID = 0, 1
E9 = 10**9
QTY = 5 * E9
AGE_NS = 1_000
A, B, C = range(3)
APPLIED = 0


def table(*markets: int) -> QuoteTable:
    quotes = QuoteTable(2)
    settings: dict[str, Any] = {"tick_e9": E9 // 100, "lot_e9": E9, "min_qty_e9": E9, "max_age_ns": AGE_NS,
                                "outside_bps_e9": 50 * E9, "asset_class": 1}  # fmt: skip
    quotes.add("BTC", **settings)
    quotes.set_feeds(list(markets))
    return quotes


def quote(quotes: QuoteTable, feed: int, bid: int, seq: int, mono_ns: int, venue_ns: int | None = None) -> int:
    venue_ns = seq * 10 if venue_ns is None else venue_ns
    return quotes.quote(0, bid * E9, QTY, (bid + 2) * E9, QTY, seq, venue_ns, mono_ns, feed)


def trade(quotes: QuoteTable, feed: int, px: int, seq: int, mono_ns: int) -> int:
    return quotes.trade(0, px * E9, QTY, seq, seq * 10, mono_ns, feed)


def bid(quotes: QuoteTable, mono_ns: int) -> int:
    return quotes.trigger(0, BID, mono_ns) // E9


class TestOneMarket:
    """Both feeds carry the venue's own times and numbers."""

    def test_what_comes_first_counts_and_its_copy_is_put_aside(self) -> None:
        quotes = table(0, 0)
        assert quote(quotes, A, 100, 1, 10) == APPLIED
        assert quote(quotes, B, 100, 1, 11) == QuoteFlag.ASIDE
        assert quote(quotes, B, 101, 2, 12) == APPLIED
        assert quote(quotes, A, 101, 2, 13) == QuoteFlag.ASIDE
        assert bid(quotes, 13) == 101
        assert quotes.snapshot(0)["quote_mono_ns"] == 12, "a copy is no news: it makes nothing younger"

    def test_an_older_update_of_the_slower_feed_never_comes_in_force(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 100, 5, 10)
        assert quote(quotes, B, 90, 4, 20) == QuoteFlag.ASIDE
        assert quote(quotes, B, 91, 5, 21, venue_ns=49) == QuoteFlag.ASIDE
        assert bid(quotes, 21) == 100

    def test_numbers_order_what_the_venue_sent_in_the_same_instant(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 100, 5, 10, venue_ns=50)
        assert quote(quotes, B, 99, 4, 11, venue_ns=50) == QuoteFlag.ASIDE
        assert quote(quotes, B, 101, 6, 12, venue_ns=50) == APPLIED

    def test_a_silent_feed_is_replaced_by_the_next_update_of_the_other(self) -> None:
        quotes = table(0, 0)
        for seq in range(1, 5):
            quote(quotes, A, 100, seq, seq)
            quote(quotes, B, 100, seq, seq)
        assert quote(quotes, B, 95, 5, 20) == APPLIED
        assert bid(quotes, 20) == 95

    def test_a_bad_print_is_not_confirmed_by_its_own_copy(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 1_000, 1, 10)
        assert trade(quotes, A, 900, 2, 11) == QuoteFlag.OUTSIDE_QUOTE
        assert trade(quotes, B, 900, 2, 12) == QuoteFlag.OUTSIDE_QUOTE | QuoteFlag.ASIDE
        assert quotes.trigger(0, LAST, 12) == 0
        assert trade(quotes, B, 901, 3, 13) == APPLIED
        assert quotes.trigger(0, LAST, 13) == 901 * E9

    def test_a_locked_quote_is_not_confirmed_by_its_own_copy(self) -> None:
        quotes = table(0, 0)

        def lock(feed: int, seq: int, mono_ns: int) -> int:
            return quotes.quote(0, 100 * E9, QTY, 100 * E9, QTY, seq, seq, mono_ns, feed)

        assert lock(A, 1, 10) == QuoteFlag.LOCKED
        assert lock(B, 1, 11) == QuoteFlag.LOCKED | QuoteFlag.ASIDE
        assert bid(quotes, 11) == 0
        assert lock(B, 2, 12) == QuoteFlag.LOCKED
        assert bid(quotes, 12) == 100

    def test_a_lost_feed_takes_nothing_with_it_and_comes_back_in_order(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 100, 5, 10)
        assert quotes.set_up(A, False, 11) == []
        assert quotes.set_up(A, True, 12) == []
        assert bid(quotes, 12) == 100, "it is the market's price, and the other feed goes on from it"
        assert quote(quotes, A, 90, 4, 13) == QuoteFlag.ASIDE, "an old picture at the beginning of a connection"
        assert quote(quotes, A, 101, 6, 14) == APPLIED

    def test_the_last_feed_of_a_market_takes_its_prices_with_it(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 100, 5, 10)
        quotes.set_up(B, False, 11)
        quotes.set_up(A, False, 11)
        assert bid(quotes, 12) == 100, "young as it is, it counts until its limit"
        quotes.set_up(A, True, 13)
        assert bid(quotes, 13) == 0
        assert quote(quotes, A, 90, 1, 14) == APPLIED

    def test_a_feed_that_lags_brings_nothing_back_that_is_past(self) -> None:
        quotes = table(0, 0)
        quote(quotes, A, 100, 500, 10)
        assert quote(quotes, B, 90, 400, 2 * AGE_NS) == QuoteFlag.ASIDE
        assert bid(quotes, 2 * AGE_NS) == 0, "blind, and so it says"
        assert quote(quotes, B, 99, 501, 3 * AGE_NS) == APPLIED

    def test_a_venue_that_set_its_clock_back_is_believed_once_the_rest_is_old(self) -> None:
        quotes, minute_ns = table(0, 0), 60 * 10**9
        quote(quotes, A, 100, 1, 10, venue_ns=3 * minute_ns)
        assert quote(quotes, B, 99, 2, AGE_NS, venue_ns=minute_ns) == QuoteFlag.ASIDE
        assert quote(quotes, B, 98, 3, 2 * AGE_NS, venue_ns=minute_ns + 1) == APPLIED
        assert quote(quotes, B, 97, 4, 2 * AGE_NS, venue_ns=minute_ns + 2) == APPLIED


class TestTwoMarkets:
    """Prices of two venues: one leads, the other stands in."""

    def test_the_first_that_speaks_leads(self) -> None:
        quotes = table(0, 1)
        assert quote(quotes, B, 200, 900, 10) == APPLIED
        assert quote(quotes, A, 100, 1, 11) == QuoteFlag.ASIDE
        assert quote(quotes, B, 201, 901, 12) == APPLIED
        assert bid(quotes, 12) == 201
        assert quotes.leaders() == [B]

    def test_another_takes_over_when_the_leader_is_older_than_half_the_limit_and_keeps_it(self) -> None:
        quotes = table(0, 1)
        quote(quotes, A, 100, 1, 10)
        assert quote(quotes, B, 200, 1, 10 + AGE_NS // 2) == QuoteFlag.ASIDE
        assert quote(quotes, B, 200, 2, 11 + AGE_NS // 2) == APPLIED
        assert quote(quotes, A, 100, 2, 12 + AGE_NS // 2) == QuoteFlag.ASIDE, "no way back while that one is fresh"
        assert quote(quotes, B, 201, 3, 13 + AGE_NS // 2) == APPLIED

    def test_prices_of_feeds_that_are_both_alive_do_not_alternate(self) -> None:
        quotes = table(0, 1)
        changes, leader = 0, A
        for at in range(1, 200):  # each of them speaks once in nine tenths of the limit
            for feed, offset in ((A, 0), (B, AGE_NS // 3)):
                quote(quotes, feed, 100, at, at * AGE_NS * 9 // 10 + offset)
                changes += quotes.leaders()[0] != leader
                leader = quotes.leaders()[0]
        assert changes <= 1

    def test_a_lost_leader_is_replaced_at_once_by_what_the_other_said(self) -> None:
        quotes = table(0, 1)
        quote(quotes, A, 100, 1, 10)
        quote(quotes, B, 95, 7, 11)
        trade(quotes, B, 96, 8, 12)
        assert quotes.set_up(A, False, 13) == [0]
        assert (bid(quotes, 13), quotes.trigger(0, LAST, 13) // E9) == (95, 96)
        assert quotes.snapshot(0)["quote_mono_ns"] == 11, "as old as it is"

    def test_a_silent_leader_is_replaced_at_its_limit_without_a_new_update(self) -> None:
        quotes = table(0, 1)
        quote(quotes, A, 100, 1, 10)
        quote(quotes, B, 95, 7, AGE_NS // 2)
        assert quotes.relieve(10 + AGE_NS) == []
        assert quotes.relieve(11 + AGE_NS) == [0]
        assert bid(quotes, 11 + AGE_NS) == 95

    def test_nobody_stands_in_with_data_that_is_old_itself(self) -> None:
        quotes = table(0, 1)
        quote(quotes, B, 95, 7, 9)
        quotes.set_up(B, False, 10)
        quote(quotes, A, 100, 1, 10)
        assert quotes.relieve(5 * AGE_NS) == []
        quotes.set_up(B, True, 5 * AGE_NS)
        assert quotes.relieve(5 * AGE_NS) == [], "a new connection has said nothing yet"
        assert bid(quotes, 5 * AGE_NS) == 0

    def test_another_feed_gives_the_kind_of_data_that_the_leader_does_not(self) -> None:
        quotes = table(0, 1)
        quote(quotes, A, 100, 1, 10)
        assert trade(quotes, B, 101, 1, 11) == APPLIED
        assert trade(quotes, B, 100, 2, 12) == APPLIED
        assert quote(quotes, B, 99, 3, 13) == QuoteFlag.ASIDE
        assert trade(quotes, A, 101, 2, 14) == APPLIED, "and the leader's own, once it gives it"
        assert trade(quotes, B, 100, 4, 15) == QuoteFlag.ASIDE

    def test_of_three_feeds_the_two_of_one_market_count_as_one_leader(self) -> None:
        quotes = table(0, 1, 0)
        quote(quotes, A, 100, 1, 10)
        quote(quotes, B, 200, 1, 11)
        assert quotes.set_up(A, False, 12) == [], "its market is up"
        assert quote(quotes, C, 101, 2, 13) == APPLIED
        quote(quotes, B, 201, 2, 14)
        assert quotes.set_up(C, False, 15) == [0]
        assert bid(quotes, 15) == 201


def test_a_halt_disqualifies_what_every_feed_had_said() -> None:
    quotes = table(0, 1)
    quote(quotes, A, 100, 1, 10)
    quote(quotes, B, 95, 1, 11)
    quotes.set_state(0, is_halted=True)
    quotes.set_state(0, is_halted=False)
    quotes.set_up(A, False, 12)
    assert bid(quotes, 12) == 0
    assert quote(quotes, B, 96, 2, 13) == APPLIED
    assert bid(quotes, 13) == 96


def test_a_feed_prices_only_the_instruments_that_it_is_configured_for() -> None:
    quotes = table(0, 0)
    quotes.set_priced(B, [])
    assert quote(quotes, B, 100, 1, 10) == QuoteFlag.ASIDE
    assert bid(quotes, 10) == 0
    assert quotes.counters_of(0, B)["aside"] == 1
    assert quotes.counters_of(0, A)["aside"] == 0


@pytest.mark.parametrize("markets", [[], [0] * 17, [16]])
def test_feeds_beyond_the_bounds_are_refused(markets: list[int]) -> None:
    with pytest.raises(ValueError, match="feeds"):
        QuoteTable(1).set_feeds(markets)


def test_a_feed_that_is_not_there_is_an_error() -> None:
    quotes = table(0)
    with pytest.raises(IndexError):
        quotes.set_up(1, True, 1)
    assert quote(quotes, 1, 100, 1, 10) == QuoteFlag.BAD_VALUE


def test_a_lost_leader_is_not_replaced_by_what_is_older_than_its_own_last_word() -> None:
    quotes = table(0, 1)
    quote(quotes, A, 100, 1, 10)
    quote(quotes, B, 95, 1, 11)
    quote(quotes, A, 101, 2, 12)
    assert quotes.set_up(A, False, 13) == []
    assert bid(quotes, 13) == 101
    assert quote(quotes, B, 96, 2, 14) == APPLIED


def test_what_a_lost_feed_said_last_counts_for_how_long_nothing_was_heard() -> None:
    quotes = table(0, 1)
    quote(quotes, A, 100, 1, 10)
    assert quote(quotes, B, 90, 1, 400) == QuoteFlag.ASIDE
    quotes.set_up(B, False, 410)
    assert quotes.snapshot(0)["seen_ns"] == 400, "it would have stood in for a silent leader"
    copies = table(0, 0)
    quote(copies, A, 100, 1, 10)
    assert quote(copies, B, 100, 1, 400) == QuoteFlag.ASIDE
    copies.set_up(B, False, 410)
    assert copies.snapshot(0)["seen_ns"] < 400, "a copy is no news"


def test_a_market_that_takes_over_does_not_begin_before_what_it_said() -> None:
    """A feed that lags speaks while its market does not lead: its venue has moved on, and has said so by the other."""
    quotes = table(0, 0, 1)
    quote(quotes, B, 100, 28, 10)
    quote(quotes, C, 90, 1, 600)
    assert bid(quotes, 600) == 90
    assert quote(quotes, A, 101, 21, 1_200) == QuoteFlag.ASIDE
    assert bid(quotes, 1_200) == 90
    assert quote(quotes, A, 102, 29, 1_210) == APPLIED
    assert bid(quotes, 1_210) == 102
