"""A refusal over HTTP: an `err` of the taxonomy with its status (order-api.md, sections 10 and 11)."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from gateway.contracts.errors import error_kind
from gateway.contracts.explain import DECODE_ERRORS, explain_decode_error
from gateway.contracts.rest import Failure

encode = msgspec.json.Encoder().encode
BODY_BYTES_MAX = 16_384


class Refusal(Exception):
    """Raised by a handler; the answer is made in one place. Nothing has happened."""

    def __init__(
        self, code: str, text: str = "", *, path: str | None = None, detail: dict[str, Any] | None = None,
        retry_ns: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(f"{code}: {text}")
        kind = error_kind(code)
        self.status = kind.http_status
        self.failure = Failure(
            code=code, retry=kind.retry, text=text or kind.text, path=path, detail=detail, retry_ns=retry_ns
        )

    def response(self) -> web.Response:
        """The answer on the wire."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.failure.retry_ns is not None:
            headers["Retry-After"] = str(-(-self.failure.retry_ns // 1_000_000_000))
        return respond(self.failure, self.status, headers)

    def response_as(self, status: int, headers: dict[str, str] | None = None) -> web.Response:
        """The same under the status that HTTP itself has for it."""
        return respond(self.failure, status, headers)


def respond(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=encode(body), status=status, content_type="application/json", headers=headers)


async def read_body(request: web.Request, kind: type[msgspec.Struct]) -> Any:
    """The request's body as `kind`, or a refusal that names the member."""
    raw = await read_raw(request)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except DECODE_ERRORS as error:
        code, path, text = explain_decode_error(error)
        raise Refusal(code, text, path=path or None) from error


async def read_raw(request: web.Request) -> bytes:
    """The body as it came, within its bound."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refusal("TOO_LARGE", f"a body has at most {BODY_BYTES_MAX} bytes") from error


def query_int(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """An integer of the query string, within its range."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 17 and least <= int(text) <= most):
        raise Refusal("BAD_FIELD", f"{name}: an integer from {least} to {most}", path=name)
    return int(text)
