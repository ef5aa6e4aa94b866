"""The configuration: defaults without a file, one frozen struct, every problem at once, documents equal to the code."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import config_doc
from gateway.config import Config, ConfigError, data_path, load
from gateway.options import DECIMAL, MONEY, e4, e9
from risk.limits import DEFAULTS

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
MADE_UP = {"name": "k", "kind": "hmac", "secret_file": "x", "create": True}


def problems(**overlay: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(overlay=overlay)
    return list(caught.value.problems)


def test_no_file_gives_a_paper_gateway_on_loopback() -> None:
    config = load()
    assert config == Config()
    assert config.gateway.mode == "paper"
    assert config.gateway.host == config.venue.host == "127.0.0.1"


def test_default_file_is_the_built_in_configuration() -> None:
    assert load(ROOT / "gateway/default.toml") == Config()
    assert (ROOT / "gateway/default.toml").read_text(encoding="utf-8") == config_doc.default_toml()


def test_reference_page_is_made_from_the_options() -> None:
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == config_doc.markdown()


def test_every_option_says_what_it_means() -> None:
    def walk(kind: Any) -> None:
        for field in msgspec.structs.fields(kind):
            inner = config_doc.item_of(field.type) or config_doc.section_of(field.type)
            if inner:
                walk(inner)
            else:
                assert config_doc.meta_of(field).description, f"{kind.__name__}.{field.name}"

    walk(Config)


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        gateway={"ws_port": 99_999, "hots": "x"},
        journal=7,
        accounts=[{"name": "A1", "cash": "1.23456", "limits": {"max_gross": 5}}, {}],
        feeds=[{"symbols": ["NOPE"]}],
    )
    assert found == [
        "gateway.hots: no such option; is host meant?",
        "gateway.ws_port: expected int <= 65535, not 99999",
        "journal: must be a table",
        "accounts[0].cash: expected a decimal with 4 digits, not '1.23456'",
        "accounts[0].limits.max_gross: expected str, got int, not 5",
        "accounts[1].name: is required",
        "feeds.sim.symbols: no instrument 'NOPE'",
    ]


def test_limits_are_those_of_the_risk_package() -> None:
    made = load(overlay={"accounts": [{"name": "A", "limits": {"max_gross": "5.5"}}, {"name": "B"}]}).accounts
    assert made[0].fixed_limits() == replace(DEFAULTS, max_gross_e4=55_000)
    assert made[1].fixed_limits() is None
    text = "accounts.A.limits.collar_bps: must be from 0 to 10000, not 10001"
    assert problems(accounts=[{"name": "A", "limits": {"collar_bps": "10001"}}], keys=[]) == [text]


@pytest.mark.parametrize("size", [1 << 32, (1 << 20) + 1])
def test_a_segment_is_whole_blocks_that_an_offset_can_name(size: int) -> None:
    assert len(problems(journal={"segment_bytes": size})) == 1


def test_unknown_section_is_an_error() -> None:
    assert problems(gatway={}) == ["gatway: no such option; is gateway meant?"]


def test_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[gateway\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not TOML") as caught:
        load(file)
    assert len(caught.value.problems) == 1
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")


def test_environment_beats_the_file_and_the_overlay_beats_both(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text("[gateway]\nws_port = 1\nhttp_port = 2\nname = 'file'\n", encoding="utf-8")
    environ = {"BACKSTAY__GATEWAY__WS_PORT": "3", "BACKSTAY__GATEWAY__NAME": "7", "BACKSTAY_BUILD": "checked"}
    config = load(file, environ=environ, overlay={"gateway": {"ws_port": 4}})
    assert (config.gateway.ws_port, config.gateway.http_port, config.gateway.name) == (4, 2, "7")


def test_environment_changes_one_entry_of_a_list_and_keeps_the_rest() -> None:
    config = load(
        environ={
            "BACKSTAY__ACCOUNTS__0__LIMITS__MAX_OPEN_ORDERS": "5",
            "BACKSTAY__KEYS__0__SCOPES": '["read"]',
            "BACKSTAY__VENUE__QUIRKS": "{ ack_ns = 7 }",
        }
    )
    limits, default = config.accounts[0].limits, Config().accounts[0].limits
    assert limits is not None
    assert default is not None
    assert limits.max_open_orders == 5
    assert limits.max_gross == default.max_gross
    assert config.keys[0].scopes == ("read",)
    assert config.venue.quirks == {"ack_ns": 7}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BACKSTAY__NOPE__X", "1"),
        ("BACKSTAY__GATEWAY__NOPE", "1"),
        ("BACKSTAY__ACCOUNTS__9__CASH", "1"),
        ("BACKSTAY__GATEWAY__WS_PORT__X", "1"),
        ("BACKSTAY__GATEWAY__WS_PORT", "many"),
    ],
)
def test_environment_that_names_nothing_or_no_value_is_an_error(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load(environ={name: text})


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"instruments": [{"symbol": "A"}, {"symbol": "A", "feed_symbol": "B"}]}, "'A' is there more than once"),
        ({"feeds": [{"name": f"feed-{number}"} for number in range(17)]}, "feeds: 17 of them, at most 16"),
        ({"policies": [{"on_feed_loss": "broker"}]}, "no broker can hold stops yet"),
        ({"policies": [{"name": "two", "on_feed_loss": "second_feed"}]}, "not one or none of BTCUSDT, ETHUSDT"),
        ({"policies": [{"name": "a"}, {"name": "a"}]}, "policies.name: 'a' is there more than once"),
        ({"accounts": [{"name": "A", "policy": "none"}]}, "accounts.A.policy: no policy 'none'"),
        ({"instruments": [{"symbol": "A", "tick": "0"}]}, "tick and lot must be above 0"),
        ({"instruments": [{"symbol": "A", "lot": "0.3", "min_qty": "0.4"}]}, "multiple of the lot"),
        ({"instruments": [{"symbol": "A", "session": "09:30-09:30"}]}, "say 24x7"),
        ({"instruments": [{"symbol": "A", "session": "9:30-16:00"}]}, "session (24x7 or HH:MM-HH:MM)"),
        ({"keys": [{"name": "k", "kind": "hmac"}]}, "either secret_env or secret_file"),
        ({"keys": [{"name": "k", "kind": "hmac", "secret_env": "X", "public": PUBLIC}]}, "has none"),
        ({"keys": [{"name": "k", "kind": "hmac", "secret_env": "X", "create": True}]}, "needs secret_file"),
        ({"keys": [{"name": "k", "public": "AAAA"}]}, "base64 of 32 bytes"),
        ({"keys": [{"name": "k", "public": PUBLIC, "secret_file": "x"}]}, "no secret here"),
        ({"keys": [{"name": "k", "public": PUBLIC, "accounts": ["Z"]}]}, "no account 'Z'"),
        ({"keys": [{"name": "k", "public": PUBLIC, "networks": ["10.0.0.0/99"]}]}, "networks"),
        ({"keys": [{"name": "k", "public": PUBLIC, "not_before_ns": 5, "expires_ns": 5}]}, "not after not_before_ns"),
        ({"gateway": {"mode": "live"}, "keys": [MADE_UP]}, "not made up in live mode"),
        ({"gateway": {"ws_port": 8702}}, "is gateway.ws_port already"),
        ({"capacity": {"instruments": 1}}, "below the 4 instruments"),
        ({"capacity": {"orders": 1_024}}, "above capacity.orders"),
        ({"venue": {"market": "replay"}}, "replay_file"),
        ({"metrics": {"bounds_us": [5, 5]}}, "must rise"),
        ({"broker": {"sim": {"address": ""}}}, "broker.sim.address"),
        ({"broker": {"sim": {"address": "localhost:1"}}}, "tcp://HOST:PORT"),
    ],
)
def test_options_that_do_not_fit_each_other_are_refused(overlay: dict[str, Any], said: str) -> None:
    found = problems(**overlay)
    assert len(found) == 1
    assert said in found[0]


def test_ed25519_key_needs_no_secret() -> None:
    key = load(overlay={"keys": [{"name": "k", "public": PUBLIC, "scopes": ["read", "ops"]}]}).keys[0]
    assert key.kind == "ed25519"
    assert key.scopes == ("read", "ops")


def test_decimals_become_exact_integers() -> None:
    assert e9("0.000000001") == 1
    assert e9("12") == 12_000_000_000
    assert e4("1000000.0001") == 10_000_000_001
    for pattern, bad in ((DECIMAL, "0.0000000001"), (DECIMAL, "-1"), (DECIMAL, "01"), (MONEY, "1."), (MONEY, "1e3")):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"x": bad}, msgspec.defstruct("T", [("x", _annotated(pattern))]))


def _annotated(pattern: str) -> Any:
    from typing import Annotated

    return Annotated[str, msgspec.Meta(pattern=pattern)]


def test_relative_paths_start_at_the_data_folder() -> None:
    config = load(overlay={"gateway": {"data_dir": "/srv/backstay"}})
    assert data_path(config, config.journal.dir) == Path("/srv/backstay/journal")
    assert data_path(config, "/elsewhere/j") == Path("/elsewhere/j")


def test_no_secret_can_be_written_in_the_file() -> None:
    text = (ROOT / "gateway/default.toml").read_text(encoding="utf-8")
    named = {name for entry in tomllib.loads(text)["keys"] for name in entry if "secret" in name}
    assert named == {"secret_env", "secret_file"}
