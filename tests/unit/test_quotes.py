"""Quotes: each rule of what qualifies as a price, one by one."""

from typing import Any

import pytest

from hotpath.quotes import QuoteFlag, QuoteTable

LAST, BID, ASK, MID, MARK = range(5)
E9 = 10**9
QTY = 5 * E9


def table(**changes: int) -> QuoteTable:
    quotes = QuoteTable(2)
    settings: dict[str, Any] = {"tick_e9": E9 // 100, "lot_e9": E9, "min_qty_e9": E9, "max_age_ns": 1_000,
                "outside_bps_e9": 50 * E9, "asset_class": 1} | changes  # fmt: skip
    quotes.add("BTCUSDT", **settings)
    return quotes


def quote(quotes: QuoteTable, bid: int, ask: int, seq: int, mono_ns: int, venue_ns: int = 0) -> int:
    return quotes.quote(0, bid * E9, QTY if bid else 0, ask * E9, QTY if ask else 0, seq, venue_ns, mono_ns)


def trade(quotes: QuoteTable, px: int, seq: int, mono_ns: int, venue_ns: int = 0) -> int:
    return quotes.trade(0, px * E9, QTY, seq, venue_ns, mono_ns)


def prices(quotes: QuoteTable, mono_ns: int) -> tuple[int, ...]:
    return tuple(quotes.trigger(0, source, mono_ns) // E9 for source in (LAST, BID, ASK, MID, MARK))


def test_a_clean_fresh_quote_and_print_qualify() -> None:
    quotes = table()
    assert prices(quotes, 1) == (0, 0, 0, 0, 0)
    assert quote(quotes, 100, 102, 1, 10) == 0
    assert trade(quotes, 101, 1, 11) == 0
    assert prices(quotes, 20) == (101, 100, 102, 101, 0)
    assert quotes.reference(0, 20) == 101 * E9


def test_old_data_does_not_qualify_nor_price() -> None:
    quotes = table()
    quote(quotes, 100, 102, 1, 10)
    trade(quotes, 101, 1, 500)
    assert prices(quotes, 1_010) == (101, 100, 102, 101, 0)
    assert prices(quotes, 1_011) == (101, 0, 0, 0, 0)
    assert quotes.reference(0, 1_011) == 101 * E9
    assert quotes.fresh(0, 1_500) and not quotes.fresh(0, 1_501)
    assert quotes.reference(0, 1_501) == 0
    assert quotes.reference(0, 600, 50) == 0


def test_backward_and_repeated_updates_are_not_applied() -> None:
    quotes = table()
    quote(quotes, 100, 102, 5, 10, venue_ns=1_000)
    assert quote(quotes, 90, 92, 4, 11, venue_ns=1_001) == QuoteFlag.BACKWARD
    assert quote(quotes, 90, 92, 5, 11, venue_ns=1_001) == QuoteFlag.BACKWARD
    assert quote(quotes, 90, 92, 6, 11, venue_ns=999) == QuoteFlag.BACKWARD
    assert quote(quotes, 101, 103, 7, 12) == 0  # no venue time: the sequence alone orders
    assert quote(quotes, 90, 92, 8, 13, venue_ns=999) == QuoteFlag.BACKWARD  # and the old venue time still counts
    assert quotes.snapshot(0)["bid_px_e9"] == 101 * E9
    assert quotes.counters_of(0)["backward"] == 4


def test_a_crossed_quote_is_applied_but_never_fires() -> None:
    quotes = table()
    assert quote(quotes, 103, 102, 1, 10) == QuoteFlag.CROSSED
    assert quotes.snapshot(0)["bid_px_e9"] == 103 * E9
    assert prices(quotes, 10) == (0, 0, 0, 0, 0)
    assert quotes.reference(0, 10) == 0


def test_a_locked_quote_needs_a_second_update_at_that_price() -> None:
    quotes = table()
    assert quote(quotes, 100, 100, 1, 10) == QuoteFlag.LOCKED
    assert prices(quotes, 10)[1:4] == (0, 0, 0)
    assert quote(quotes, 100, 100, 1, 11) == QuoteFlag.BACKWARD  # a repeat confirms nothing
    assert prices(quotes, 11)[1:4] == (0, 0, 0)
    assert quote(quotes, 101, 101, 2, 12) == QuoteFlag.LOCKED
    assert prices(quotes, 12)[1:4] == (0, 0, 0)
    quote(quotes, 101, 101, 3, 13)
    assert prices(quotes, 13)[1:4] == (101, 101, 101)


def test_a_single_side_fires_its_own_source_only() -> None:
    quotes = table()
    assert quote(quotes, 100, 0, 1, 10) == QuoteFlag.ONE_SIDED
    assert prices(quotes, 10) == (0, 100, 0, 0, 0)
    assert quotes.reference(0, 10) == 0


@pytest.mark.parametrize("side", [(-1, 5), (5, -1), (5, 0), (0, 5), (9_200_000_000 * E9, 5)])
def test_a_bad_value_changes_nothing(side: tuple[int, int]) -> None:
    quotes = table()
    before = quotes.snapshot(0)
    assert quotes.quote(0, *side, 10 * E9, QTY, 1, 0, 10) == QuoteFlag.BAD_VALUE
    assert quotes.quote(0, 10 * E9, QTY, *side, 1, 0, 10) == QuoteFlag.BAD_VALUE
    assert quotes.trade(0, *side, 1, 0, 10) == QuoteFlag.BAD_VALUE
    assert quotes.snapshot(0) == before


def test_a_print_outside_the_quote_waits_for_the_next_to_confirm_it() -> None:
    quotes = table()
    quote(quotes, 1000, 1002, 1, 10)
    assert trade(quotes, 995, 1, 10) == 0  # exactly 50 bps
    assert trade(quotes, 990, 2, 11) == QuoteFlag.OUTSIDE_QUOTE
    assert prices(quotes, 11)[0] == 0
    assert trade(quotes, 980, 3, 12) == QuoteFlag.OUTSIDE_QUOTE  # too far from the first to confirm it
    assert trade(quotes, 979, 4, 13) == 0
    assert prices(quotes, 13)[0] == 979
    assert trade(quotes, 978, 5, 14) == 0  # goes on from the confirmed one
    assert trade(quotes, 1001, 6, 15) == 0
    assert trade(quotes, 980, 7, 16) == QuoteFlag.OUTSIDE_QUOTE  # a good print in between starts it anew


def test_without_a_fresh_quote_a_print_stands_alone() -> None:
    quotes = table()
    quote(quotes, 1000, 1002, 1, 10)
    assert trade(quotes, 900, 1, 2_000) == 0


def test_nothing_fires_out_of_session_nor_on_data_from_before_the_reopening() -> None:
    quotes = table()
    quote(quotes, 100, 102, 1, 10)
    trade(quotes, 101, 1, 10)
    quotes.set_state(0, is_halted=True)
    assert prices(quotes, 11) == (0, 0, 0, 0, 0)
    assert trade(quotes, 100, 2, 12) == QuoteFlag.OUT_OF_SESSION
    quotes.set_state(0, is_halted=False)
    assert prices(quotes, 13) == (0, 0, 0, 0, 0)
    quote(quotes, 100, 102, 2, 14)
    trade(quotes, 101, 3, 14)
    assert prices(quotes, 14) == (101, 100, 102, 101, 0)
    quotes.set_state(0, is_open=False, is_restricted=True)
    assert quotes.snapshot(0)["is_restricted"] == 1
    assert prices(quotes, 14) == (0, 0, 0, 0, 0)


def test_a_gap_is_counted_only_where_the_feed_numbers_without_gaps() -> None:
    quotes = QuoteTable(1)
    quotes.add("A", tick_e9=1, lot_e9=1, min_qty_e9=1, max_age_ns=1_000, outside_bps_e9=0, asset_class=0,
               dense_trades=True)  # fmt: skip
    trade(quotes, 100, 1, 1)
    assert trade(quotes, 100, 2, 2) == 0
    assert trade(quotes, 100, 4, 3) == QuoteFlag.GAP
    assert prices(quotes, 3)[0] == 100
    quote(quotes, 100, 101, 1, 1)
    assert quote(quotes, 100, 101, 9, 1) == 0
    assert quotes.counters_of(0)["gap"] == 1


def test_a_new_feed_connection_starts_a_new_order() -> None:
    quotes = table()
    quote(quotes, 100, 102, 900, 10, venue_ns=900)
    quotes.restart_feed(0)
    assert prices(quotes, 11) == (0, 0, 0, 0, 0)
    assert quote(quotes, 99, 101, 1, 12, venue_ns=1) == 0
    assert prices(quotes, 12)[1] == 99


def test_mid_of_an_odd_spread_rounds_down_and_cannot_overflow() -> None:
    quotes = table()
    top = 9_200_000_000 * E9 - 1
    quotes.quote(0, top - 1, 1, top, 1, 1, 0, 1)
    assert quotes.trigger(0, MID, 1) == top - 1


def test_a_full_table_and_a_bad_row_are_errors() -> None:
    quotes = table()
    common: dict[str, Any] = {"tick_e9": 1, "lot_e9": 1, "min_qty_e9": 1, "max_age_ns": 1,
                              "outside_bps_e9": 0, "asset_class": 0}  # fmt: skip
    with pytest.raises(ValueError, match="already there"):
        quotes.add("BTCUSDT", **common)
    with pytest.raises(ValueError, match="positive"):
        quotes.add("B", **{**common, "tick_e9": 0})
    quotes.add("B", **common)
    with pytest.raises(OverflowError, match="capacity=2"):
        quotes.add("C", **common)
    assert (quotes.row_of("B"), quotes.symbol_of(1)) == (1, "B")
    with pytest.raises(IndexError):
        quotes.trade(2, 1, 1, 1, 1, 1)
