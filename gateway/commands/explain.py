"""`backstay explain ORDER`: what became of an order and why, from a running gateway or from its journal's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.commands.answer import REFUSED, console, fail, say_json, table
from gateway.commands.client import Aud, KeyName, SecretFile, run, secret_of
from gateway.commands.options import AsJson, DataDir
from gateway.commands.orders import DEFAULT_URL, Account, Session, Url, client

CL_ORD_ID = Annotated[str, typer.Argument(help="The order's cl_ord_id.", metavar="ORDER")]
Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of the journal's segments: read it instead of asking a gateway."),
]


def explain(
    order: CL_ORD_ID,
    folder: Folder = None,
    url: Url = DEFAULT_URL,
    key: KeyName = "demo",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    account: Account = "DEMO",
    session: Session = "cli-explain",
    as_json: AsJson = False,
) -> None:
    """Tell what became of an order and why: the tick that fired it, the checks, its way to the broker and back."""
    if folder is not None:
        found = _offline(folder, account, order, as_json)
    else:

        async def work() -> Any:
            named = secret_of(secret, key, data_dir)
            async with client(url, key, named, aud, account, session) as gw:
                return await gw.explain(order)

        found = msgspec.to_builtins(run(work(), as_json=as_json))
    if as_json:
        say_json(found)
    else:
        _show(found)


def _offline(folder: Path, account: str, order: str, as_json: bool) -> dict[str, Any]:
    """The same from the segments alone."""
    from gateway.records_text import RecordTexts

    if not any(folder.glob("*.seg")):
        fail(REFUSED, "NO_JOURNAL", f"{folder} holds no segments", as_json=as_json)
    with RecordTexts(folder) as texts:
        found = texts.explained(account, order)
    if found is None:
        fail(REFUSED, "UNKNOWN_ORDER", f"{account} has no order {order} in {folder}", as_json=as_json)
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told


def _show(found: dict[str, Any]) -> None:
    console.print(
        f"{found['account']} {found['cl_ord_id']}: {found['ord_status']}, {found['cum_qty']} filled, "
        f"{found['leaves_qty']} left",
        highlight=False,
    )
    evidence = found.get("evidence")
    if evidence:
        table("the tick that fired it", ("", ""), [(name, value) for name, value in evidence.items()])
    table("what happened", ("seq", "after", "step", ""), _rows(found))
    stages = found.get("since_tick_ns")
    if stages:
        table("since the tick", ("", ""), [(name, _words(spent)) for name, spent in stages.items()])
    if not found["is_whole"]:
        console.print("there is more: not all of the account's events were read", style="yellow")


def _rows(found: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    first_ns = found["chain"][0]["ts_ns"]
    for step in found["chain"]:
        yield step["seq"], _words(step["ts_ns"] - first_ns), step["step"], step["text"]


def _words(spent_ns: int) -> str:
    """A span as a person reads it."""
    if spent_ns < 10_000_000:
        return f"{spent_ns / 1_000:,.1f} µs"
    if spent_ns < 10_000_000_000:
        return f"{spent_ns / 1_000_000:,.1f} ms"
    return f"{spent_ns / 1_000_000_000:,.1f} s"
