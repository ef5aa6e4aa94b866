"""Twin of hotpath.ticks: what a frame means, by the json module."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from hotpath.ref.fixed import PARSE_OK, parse_code

TICK_MALFORMED: Final = -1
TICK_OTHER: Final = 0
TICK_QUOTE: Final = 1
TICK_TRADE: Final = 2
TICK_UNKNOWN_SYMBOL: Final = 3

MAX_DEPTH: Final = 32
MAX_VENUE_MS: Final = 9_223_372_036_854
MAX_SEQ: Final = 2**63 - 1
FIELDS: Final = (
    "instrument", "bid_px_e9", "bid_qty_e9", "ask_px_e9", "ask_qty_e9", "px_e9", "qty_e9", "venue_ns", "feed_seq",
)  # fmt: skip


class Malformed(Exception):
    """The frame is not one that the format allows."""


class _Integer(str):
    """Text of a JSON number without sign, fraction or exponent."""


class _Number(str):
    """Text of any other JSON number."""


class _Members(list[tuple[str, Any]]):
    """A JSON object, repeated members kept."""

    def get(self, name: str) -> Any:
        """The member's value, or None when absent; a repeated member is malformed."""
        found = [value for key, value in self if key == name]
        if len(found) > 1:
            raise Malformed(f"member {name} twice")
        return found[0] if found else None


class _Word:
    """true, false or null (json would give None for null, which is not absence)."""


def _integer(text: str) -> str:
    return _Number(text) if text.startswith("-") else _Integer(text)


def _refuse(text: str) -> Any:
    raise Malformed(text)


def _depth(value: Any, depth: int) -> None:
    if isinstance(value, (_Members, list)):
        if depth > MAX_DEPTH:
            raise Malformed("too deep")
        for item in value:
            _depth(item[1] if isinstance(value, _Members) else item, depth + 1)


def _decode(frame: bytes) -> Any:
    try:
        value = json.loads(
            frame.decode("utf-8"),
            object_pairs_hook=lambda pairs: _Members(
                (key, _Word() if item is None or item is True or item is False else item) for key, item in pairs
            ),
            parse_int=_integer,
            parse_float=_Number,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    _depth(value, 1)
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, (_Integer, _Number))


def _name(value: Any, longest: int) -> str | None:
    """A string that may be a name of ours: ASCII from space on, not longer than `longest`."""
    if _is_text(value) and value.isascii() and len(value) <= longest and all(c >= " " for c in value):
        return str(value)
    return None


def _decimal(value: Any) -> int:
    if not _is_text(value) or value.startswith("-"):
        raise Malformed("decimal")
    code, number = parse_code(value)
    if code != PARSE_OK:
        raise Malformed("decimal")
    return number


def _whole(value: Any, largest: int) -> int:
    if not isinstance(value, _Integer) or len(value) > 19 or int(value) > largest:
        raise Malformed("integer")
    return int(value)


def _venue_ns(data: _Members) -> int:
    event, trade = data.get("E"), data.get("T")
    event_ms = 0 if event is None else _whole(event, MAX_VENUE_MS)
    trade_ms = event_ms if trade is None else _whole(trade, MAX_VENUE_MS)
    return trade_ms * 1_000_000


class Table(Protocol):
    """What the parser needs of a quote table."""

    @property
    def capacity(self) -> int: ...


class TickParser:
    """Frames to ticks for the instruments of one quote table."""

    def __init__(self, quotes: Table) -> None:
        self.quotes = quotes
        self.capacity = quotes.capacity
        self.feed_symbols: dict[str, int] = {}

    def map_symbol(self, feed_symbol: str, row: int) -> None:
        name = feed_symbol.upper()
        if not 1 <= len(name) <= 32 or not name.isascii() or not name.isprintable():
            raise ValueError(f"feed symbol must be 1 to 32 printable ASCII characters: {feed_symbol!r}")
        if not 0 <= row < self.capacity:
            raise ValueError(f"no instrument row {row}")
        if name in self.feed_symbols or len(self.feed_symbols) >= self.capacity:
            raise ValueError(f"feed symbol {feed_symbol!r} is mapped already, or the map is full")
        self.feed_symbols[name] = row

    def parse_py(self, frame: bytes) -> dict[str, int]:
        tick = dict.fromkeys(FIELDS, 0)
        try:
            kind = self._read(frame, tick)
        except Malformed:
            kind = TICK_MALFORMED
        if kind not in (TICK_QUOTE, TICK_TRADE):
            tick = dict.fromkeys(FIELDS, 0)
        return {"kind": kind, **tick}

    def _read(self, frame: bytes, tick: dict[str, int]) -> int:
        members = _decode(frame)
        if not isinstance(members, _Members):
            raise Malformed("not an object")
        stream, data = members.get("stream"), members.get("data")
        if isinstance(data, _Members):
            for letter in "uesbBaATEtpqX":
                data.get(letter)
        if stream is None:
            return TICK_OTHER
        if not _is_text(stream) or data is None:
            raise Malformed("stream without name or data")
        name = _name(stream, 64) or ""
        symbol, _, event = name.rpartition("@")
        if not symbol or event not in ("bookTicker", "trade"):
            return TICK_OTHER
        if not isinstance(data, _Members):
            raise Malformed("data is not an object")
        return self._read_event(event, symbol, data, tick)

    def _read_event(self, event: str, symbol: str, data: _Members, tick: dict[str, int]) -> int:
        if data.get("e") is not None and (not _is_text(data.get("e")) or data.get("e") != event):
            raise Malformed("event name")
        tick["feed_seq"] = _whole(data.get("u" if event == "bookTicker" else "t"), MAX_SEQ)
        tick["venue_ns"] = _venue_ns(data)
        if event == "bookTicker":
            for member, field in (("b", "bid_px_e9"), ("B", "bid_qty_e9"), ("a", "ask_px_e9"), ("A", "ask_qty_e9")):
                tick[field] = _decimal(data.get(member))
        else:
            tick["px_e9"], tick["qty_e9"] = _decimal(data.get("p")), _decimal(data.get("q"))
        how = data.get("X") if event == "trade" else None
        if how is not None and not _is_text(how):
            raise Malformed("X")
        named = _name(data.get("s"), 32)
        if named is None or named.upper() != symbol.upper():
            raise Malformed("symbol")
        if how is not None and how != "MARKET":
            return TICK_OTHER
        row = self.feed_symbols.get(named.upper())
        if row is None:
            return TICK_UNKNOWN_SYMBOL
        tick["instrument"] = row
        return TICK_QUOTE if event == "bookTicker" else TICK_TRADE
