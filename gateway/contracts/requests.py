"""What a client may send, a struct for each request, unknown members refused (order-api.md, 3 to 5, 8, 9)."""

from typing import Literal

from msgspec import Struct

from gateway.contracts.values import (
    Account,
    ClOrdId,
    Code,
    Corp,
    Dec,
    GetWhat,
    Hours,
    IfThrough,
    Int53,
    Keep,
    LeaseMode,
    LeaseScope,
    Ms,
    Name,
    Ns,
    OnMissed,
    OrdStatus,
    OrdType,
    Placement,
    RequestId,
    Rev,
    Seq,
    Side,
    Source,
    Stp,
    Symbol,
    Tag,
    Text,
    Tif,
    TriggerKind,
)


class Part(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    kw_only=True,
):
    """A nested object of a request; no cycle can be made of frozen structs, so the collector need not see them."""


class Trail(Part, frozen=True, kw_only=True):
    """How far a trailing stop stays behind the extreme: exactly one of the three."""

    amount: Dec | None = None
    bps: Dec | None = None
    pct: Dec | None = None


class Breakeven(Part, frozen=True, kw_only=True):
    """Once the source is ``gain`` better than the parent's average price, the stop moves there plus ``plus``."""

    gain: Trail
    plus: Dec = "0"


class Confirm(Part, frozen=True, kw_only=True):
    """How long the condition must hold: a number of qualifying updates, or a time."""

    ticks: Int53 | None = None
    ms: Ms | None = None


class Trigger(Part, frozen=True, kw_only=True):
    """The condition that a held order waits for."""

    kind: TriggerKind
    stop_px: Dec | None = None
    source: Source | None = None
    trail: Trail | None = None
    limit_offset: Dec | None = None
    at_ns: Ns | None = None
    after_ms: Ms | None = None
    breakeven: Breakeven | None = None
    confirm: Confirm | None = None
    max_age_ms: Ms | None = None
    if_through: IfThrough = "reject"
    on_missed: OnMissed = "fire"
    placement: Placement | None = None
    backstop_bps: Dec | None = None
    policy: Name | None = None


class After(Part, frozen=True, kw_only=True):
    """The order that must fill before this one lives."""

    cl_ord_id: ClOrdId
    on: Literal["fill", "full"] = "fill"


class Cursor(Part, frozen=True, kw_only=True):
    """The last event that a client applied."""

    history: str
    seq: Seq


class Item(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    kw_only=True,
):
    """An instruction about one order, as it stands in a batch."""


class PlaceItem(Item, frozen=True, kw_only=True, tag="place"):
    """A new order."""

    cl_ord_id: ClOrdId
    symbol: Symbol
    side: Side
    ord_type: OrdType
    qty: Dec
    px: Dec | None = None
    tif: Tif = "day"
    trigger: Trigger | None = None
    reduce_only: bool = False
    expire_ns: Ns | None = None
    hours: Hours = "regular"
    after: After | None = None
    oco: Name | None = None
    post_only: bool = False
    display_qty: Dec | None = None
    collar_bps: Dec | None = None
    stp: Stp | None = None
    max_queue_ms: Ms | None = None
    tag: Tag | None = None
    confirm: list[Code] | None = None
    signal: Name | None = None
    locate: Name | None = None
    dnr: bool = False
    corp: Corp = "adjust"


class ReplaceItem(Item, frozen=True, kw_only=True, tag="replace"):
    """New terms for an order; ``rev`` is the revision asked for."""

    cl_ord_id: ClOrdId
    rev: Rev
    qty: Dec | None = None
    px: Dec | None = None
    trigger: Trigger | None = None
    tif: Tif | None = None
    expire_ns: Ns | None = None
    display_qty: Dec | None = None


class CancelItem(Item, frozen=True, kw_only=True, tag="cancel"):
    """Ask for the end of an order."""

    cl_ord_id: ClOrdId


class Envelope(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    kw_only=True,
):
    """What any request may carry; ``deadline_ns`` is on the server's clock.

    Place, Replace and Cancel repeat these three members: a struct has one base, and theirs is the batch item.
    """

    id: RequestId
    account: Account | None = None
    deadline_ns: Ns | None = None


class Auth(Envelope, frozen=True, kw_only=True, tag="auth"):
    """Prove who is there: ``sig`` signs the five lines of section 3."""

    key: Name
    session: Name
    sig: str


class Subscribe(Envelope, frozen=True, kw_only=True, tag="subscribe"):
    """Follow an account, from ``after`` on where that is still possible."""

    after: Cursor | None = None


class Unsubscribe(Envelope, frozen=True, kw_only=True, tag="unsubscribe"):
    """Stop following an account on this connection."""


class Place(PlaceItem, frozen=True, kw_only=True, tag="place"):
    """A new order; ``dry`` asks for the checks alone."""

    id: RequestId
    account: Account | None = None
    deadline_ns: Ns | None = None
    dry: bool = False


class Replace(ReplaceItem, frozen=True, kw_only=True, tag="replace"):
    """New terms for an order."""

    id: RequestId
    account: Account | None = None
    deadline_ns: Ns | None = None


class Cancel(CancelItem, frozen=True, kw_only=True, tag="cancel"):
    """Ask for the end of an order."""

    id: RequestId
    account: Account | None = None
    deadline_ns: Ns | None = None


class CancelAll(Envelope, frozen=True, kw_only=True, tag="cancel_all"):
    """Cancel what the filters leave; without filters everything."""

    symbol: Symbol | None = None
    side: Side | None = None
    session: Name | None = None
    tag: Tag | None = None
    keep: Keep = "none"


class Batch(Envelope, frozen=True, kw_only=True, tag="batch"):
    """Up to 100 instructions of one account: all or nothing."""

    items: list[PlaceItem | ReplaceItem | CancelItem]


class Lease(Envelope, frozen=True, kw_only=True, tag="lease"):
    """Set, change, renew or (``ttl_ms`` 0) drop a lease."""

    name: Name
    mode: LeaseMode
    ttl_ms: Ms
    scope: LeaseScope = "session"
    keep: Keep = "protective"


class Get(Envelope, frozen=True, kw_only=True, tag="get"):
    """A question about the state at the head."""

    what: GetWhat
    cl_ord_id: ClOrdId | None = None
    symbol: Symbol | None = None
    ord_status: OrdStatus | None = None
    tag: Tag | None = None
    since_seq: Seq | None = None
    cursor: Text | None = None


class Bye(Envelope, frozen=True, kw_only=True, tag="bye"):
    """Leave on purpose: leases of mode ``disconnect`` are dropped."""


Request = Auth | Subscribe | Unsubscribe | Place | Replace | Cancel | CancelAll | Batch | Lease | Get | Bye
BatchItem = PlaceItem | ReplaceItem | CancelItem
BATCH_ITEMS_MAX = 100
