"""Bearer tokens: a challenge signed with the key of the order API, good for 15 minutes (order-api.md, section 11)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.clock import Clock
from gateway.contracts.rest import Challenge, Token, TokenBody
from gateway.ops.refusal import Refusal, read_body, respond
from gateway.stream.bucket import Bucket
from gateway.stream.keys import Key, KeyRing, signed_text

TOKEN_NS = 900_000_000_000
CHALLENGE_NS = 5_000_000_000
TOKENS_MAX = 4_096  # past it the oldest are forgotten: their holders sign again
LOGINS_PER_S = 50  # from one address; a signature costs the loop about 0.1 ms
ADDRESSES_MAX = 4_096
TOKEN_BYTES = 32
NONCE_RANDOM = 16
NONCE_TIME = 8
NONCE_MAC = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for."""

    key: Key
    session: str
    expires_ns: int


class Tokens:
    """Challenges and the tokens given for them.

    A challenge carries its own time and a MAC of this process, so strangers who ask for many hold no memory; one
    that was used is remembered until it would have ended anyway.
    """

    def __init__(self, keys: KeyRing, aud: str, clock: Clock, token_bytes: Callable[[int], bytes]) -> None:
        """token_bytes: bytes that nobody can guess."""
        self._keys = keys
        self._aud = aud
        self._clock = clock
        self._token_bytes = token_bytes
        self._secret = token_bytes(TOKEN_BYTES)
        self._used: OrderedDict[str, int] = OrderedDict()  # nonce -> end, monotonic
        self._tokens: OrderedDict[str, Caller] = OrderedDict()
        self._logins: OrderedDict[str, Bucket] = OrderedDict()  # by address: a stranger locks out nobody else

    async def challenge(self, request: web.Request) -> web.Response:
        """`GET /v1/token`."""
        body = self._token_bytes(NONCE_RANDOM) + self._clock.mono_ns().to_bytes(NONCE_TIME, "big")
        nonce = base64.b64encode(body + self._mac(body)).decode()
        return respond(Challenge(nonce=nonce, aud=self._aud, ts_ns=self._clock.wall_ns()))

    async def issue(self, request: web.Request) -> web.Response:
        """`POST /v1/token`."""
        body: TokenBody = await read_body(request, TokenBody)
        now = self._clock.mono_ns()
        if not self._is_open(body.nonce, now):
            raise Refusal("AUTH_FAILED", "the nonce is not from here, was used, or is older than 5 s", path="nonce")
        logins = self._bucket_of(request.remote or "")
        if logins.take(now) < 0:
            raise Refusal("RATE_LIMITED", retry_ns=logins.wait_ns())
        key = self._keys.find(body.key)
        if key is None or not key.verify(signed_text(self._aud, body.nonce, body.key, body.session), body.sig):
            raise Refusal("AUTH_FAILED")
        self._check(key, request)
        self._used[body.nonce] = now + CHALLENGE_NS
        expires_ns = self._clock.wall_ns() + TOKEN_NS
        if key.options.expires_ns:
            expires_ns = min(expires_ns, key.options.expires_ns)
        token = base64.urlsafe_b64encode(self._token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
        self._tokens[token] = Caller(key, body.session, expires_ns)
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return respond(Token(token=token, expires_ns=expires_ns))

    def caller(self, request: web.Request) -> Caller:
        """Who asks; Refusal when the token does not say so (any more)."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        caller = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise Refusal("AUTH_REQUIRED", "send Authorization: Bearer with a token of POST /v1/token")
        if self._clock.wall_ns() >= caller.expires_ns:
            del self._tokens[token.strip()]
            raise Refusal("AUTH_REQUIRED", "the token has ended: sign a new challenge")
        self._check(caller.key, request)
        return caller

    def _check(self, key: Key, request: web.Request) -> None:
        if not key.is_valid_at(self._clock.wall_ns()):
            raise Refusal("KEY_REVOKED")
        if not key.may_come_from(request.remote or ""):
            raise Refusal("IP_DENIED")

    def _bucket_of(self, address: str) -> Bucket:
        found = self._logins.get(address)
        if found is None:
            found = self._logins[address] = Bucket(LOGINS_PER_S, 2 * LOGINS_PER_S)
            if len(self._logins) > ADDRESSES_MAX:
                self._logins.popitem(last=False)
        self._logins.move_to_end(address)
        return found

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:NONCE_MAC]

    def _is_open(self, nonce: str, now: int) -> bool:
        """Made here, not older than its time, not used."""
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        try:
            raw = base64.b64decode(nonce, validate=True)
        except (binascii.Error, ValueError):
            return False
        body, mac = raw[:-NONCE_MAC], raw[-NONCE_MAC:]
        if len(raw) != NONCE_RANDOM + NONCE_TIME + NONCE_MAC or not hmac.compare_digest(mac, self._mac(body)):
            return False
        made = int.from_bytes(body[NONCE_RANDOM:], "big")
        return 0 <= now - made <= CHALLENGE_NS and nonce not in self._used
