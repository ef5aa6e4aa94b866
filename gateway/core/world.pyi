"""Types of gateway.core.world."""

from typing import Any

from gateway.core.state import State
from risk.halts import HaltChange

class World:
    def __init__(self, state: State) -> None: ...
    def start_epoch(self, epoch: int, history: bytes, wall_ns: int) -> int: ...
    def stopped(self, wall_ns: int) -> int: ...
    def open_account(self, name: bytes, group: int, cash_e4: int, wall_ns: int) -> int: ...
    def list_instrument(
        self,
        symbol: bytes,
        *,
        tick_e9: int,
        lot_e9: int,
        min_qty_e9: int,
        max_age_ns: int,
        outside_bps_e9: int,
        asset_class: int,
        wall_ns: int,
    ) -> int: ...
    def set_limits(self, account: int, limits: dict[Any, Any], version: int, wall_ns: int) -> int: ...
    def change_halt(self, change: HaltChange, index: int) -> int: ...
    def guard(
        self, account: int, state: int, symbol: bytes, cause: bytes, orders: bytes, since_ns: int, wall_ns: int
    ) -> int: ...
    def set_instrument(
        self, instrument: int, is_open: bool, is_halted: bool, is_restricted: bool, wall_ns: int
    ) -> int: ...
