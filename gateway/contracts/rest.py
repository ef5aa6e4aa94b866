"""Bodies of the REST companions that the socket does not have (order-api.md, section 11)."""

from msgspec import Struct

from gateway.contracts.events import AccountEvents, Block, OrderEvents
from gateway.contracts.notices import Feed, Halt, Headroom, Instrument, Link, OrderState, Position
from gateway.contracts.requests import Part
from gateway.contracts.values import (
    Account,
    Code,
    Detail,
    HaltLevel,
    Keep,
    Name,
    Ns,
    Retry,
    Seq,
    Side,
    Symbol,
    Tag,
    Text,
)


class Health(Block, frozen=True, kw_only=True):
    """The process is alive."""

    alive: bool
    version: str


class Readiness(Block, frozen=True, kw_only=True):
    """Whether orders are taken now, and what stands in the way."""

    ready: bool
    journal: str
    links: dict[str, Link]
    feeds: dict[str, Feed]
    waiting_for: list[str] | None = None


class Instruments(Block, frozen=True, kw_only=True):
    """All that can be traded here."""

    instruments: list[Instrument]


class Orders(Block, frozen=True, kw_only=True):
    """Orders of an account at ``head``; ``cursor`` asks for the next page."""

    account: Account
    head: Seq
    orders: list[OrderState]
    cursor: str | None = None


class Events(Block, frozen=True, kw_only=True):
    """The very events of the wire, after ``after_seq``."""

    account: Account
    history: str
    head: Seq
    events: list[OrderEvents | AccountEvents]


class Positions(Block, frozen=True, kw_only=True):
    """Positions of an account at ``head``."""

    account: Account
    head: Seq
    positions: list[Position]


class AccountLimits(Block, frozen=True, kw_only=True):
    """How much room each control leaves an account."""

    account: Account
    limits: list[Headroom]


class CancelAllBody(Part, frozen=True, kw_only=True):
    """As the request of the socket."""

    symbol: Symbol | None = None
    side: Side | None = None
    session: Name | None = None
    tag: Tag | None = None
    keep: Keep = "none"


class HaltBody(Part, frozen=True, kw_only=True):
    """A kill switch to turn on; ``cancel_all`` and above must state ``keep``."""

    scope: str
    level: HaltLevel
    reason: Text
    keep: Keep | None = None


class Halts(Block, frozen=True, kw_only=True):
    """The kill switches that are on."""

    halts: list[Halt]


class Challenge(Block, frozen=True, kw_only=True):
    """What to sign for a token; as ``hello``."""

    nonce: str
    aud: str
    ts_ns: Ns


class TokenBody(Part, frozen=True, kw_only=True):
    """The signed challenge; as ``auth``."""

    nonce: str
    key: Name
    session: Name
    sig: str


class Token(Block, frozen=True, kw_only=True):
    """A bearer token."""

    token: str
    expires_ns: Ns


class Failure(
    Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="t",
    tag="err",
    kw_only=True,
):
    """An ``err`` outside the socket: the same members, but there is no request id to name."""

    code: Code
    retry: Retry
    text: Text
    path: str | None = None
    detail: Detail | None = None
    retry_ns: Ns | None = None
