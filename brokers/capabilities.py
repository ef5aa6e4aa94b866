"""What a broker can do, declared by its adapter and read by the router: nothing is guessed at run time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hotpath.enums import OrdType, PriceSource, Tif


class DedupClass(IntEnum):
    """What the broker does with a client order id that it has seen before (reliability.md, section 2)."""

    ALWAYS = 1  # refused for good once used: query, else resend the same id
    OPEN_ONLY = 2  # refused only while that order is open: resend on proof of absence after the horizon
    WINDOW = 3  # remembered for `dedup_window_ns`: ALWAYS inside, NONE after
    NONE = 4  # a repeat makes a second order: never resend


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBudget:
    """Messages that one link may send: orders, cancels, replaces and questions. Whoever sends keeps to it.

    messages_per_s: 0 for a broker that declares none. burst: how many may leave at once after a rest.
    reserved_burst: the part of the burst that is never lent: half of it, rounded up, is for protective exits alone,
    the other half for them and for cancels.
    """

    messages_per_s: int = 0
    burst: int = 0
    reserved_burst: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeStops:
    """Stops that the broker holds and fires by its own market.

    has_limit: a fired one may become a limit order. has_trail: the trigger of one that becomes a market order may
    follow the price, by an amount or by basis points, and is where it was after a restart of the broker.
    sell_source, buy_source: the price of its market that fires them.
    A replace changes trigger, limit and quantity in one step while it is held.
    """

    has_limit: bool
    has_trail: bool
    sell_source: PriceSource
    buy_source: PriceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Declared by each adapter; the router and the API's `features` answer from it.

    horizon_ns: how long after its hand-over an order may stay invisible to a query: the time that it may be on its way,
    and that the broker may take to find it. A "not found" that is younger than this proves nothing.
    reserves_position: a working exit order blocks a second one (cancel, then send).
    replace_changes_id: a replace makes a new broker order; reports then carry the new revision's id.
    """

    broker: str
    tifs: frozenset[Tif]
    ord_types: frozenset[OrdType]
    has_native_replace: bool
    replace_changes_id: bool
    native_stops: NativeStops | None = None
    has_query_by_id: bool
    dedup: DedupClass
    dedup_window_ns: int = 0
    horizon_ns: int = 0
    reserves_position: bool = False
    max_broker_id_chars: int = 20
    budget: RateBudget = RateBudget()
