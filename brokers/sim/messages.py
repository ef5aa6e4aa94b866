"""The venue's order-entry messages (docs/venue.md), typed: one struct for each, told apart by `t`."""

from __future__ import annotations

from typing import Literal

import msgspec

PROTOCOL = 1
LINE_BYTES_MAX = 4096


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="t"):
    """Base of every message: tagged by `t`, defaults left out."""


# --- client to venue -------------------------------------------------------------------------------------------------


class Login(Message, frozen=True, gc=False, tag="login"):
    key: str
    sig: str
    role: Literal["trade", "read", "admin"] = "trade"


class Ping(Message, frozen=True, gc=False, tag="ping"):
    id: int = 0


class New(Message, frozen=True, gc=False, tag="new"):
    id: str
    sym: str
    side: str
    type: str
    tif: str
    qty: str
    px: str | None = None
    exp: int = 0
    stop: str | None = None
    trail: str | None = None
    trail_bps: str | None = None


class Cancel(Message, frozen=True, gc=False, tag="cancel"):
    id: str


class Replace(Message, frozen=True, gc=False, tag="replace"):
    id: str
    orig: str
    qty: str
    px: str | None = None
    stop: str | None = None
    trail: str | None = None
    trail_bps: str | None = None


class Query(Message, frozen=True, gc=False, tag="query"):
    id: str


class MassCancel(Message, frozen=True, gc=False, tag="mass_cancel"):
    sym: str | None = None


class Execs(Message, frozen=True, gc=False, tag="execs"):
    since: int = 0


class Orders(Message, frozen=True, gc=False, tag="orders"):
    pass


class Positions(Message, frozen=True, gc=False, tag="positions"):
    pass


class Admin(Message, frozen=True, gc=False, tag="admin"):
    do: str
    sym: str = ""
    bid: str = ""
    bid_qty: str = ""
    ask: str = ""
    ask_qty: str = ""
    px: str = ""
    qty: str = ""
    text: str = ""
    key: str = ""
    mode: str = "reset"
    on: bool = True
    exec: str = ""
    set: msgspec.Raw = msgspec.Raw(b"{}")


# --- venue to client -------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, gc=False, tag="hello"):
    venue: str
    challenge: str
    proto: int = 0


class Welcome(Message, frozen=True, gc=False, tag="welcome", omit_defaults=False):
    exec_seq: int
    hb_ms: int
    ts: int


class Logout(Message, frozen=True, gc=False, tag="logout"):
    code: str
    text: str


class Pong(Message, frozen=True, gc=False, tag="pong", omit_defaults=False):
    id: int
    exec_seq: int
    ts: int


class Error(Message, frozen=True, gc=False, tag="error"):
    code: str
    text: str = ""


class Ack(Message, frozen=True, gc=False, tag="ack"):
    id: str
    oid: str
    ts: int


class Fill(Message, frozen=True, gc=False, tag="fill"):
    id: str
    oid: str
    exec: str
    n: int
    qty: str
    px: str
    cum: str
    leaves: str
    fee: str
    liq: str
    ts: int


class Triggered(Message, frozen=True, gc=False, tag="triggered"):
    id: str
    oid: str
    px: str
    ts: int


class Trailed(Message, frozen=True, gc=False, tag="trailed"):
    """Of the ledger alone: nobody is told that a trigger has followed the market."""

    id: str
    oid: str
    stop: str
    ts: int


class Canceled(Message, frozen=True, gc=False, tag="canceled"):
    id: str
    oid: str
    cum: str
    ts: int


class Expired(Message, frozen=True, gc=False, tag="expired"):
    id: str
    oid: str
    cum: str
    ts: int


class Rejected(Message, frozen=True, gc=False, tag="rejected"):
    id: str
    reason: str
    code: str
    text: str
    ts: int


class Replaced(Message, frozen=True, gc=False, tag="replaced"):
    id: str
    orig: str
    oid: str
    qty: str
    px: str
    cum: str
    leaves: str
    ts: int
    stop: str = "0"
    trail: str = "0"
    trail_bps: str = "0"


class ReplaceRejected(Message, frozen=True, gc=False, tag="replace_rejected"):
    id: str
    orig: str
    reason: str
    code: str
    text: str
    ts: int


class CancelRejected(Message, frozen=True, gc=False, tag="cancel_rejected"):
    id: str
    reason: str
    code: str
    text: str
    ts: int


class QueryRejected(Message, frozen=True, gc=False, tag="query_rejected"):
    id: str
    reason: str
    code: str
    text: str
    ts: int


class Busted(Message, frozen=True, gc=False, tag="busted"):
    id: str
    oid: str
    exec: str
    cum: str
    ts: int


class Exec(msgspec.Struct, frozen=True, gc=False):
    """One execution inside `state`."""

    exec: str
    n: int
    qty: str
    px: str
    fee: str
    liq: str
    ts: int


class State(Message, frozen=True, gc=False, tag="state"):
    id: str
    found: bool
    ts: int
    oid: str = ""
    status: str = ""
    sym: str = ""
    side: str = ""
    qty: str = "0"
    px: str = "0"
    stop: str = "0"
    cum: str = "0"
    leaves: str = "0"
    avg: str = "0"
    execs: tuple[Exec, ...] = ()


class MassCanceled(Message, frozen=True, gc=False, tag="mass_canceled", omit_defaults=False):
    count: int
    ts: int


class ExecsEnd(Message, frozen=True, gc=False, tag="execs_end", omit_defaults=False):
    exec_seq: int
    ts: int


class OrdersEnd(Message, frozen=True, gc=False, tag="orders_end", omit_defaults=False):
    count: int
    ts: int


class Position(msgspec.Struct, frozen=True, gc=False):
    sym: str
    qty: str


class PositionList(Message, frozen=True, gc=False, tag="positions", omit_defaults=False):
    items: tuple[Position, ...]
    ts: int


class AdminOk(Message, frozen=True, gc=False, tag="admin_ok"):
    do: str
    stats: dict[str, int] = {}


Fact = Ack | Fill | Trailed | Triggered | Canceled | Expired | Rejected | Replaced | Busted  # what changes the book
Request = Login | Ping | New | Cancel | Replace | Query | MassCancel | Execs | Orders | Positions | Admin
Answer = (
    Hello | Welcome | Logout | Ping | Pong | Error | Ack | Fill | Triggered | Canceled | Expired | Rejected | Replaced
    | ReplaceRejected | CancelRejected | QueryRejected | Busted | State | MassCanceled | ExecsEnd | OrdersEnd
    | PositionList | AdminOk
)  # fmt: skip
Outgoing = Message
