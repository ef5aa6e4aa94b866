"""Twin of hotpath.records: the payloads of the journal as named tuples, and the one place that knows their bytes.

Little endian, naturally aligned, version 2. An order event is an `OrderEvent`, then what is special to its kind, then
texts whose sizes that part names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple, TypeVar

Body = TypeVar("Body")
PAYLOAD_VERSION = 2
BROKER_ORDER_ID_MAX = 40  # bytes
EXEC_ID_MAX = 48
TEXT_MAX = 240

# Record kinds, as in hotpath.records.Kind. Plain integers: an enumeration's members are slow to compare here.
EPOCH_STARTED, ACCOUNT_OPENED, INSTRUMENT_LISTED, LIMITS_SET, HALT_CHANGED, INSTRUMENT_STATE, STOPPED = range(1, 8)
BROKER_ANOMALY, SUSPECTED, CLEARED, BROKEN_EARLY, TRAIL_MARK = range(8, 13)
ACCEPTED, SENT_EV, NEW_EV, TRADE, RELEASED, TRIGGERED, TRAILED = range(20, 27)
PENDING_REPLACE_EV, REPLACED, REPLACE_REJECTED, PENDING_CANCEL_EV, CANCELED_EV, CANCEL_REJECTED = range(27, 33)
EXPIRED_EV, REJECTED_EV, IN_DOUBT_EV, REQUEUED, RESTATED, TRADE_CORRECTED, TRADE_CANCELED = range(33, 40)
CANCEL_ALL_EV, BATCH_EV, HALT_EV, GUARD_EV = range(60, 64)


@dataclass(slots=True)
class Terms:
    """What an order asks for; quantities and prices in 1e-9."""

    order_qty_e9: int = 0
    px_e9: int = 0  # 0 = market
    stop_px_e9: int = 0  # 0 = no trigger price; of a trailing stop: where it becomes active
    collar_bps_e9: int = 0  # 0 = the account's
    expire_ns: int = 0  # gtd and the end of a day order, 0 = none
    max_queue_ns: int = 0  # -1 = no limit
    max_age_ns: int = 0  # 0 = the instrument's
    trail_e9: int = 0  # distance of a trailing stop, by trail_unit
    limit_offset_e9: int = 0  # a trailing stop's limit beyond its stop, where has_limit_offset
    gain_e9: int = 0  # break-even: how far ahead the price must be, by gain_unit; 0 = none
    plus_e9: int = 0  # break-even: beyond the parent's price
    at_ns: int = 0  # time trigger: wall clock, 0 = none
    after_ns: int = 0  # time trigger: since it was armed, 0 = none
    confirm_ns: int = 0  # for so long the condition must hold, 0 = none
    whole_qty_e9: int = 0  # what the client asked for: `order_qty_e9` is what its parent and its group leave of it
    confirm_ticks: int = 0  # for so many qualifying updates; 0 and 1 = the first
    parent: int = 0  # order row + 1 of `after`, 0 = none
    group: int = 0  # order row + 1 of the first member of its `oco` group, 0 = none
    instrument: int = 0
    origin: int = 0  # 0 api, 1 external
    side: int = 0
    ord_type: int = 0
    tif: int = 0
    extended: int = 0  # hours: 0 regular, 1 extended
    trigger: int = 0  # enums.TriggerKind
    source: int = 0  # enums.PriceSource
    stp: int = 0
    reduce_only: int = 0
    fire_through: int = 0  # if_through: 0 reject, 1 fire
    rearm_missed: int = 0  # on_missed: 0 fire, 1 rearm
    trail_unit: int = 0  # 0 amount, 1 bps
    gain_unit: int = 0  # 0 amount, 1 bps
    has_limit_offset: int = 0
    when_full: int = 0  # `after.on`: 0 from the first fill on, 1 only when filled
    placement: int = 0  # 0 gateway, 1 broker, 2 both

    def pack(self) -> bytes:
        return _TERMS.pack(*(getattr(self, name) for name in _TERMS_NAMES))


class OrderEvent(NamedTuple):
    """The order after the event."""

    acct_seq: int
    account: int
    order: int
    cum_qty_e9: int
    leaves_qty_e9: int
    avg_px_e9: int  # 0 = no fill
    rev: int
    ord_status: int
    stage: int
    hold: int
    pending: int
    reason: int
    late: int  # a fill of an order that was done
    cl_size: int
    cl_ord_id: bytes


class AcceptedBody(NamedTuple):
    """Follows the terms."""

    ref_px_e9: int  # price that exposure is reserved at
    content_hash: int  # of the request after defaults; equality of a retry
    session_size: int
    tag_size: int
    signal_size: int
    after_size: int
    oco_size: int


class SentBody(NamedTuple):
    risk_ns: int  # stage times from the frame or tick that caused it
    durable_ns: int
    wire_ns: int
    id_size: int
    protective: int
    broker_cl_ord_id: bytes


class NewBody(NamedTuple):
    venue_ns: int
    id_size: int
    broker_order_id: bytes


class TradeBody(NamedTuple):
    last_qty_e9: int
    last_px_e9: int
    fee_e4: int
    pos_qty_e9: int  # position after it
    venue_ns: int
    broker_cum_qty_e9: int  # 0 = not stated
    exec_size: int
    liquidity: int  # 0 unknown, 1 maker, 2 taker
    exec_id: bytes


class ReleasedBody(NamedTuple):
    qty_e9: int = 0  # in force from here on; 0 = as it was


class TriggeredBody(NamedTuple):
    px_e9: int
    qty_e9: int
    bid_px_e9: int
    ask_px_e9: int
    venue_ns: int
    recv_wall_ns: int
    gap_bps_e9: int
    decide_ns: int  # from the receipt of the tick
    send_qty_e9: int  # what the position allows to go out
    send_px_e9: int  # its limit, 0 = market
    stop_px_e9: int  # where the stop stood
    ref_px_e9: int
    feed_seq: int
    bid_qty_e9: int
    ask_qty_e9: int
    age_ns: int  # of the price when it was judged
    check_limit: int  # of the control that refused the release, in check_unit
    check_value: int
    check_passes: int
    source: int
    missed: int
    control: int  # enums.Control; 0 = the release passed
    check_unit: int
    check_passes_unit: int
    check_scope: int
    feed_size: int  # name of the feed, the tail
    ticks: int  # qualifying updates that confirmed it


class TrailedBody(NamedTuple):
    """A stop that moved by its own rule, told to the client."""

    stop_px_e9: int
    extreme_px_e9: int  # the least favourable one that puts it there
    activated: int  # its activation price was reached: it trails from here on


class TrailMarkBody(NamedTuple):
    """A price that moved trailing stops: all that trail that source then."""

    px_e9: int
    instrument: int
    source: int


class ReplaceBody(NamedTuple):
    """PENDING_REPLACE_EV, REPLACED, REPLACE_REJECTED; follows the terms asked for, or in force (replaced)."""

    ref_px_e9: int
    content_hash: int
    ask_rev: int
    how: int = 0  # 0 amend, 1 cancel_new
    priority_kept: int = 0
    code_size: int = 0
    session_size: int = 0  # REPLACED has the order's texts again, as its `order` block shows them
    tag_size: int = 0
    signal_size: int = 0
    after_size: int = 0
    oco_size: int = 0


class TradeCanceledBody(NamedTuple):
    """The broker broke a fill."""

    last_qty_e9: int  # of the fill as it was booked
    last_px_e9: int
    pos_qty_e9: int  # position after it
    owed_qty_e9: int
    venue_ns: int
    exec_size: int
    exec_id: bytes


class BrokenEarlyBody(NamedTuple):
    """The broker broke a fill that has not been reported yet; its raw words follow."""

    venue_ns: int
    order: int
    text_size: int
    exec_size: int
    exec_id: bytes


class DoneBody(NamedTuple):
    """CANCELED_EV, EXPIRED_EV: what the broker says was filled."""

    broker_cum_qty_e9: int = 0  # 0 = not stated


class TextBody(NamedTuple):
    """REJECTED_EV, CANCEL_REJECTED, IN_DOUBT_EV, REQUEUED, BROKER_ANOMALY."""

    since_ns: int
    code_size: int  # our code, or the cause
    broker_code_size: int
    text_size: int


class RestatedBody(NamedTuple):
    before_cum_qty_e9: int
    before_leaves_qty_e9: int
    owed_qty_e9: int  # filled at the broker, execution not seen yet
    before_status: int
    before_stage: int


class AccountEvent(NamedTuple):
    """Prefix of CANCEL_ALL_EV .. GUARD_EV."""

    acct_seq: int
    account: int
    number: int = 0  # of orders or items; of a halt, its id
    since_ns: int = 0
    level: int = 0  # HaltLevel
    state: int = 0
    side: int = 0
    keep: int = 0
    text_size: int = 0  # reason, cause
    symbol_size: int = 0
    session_size: int = 0
    tag_size: int = 0
    orders_size: int = 0
    excess_size: int = 0  # of a guard: filled beyond what a group shares, a decimal behind the names


class EpochBody(NamedTuple):
    epoch: int
    shard: int
    history: bytes


class AccountBody(NamedTuple):
    cash_e4: int
    account: int
    group: int
    broker: int
    name_size: int
    group_size: int


class InstrumentBody(NamedTuple):
    tick_e9: int
    lot_e9: int
    min_qty_e9: int
    max_age_ns: int
    outside_bps_e9: int
    instrument: int
    asset_class: int
    symbol_size: int


class LimitsBody(NamedTuple):
    """Follows the limits, eleven integers in the order of `hotpath.ref.ledger.LIMIT_FIELDS`."""

    account: int
    version: int


class HaltBody(NamedTuple):
    halt_id: int
    scope: int
    row: int  # of the account or instrument
    level: int  # of this halt; 0 lifts it
    effective: int  # level of the scope after it
    actor_size: int
    reason_size: int
    action: int  # 0 set, 1 lift requested, 2 lifted


class InstrumentStateBody(NamedTuple):
    instrument: int
    is_open: int
    is_halted: int
    is_restricted: int


_TERMS = Struct("<15q5I15B5x")
_TERMS_NAMES = tuple(Terms.__slots__)
LIMITS = Struct("<11q")
LAYOUTS: dict[Callable[..., Any], Struct] = {
    OrderEvent: Struct("<Q2I3qI7B37s"),
    AcceptedBody: Struct("<qQ5B3x"),
    SentBody: Struct("<3q2B6x24s"),
    NewBody: Struct("<qB7x40s"),
    TradeBody: Struct("<6q2B6x48s"),
    ReleasedBody: Struct("<q"),
    TriggeredBody: Struct("<12qQ6q7BxI4x"),
    TrailedBody: Struct("<2qB7x"),
    ReplaceBody: Struct("<qQI8B4x"),
    TradeCanceledBody: Struct("<5qB7x48s"),
    BrokenEarlyBody: Struct("<qIHBx48s"),
    DoneBody: Struct("<q"),
    TextBody: Struct("<q3H2x"),
    RestatedBody: Struct("<3q2B6x"),
    AccountEvent: Struct("<Q2Iq4B2H2BHB3x"),
    EpochBody: Struct("<2I16s"),
    AccountBody: Struct("<q3I2H"),
    InstrumentBody: Struct("<5qI2B2x"),
    LimitsBody: Struct("<2I"),
    TrailMarkBody: Struct("<qIB3x"),
    HaltBody: Struct("<Q2I2B2HBx"),
    InstrumentStateBody: Struct("<I3Bx"),
}
TEXT_SIZES = (
    "session_size",
    "tag_size",
    "signal_size",
    "after_size",
    "oco_size",
)  # of an order's texts, in their order
ORDER_EVENT_BYTES = LAYOUTS[OrderEvent].size
ACCOUNT_EVENT_BYTES = LAYOUTS[AccountEvent].size
TERMS_BYTES = _TERMS.size


def pack(body: tuple[Any, ...]) -> bytes:
    """The bytes of one of the tuples above."""
    return LAYOUTS[type(body)].pack(*body)


def read(kind: Callable[..., Body], payload: bytes, at: int = ORDER_EVENT_BYTES) -> Body:
    """The tuple of class `kind` that begins at byte `at`: behind the order event, where nothing else is said."""
    return kind(*LAYOUTS[kind].unpack_from(payload, at))


def read_terms(payload: bytes, at: int = ORDER_EVENT_BYTES) -> Terms:
    return Terms(*_TERMS.unpack_from(payload, at))


def payload_sizes() -> dict[str, int]:
    """Bytes of each fixed payload, as the compiled side states them."""
    sizes = {kind.__name__: layout.size for kind, layout in LAYOUTS.items()}
    for name, before in (("AcceptedBody", TERMS_BYTES), ("ReplaceBody", TERMS_BYTES), ("LimitsBody", LIMITS.size)):
        sizes[name] += before
    return {"Terms": TERMS_BYTES, **sizes}


MASK = 2**64 - 1


def hash_bytes(data: bytes, seed: int) -> int:
    """FNV-1a over the bytes with a 64-bit finaliser: what equal contents and executions are known by."""
    value = 1469598103934665603 ^ (seed * 0x9E3779B97F4A7C15 & MASK)
    for byte in data:
        value = (value ^ byte) * 1099511628211 & MASK
    value ^= value >> 32
    value = value * 0xD6E8FEB86659FD93 & MASK
    return value ^ value >> 32
