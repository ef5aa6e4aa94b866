"""Commands of the kill switches: set, list, lift. Lifting takes two different keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer

from gateway.commands.answer import say, say_json, table
from gateway.commands.client import Aud, KeyName, SecretFile, run, secret_of
from gateway.commands.options import AsJson, DataDir

app = typer.Typer(no_args_is_help=True, help="Kill switches: stop new orders, or cancel what works.")
HttpUrl = Annotated[str, typer.Option("--url", help="REST companions of the gateway.", envvar="BACKSTAY_HTTP_URL")]
DEFAULT_URL = "http://127.0.0.1:8702"


class Level(StrEnum):
    no_new = "no_new"
    reduce_only = "reduce_only"
    cancel_all = "cancel_all"


class Keep(StrEnum):
    none = "none"
    protective = "protective"


async def _ask(
    url: str, key: str, secret: str, aud: str | None, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    from gateway.commands.rest_client import RestClient

    async with RestClient(url, key=key, secret=secret, session="kill", aud=aud) as rest:
        name = None if method == "GET" else uuid4().hex
        return await rest.ask(method, path, body, idempotency_key=name)


@app.command("set")
def set_halt(
    reason: Annotated[str, typer.Option("--reason", help="Why: it stays in the journal.")],
    scope: Annotated[str, typer.Option("--scope", help="global, account:NAME or instrument:SYMBOL.")] = "global",
    level: Annotated[Level, typer.Option("--level")] = Level.no_new,
    keep: Annotated[Keep | None, typer.Option("--keep", help="With cancel_all: what is spared.")] = None,
    url: HttpUrl = DEFAULT_URL,
    key: KeyName = "ops",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    as_json: AsJson = False,
) -> None:
    """Turn a kill switch on; it is in force, and on disk, when this returns."""
    body = {"scope": scope, "level": level.value, "reason": reason}
    if keep is not None:
        body["keep"] = keep.value
    halt = run(_ask(url, key, secret_of(secret, key, data_dir), aud, "POST", "/v1/halts", body), as_json=as_json)
    say(halt, as_json=as_json, text=f"{halt['halt_id']}: {halt['level']} on {halt['scope']}")


@app.command("list")
def list_halts(
    url: HttpUrl = DEFAULT_URL,
    key: KeyName = "ops",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    as_json: AsJson = False,
) -> None:
    """The kill switches that are on."""
    found = run(_ask(url, key, secret_of(secret, key, data_dir), aud, "GET", "/v1/halts"), as_json=as_json)
    if as_json:
        say_json(found)
        return
    names = ("halt_id", "scope", "level", "by", "reason", "since_ns")
    table("kill switches", names, [[halt.get(name) for name in names] for halt in found["halts"]])


@app.command()
def lift(
    halt_id: Annotated[str, typer.Option("--id", help="As `kill list` shows it.")],
    url: HttpUrl = DEFAULT_URL,
    key: KeyName = "ops",
    secret: SecretFile = None,
    data_dir: DataDir = None,
    aud: Aud = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a lifting, or, with a second key, confirm it."""
    path = f"/v1/halts/{quote(halt_id, safe='')}"

    async def work() -> tuple[dict[str, Any], bool]:
        secret_file = secret_of(secret, key, data_dir)
        halt = await _ask(url, key, secret_file, aud, "DELETE", path)
        still = await _ask(url, key, secret_file, aud, "GET", "/v1/halts")
        return halt, any(item["halt_id"] == halt_id for item in still["halts"])

    halt, is_on = run(work(), as_json=as_json)
    state = "requested: a second key must confirm" if is_on else "lifted"
    say({**halt, "state": state.partition(":")[0]}, as_json=as_json, text=f"{halt_id}: {state}")
