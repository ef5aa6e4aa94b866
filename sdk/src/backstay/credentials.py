"""Who the client is: the key, its secret, and the signature that a login carries (order-api.md, section 3)."""

import base64
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


@dataclass(frozen=True, slots=True)
class Ed25519Secret:
    """The private seed of an Ed25519 key; the gateway holds only the public half."""

    seed: bytes = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


@dataclass(frozen=True, slots=True)
class HmacSecret:
    """A secret shared with the gateway, for clients that cannot do Ed25519."""

    secret: bytes = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, "sha256")


Secret = Ed25519Secret | HmacSecret


def load_secret(given: str | Path | Secret) -> Secret:
    """A secret as given, from ``ed25519:BASE64`` or ``hmac:BASE64``, or from a file with one of these or a PEM.

    A file whose name ends ``.ed25519`` may hold the seed as bare base64; any other bare text is the HMAC secret itself.

    >>> load_secret("hmac:c2VjcmV0")
    HmacSecret()
    """
    if isinstance(given, Ed25519Secret | HmacSecret):
        return given
    text = str(given)
    if not text.startswith(("ed25519:", "hmac:")):
        path = Path(given)
        text = path.read_text().strip()
        if text.startswith("-----BEGIN"):
            private = load_pem_private_key(text.encode(), None)
            if not isinstance(private, Ed25519PrivateKey):
                raise ValueError(f"{path} holds no Ed25519 key")
            return Ed25519Secret(private.private_bytes_raw())
        if not text.startswith(("ed25519:", "hmac:")):
            if path.suffix != ".ed25519":
                return HmacSecret(text.encode())
            text = f"ed25519:{text}"
    kind, _, encoded = text.partition(":")
    raw = base64.b64decode(encoded, validate=True)
    return HmacSecret(raw) if kind == "hmac" else Ed25519Secret(raw)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key and session that a connection logs in with."""

    key: str
    session: str
    secret: Secret

    def signature(self, *, aud: str, nonce: str) -> str:
        """``sig`` of the five lines; no clock takes part, and the secret stays here."""
        lines = "\n".join(("backstay-auth-1", aud, nonce, self.key, self.session))
        return base64.b64encode(self.secret.sign(lines.encode())).decode()
