"""Types of hotpath.quotes."""

from enum import IntEnum
from typing import Any

class QuoteFlag(IntEnum):
    CROSSED = 1
    LOCKED = 2
    ONE_SIDED = 4
    BACKWARD = 8
    GAP = 16
    BAD_VALUE = 32
    OUT_OF_SESSION = 64
    OUTSIDE_QUOTE = 128

QUOTE_COUNTERS: int
COUNTER_NAMES: tuple[str, ...]

class QuoteTable:
    @property
    def capacity(self) -> int: ...
    @property
    def count(self) -> int: ...
    def __init__(self, capacity: int) -> None: ...
    def add(
        self,
        symbol: str,
        *,
        tick_e9: int,
        lot_e9: int,
        min_qty_e9: int,
        max_age_ns: int,
        outside_bps_e9: int,
        asset_class: int,
        dense_quotes: bool = False,
        dense_trades: bool = False,
    ) -> int: ...
    def row_of(self, symbol: str) -> int: ...
    def symbol_of(self, row: int) -> str: ...
    def snapshot(self, row: int) -> dict[str, Any]: ...
    def counters_of(self, row: int) -> dict[str, int]: ...
    def set_state(
        self,
        row: int,
        is_open: bool | None = None,
        is_halted: bool | None = None,
        is_restricted: bool | None = None,
    ) -> None: ...
    def quote(
        self,
        row: int,
        bid_px_e9: int,
        bid_qty_e9: int,
        ask_px_e9: int,
        ask_qty_e9: int,
        feed_seq: int,
        venue_ns: int,
        mono_ns: int,
    ) -> int: ...
    def trade(self, row: int, px_e9: int, qty_e9: int, feed_seq: int, venue_ns: int, mono_ns: int) -> int: ...
    def trigger(self, row: int, source: int, mono_ns: int) -> int: ...
    def reference(self, row: int, mono_ns: int, max_age_ns: int = 0) -> int: ...
    def fresh(self, row: int, mono_ns: int) -> bool: ...
    def restart_feed(self, row: int) -> None: ...
