from enum import IntEnum

from hotpath.quotes import QuoteTable

class TickKind(IntEnum):
    TICK_MALFORMED = -1
    TICK_OTHER = 0
    TICK_QUOTE = 1
    TICK_TRADE = 2
    TICK_UNKNOWN_SYMBOL = 3

class TickParser:
    quotes: QuoteTable
    def __init__(self, quotes: QuoteTable) -> None: ...
    def map_symbol(self, feed_symbol: str, row: int) -> None: ...
    def parse_py(self, frame: bytes) -> dict[str, int]: ...
    def parse_many(self, frames: list[bytes]) -> list[int]: ...
