"""Commands of the keys: make a new one, and the lines of configuration that let it in."""

from __future__ import annotations

import base64
import os
import re
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.commands.answer import REFUSED, console, errors, fail, say_json
from gateway.commands.options import AsJson
from gateway.options import FORMS, NAME, Scope

app = typer.Typer(no_args_is_help=True, help="Keys of the order API.")
SECRET_BYTES = 32
SCOPES: tuple[str, ...] = get_args(Scope)


class KeyKind(StrEnum):
    ed25519 = "ed25519"
    hmac = "hmac"


@app.callback()
def group() -> None:
    """Keys of the order API."""


@app.command()
def new(
    name: Annotated[str, typer.Option("--name", help="Name that the client sends.")],
    out: Annotated[Path, typer.Option("--out", help="File for the secret; must not be there yet.")],
    kind: Annotated[KeyKind, typer.Option("--kind")] = KeyKind.ed25519,
    scopes: Annotated[str, typer.Option("--scopes", help="Comma-separated: read, trade, cancel, ops, audit.")] = "read",
    accounts: Annotated[str, typer.Option("--accounts", help="Comma-separated; * is all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key: the secret goes to a file that only you can read, the configuration's lines to standard output."""
    if re.fullmatch(NAME, name) is None:
        raise typer.BadParameter(f"{name!r} is not {FORMS[NAME]}", param_hint="--name")
    for scope in _parts(scopes):
        if scope not in SCOPES:
            raise typer.BadParameter(f"{scope!r} is not one of {', '.join(SCOPES)}", param_hint="--scopes")
    secret = secrets.token_bytes(SECRET_BYTES)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        fail(REFUSED, "NO_FILE", f"{out}: {error.strerror}", as_json=as_json)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{kind.value}:{base64.b64encode(secret).decode()}\n")
    public = ""
    if kind is KeyKind.ed25519:
        public = base64.b64encode(Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()).decode()
    lines = _lines(name, kind, public, out, scopes, accounts)
    if as_json:
        say_json({"name": name, "kind": kind.value, "public": public, "secret_file": str(out), "config": lines})
        return
    errors.print(f"secret written to {out}; put these lines into the gateway's configuration:", style="dim")
    console.print(lines, markup=False, highlight=False, soft_wrap=True)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _lines(name: str, kind: KeyKind, public: str, out: Path, scopes: str, accounts: str) -> str:
    def quoted(text: str) -> str:
        return "[" + ", ".join(f'"{part}"' for part in _parts(text)) + "]"

    credential = f'public = "{public}"' if public else f'secret_file = "{out.resolve()}"'
    return (
        f'[[keys]]\nname = "{name}"\nkind = "{kind.value}"\n{credential}\n'
        f"scopes = {quoted(scopes)}\naccounts = {quoted(accounts)}"
    )
