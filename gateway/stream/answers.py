"""Answers to questions, as JSON: orders, positions, instruments, headroom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gateway.contracts import notices
from gateway.contracts.requests import Get
from hotpath.fixed import from_e4, from_e9

if TYPE_CHECKING:
    from gateway.engine import Engine

encode = msgspec.json.Encoder().encode
STATUS_NAMES = ("", "held", "pending_new", "new", "partially_filled", "filled", "canceled", "expired", "rejected")
ORDERS_PER_ANSWER = 200


def lookup(engine: Engine, account: int, req: Get, in_ns: int, left: int) -> bytes | str:
    """The `res` frame, or the code of a refusal."""
    name = engine.state.account_names[account]
    head = engine.views.acct_seq(account)
    res: dict[str, Any] = {
        "t": "res", "re": req.id, "in_ns": in_ns, "left": left, "what": req.what, "account": name, "head": head,
        "ts_ns": engine.clock.wall_ns(),
    }  # fmt: skip
    if req.what == "order":
        row = engine.state.orders.find_row(account, (req.cl_ord_id or "").encode())
        if row < 0:
            return "UNKNOWN_ORDER"
        res["order"] = msgspec.Raw(engine.views.order_json(row))
    elif req.what == "orders":
        _orders(engine, account, req, res)
    elif req.what == "positions":
        res["positions"] = positions(engine, account)
    elif req.what == "instrument":
        row = engine.state.quotes.row_of(req.symbol or "")
        if row < 0:
            return "UNKNOWN_SYMBOL"
        res["instrument"] = instrument(engine, row)
    elif req.what == "limits":
        res["limits"] = headroom(engine, account)
    return encode(res)


def _orders(engine: Engine, account: int, req: Get, res: dict[str, Any]) -> None:
    """Open orders in order of acceptance; with `ord_status` of a done kind, the done ones, newest first."""
    views = engine.views
    wanted = req.ord_status
    done = wanted in STATUS_NAMES[5:]
    rows = views.done_since(account, 10 * ORDERS_PER_ANSWER, 0) if done else views.open_orders(account)
    start = int(req.cursor) if req.cursor and req.cursor.isdecimal() else 0
    found: list[msgspec.Raw] = []
    at = start
    for row in rows[start:]:
        at += 1
        order = views.order(row)
        if wanted is not None and STATUS_NAMES[order["ord_status"]] != wanted:
            continue
        if req.symbol is not None and engine.state.quotes.symbol_of(order["instrument"]) != req.symbol:
            continue
        if req.tag is not None and order["tag"] != req.tag.encode():
            continue
        found.append(msgspec.Raw(views.order_json(row)))
        if len(found) == ORDERS_PER_ANSWER:
            break
    res["orders"] = found
    if at < len(rows):
        res["cursor"] = str(at)


def positions(engine: Engine, account: int) -> list[dict[str, Any]]:
    """Positions of the account, unrealised P&L at the present reference price where there is one."""
    found = []
    mono_ns = engine.clock.mono_ns()
    for instrument_row, qty, avg, realised, _ in engine.views.positions(account):
        item: dict[str, Any] = {
            "symbol": engine.state.quotes.symbol_of(instrument_row),
            "pos_qty": from_e9(qty),
            "realized_pnl": from_e4(realised),
        }
        if qty:
            item["avg_px"] = from_e9(avg)
            mark = engine.state.quotes.reference(instrument_row, mono_ns, 60_000_000_000)
            if mark:
                item["unrealized_pnl"] = from_e4((mark - avg) * qty // 10**14)
        found.append(item)
    return found


def instrument(engine: Engine, row: int) -> dict[str, Any]:
    """What can be traded, and on which grid."""
    facts = engine.state.quotes.snapshot(row)
    return {
        "symbol": engine.state.quotes.symbol_of(row),
        "tick": from_e9(facts["tick_e9"]),
        "lot": from_e9(facts["lot_e9"]),
        "min_qty": from_e9(facts["min_qty_e9"]),
        "sources": ["last", "bid", "ask", "mid"],
        "native": [],
        "halted": bool(facts["is_halted"]),
    }


def headroom(engine: Engine, account: int) -> list[notices.Headroom]:
    """Room that each control of the account leaves."""
    row = engine.views.account(account)
    limits = row["limits"]
    scope = f"account:{engine.state.account_names[account]}"
    power = row["cash_e4"] * limits["leverage_bps_e9"] // 10_000_000_000_000

    def money(control: str, limit: int, used: int) -> notices.Headroom:
        return notices.Headroom(
            control=control, scope=scope, limit=from_e4(limit), used=from_e4(used), room=from_e4(max(0, limit - used))
        )

    return [
        notices.Headroom(control="SZ-MAX-QTY", scope=scope, limit=from_e9(limits["max_order_qty_e9"])),
        notices.Headroom(control="SZ-MAX-NOTIONAL", scope=scope, limit=from_e4(limits["max_order_notional_e4"])),
        notices.Headroom(control="CR-POS-QTY", scope=scope, limit=from_e9(limits["max_position_qty_e9"])),
        money("CR-OPEN-EXPO", limits["max_gross_e4"], row["gross_e4"]),
        money("CR-BUYPOWER", power, row["gross_e4"]),
        notices.Headroom(
            control="OPEN-ORDERS", scope=scope, limit=str(limits["max_open_orders"]), used=str(row["open_orders"]),
            room=str(max(0, limits["max_open_orders"] - row["open_orders"])),
        ),
    ]  # fmt: skip


def refusal_detail(engine: Engine, code: str, intake: Any, in_ns: int) -> dict[str, Any] | None:
    """What the taxonomy promises beside a code."""
    if (
        code in ("ORDER_DONE", "ORDER_CLOSING", "ORDER_IN_DOUBT", "REV_CONFLICT", "CL_ORD_ID_CONFLICT")
        and intake.order >= 0
    ):
        return {"order": msgspec.json.decode(engine.views.order_json(intake.order))}
    if code == "UNSUPPORTED":
        return {"features": features()}
    return None


def features() -> dict[str, Any]:
    """What the simulated venue and this gateway can do."""
    return {
        "native": [],
        "placement": ["gateway"],
        "replace": ["qty", "px", "trigger"],  # tif too while the order is still here
        "corp": "none",
        "tif": ["day", "gtc", "gtd", "ioc", "fok"],
    }
