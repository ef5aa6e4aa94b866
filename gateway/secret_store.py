"""Reads the secrets that the configuration names, and makes one for paper trading where it may."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import ConfigError

SECRET_BYTES_MIN = 16
MADE_BYTES = 32
OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO
BASE64_MARK = "hmac:"  # the form that the SDK reads and writes too


def read_secret(owner: str, *, env: str, file: Path | None, create: bool, environ: Mapping[str, str]) -> bytes:
    """The secret of `owner` (an option's path, for messages) from the variable `env` or from `file`.

    With `create` a missing file is made, mode 0600, with a random secret. Raises ConfigError; never shows the secret.
    """
    if env:
        if env not in environ:
            raise ConfigError([f"{owner}: the environment has no {env}"])
        return _decode(owner, environ[env])
    if file is None:
        raise ConfigError([f"{owner}: names neither a variable nor a file"])
    if create and not file.exists():
        _make(file)
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{owner}: {file} cannot be read: {error.strerror}"]) from error
    if mode & OTHERS_MAY_READ:
        raise ConfigError([f"{owner}: {file} may be read by others (mode {stat.S_IMODE(mode):04o}); chmod 600 it"])
    return _decode(owner, text)


def _decode(owner: str, text: str) -> bytes:
    text = text.strip("\r\n")
    try:
        secret = (
            base64.b64decode(text.removeprefix(BASE64_MARK), validate=True)
            if text.startswith(BASE64_MARK)
            else text.encode()
        )
    except binascii.Error as error:
        raise ConfigError([f"{owner}: the secret is not base64"]) from error
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError([f"{owner}: a secret of {len(secret)} bytes is too short; at least {SECRET_BYTES_MIN}"])
    return secret


def _make(file: Path) -> None:
    """Two processes may start at once: whoever links first wins, and the other reads that one's secret."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(BASE64_MARK + base64.b64encode(secrets.token_bytes(MADE_BYTES)).decode() + "\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink()
