"""What the server says about the connection, answers to questions, and errors (order-api.md, 2 to 4, 9, 10)."""

from typing import Literal

from msgspec import Struct

from gateway.contracts.events import Block, Evidence, Terms
from gateway.contracts.values import (
    Account,
    ClOrdId,
    Code,
    DecOut,
    Detail,
    Durability,
    FeedState,
    GetWhat,
    HaltLevel,
    HoldKind,
    Int53,
    Keep,
    LeaseMode,
    LeaseScope,
    LinkState,
    Mode,
    Ms,
    Name,
    Ns,
    OrdStatus,
    PendingKind,
    RequestId,
    Retry,
    Rev,
    Scope,
    Seq,
    Stage,
    Symbol,
    Text,
)


class OrderState(Block, frozen=True, kw_only=True):
    """An order as a snapshot or an answer states it: terms and state members."""

    cl_ord_id: ClOrdId
    order_id: str
    rev: Rev
    ord_status: OrdStatus
    pending: PendingKind | None
    cum_qty: DecOut
    leaves_qty: DecOut
    avg_px: DecOut | None
    order: Terms
    stage: Stage | None = None
    hold: HoldKind | None = None
    ask_rev: Rev | None = None
    seq: Seq | None = None
    ts_ns: Ns | None = None
    stop_px: DecOut | None = None  # where a trailing stop stands, as the last `trailed` said
    broker_cl_ord_id: str | None = None
    broker_order_id: str | None = None


class Position(Block, frozen=True, kw_only=True):
    """What an account holds of one instrument."""

    symbol: Symbol
    pos_qty: DecOut
    avg_px: DecOut | None = None
    realized_pnl: DecOut | None = None
    unrealized_pnl: DecOut | None = None


class LeaseTerms(Block, frozen=True, kw_only=True):
    """A lease that is in force."""

    name: Name
    session: Name
    mode: LeaseMode
    ttl_ms: Ms
    scope: LeaseScope
    keep: Keep
    left_ms: Ms | None = None


class Halt(Block, frozen=True, kw_only=True):
    """A kill switch that is on. ``scope`` is ``global``, ``account:A1`` or ``instrument:AAPL``."""

    halt_id: str
    scope: str
    level: HaltLevel
    since_ns: Ns
    reason: Text
    keep: Keep | None = None
    by: str | None = None


class Link(Block, frozen=True, kw_only=True):
    """The state of one connection to a broker; ``queued`` orders wait for it."""

    state: LinkState
    since_ns: Ns | None = None
    queued: Int53 | None = None


class Feed(Block, frozen=True, kw_only=True):
    """The state of one market-data feed."""

    state: FeedState
    since_ns: Ns | None = None
    age_ms: Ms | None = None


class Lag(Block, frozen=True, kw_only=True):
    """What waits in this connection's outbound buffer."""

    frames: Int53
    bytes: Int53


class Limits(Block, frozen=True, kw_only=True):
    """The bounds of this connection, its key and its account."""

    place_per_s: Int53
    place_burst: Int53
    cancel_per_s: Int53
    cancel_burst: Int53
    get_per_s: Int53
    get_burst: Int53
    unanswered: Int53
    open_orders: Int53
    connections: Int53
    out_bytes: Int53
    out_frames: Int53
    frame_bytes: Int53
    batch_items: Int53
    snapshot_done_ms: Ms
    name_life_ms: Ms


class Features(Block, frozen=True, kw_only=True):
    """What an account's broker can do by itself; ``corp`` names the corporate-action source, or is ``none``."""

    native: list[str]
    placement: list[str]
    replace: list[str]
    corp: str = "none"
    tif: list[str] | None = None


class Instrument(Block, frozen=True, kw_only=True):
    """What can be traded, and on which grid."""

    symbol: Symbol
    tick: DecOut
    lot: DecOut
    currency: str | None = None
    min_qty: DecOut | None = None
    sources: list[str] | None = None
    hours: list[str] | None = None
    native: list[str] | None = None
    halted: bool | None = None


class Headroom(Block, frozen=True, kw_only=True):
    """How much room a control leaves; ``limit`` none means that nothing is set."""

    control: str
    scope: str
    limit: DecOut | None = None
    used: DecOut | None = None
    room: DecOut | None = None


