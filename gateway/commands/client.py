"""What the client commands (`order`, `kill`) need: where the gateway is, who asks, and how a refusal ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.commands.answer import REFUSED, USAGE, fail

T = TypeVar("T")
INLINE = ("ed25519:", "hmac:")  # a secret as it is, not a file
KeyName = Annotated[str, typer.Option("--key", help="Name of the key.", envvar="BACKSTAY_KEY")]
SecretFile = Annotated[
    str | None,
    typer.Option("--secret", help="File with the key's secret. Default: keys/KEY.secret in the data folder.",
                 envvar="BACKSTAY_SECRET_FILE"),
]  # fmt: skip
Aud = Annotated[
    str | None,
    typer.Option("--aud", help="The gateway's `gateway.aud`. Default: the host of the URL.", envvar="BACKSTAY_AUD"),
]


def secret_of(secret: str | None, key: str, data_dir: Path | None) -> str:
    """The secret itself or its file: as named, or where the gateway keeps it."""
    named = secret or str((data_dir or Path("var")) / "keys" / f"{key}.secret")
    if not named.startswith(INLINE) and not Path(named).is_file():
        raise typer.BadParameter(
            f"no secret of key {key!r} at {named}; name its file with --secret, or the data folder with --data-dir",
            param_hint="--secret",
        )
    return named


def run(work: Coroutine[Any, Any, T], *, as_json: bool) -> T:
    """Run to the end; a refusal or a gateway that is not there ends the command with status 1."""
    import aiohttp

    from backstay import Refused, Unanswered
    from gateway.commands.rest_client import RestRefused

    try:
        return asyncio.run(work)
    except Refused as refused:
        fail(REFUSED, refused.code, refused.text, as_json=as_json, detail=refused.detail)
    except Unanswered as unanswered:
        fail(REFUSED, "UNANSWERED", str(unanswered), as_json=as_json, detail={"cl_ord_id": unanswered.cl_ord_id})
    except RestRefused as refused:
        failure = refused.failure
        fail(REFUSED, str(failure.get("code")), str(failure.get("text")), as_json=as_json, detail=failure.get("detail"))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        fail(REFUSED, "UNREACHABLE", str(error) or "no answer in time", as_json=as_json)
    except ValueError as error:  # what the SDK says before anything is sent
        fail(USAGE, "BAD_VALUE", str(error), as_json=as_json)
