"""Log lines are JSON on one stream, the standard library's too, and no secret reaches them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog

from gateway import logs
from gateway.logs import REDACTED, redact

HUSH = "hunter2hunter2"


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "log"
    structlog.reset_defaults()
    logging.basicConfig(force=True)


def lines(file: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "field", ["secret", "password", "api_key", "client_secret", "sig", "Authorization", "private_key", "token", "seed"]
)
def test_fields_named_like_secrets_are_hidden(field: str) -> None:
    assert redact(None, "info", {field: HUSH}) == {field: REDACTED}
    assert redact(None, "info", {"inner": [{"deep": {field: HUSH}}]}) == {"inner": [{"deep": {field: REDACTED}}]}


@pytest.mark.parametrize(
    "text",
    [
        f"login failed: password={HUSH}",
        f'{{"secret": "{HUSH}"}}',
        f"Authorization: Bearer {HUSH}",
        f"postgresql://user:{HUSH}@db/backstay",
        f"-----BEGIN PRIVATE KEY-----\n{HUSH}\n-----END PRIVATE KEY-----",
    ],
)
def test_secrets_inside_texts_are_hidden(text: str) -> None:
    cleaned = redact(None, "info", {"event": text, "raw": text.encode(), "list": [text]})
    assert HUSH not in str(cleaned)
    assert REDACTED in str(cleaned)


def test_ordinary_fields_stay_as_they_are() -> None:
    event = {
        "event": "filled",
        "key": "demo",
        "secret_file": "keys/demo.secret",
        "seq": 7,
        "is_up": True,
        "author": "x",
    }
    assert redact(None, "info", dict(event)) == event


def test_all_loggers_share_one_stream_of_json(stream: Path) -> None:
    log = logs.configure(file=stream)
    log.info("started", ws_port=8701, secret=HUSH)
    log.debug("unseen")
    logging.getLogger("aiohttp.access").warning("slow request token=%s", HUSH)
    first, second = lines(stream)
    assert first["event"] == "started"
    assert first["ws_port"] == 8701
    assert first["level"] == "info"
    assert first["secret"] == REDACTED
    assert second["event"] == f"slow request token={REDACTED}"
    assert HUSH not in stream.read_text(encoding="utf-8")


def test_exception_text_is_cleaned_too(stream: Path) -> None:
    log = logs.configure(file=stream)
    try:
        raise ValueError(f"cannot reach redis://user:{HUSH}@host")
    except ValueError:
        log.exception("broken")
    assert HUSH not in stream.read_text(encoding="utf-8")
    assert "ValueError" in stream.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_loses_lines_and_stops_nobody() -> None:
    log = logs.configure(file=Path("/dev/full"))
    log.error("journal stopped", cause="no space left on device")
    logging.getLogger("aiohttp.access").warning("request")
