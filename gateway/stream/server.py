"""The WebSocket server of the order API: connections and their caps, takeover, heartbeat, status, drain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from gateway.contracts import notices
from gateway.contracts.messages import BATCH_ITEMS_MAX, FRAME_BYTES_MAX, SUBPROTOCOLS
from gateway.options import ApiLimits, GatewayOptions
from gateway.stream import answers
from gateway.stream.fanout import Follower
from gateway.stream.keys import Key, KeyRing
from gateway.stream.session import Session, encode

if TYPE_CHECKING:
    import asyncio

    from gateway.engine import Engine

API_VERSION = "1.0"
PATH = "/v1/ws"
READ_LIMIT = 1 << 20  # past this the WebSocket library itself gives up on a frame


class StreamServer:
    """All connections of the order API."""

    def __init__(
        self, *, engine: Engine, keys: KeyRing, options: GatewayOptions, limits: ApiLimits, is_durable: bool, spec: str,
        token_bytes: Callable[[int], bytes],
    ) -> None:  # fmt: skip
        """spec: SHA-256 of the AsyncAPI document, in `hello`. token_bytes: what nobody can guess, for nonces."""
        self.engine = engine
        self.keys = keys
        self.options = options
        self.limits = limits
        self.aud = options.audience
        self.api = API_VERSION
        self.spec = spec
        self.is_durable = is_durable
        self.token_bytes = token_bytes
        self.is_draining = False
        self.waiting: dict[Session, None] = {}  # not logged in yet, oldest first: a set's order is that of addresses
        self.sessions: dict[tuple[str, str], Session] = {}
        self.by_address: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.closes: Counter[int] = Counter()
        self.feed_states: dict[str, notices.Feed] = {}
        self._server: asyncio.Server | None = None
        self._last_status = b""
        engine.on_status_change = self.push_status
        engine.on_journal_stopped = self._journal_stopped
        engine.fanout.on_behind = self._behind

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await ws_create_server(
            self._accept, self.options.host, self.options.ws_port, max_frame_size=READ_LIMIT,
            websocket_handshake_timeout=self.limits.auth_timeout_ms / 1000, backlog=4096,
        )  # fmt: skip
        return int(self._server.sockets[0].getsockname()[1])

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self, request: WSUpgradeRequest) -> Any:
        """Choose the subprotocol, or refuse the handshake."""
        if request.path.split(b"?")[0] != PATH.encode():
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(404, b"no such path"), None)
        offered = [name.strip() for name in request.headers.get("sec-websocket-protocol", "").split(",")]
        chosen = next((name for name in offered if name in SUBPROTOCOLS), None)
        if chosen is None:
            body = ("offer one of: " + ", ".join(SUBPROTOCOLS)).encode()
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(400, body), None)
        session = self.admit(chosen)
        if isinstance(session, bytes):
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(503, session), None)
        response = WSUpgradeResponse.create_101_response(extra_headers={"Sec-WebSocket-Protocol": chosen})
        return WSUpgradeResponseWithListener(response, session)

    def admit(self, subprotocol: str) -> Session | bytes:
        """A session for one more connection, or why there is none."""
        if not self.engine.is_admitting:
            return b"the journal has stopped: protect-only until the restart"
        if self.is_draining or len(self.waiting) + len(self.sessions) >= self.limits.connections_total:
            return b"full or closing"
        return Session(self, binary=subprotocol.endswith("msgpack"), address="")

    def joined(self, session: Session) -> None:
        """A handshake is done: the login clock starts; too many strangers are sent away at once."""
        peer = session.transport.underlying_transport.get_extra_info("peername")
        session.address = peer[0] if isinstance(peer, tuple) else "local"
        self.waiting[session] = None
        self.by_address[session.address] += 1
        if (
            self.by_address[session.address] > self.limits.connections_per_address
            or len(self.waiting) > self.limits.connections_total // 4
        ):
            self.engine.soon(lambda: session.close(4001, "too many connections without a login"))
            return
        self.engine.later(self.limits.auth_timeout_ms * 1_000_000, lambda: self._login_due(session))

    def _login_due(self, session: Session) -> None:
        if session.key is None and not session.is_dead:
            session.close(4001, "no login in time")

    def logged_in(self, session: Session) -> None:
        """Takeover: of two connections of a key's session the newer one lives."""
        assert session.key is not None
        self._forget_stranger(session)
        place = (session.key.name, session.name)
        older = self.sessions.get(place)
        if older is not None:
            older.close(4009, "a newer connection of this session took over")
        self.sessions[place] = session
        session.key.connections += 1

    def has_session(self, key: Key, name: str) -> bool:
        """Whether this session of the key is connected."""
        return (key.name, name) in self.sessions

    def left(self, session: Session) -> None:
        """A connection has ended."""
        self._forget_stranger(session)
        if session.key is not None and self.sessions.get((session.key.name, session.name)) is session:
            del self.sessions[(session.key.name, session.name)]
            self._count_out(session)

    def _count_out(self, session: Session) -> None:
        assert session.key is not None
        session.key.connections -= 1

    def _forget_stranger(self, session: Session) -> None:
        if session in self.waiting:
            del self.waiting[session]
            self.by_address[session.address] -= 1
            if not self.by_address[session.address]:
                del self.by_address[session.address]

    def _behind(self, follower: Follower) -> None:
        """A follower fell behind the live events: it goes on from the journal."""
        for session in self.sessions.values():
            if session.outbox is follower.outbox:
                session.following.pump(follower)
                return

    def revoke(self, name: str) -> None:
        """Take a key out of use: its connections are closed at once."""
        key = self.keys.find(name)
        if key is not None:
            key.revoked = True
            for session in [s for s in self.sessions.values() if s.key is key]:
                session.close(4003, "the key was revoked")

    # --- notices -----------------------------------------------------------------------------------------------------

    def welcome(self, session: Session, re: int) -> notices.Welcome:
        """What this connection may do, and the bounds that it has."""
        key, limits = session.key, self.limits
        assert key is not None
        accounts = sorted(key.accounts)
        return notices.Welcome(
            re=re, api=self.api, mode=self.options.mode, durability="disk" if self.is_durable else "none",
            scopes=list(key.options.scopes), accounts=accounts, hb_ms=limits.hb_ms,
            features={name: msgspec.convert(answers.features(), notices.Features) for name in accounts},
            deprecated=[], leases=[],
            limits=notices.Limits(
                place_per_s=limits.place_per_s, place_burst=limits.place_burst, cancel_per_s=limits.cancel_per_s,
                cancel_burst=limits.cancel_burst, get_per_s=limits.get_per_s, get_burst=limits.get_burst,
                unanswered=limits.unanswered_max, open_orders=10_000, connections=limits.connections_per_key,
                out_bytes=limits.outbound_bytes, out_frames=limits.outbound_frames, frame_bytes=FRAME_BYTES_MAX,
                batch_items=BATCH_ITEMS_MAX, snapshot_done_ms=limits.snapshot_done_ms, name_life_ms=limits.name_life_ms,
            ),
        )  # fmt: skip

    def status(self) -> notices.Status:
        """Links, feeds, halts and the journal, in full."""
        return notices.Status(
            links=self.links(), feeds=self.feed_states or None, halts=self.halts(None),
            journal=None if self.engine.is_admitting else "stopped",
        )  # fmt: skip

    def links(self) -> dict[str, notices.Link]:
        """The broker link: `connecting` while it asks what became of the orders under way."""
        router = self.engine.router
        state = "up" if router.is_open else ("connecting" if router.adapter.is_up else "down")
        return {"sim": notices.Link(state=state, since_ns=router.since_ns, queued=router.waiting)}  # type: ignore[arg-type]

    def halts(self, account: int | None) -> list[Any]:
        """Kill switches that are on: all, or those that touch the account."""
        return self.engine.halts.listed(account)

    def push_status(self) -> None:
        """Tell every client what changed."""
        text = encode(self.status())
        if text == self._last_status:
            return
        self._last_status = text
        for session in list(self.sessions.values()):
            self.engine.reply(session.outbox, text)
            session.outbox.flush()

    def heartbeat(self) -> None:
        """Called every `hb_ms`: heads, the server's clock, and the end of the silent."""
        now = self.engine.clock.mono_ns()
        heads = self.engine.fanout.heads
        names = self.engine.state.account_names
        links = self.links()
        for session in list(self.sessions.values()):
            if now - session.last_rx_ns > 3 * self.limits.hb_ms * 1_000_000:
                session.close(4008, "nothing came for three heartbeats")
                continue
            followed = {names[row]: heads[row] for row in session.following.followers}
            session.send(
                notices.Heartbeat(
                    ts_ns=self.engine.clock.wall_ns(), heads=followed, links=links, feeds=self.feed_states or None
                )
            )
            if session.outbox.lagging:
                lag = notices.Lag(frames=0, bytes=session.outbox.backlog_bytes)
                session.send(notices.Status(lag=lag))
            session.outbox.flush()
            if not session.is_dead:
                session.transport.send_ping()

    # --- the end -----------------------------------------------------------------------------------------------------

    def _journal_stopped(self) -> None:
        """Nobody can be told that anything is durable: close them all; they resume after the restart."""
        for session in [*self.sessions.values(), *self.waiting]:
            session.close(4011, "the journal failed: reconnect and resend what is unanswered")

    def drain(self, reason: str) -> None:
        """A planned end: announce it, answer what is under way, close."""
        self.is_draining = True
        goaway = notices.Goaway(reason=reason, at_ns=self.engine.clock.wall_ns())
        for session in list(self.sessions.values()):
            session.reply(goaway)
            session.outbox.flush()
        self.engine.flush()

    def close_sessions(self) -> None:
        """Close every connection."""
        for session in [*self.sessions.values(), *self.waiting]:
            session.close(1012, "restart")

    async def close(self) -> None:
        """Close every connection and the port."""
        self.close_sessions()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def count_refusal(self, code: str) -> None:
        """For the metrics."""
        self.refusals[code] += 1

    def count_close(self, code: int) -> None:
        """For the metrics."""
        self.closes[code] += 1
