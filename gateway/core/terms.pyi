"""Types of gateway.core.terms."""

from enum import IntEnum

from gateway.core.state import State

class TermsReader:
    def __init__(self, state: State) -> None: ...
    def set_source(self, instrument: int, source: str) -> None: ...
    def set_day_end(self, instrument: int, wall_ns: int) -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...

class Refusal(IntEnum):
    CONTROL = -1
    CL_ORD_ID_CONFLICT = -2
    UNKNOWN_ORDER = -3
    ORDER_DONE = -4
    ORDER_CLOSING = -5
    ORDER_IN_DOUBT = -6
    REV_CONFLICT = -7
    TRIGGER_THROUGH = -8
    UNSUPPORTED = -9
    BAD_FIELD = -10
    BAD_DECIMAL = -11
    BAD_COMBINATION = -12
    UNKNOWN_SYMBOL = -13
    DEADLINE_PASSED = -14
    LINK_DOWN = -15
    BUSY = -16
    BAD_TICK = -17
    BAD_LOT = -18
    DRY_PASSED = -19

TIFS: dict[str, int]

SOURCES: dict[str, int]
KINDS: dict[str, int]