class Step(Block, frozen=True, kw_only=True):
    """One step of an order's way: the event that says it, in one sentence."""

    seq: Seq
    ts_ns: Ns
    step: str
    text: str
    detail: Detail | None = None


class Explained(Block, frozen=True, kw_only=True):
    """What became of an order and why, from its events in the journal; not ``is_whole``: there may be more of them."""

    account: Account
    cl_ord_id: ClOrdId
    order_id: str
    ord_status: OrdStatus
    cum_qty: DecOut
    leaves_qty: DecOut
    is_whole: bool
    chain: list[Step]
    evidence: Evidence | None = None
    gap_bps: DecOut | None = None
    missed: bool | None = None
    since_tick_ns: dict[str, Int53] | None = None


class Notice(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    kw_only=True,
):
    """About the connection, not about an account's journal."""


class Hello(Notice, frozen=True, kw_only=True, tag="hello"):
    """The first frame: what to sign, and the contract's fingerprint."""

    nonce: str
    aud: str
    ts_ns: Ns
    api: str
    spec: str


class Welcome(Notice, frozen=True, kw_only=True, tag="welcome"):
    """The answer to ``auth``."""

    re: RequestId
    api: str
    mode: Mode
    durability: Durability
    scopes: list[Scope]
    accounts: list[Account]
    limits: Limits
    hb_ms: Ms
    features: dict[str, Features]
    deprecated: list[str]
    leases: list[LeaseTerms]


class Sync(Notice, frozen=True, kw_only=True, tag="sync"):
    """The answer to ``subscribe``: how the client will catch up. ``seq`` is where it starts, ``head`` the newest."""

    re: RequestId
    account: Account
    history: str
    mode: Literal["replay", "snapshot"]
    seq: Seq
    head: Seq


class Snapshot(Notice, frozen=True, kw_only=True, tag="snapshot"):
    """A part of the account's exact state at ``seq``."""

    account: Account
    seq: Seq
    part: Int53
    last: bool
    orders: list[OrderState]
    positions: list[Position]
    leases: list[LeaseTerms]
    halts: list[Halt]


class Live(Notice, frozen=True, kw_only=True, tag="live"):
    """The client has caught up."""

    account: Account
    seq: Seq


class Heartbeat(Notice, frozen=True, kw_only=True, tag="hb"):
    """Every ``hb_ms``: the server's clock and the newest number of each account that is followed."""

    ts_ns: Ns
    heads: dict[str, Seq]
    links: dict[str, Link] | None = None
    feeds: dict[str, Feed] | None = None


class Status(Notice, frozen=True, kw_only=True, tag="status"):
    """What changed; a full one follows ``welcome``."""

    links: dict[str, Link] | None = None
    feeds: dict[str, Feed] | None = None
    halts: list[Halt] | None = None
    lag: Lag | None = None
    journal: str | None = None


class Goaway(Notice, frozen=True, kw_only=True, tag="goaway"):
    """The server will close at ``at_ns``."""

    reason: str
    at_ns: Ns
    url: str | None = None


class Res(Notice, frozen=True, kw_only=True, tag="res"):
    """The answer to a request that changed nothing. ``head`` is the number at which the state was read."""

    re: RequestId
    in_ns: Ns | None = None
    out_ns: Ns | None = None
    left: Int53 | None = None
    what: GetWhat | Literal["dry", "lease", "unsubscribe", "bye"] | None = None
    account: Account | None = None
    head: Seq | None = None
    ts_ns: Ns | None = None
    order: OrderState | None = None
    orders: list[OrderState] | None = None
    positions: list[Position] | None = None
    instrument: Instrument | None = None
    limits: list[Headroom] | None = None
    explain: Explained | None = None
    cursor: str | None = None


class Err(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    tag="err",
    kw_only=True,
):
    """The request ``re`` had no effect."""

    re: RequestId
    code: Code
    retry: Retry
    text: Text
    path: str | None = None
    detail: Detail | None = None
    retry_ns: Ns | None = None
    in_ns: Ns | None = None
    out_ns: Ns | None = None
    left: Int53 | None = None


Notices = Hello | Welcome | Sync | Snapshot | Live | Heartbeat | Status | Goaway | Res
