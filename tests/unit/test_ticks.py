"""Tick scanner: what the two venues' frames mean, and what the symbol map refuses."""

import pytest

from hotpath.quotes import QuoteTable
from hotpath.ticks import TickKind, TickParser


@pytest.fixture
def parser() -> TickParser:
    parser = TickParser(QuoteTable(8))
    parser.map_symbol("btcusdt", 5)
    return parser


def test_a_futures_quote_carries_prices_sizes_time_and_sequence(parser: TickParser) -> None:
    assert parser.parse_py(
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",'
        b'"B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}'
    ) == {
        "kind": TickKind.TICK_QUOTE,
        "instrument": 5,
        "bid_px_e9": 61_800_200_000_000,
        "bid_qty_e9": 2_507_000_000,
        "ask_px_e9": 61_800_300_000_000,
        "ask_qty_e9": 2_510_000_000,
        "px_e9": 0,
        "qty_e9": 0,
        "venue_ns": 1_723_161_256_313_000_000,
        "feed_seq": 5_123_107_839_020,
    }


def test_a_spot_quote_has_no_venue_time(parser: TickParser) -> None:
    tick = parser.parse_py(
        b'{"stream":"btcusdt@bookTicker","data":{"u":7,"s":"BTCUSDT","b":"1.00","B":"2","a":"1.01","A":"3"}}'
    )
    assert (tick["kind"], tick["venue_ns"], tick["feed_seq"]) == (TickKind.TICK_QUOTE, 0, 7)


def trade(stream: bytes = b"btcusdt", symbol: bytes = b"BTCUSDT", how: bytes = b"MARKET") -> bytes:
    return (
        b'{"stream":"%s@trade","data":{"e":"trade","E":2,"T":1,"s":"%s","t":9,"p":"5.5","q":"0.25","X":"%s","m":false}}'
        % (stream, symbol, how)
    )


def test_a_trade_carries_price_and_size(parser: TickParser) -> None:
    tick = parser.parse_py(trade())
    assert (tick["kind"], tick["px_e9"], tick["qty_e9"]) == (TickKind.TICK_TRADE, 5_500_000_000, 250_000_000)
    assert (tick["venue_ns"], tick["feed_seq"], tick["instrument"]) == (1_000_000, 9, 5)


def test_an_insurance_fund_print_is_no_market_price(parser: TickParser) -> None:
    assert parser.parse_py(trade(how=b"INSURANCE_FUND"))["kind"] == TickKind.TICK_OTHER


def test_a_frame_whose_stream_and_data_name_two_symbols_is_malformed(parser: TickParser) -> None:
    assert parser.parse_py(trade(stream=b"ethusdt"))["kind"] == TickKind.TICK_MALFORMED


def test_a_symbol_that_is_not_mapped_is_unknown(parser: TickParser) -> None:
    assert parser.parse_py(trade(b"ethusdt", b"ETHUSDT"))["kind"] == TickKind.TICK_UNKNOWN_SYMBOL


@pytest.mark.parametrize("name", ["", "BTCUSDT", "x" * 33, "é", "a\tb"])
def test_a_symbol_that_is_taken_or_not_sound_is_refused(parser: TickParser, name: str) -> None:
    with pytest.raises(ValueError, match="feed symbol"):
        parser.map_symbol(name, 1)


@pytest.mark.parametrize("row", [-1, 8])
def test_a_row_outside_the_table_is_refused(parser: TickParser, row: int) -> None:
    with pytest.raises(ValueError, match="row"):
        parser.map_symbol("ETHUSDT", row)


def test_the_map_holds_every_row_of_the_table() -> None:
    parser = TickParser(QuoteTable(1000))
    for row in range(1000):
        parser.map_symbol(f"S{row}USDT", row)
    frames = [trade(b"s%dusdt" % row, b"S%dUSDT" % row) for row in range(1000)]
    assert [parser.parse_py(frame)["instrument"] for frame in frames] == list(range(1000))
    assert parser.parse_many([*frames, b"{"]) == [1, 0, 0, 1000, 0]
