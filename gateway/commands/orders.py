"""Commands of a small client: order place, cancel, list, positions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from gateway.commands.answer import console, say, say_json, table
from gateway.commands.client import Aud, KeyName, SecretFile, run, secret_of
from gateway.commands.options import AsJson, DataDir

app = typer.Typer(no_args_is_help=True, help="Place, cancel and list orders.")
Url = Annotated[str, typer.Option("--url", help="Order API of the gateway.", envvar="BACKSTAY_URL")]
Account = Annotated[str, typer.Option("--account", help="Account to act for.", envvar="BACKSTAY_ACCOUNT")]
Session = Annotated[str, typer.Option("--session", help="Name of this client; the same name takes over.")]
DEFAULT_URL = "ws://127.0.0.1:8701/v1/ws"


class SideName(StrEnum):
    buy = "buy"
    sell = "sell"


class Tif(StrEnum):
    day = "day"
    gtc = "gtc"
    ioc = "ioc"
    fok = "fok"


class Wait(StrEnum):
    accepted = "accepted"
    working = "working"
    done = "done"


def client(url: str, key: str, secret: str, aud: str | None, account: str, session: str) -> Any:
    """The SDK's client; a usage error for an address that is none."""
    from backstay import Gateway

    if not url.startswith(("ws://", "wss://")):
        raise typer.BadParameter(f"{url!r} is no ws:// or wss:// address", param_hint="--url")
    return Gateway(url, key=key, secret=secret, aud=aud, account=account, session=session)


def _plain(state: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(state)
    return found


def _line(order: dict[str, Any]) -> tuple[Any, ...]:
    terms = order["order"]
    trigger = terms.get("trigger") or {}
    return (
        order["cl_ord_id"], terms["symbol"], terms["side"], terms["ord_type"], terms["qty"], terms.get("px"),
        trigger.get("stop_px"), order["ord_status"], order["cum_qty"], order.get("avg_px"),
    )  # fmt: skip


COLUMNS = ("cl_ord_id", "symbol", "side", "type", "qty", "px", "stop", "status", "cum_qty", "avg_px")


@app.command()
def place(
    side: Annotated[SideName, typer.Option("--side")],
    symbol: Annotated[str, typer.Option("--symbol")],
    qty: Annotated[str, typer.Option("--qty", help="Decimal.")],
    px: Annotated[str | None, typer.Option("--px", help="Limit price; without one it is a market order.")] = None,
    stop_px: Annotated[str | None, typer.Option("--stop-px", help="Held until the price reaches this.")] = None,
    tif: Annotated[Tif, typer.Option("--tif")] = Tif.day,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="May only bring the position towards 0.")] = False,
    cl_ord_id: Annotated[str | None, typer.Option("--cl-ord-id", help="The order's name, and its retry key.")] = None,
    wait: Annotated[Wait, typer.Option("--wait", help="How far to wait.")] = Wait.accepted,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 10.0,
    url: Url = DEFAULT_URL,
    key: KeyName = "demo",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    account: Account = "DEMO",
    session: Session = "cli",
    as_json: AsJson = False,
) -> None:
    """Place an order; exit 1 when it is refused."""
    from backstay import Stop

    terms: dict[str, Any] = {"tif": tif.value, "reduce_only": reduce_only}
    if px is not None:
        terms["px"] = px
    if stop_px is not None:
        terms["trigger"] = Stop(stop_px)
    if cl_ord_id is not None:
        terms["cl_ord_id"] = cl_ord_id

    async def work() -> dict[str, Any]:
        async with client(url, key, secret_of(secret, key, data_dir), aud, account, session) as gw:
            order = await gw.place(side.value, symbol, qty, timeout=timeout, **terms)
            if wait is Wait.working:
                await order.working(timeout=timeout)
            elif wait is Wait.done:
                await order.done(timeout=timeout)
            return _plain(order.state)

    state = run(work(), as_json=as_json)
    if as_json:
        say_json(state)
    else:
        table("order", COLUMNS, [_line(state)])


@app.command()
def cancel(
    cl_ord_id: Annotated[str | None, typer.Option("--cl-ord-id", help="The order.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All open orders of the account.")] = False,
    symbol: Annotated[str | None, typer.Option("--symbol", help="With --all: only of this symbol.")] = None,
    url: Url = DEFAULT_URL,
    key: KeyName = "demo",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    account: Account = "DEMO",
    session: Session = "cli",
    as_json: AsJson = False,
) -> None:
    """Cancel an order, or all of them."""
    if (cl_ord_id is None) is not every:
        raise typer.BadParameter("name one order with --cl-ord-id, or say --all")

    async def work() -> dict[str, Any]:
        from backstay._wire import requests as wire

        async with client(url, key, secret_of(secret, key, data_dir), aud, account, session) as gw:
            if every:
                return _plain(await gw.cancel_all(symbol=symbol))
            return _plain(await gw.ask(wire.Cancel, {"cl_ord_id": cl_ord_id}, None))

    answer = run(work(), as_json=as_json)
    text = f"{answer.get('count', 1)} cancel(s) asked"
    say(answer, as_json=as_json, text=text)


@app.command("list")
def list_orders(
    status: Annotated[str | None, typer.Option("--status", help="Only orders in this status.")] = None,
    url: Url = DEFAULT_URL,
    key: KeyName = "demo",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    account: Account = "DEMO",
    session: Session = "cli",
    as_json: AsJson = False,
) -> None:
    """Open orders and those that were done lately."""

    async def work() -> list[dict[str, Any]]:
        async with client(url, key, secret_of(secret, key, data_dir), aud, account, session) as gw:
            return [_plain(gw.orders[name]) for name in gw.orders]

    orders = [order for order in run(work(), as_json=as_json) if status in (None, order["ord_status"])]
    if as_json:
        say_json({"orders": orders})
    else:
        table("orders", COLUMNS, [_line(order) for order in orders])


@app.command()
def positions(
    url: Url = DEFAULT_URL,
    key: KeyName = "demo",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    account: Account = "DEMO",
    session: Session = "cli",
    as_json: AsJson = False,
) -> None:
    """What the account holds."""

    async def work() -> list[dict[str, Any]]:
        async with client(url, key, secret_of(secret, key, data_dir), aud, account, session) as gw:
            answer = await gw.query("positions")
            return [_plain(position) for position in answer.positions or []]

    found = run(work(), as_json=as_json)
    if as_json:
        say_json({"positions": found})
        return
    names = ("symbol", "pos_qty", "avg_px", "realized_pnl", "unrealized_pnl")
    table("positions", names, [[position.get(name) for name in names] for position in found])
    if not found:
        console.print("none")
