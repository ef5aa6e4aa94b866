"""One stream of structured log lines, free of secrets. The order path logs nothing; workers and the shell do."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

REDACTED = "[redacted]"
# Matched against whole words of a field's name: `api_key` and `new_secret` are hidden, `key` (a key's name) is not.
SECRET_FIELD = re.compile(
    r"(^|_)(secret|password|passwd|token|sig|signature|seed|authorization|cookie|credential|credentials|private)(_|$)"
    r"|(^|_)(api|private|secret)_?key(_|$)",
    re.IGNORECASE,
)
# In free text: what follows a word that announces a secret, bearer tokens, passwords in addresses, keys in PEM form.
SECRET_TEXT = (
    re.compile(r"(?i)\b(secret|password|passwd|token|signature|sig|api_?key)(\"?\s*[=:]\s*\"?)([^\s\",;&}]+)"),
    re.compile(r"(?i)\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})"),
    re.compile(r"(\w+://[^\s:/@]+)(:)([^\s@/]+)(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(\s*)([\s\S]*?)(?=-----END|\Z)"),
)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: hides fields named like secrets at any depth, and secrets inside texts. References (names ending in
    `_env` or `_file`) are not secrets."""
    return {name: _clean(name, value) for name, value in event.items()}


def _clean(name: str, value: Any) -> Any:
    if SECRET_FIELD.search(name) and not name.endswith(("_env", "_file")):
        return REDACTED
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, bytes):
        return _clean_text(value.decode("utf-8", "backslashreplace"))
    if isinstance(value, Mapping):
        return {str(key): _clean(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _clean_text(repr(value))


def _clean_text(text: str) -> str:
    for pattern in SECRET_TEXT:
        text = pattern.sub(rf"\1\2{REDACTED}", text)
    return text


class PatientStream:
    """A stream that loses lines rather than raise: a disk that is full must not stop what its error is logged by."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self.lost += 1
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self.lost += 1

    def isatty(self) -> bool:
        return self._stream.isatty()


def configure(*, level: str = "info", as_json: bool = True, file: Path | None = None) -> FilteringBoundLogger:
    """Send all logs, the standard library's too, through one chain to one stream. Call once, at the process's start."""
    stream = PatientStream(file.open("a", encoding="utf-8", buffering=1) if file else sys.stderr)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, _renderer(as_json, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),  # type: ignore[arg-type]  # it prints, no more
        cache_logger_on_first_use=False,
    )
    handler: logging.Handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(as_json, stream)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("picows").setLevel(max(logging.WARNING, logging.getLogger().level))  # a line for each socket
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _renderer(as_json: bool, stream: PatientStream) -> Any:
    if as_json:
        return structlog.processors.JSONRenderer(serializer=_dump)
    return structlog.dev.ConsoleRenderer(colors=stream.isatty())


def _dump(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=repr).decode()
