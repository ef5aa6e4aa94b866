"""Who may log in: keys, what each may do, and the proof of a login (order-api section 3)."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.options import ApiLimits, KeyOptions
from gateway.stream.bucket import Bucket

AUTH_CONTEXT = "backstay-auth-1"


def signed_text(aud: str, nonce: str, key: str, session: str) -> bytes:
    """The five lines that a client signs."""
    return "\n".join((AUTH_CONTEXT, aud, nonce, key, session)).encode()


@dataclass(slots=True)
class Key:
    """A key as configured, with its rate buckets: they are shared by all connections of the key."""

    options: KeyOptions
    secret: bytes  # HMAC secret, or the raw Ed25519 public key
    place: Bucket
    protective: Bucket  # place and replace of reduce-only orders: never refused because placing was too fast
    cancel: Bucket
    get: Bucket
    accounts: frozenset[str]
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    connections: int = 0
    can_read: bool = False
    can_trade: bool = False
    can_cancel: bool = False
    is_ops: bool = False
    any_symbol: bool = True
    revoked: bool = field(default=False)

    @property
    def name(self) -> str:
        return self.options.name

    def verify(self, text: bytes, sig: str) -> bool:
        """Whether `sig` (standard base64) signs the text."""
        try:
            raw = base64.b64decode(sig, validate=True)
        except (binascii.Error, ValueError):
            return False
        if self.options.kind == "hmac":
            return hmac.compare_digest(hmac.digest(self.secret, text, "sha256"), raw)
        try:
            Ed25519PublicKey.from_public_bytes(self.secret).verify(raw, text)
        except InvalidSignature:
            return False
        return True

    def is_valid_at(self, wall_ns: int) -> bool:
        """Inside its dates and not revoked."""
        options = self.options
        return (
            not self.revoked
            and wall_ns >= options.not_before_ns
            and (options.expires_ns == 0 or wall_ns < options.expires_ns)
        )

    def may_come_from(self, address: str) -> bool:
        """Whether the address lies in one of its networks."""
        if not self.networks:
            return True
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(host in network for network in self.networks)

    def may_trade(self, symbol: str) -> bool:
        """Whether one of its patterns matches the symbol."""
        return self.any_symbol or any(fnmatchcase(symbol, pattern) for pattern in self.options.symbols)


class KeyRing:
    """All keys of the deployment."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = {key.name: key for key in keys}

    def find(self, name: str) -> Key | None:
        """The key of this name."""
        return self._keys.get(name)

    def __iter__(self) -> object:
        return iter(self._keys.values())


def make_key(options: KeyOptions, secret: bytes, limits: ApiLimits, accounts: list[str]) -> Key:
    """A key with its buckets; `*` in its accounts means all of them."""
    scopes = set(options.scopes)
    return Key(
        options=options,
        secret=secret,
        place=Bucket(limits.place_per_s, limits.place_burst),
        protective=Bucket(limits.place_per_s, limits.place_burst),
        cancel=Bucket(limits.cancel_per_s, limits.cancel_burst),
        get=Bucket(limits.get_per_s, limits.get_burst),
        accounts=frozenset(accounts if "*" in options.accounts else options.accounts),
        networks=tuple(ipaddress.ip_network(text) for text in options.networks),
        can_read=bool(scopes & {"read", "trade", "ops"}),
        can_trade="trade" in scopes,
        can_cancel=bool(scopes & {"trade", "cancel", "ops"}),
        is_ops="ops" in scopes,
        any_symbol="*" in options.symbols,
    )


def public_bytes(options: KeyOptions) -> bytes:
    """The raw Ed25519 public key of the options."""
    return base64.b64decode(options.public, validate=True)


def secret_path(options: KeyOptions, data_dir: Path) -> Path | None:
    """Where the HMAC secret lies."""
    return data_dir / options.secret_file if options.secret_file else None
