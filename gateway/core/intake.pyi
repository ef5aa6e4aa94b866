"""Types of gateway.core.intake."""

from enum import IntEnum
from typing import Any

from gateway.core.state import State

class Intake:
    def __init__(self, state: State) -> None: ...
    def set_source(self, instrument: int, source: str) -> None: ...
    def set_day_end(self, instrument: int, wall_ns: int) -> None: ...
    def place(
        self, account: int, req: Any, session: bytes, deadline_ns: int, dry: bool, wall_ns: int, mono_ns: int
    ) -> int: ...
    def is_killed(self, order: int, mono_ns: int) -> bool: ...
    def recheck(self, order: int, wall_ns: int, mono_ns: int) -> int: ...
    def cancel(self, account: int, cl_ord_id: str, deadline_ns: int, wall_ns: int) -> int: ...
    def cancel_order(self, order: int, reason: int, wall_ns: int) -> int: ...
    def cancel_all(
        self,
        account: int,
        rows: list[Any],
        side: int,
        symbol: bytes | None,
        session: bytes | None,
        tag: bytes | None,
        keep_protective: bool,
        reason: int,
        wall_ns: int,
    ) -> int: ...
    def replace(self, account: int, req: Any, deadline_ns: int, wall_ns: int, mono_ns: int) -> int: ...
    @property
    def decision(self) -> dict[Any, Any]: ...
    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...
    dup_seq: int
    @property
    def order(self) -> int: ...
    link_up: bool

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
