"""A client that is no SDK: sends whatever a test gives it, keeps every frame, and holds each against the document."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.conformance.frames import FrameCheck

Frame = dict[str, Any]
JSON, MSGPACK = "backstay.v1.json", "backstay.v1.msgpack"
ANSWER_S = 15.0
CHECK = FrameCheck()


class RawClient(WSListener):
    """One connection. `frames` is everything that came, `close` the code that the gateway closed with (0: none yet)."""

    def __init__(self, *, binary: bool = False) -> None:
        self.binary = binary
        self.is_checked = True  # megabytes of the same answer need no validation each
        self.frames: list[Frame] = []
        self.close = 0
        self.gone = False
        self.last_id = 0
        self.transport: WSTransport | None = None
        self._changed = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY):
            raw = frame.get_payload_as_bytes()
            assert (kind == WSMsgType.BINARY) == self.binary
            if self.is_checked:
                CHECK("out", raw, msgpack=self.binary)
            self.frames.append(msgspec.msgpack.decode(raw) if self.binary else json.loads(raw))
        elif kind == WSMsgType.CLOSE:
            self.close = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            transport.disconnect()
        self._changed.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone = True
        self._changed.set()

    # --- saying ---------------------------------------------------------------------------------------------------

    def say(self, t: str, **members: Any) -> int:
        """A request of the document; returns its id."""
        self.last_id += 1
        frame = {"t": t, "id": self.last_id, **{name: value for name, value in members.items() if value is not None}}
        raw = msgspec.msgpack.encode(frame) if self.binary else msgspec.json.encode(frame)
        CHECK("in", raw, msgpack=self.binary)
        self.send_raw(raw)
        return self.last_id

    def stop_reading(self) -> None:
        """Leave what comes in the socket."""
        assert self.transport is not None
        self.transport.underlying_transport.pause_reading()

    def read_again(self) -> None:
        assert self.transport is not None
        self.transport.underlying_transport.resume_reading()

    def send_raw(self, raw: bytes, kind: WSMsgType | None = None) -> None:
        """Any bytes, unchecked."""
        assert self.transport is not None
        self.transport.send(kind or (WSMsgType.BINARY if self.binary else WSMsgType.TEXT), raw)

    async def ask(self, t: str, **members: Any) -> Frame:
        """Say it and wait for its answer."""
        return await self.answer(self.say(t, **members))

    async def ask_raw(self, text: str, request_id: int) -> Frame:
        """Any text that carries an id, and the answer to it."""
        self.last_id = max(self.last_id, request_id)
        self.send_raw(text.encode())
        return await self.answer(request_id)

    # --- hearing --------------------------------------------------------------------------------------------------

    async def until(self, is_true: Callable[[], bool], timeout_s: float = ANSWER_S) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_true():
                if self.gone and not is_true():
                    raise ConnectionError(f"closed with {self.close} while a test waited")
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, request_id: int) -> Frame:
        await self.until(lambda: any(frame.get("re") == request_id for frame in self.frames))
        return next(frame for frame in self.frames if frame.get("re") == request_id)

    async def frame(self, t: str, **members: Any) -> Frame:
        """The first frame of this kind with these members."""
        await self.until(lambda: bool(self.of(t, **members)))
        return self.of(t, **members)[0]

    def of(self, t: str, **members: Any) -> list[Frame]:
        return [f for f in self.frames if f["t"] == t and all(f.get(name) == value for name, value in members.items())]

    async def closed(self, timeout_s: float = ANSWER_S) -> int:
        """Wait for the end; the close code."""
        async with asyncio.timeout(timeout_s):
            while not self.gone:
                self._changed.clear()
                await self._changed.wait()
        return self.close

    # --- login ----------------------------------------------------------------------------------------------------

    async def log_in(self, key: str, secret: bytes, session: str = "raw") -> Frame:
        hello = await self.frame("hello")
        sig = sign(secret, hello["aud"], hello["nonce"], key, session)
        return await self.ask("auth", key=key, session=session, sig=sig)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.transport is not None and not self.gone:
            self.transport.disconnect(graceful=False)
            await self.closed()


def sign(secret: bytes, aud: str, nonce: str, key: str, session: str) -> str:
    text = "\n".join(("backstay-auth-1", aud, nonce, key, session)).encode()
    return base64.b64encode(hmac.digest(secret, text, "sha256")).decode()


async def connect(url: str, *, offer: Sequence[str] = (JSON,), pongs: bool = True) -> RawClient:
    """An open connection that has not logged in; one that does not answer pings without `pongs`."""
    client = RawClient(binary=offer[0] == MSGPACK)
    _, listener = await ws_connect(
        lambda: client,
        url,
        extra_headers={"Sec-WebSocket-Protocol": ", ".join(offer)},
        max_frame_size=1 << 24,
        enable_auto_pong=pongs,
    )
    if listener is not client:  # lost in the handshake: the library returns as if all were well
        raise ConnectionError("closed in the handshake")
    return client


async def log_in(
    url: str, key: str, secret_file: str, session: str = "raw", *, offer: Sequence[str] = (JSON,)
) -> RawClient:
    """A connection that is logged in."""
    client = await connect(url, offer=offer)
    welcome = await client.log_in(key, read_secret(secret_file), session)
    assert welcome["t"] == "welcome", welcome
    return client


def read_secret(secret_file: str) -> bytes:
    from gateway.secret_store import read_secret as read

    return read("test", env="", file=Path(secret_file), create=False, environ={})
