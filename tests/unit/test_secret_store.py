"""Secrets come from a variable or a private file; a paper gateway may make one, once."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.secret_store import read_secret

LONG = "0123456789abcdef"


def read(file: Path | None = None, *, env: str = "", create: bool = False, **environ: str) -> bytes:
    return read_secret("keys.k", env=env, file=file, create=create, environ=environ)


def private(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def test_variable_gives_its_bytes() -> None:
    assert read(env="S", S=LONG) == LONG.encode()


def test_base64_form_is_decoded_and_the_line_end_is_no_part(tmp_path: Path) -> None:
    assert read(private(tmp_path / "s", "hmac:AAECAwQFBgcICQoLDA0ODw==\n")) == bytes(range(16))
    assert read(private(tmp_path / "t", LONG + "\n")) == LONG.encode()


def test_made_secret_is_private_random_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "demo.secret"
    secret = read(file, create=True)
    assert len(secret) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert read(file, create=True) == read(file) == secret
    assert read(tmp_path / "other", create=True) != secret
    assert [entry.name for entry in file.parent.iterdir()] == ["demo.secret"]


@pytest.mark.parametrize(
    ("text", "said"), [("hunter2", "too short"), ("hmac:@@@@", "not base64"), ("hmac:AAAA", "too short")]
)
def test_unfit_secret_is_refused_without_being_shown(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read(private(tmp_path / "s", text))
    assert text not in str(caught.value)


def test_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no BACKSTAY_S"):
        read(env="BACKSTAY_S")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "absent")
    with pytest.raises(ConfigError, match="neither"):
        read()


def test_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = private(tmp_path / "s", LONG)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="0640"):
        read(file)
