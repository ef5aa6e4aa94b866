"""Accounts over HTTP: orders, events, positions, limits, and the one mutation, cancel_all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from gateway.contracts import rest
from gateway.contracts.events import AllCanceled
from gateway.explain import Trace
from gateway.ops.gate import Gate
from gateway.ops.refusal import Refusal, query_int, read_body, respond
from gateway.ops.tokens import Caller
from gateway.stream import answers
from gateway.stream.orders import SIDES
from hotpath.enums import Reason

if TYPE_CHECKING:
    from gateway.app import Gateway

PAGE_ORDERS = 200
SCAN_ROWS = 16_384  # order rows looked at in one turn of the loop
EVENTS_MAX = 10_000
TURN_EVENTS = 256  # events read from the journal in one turn
SEQ_MAX = 2**53 - 1


class Accounts:
    """The account resources of one gateway."""

    def __init__(self, gateway: Gateway, gate: Gate) -> None:
        self.gateway = gateway
        self.engine = gateway.shard.engine
        self.gate = gate

    # --- questions ---------------------------------------------------------------------------------------------------

    async def order(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/orders/{cl_ord_id}`."""
        _, account = self.gate.reader(request)
        row = self.engine.state.orders.find_row(account, request.match_info["cl_ord_id"].encode())
        if row < 0:
            raise Refusal("UNKNOWN_ORDER")
        text = self.engine.views.order_json(row)
        await self.gate.durable()
        return web.Response(body=text, content_type="application/json")

    async def explain(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/orders/{cl_ord_id}/explain`: read from the journal, a part a turn."""
        _, account = self.gate.reader(request)
        row = self.engine.state.orders.find_row(account, request.match_info["cl_ord_id"].encode())
        if row < 0:
            raise Refusal("UNKNOWN_ORDER")
        await self.gate.durable()
        trace = Trace(self.engine, row)
        read: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        if not self.engine.explaining.read(trace, lambda error: None if read.done() else read.set_result(error)):
            raise Refusal("BUSY", "others are being explained: ask again")
        error = await read
        if error is not None:
            raise Refusal("JOURNAL_STOPPED", "an event cannot be read now: ask again") from error
        if not trace.told:
            raise Refusal("BUSY", "its events are being written: ask again")
        return respond(trace.explained())

    async def orders(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/orders`: in order of acceptance, a page at a time."""
        _, account = self.gate.reader(request)
        wanted = request.query.get("ord_status")
        if wanted is not None and wanted not in answers.STATUS_NAMES[1:]:
            raise Refusal("BAD_FIELD", f"one of {', '.join(answers.STATUS_NAMES[1:])}", path="ord_status")
        symbol, tag = request.query.get("symbol"), request.query.get("tag")
        instrument = -1 if symbol is None else self.engine.state.quotes.row_of(symbol)
        if symbol is not None and instrument < 0:
            raise Refusal("UNKNOWN_SYMBOL", path="symbol")
        since = query_int(request, "since_seq", 0, 0, SEQ_MAX)
        start = query_int(request, "cursor", 0, 0, SEQ_MAX)
        is_wanted = _OrderFilter(wanted, instrument, tag, since)
        views = self.engine.views
        found: list[int] = []
        at = start
        while at >= 0 and len(found) < PAGE_ORDERS:
            rows, at = views.page(account, at, SCAN_ROWS, PAGE_ORDERS - len(found))
            found += [row for row in rows if is_wanted(views.order(row))]
            if at >= 0 and len(found) < PAGE_ORDERS:
                await asyncio.sleep(0)
        head = views.acct_seq(account)  # of this turn: all orders are stated at it
        orders = [views.order_json(row) for row in found if is_wanted(views.order(row))]
        body: dict[str, Any] = {
            "account": self.engine.state.account_names[account],
            "head": head,
            "orders": [msgspec.Raw(text) for text in orders],
        }
        if at >= 0:
            body["cursor"] = str(at)
        await self.gate.durable()
        return respond(body)

    async def events(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/events`: read from the journal, as the wire has them."""
        _, account = self.gate.reader(request)
        after = query_int(request, "after_seq", 0, 0, SEQ_MAX)
        limit = query_int(request, "limit", 1_000, 1, EVENTS_MAX)
        engine = self.engine
        await self.gate.durable()
        head = engine.fanout.heads[account]
        stop = min(head, after + limit)
        found: list[msgspec.Raw] = []
        for seq in range(after + 1, stop + 1):
            try:
                text = engine.event_text(account, seq)
            except OSError as error:
                raise Refusal("JOURNAL_STOPPED", "an event cannot be read now: ask again") from error
            if not text:
                break
            found.append(msgspec.Raw(text))
            if len(found) % TURN_EVENTS == 0:
                await asyncio.sleep(0)
        return respond(
            {
                "account": engine.state.account_names[account],
                "history": engine.state.history.hex(),
                "head": head,
                "events": found,
            }
        )

    async def positions(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/positions`."""
        _, account = self.gate.reader(request)
        engine = self.engine
        body = {
            "account": engine.state.account_names[account],
            "head": engine.views.acct_seq(account),
            "positions": answers.positions(engine, account),
        }
        await self.gate.durable()
        return respond(body)

    async def limits(self, request: web.Request) -> web.Response:
        """`GET /v1/accounts/{account}/limits`."""
        _, account = self.gate.reader(request)
        name = self.engine.state.account_names[account]
        return respond(rest.AccountLimits(account=name, limits=answers.headroom(self.engine, account)))

    # --- cancel_all --------------------------------------------------------------------------------------------------

    async def cancel_all(self, request: web.Request) -> web.Response:
        """`POST /v1/accounts/{account}/cancel_all`: answered when it is on disk."""
        caller, account = self.gate.canceler(request)
        body: rest.CancelAllBody = await read_body(request, rest.CancelAllBody)
        return await self.gate.once(request, caller, lambda: self._cancel_all(caller, account, body))

    async def _cancel_all(self, caller: Caller, account: int, body: rest.CancelAllBody) -> web.Response:
        self.gate.must_admit()
        engine, key = self.engine, caller.key
        if key.cancel.take(engine.clock.mono_ns()) < 0:
            raise Refusal("RATE_LIMITED", retry_ns=key.cancel.wait_ns())
        instrument = -1 if body.symbol is None else engine.state.quotes.row_of(body.symbol)
        if body.symbol is not None and instrument < 0:
            raise Refusal("UNKNOWN_SYMBOL", path="symbol")
        session = None if body.session is None else body.session.encode()
        tag = None if body.tag is None else body.tag.encode()
        keep = body.keep == "protective"
        wall_ns = engine.clock.wall_ns()
        rows = engine.views.select(account, instrument, SIDES[body.side], session, tag, keep)
        acct_seq = engine.views.acct_seq(account) + 1
        engine.intake.cancel_all(
            account, rows, SIDES[body.side], (body.symbol or "").encode(), session or b"", tag or b"", keep,
            Reason.REQUEST, wall_ns,
        )  # fmt: skip
        await self.gate.committed()
        return respond(
            AllCanceled(
                account=engine.state.account_names[account], seq=acct_seq, ts_ns=wall_ns, count=len(rows),
                keep=body.keep, symbol=body.symbol, side=body.side, session=body.session, tag=body.tag,
            )
        )  # fmt: skip


class _OrderFilter:
    """Whether a row is one that the question means."""

    def __init__(self, status: str | None, instrument: int, tag: str | None, since: int) -> None:
        self.status = 0 if status is None else answers.STATUS_NAMES.index(status)
        self.instrument = instrument
        self.tag = None if tag is None else tag.encode()
        self.since = since

    def __call__(self, row: dict[str, Any]) -> bool:
        return bool(
            (not self.status or row["ord_status"] == self.status)
            and (self.instrument < 0 or row["instrument"] == self.instrument)
            and (self.tag is None or row["tag"] == self.tag)
            and row["accepted_acct_seq"] > self.since
        )
