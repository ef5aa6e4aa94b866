"""One order-entry connection of the venue: lines in, login, lines out. Knows nothing of matching."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import TYPE_CHECKING, cast

import msgspec

from brokers.sim import messages as m

if TYPE_CHECKING:
    from brokers.sim.server import Venue

BAD_LINES_MAX = 100
OUT_BYTES_MAX = 64 << 20

_decoder = msgspec.json.Decoder(m.Request)
_encoder = msgspec.json.Encoder()
encode = _encoder.encode


def sign(secret: str, challenge: str, key: str, role: str) -> str:
    """The login's proof of the secret."""
    return hmac.new(secret.encode(), f"{challenge}|{key}|{role}".encode(), hashlib.sha256).hexdigest()


class Session(asyncio.Protocol):
    """A connection; `key` is empty until it has logged in."""

    def __init__(self, venue: Venue, challenge: str) -> None:
        self.venue = venue
        self.challenge = challenge
        self.key = ""
        self.role = ""
        self.heard_ns = venue.mono_ns()
        self.is_muted = False
        self.is_closed = False
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._out: list[bytes] = []
        self._bad_lines = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self.venue.add_session(self):
            self.close("FULL", "too many sessions")
            return
        self.send(m.Hello("sim", self.challenge, m.PROTOCOL))
        self.venue.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self.venue.remove_session(self)

    def data_received(self, data: bytes) -> None:
        self.heard_ns = self.venue.mono_ns()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self.is_closed:
                return
            if line:
                self._on_line(line)
        if len(self._rest) > m.LINE_BYTES_MAX:
            self.close("TOO_LONG", "line is too long")
        self.venue.flush()

    def _on_line(self, line: bytes) -> None:
        try:
            if len(line) > m.LINE_BYTES_MAX:
                raise ValueError("line is too long")
            request = _decoder.decode(line)
        except (ValueError, RecursionError) as error:
            self._bad_lines += 1
            self.send(m.Error("BAD_MESSAGE", str(error)[:200]))
            if self._bad_lines >= BAD_LINES_MAX:
                self.close("BAD_MESSAGES", "too many lines that are no messages")
            return
        if isinstance(request, m.Ping):
            self.send(m.Pong(request.id, self.venue.exchange.exec_seq_of(self.key), self.venue.wall_ns()))
        elif self.key:
            self.venue.on_request(self, request, line)
        elif isinstance(request, m.Login):
            self._login(request)
        else:
            self.close("LOGIN_FIRST", "log in first")

    def _login(self, login: m.Login) -> None:
        config = self.venue.config
        secret = (config.admin_keys if login.role == "admin" else config.keys).get(login.key)
        expected = sign(secret or "", self.challenge, login.key, login.role)
        if secret is None or not hmac.compare_digest(expected.encode(), login.sig.encode()):
            self.close("AUTH", "key or signature is wrong")
        elif self.venue.is_refusing and login.role != "admin":
            self.close("REFUSED", "no logins now")
        else:
            self.key, self.role = login.key, login.role
            self.venue.on_login(self)

    def send(self, message: m.Message) -> None:
        """Queue a message for the end of this turn."""
        self.send_line(encode(message))

    def send_line(self, line: bytes) -> None:
        if not self.is_muted and not self.is_closed:
            self._out.append(line)
            self.venue.wants_flush(self)

    def write_out(self) -> None:
        """Hand what is queued to the transport; a client that does not read is cut off."""
        if self._transport is None or not self._out:
            return
        self._out.append(b"")
        self._transport.write(b"\n".join(self._out))
        self._out.clear()
        if self._transport.get_write_buffer_size() > OUT_BYTES_MAX:
            self.reset()

    def reset(self) -> None:
        """Drop the connection at once, with what is queued."""
        self.is_closed = True
        self._out.clear()
        if self._transport is not None:
            self._transport.abort()

    def close(self, code: str, text: str) -> None:
        """Say why, then close."""
        self.send(m.Logout(code, text))
        self.write_out()
        self.is_closed = True
        if self._transport is not None:
            self._transport.close()
