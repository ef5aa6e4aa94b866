"""The contract of every broker adapter: tickets go in, normalised reports come out. No broker's words pass this line.

The adapter reports; the engine decides (docs/venue.md shows one adapter whole). Rules that bind every adapter:

* `submit`, `cancel`, `replace` and `query` are synchronous: the native bytes are in the kernel when they return True.
  `submit` takes a run of orders and returns how many of them, from the first on, were handed over: one write for all.
  False means that no byte left (link down, kernel buffer full): the caller keeps the ticket, and
  `ReportSink.on_writable` or `on_link` tells when to try again. There is no third outcome and no exception.
* The adapter declares the broker's message rate (`Capabilities.budget`); the caller keeps to it (gateway/egress.py).
  A refusal for the rate all the same has the reason THROTTLED: the message was not taken, its id is unused as before.
* True is not an acknowledgement. Only a report about that id is the broker's word.
* A report may come twice, late, out of order or never. The adapter does not repair that: it decodes.
* After `on_link(up=False)` everything that was handed over and not answered is in doubt; the adapter never resends.
* `on_link(up=True)` comes after login and after the broker's own recovery sequence, so that queries are answered.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec

from brokers.capabilities import Capabilities
from hotpath.enums import OrdStatus
from hotpath.ticket import Ticket


class RejectReason(StrEnum):
    """Canonical reason of a refusal (brokers.md, section 6.4); the broker's own code and text travel beside it.

    THROTTLED: for the rate of messages alone, and nothing else came of it: the same message may be sent again.
    """

    FUNDS = "funds"
    PRICE = "price"
    QTY = "qty"
    PERMISSION = "permission"
    SYMBOL = "symbol"
    SESSION = "session"
    DUPLICATE = "duplicate"
    THROTTLED = "throttled"
    UNKNOWN_ORDER = "unknown"
    TOO_LATE = "too_late"
    OTHER = "other"


class Report(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every report carries.

    order, rev: decoded from the broker client order id; `order` is None for an order that is not ours.
    venue_ns: the broker's time of the fact, 0 when it gives none. raw: the broker's message, unchanged.
    """

    order: int | None
    rev: int
    venue_ns: int
    raw: bytes
    broker_cl_ord_id: bytes = b""
    broker_order_id: bytes = b""


class ReportNew(Report, frozen=True, gc=False, kw_only=True):
    """The broker has the order, working."""


class ReportTrade(Report, frozen=True, gc=False, kw_only=True):
    """One execution. `exec_id` is unique per broker for ever; `liquidity` is b"M" (maker), b"T" (taker) or b""."""

    exec_id: bytes
    last_qty_e9: int
    last_px_e9: int
    cum_qty_e9: int
    leaves_qty_e9: int
    fee_e4: int = 0
    liquidity: bytes = b""


class ReportTradeCanceled(Report, frozen=True, gc=False, kw_only=True):
    """The broker broke an execution; `cum_qty_e9` is what remains filled."""

    exec_id: bytes
    cum_qty_e9: int


class ReportTriggered(Report, frozen=True, gc=False, kw_only=True):
    """A stop that the broker held has fired, by `trigger_px_e9` of its own market; 0 when it does not tell."""

    trigger_px_e9: int


class ReportCanceled(Report, frozen=True, gc=False, kw_only=True):
    """Canceled, asked for or not; `cum_qty_e9` may be ahead of the trades seen (the rest is owed)."""

    cum_qty_e9: int


class ReportExpired(Report, frozen=True, gc=False, kw_only=True):
    """Ended by its own terms (time in force, or an immediate order's remainder)."""

    cum_qty_e9: int


class ReportRejected(Report, frozen=True, gc=False, kw_only=True):
    """The broker refused the order: it does not exist there (reason DUPLICATE: the id does, ask for it)."""

    reason: RejectReason
    code: str
    text: str


class ReportReplaced(Report, frozen=True, gc=False, kw_only=True):
    """Terms in force at the broker, under revision `rev`; unasked for when the broker changed them by itself.

    stop_px_e9: trigger of a stop that the broker holds, 0 for any other order.
    """

    order_qty_e9: int
    px_e9: int
    stop_px_e9: int = 0
    cum_qty_e9: int
    leaves_qty_e9: int


class ReportReplaceRejected(Report, frozen=True, gc=False, kw_only=True):
    """Revision `rev` was refused; the terms before it stand."""

    reason: RejectReason
    code: str
    text: str


class ReportCancelRejected(Report, frozen=True, gc=False, kw_only=True):
    """UNKNOWN_ORDER: no such order there. TOO_LATE: it is done already."""

    reason: RejectReason
    code: str
    text: str


class ReportQueryRejected(Report, frozen=True, gc=False, kw_only=True):
    """The broker did not look: nothing is known of the order by this."""

    reason: RejectReason
    code: str
    text: str


class Execution(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One execution inside the answer to a query."""

    exec_id: bytes
    last_qty_e9: int
    last_px_e9: int
    fee_e4: int = 0
    liquidity: bytes = b""
    venue_ns: int = 0


class ReportState(Report, frozen=True, gc=False, kw_only=True):
    """The answer to a query. `found=False` proves absence only after `Capabilities.horizon_ns` since the hand-off.

    When found, `rev` is the revision in force at the broker and `executions` holds all of the order's executions.
    `status` is NONE when the broker used a word that the adapter does not know. A stop that it holds is NEW with its
    `stop_px_e9`; one that has fired has none any more.
    """

    found: bool
    status: OrdStatus = OrdStatus.NONE
    order_qty_e9: int = 0
    px_e9: int = 0
    stop_px_e9: int = 0
    cum_qty_e9: int = 0
    leaves_qty_e9: int = 0
    avg_px_e9: int = 0
    executions: tuple[Execution, ...] = ()


class ReportUnknown(Report, frozen=True, gc=False, kw_only=True):
    """A message that the adapter cannot read: kept raw, counted, alarmed; changes no order by itself."""

    text: str


class ReportSink(Protocol):
    """The engine's side of the contract; all calls are synchronous, on the loop thread."""

    def on_report(self, report: Report) -> None: ...

    def on_link(self, up: bool, cause: str) -> None: ...

    def on_writable(self) -> None: ...


class Adapter(Protocol):
    """One broker link. `capabilities` is constant; `is_up` is True between `on_link(True)` and `on_link(False)`."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def is_up(self) -> bool: ...

    def submit(self, *tickets: Ticket) -> int: ...

    def cancel(self, ticket: Ticket) -> bool: ...

    def replace(self, ticket: Ticket) -> bool: ...

    def query(self, ticket: Ticket) -> bool: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...
