"""What a simulated venue is started with; every member has a default that works alone on loopback."""

from __future__ import annotations

from typing import Literal

import msgspec

from brokers.sim.market import Defects, Symbol
from brokers.sim.quirks import Quirks


class MarketConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`none`: only the control channel moves the market. `speed_pct` is the pace of a recording, 0 as fast as read."""

    source: Literal["generated", "recorded", "none"] = "generated"
    symbol_count: int = 10
    symbols: tuple[Symbol, ...] = ()  # instead of symbol_count
    rate_per_s: int = 2000
    start_ms: int = 0  # venue time of the first generated frame; 0 is now
    defects: Defects = Defects()
    file: str = ""
    speed_pct: int = 100
    repeats: bool = False
    starts_at: Literal["once", "subscriber"] = "once"


class VenueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ports of 0 are chosen by the system and told in the ready line."""

    host: str = "127.0.0.1"
    order_port: int = 0
    order_unix: str = ""  # path of a Unix socket beside the port
    feed_port: int = 0
    seed: int = 1
    keys: dict[str, str] = msgspec.field(default_factory=lambda: {"demo": "demo-secret"})
    admin_keys: dict[str, str] = msgspec.field(default_factory=lambda: {"admin": "admin-secret"})
    symbols: tuple[str, ...] = ()  # tradable besides those of the market
    quirks: Quirks = Quirks()
    market: MarketConfig = MarketConfig()
    heartbeat_ms: int = 1000
    sessions_max: int = 256
    ledger: str = ""  # path; empty keeps none
