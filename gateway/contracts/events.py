"""What an account's journal says to its followers: one struct for each event (order-api.md, sections 6 and 7).

The engine renders these natively; the structs are the schema that every byte it writes is held against.
"""

from msgspec import Struct

from gateway.contracts.requests import After, Confirm
from gateway.contracts.values import (
    Account,
    CancelReason,
    ChangeReason,
    ClOrdId,
    Code,
    Corp,
    DecOut,
    Detail,
    ExpireReason,
    FiredBy,
    GuardState,
    HaltLevel,
    HoldKind,
    Hours,
    IfThrough,
    Int53,
    Keep,
    LeaseMode,
    LeaseScope,
    LeaseState,
    Liquidity,
    Ms,
    Name,
    Ns,
    OnMissed,
    OrdStatus,
    OrdType,
    Origin,
    PendingKind,
    Placement,
    ReleaseReason,
    ReplaceHow,
    RequestId,
    RestateReason,
    Rev,
    Scalar,
    Seq,
    Side,
    Source,
    Stage,
    Stp,
    Symbol,
    Tag,
    Text,
    Tif,
    TriggerKind,
)


class Block(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """A nested object of a server frame."""


class TrailTerms(Block, frozen=True, kw_only=True):
    """How far a trailing stop stays behind: one of the three."""

    amount: DecOut | None = None
    bps: DecOut | None = None
    pct: DecOut | None = None


class BreakevenTerms(Block, frozen=True, kw_only=True):
    """When and to where a stop moves once the order is in gain."""

    gain: TrailTerms
    plus: DecOut


class TriggerTerms(Block, frozen=True, kw_only=True):
    """The condition that an order waits for, defaults filled in."""

    kind: TriggerKind
    stop_px: DecOut | None = None
    source: Source | None = None
    trail: TrailTerms | None = None
    limit_offset: DecOut | None = None
    at_ns: Ns | None = None
    after_ms: Ms | None = None
    breakeven: BreakevenTerms | None = None
    confirm: Confirm | None = None
    max_age_ms: Ms | None = None
    if_through: IfThrough = "reject"
    on_missed: OnMissed = "fire"
    placement: Placement | None = None
    backstop_bps: DecOut | None = None
    policy: Name | None = None


class Terms(Block, frozen=True, kw_only=True):
    """The terms of an order in full, defaults filled in."""

    symbol: Symbol
    side: Side
    ord_type: OrdType
    qty: DecOut
    tif: Tif
    reduce_only: bool
    origin: Origin
    px: DecOut | None = None
    stp: Stp | None = None
    session: Name | None = None
    max_queue_ms: Ms | None = None
    hours: Hours = "regular"
    expire_ns: Ns | None = None
    trigger: TriggerTerms | None = None
    after: After | None = None
    oco: Name | None = None
    post_only: bool = False
    display_qty: DecOut | None = None
    collar_bps: DecOut | None = None
    tag: Tag | None = None
    signal: Name | None = None
    locate: Name | None = None
    dnr: bool = False
    corp: Corp = "adjust"


class Evidence(Block, frozen=True, kw_only=True):
    """The tick that fired a trigger, and the quote of that moment; or the clock, and the reference price if there was one."""

    source: FiredBy
    px: DecOut | None = None
    qty: DecOut | None = None
    feed: str | None = None
    feed_seq: Int53 | None = None
    venue_ns: Ns | None = None
    recv_ns: Ns | None = None
    age_ns: Ns | None = None
    bid: DecOut | None = None
    bid_qty: DecOut | None = None
    ask: DecOut | None = None
    ask_qty: DecOut | None = None
    ticks: Int53 | None = None


class Fill(Block, frozen=True, kw_only=True):
    """A fill as it was, or as it is now."""

    last_qty: DecOut
    last_px: DecOut


class Event(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    kw_only=True,
):
    """A journal record of an account. ``re``, ``in_ns``, ``out_ns``, ``left`` and ``dup`` are for the asker only."""

    account: Account
    seq: Seq
    ts_ns: Ns
    re: RequestId | None = None
    in_ns: Ns | None = None
    out_ns: Ns | None = None
    left: Int53 | None = None
    dup: bool = False


class OrderEvent(Event, frozen=True, kw_only=True):
    """An event of one order, with its whole state after it."""

    cl_ord_id: ClOrdId
    order_id: str
    rev: Rev
    ord_status: OrdStatus
    pending: PendingKind | None
    cum_qty: DecOut
    leaves_qty: DecOut
    avg_px: DecOut | None
    stage: Stage | None = None
    hold: HoldKind | None = None


class Accepted(OrderEvent, frozen=True, kw_only=True, tag="accepted"):
    """Durable here."""

    order: Terms
    warnings: list[Code] | None = None


class Sent(OrderEvent, frozen=True, kw_only=True, tag="sent"):
    """Its bytes went to the broker: exposure is possible from here."""

    broker_cl_ord_id: str
    route: str | None = None
    took_over: ClOrdId | None = None
    lat_ns: dict[str, Int53] | None = None


class New(OrderEvent, frozen=True, kw_only=True, tag="new"):
    """The broker has it, working."""

    broker_order_id: str | None = None


class Trade(OrderEvent, frozen=True, kw_only=True, tag="trade"):
    """A fill; ``pos_qty`` is the position after it."""

    exec_id: str
    last_qty: DecOut
    last_px: DecOut
    pos_qty: DecOut
    venue: str | None = None
    liquidity: Liquidity | None = None
    fee: DecOut | None = None
    venue_ns: Ns | None = None
    late: bool = False


class Released(OrderEvent, frozen=True, kw_only=True, tag="released"):
    """A hold ended that is not a trigger."""

    reason: ReleaseReason


class Triggered(OrderEvent, frozen=True, kw_only=True, tag="triggered"):
    """Its condition came true."""

    evidence: Evidence
    gap_bps: DecOut | None = None
    missed: bool = False
    lat_ns: dict[str, Int53] | None = None


class Trailed(OrderEvent, frozen=True, kw_only=True, tag="trailed"):
    """A stop moved by its own rule."""

    stop_px: DecOut
    extreme_px: DecOut


class PendingReplace(OrderEvent, frozen=True, kw_only=True, tag="pending_replace"):
    """Revision ``ask_rev`` is asked for; with a ``reason`` the gateway asks, not a client."""

    ask_rev: Rev
    reason: ChangeReason | None = None


class Replaced(OrderEvent, frozen=True, kw_only=True, tag="replaced"):
    """Revision ``ask_rev`` is in force."""

    ask_rev: Rev
    order: Terms
    reason: ChangeReason | None = None
    how: ReplaceHow | None = None
    priority_kept: bool | None = None


class ReplaceRejected(OrderEvent, frozen=True, kw_only=True, tag="replace_rejected"):
    """Revision ``ask_rev`` was refused; the old terms stand."""

    ask_rev: Rev
    code: Code
    broker_code: str | None = None
    broker_text: Text | None = None


class PendingCancel(OrderEvent, frozen=True, kw_only=True, tag="pending_cancel"):
    """Its end is asked for; it may still fill."""

    reason: CancelReason


class Canceled(OrderEvent, frozen=True, kw_only=True, tag="canceled"):
    """Done: canceled."""

    reason: CancelReason


class CancelRejected(OrderEvent, frozen=True, kw_only=True, tag="cancel_rejected"):
    """The broker refused to cancel it."""

    code: Code
    reason: CancelReason | None = None
    broker_code: str | None = None
    broker_text: Text | None = None


class Expired(OrderEvent, frozen=True, kw_only=True, tag="expired"):
    """Done by its own terms."""

    reason: ExpireReason


class Rejected(OrderEvent, frozen=True, kw_only=True, tag="rejected"):
    """Refused after it was accepted, by the broker or by a check at release."""

    code: Code
    broker_code: str | None = None
    broker_text: Text | None = None
    detail: Detail | None = None


class InDoubt(OrderEvent, frozen=True, kw_only=True, tag="in_doubt"):
    """It may or may not be at the broker, and the gateway is asking."""

    since_ns: Ns
    cause: str


class Requeued(OrderEvent, frozen=True, kw_only=True, tag="requeued"):
    """The broker is certain that it never had it: back in line."""

    evidence: dict[str, Scalar]


class Restated(OrderEvent, frozen=True, kw_only=True, tag="restated"):
    """The broker's truth differs from ours: adopted, with the difference."""

    reason: RestateReason
    before: dict[str, Scalar]
    after: dict[str, Scalar]
    order: Terms | None = None
    pos_qty: DecOut | None = None


class Adjusted(OrderEvent, frozen=True, kw_only=True, tag="adjusted"):
    """A corporate action changed the terms."""

    before: Terms
    after: Terms
    ratio: DecOut | None = None
    cash: DecOut | None = None


class TradeCorrected(OrderEvent, frozen=True, kw_only=True, tag="trade_corrected"):
    """The broker corrected a fill."""

    exec_id: str
    before: Fill
    after: Fill
    pos_qty: DecOut | None = None


class TradeCanceled(OrderEvent, frozen=True, kw_only=True, tag="trade_canceled"):
    """The broker broke a fill."""

    exec_id: str
    before: Fill
    after: Fill | None = None
    pos_qty: DecOut | None = None


class AllCanceled(Event, frozen=True, kw_only=True, tag="cancel_all"):
    """A cancel_all took effect; ``count`` order events follow."""

    count: Int53
    keep: Keep
    symbol: Symbol | None = None
    side: Side | None = None
    session: Name | None = None
    tag: Tag | None = None


class Batched(Event, frozen=True, kw_only=True, tag="batch"):
    """A batch took effect; ``count`` order events follow with consecutive numbers."""

    count: Int53


class Leased(Event, frozen=True, kw_only=True, tag="lease"):
    """A lease was set, changed, dropped, or ran out."""

    name: Name
    session: Name
    state: LeaseState
    mode: LeaseMode
    ttl_ms: Ms
    scope: LeaseScope
    keep: Keep


class Halted(Event, frozen=True, kw_only=True, tag="halt"):
    """A halt of this account began (``on``) or was lifted."""

    halt_id: str
    scope: str
    level: HaltLevel
    on: bool
    reason: Text
    keep: Keep | None = None
    by: str | None = None


class Guarded(Event, frozen=True, kw_only=True, tag="guard"):
    """The protection of some orders changed."""

    state: GuardState
    orders: list[ClOrdId]
    since_ns: Ns
    cause: str
    symbol: Symbol | None = None
    excess_qty: DecOut | None = None


class PositionSet(Event, frozen=True, kw_only=True, tag="position"):
    """A position was adopted that no fill of ours explains."""

    symbol: Symbol
    pos_qty: DecOut
    avg_px: DecOut | None = None
    reason: str | None = None


OrderEvents = (
    Accepted
    | Sent
    | New
    | Trade
    | Released
    | Triggered
    | Trailed
    | PendingReplace
    | Replaced
    | ReplaceRejected
    | PendingCancel
    | Canceled
    | CancelRejected
    | Expired
    | Rejected
    | InDoubt
    | Requeued
    | Restated
    | Adjusted
    | TradeCorrected
    | TradeCanceled
)
AccountEvents = AllCanceled | Batched | Leased | Halted | Guarded | PositionSet
