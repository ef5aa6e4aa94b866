"""One TOML file, environment and overlay to one frozen Config: read once, every problem reported at the same time."""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
import itertools
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from gateway.errors import ConfigError
from gateway.options import FORMS, Config, KeyOptions, Section, e9
from hotpath.feeds import FEEDS_MAX
from risk.limits import LimitsInvalid

ENV_PREFIX = "BACKSTAY__"
S = TypeVar("S", bound=Section)

__all__ = ["Config", "ConfigError", "data_path", "load"]


def load(
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overlay: Mapping[str, Any] | None = None,
) -> Config:
    """Read the configuration, or raise ConfigError with all problems.

    Later wins: built-in defaults, the file, `BACKSTAY__SECTION__KEY` of `environ`, `overlay` (what the command line
    asks for). A list such as `[[accounts]]` replaces the built-in list whole; `BACKSTAY__ACCOUNTS__0__CASH` changes
    one entry.
    """
    problems: list[str] = []
    raw = _read(path, problems) if path else {}
    for name, text in sorted((environ or {}).items()):
        if name.startswith(ENV_PREFIX):
            _apply_environment(raw, name, text, problems)
    _merge(raw, overlay or {})
    config = _build(Config, raw, "", problems)
    if config is not None:
        problems.extend(line for rule in RULES for line in rule(config))
    if config is None or problems:
        raise ConfigError(problems)
    return config


def data_path(config: Config, name: str) -> Path:
    """A path of the configuration: relative ones start at `gateway.data_dir`."""
    return Path(config.gateway.data_dir, name)


def _read(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: not TOML: {error}")
    return {}


# --- types of options ------------------------------------------------------------------------------------------------


def _bare(kind: Any) -> Any:
    """The type without its Annotated, and without `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (UnionType, Union):
        return _bare(next(part for part in get_args(kind) if part is not NoneType))
    return kind


def section_of(kind: Any) -> type[Section] | None:
    """The Section that a field holds, None if it is a plain option."""
    bare = _bare(kind)
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


def item_of(kind: Any) -> type[Section] | None:
    """The Section that a field is a list of, if it is one."""
    bare = _bare(kind)
    return section_of(get_args(bare)[0]) if get_origin(bare) is tuple else None


# --- raw tables to structs -------------------------------------------------------------------------------------------


def _build(kind: type[S], raw: Any, where: str, problems: list[str]) -> S | None:
    """A struct from a table. A broken option is reported and takes its default, so that the other checks still run."""
    if not isinstance(raw, Mapping):
        problems.append(f"{where}: must be a table")
        return None
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in raw:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            problems.append(f"{_join(where, key)}: no such option" + (f"; is {near[0]} meant?" if near else ""))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in raw:
            value = _value(field.type, raw[name], _join(where, name), problems)
            if value is not msgspec.UNSET:
                values[name] = value
        elif field.required:
            problems.append(f"{_join(where, name)}: is required")
    if any(field.required and name not in values for name, field in fields.items()):
        return None
    return kind(**values)


def _value(kind: Any, raw: Any, where: str, problems: list[str]) -> Any:
    if section := section_of(kind):
        built = _build(section, raw, where, problems)
        return msgspec.UNSET if built is None else built
    if item := item_of(kind):
        if not isinstance(raw, Sequence) or isinstance(raw, str):
            problems.append(f"{where}: must be a list of tables")
            return msgspec.UNSET
        built_items = [_build(item, entry, f"{where}[{at}]", problems) for at, entry in enumerate(raw)]
        return tuple(entry for entry in built_items if entry is not None)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        problems.append(f"{where}: {_choices(kind) or _plain(str(error))}, not {raw!r}")
        return msgspec.UNSET


def _choices(kind: Any) -> str:
    """What an option with a fixed set of words, or a list of such, may say; empty for any other."""
    bare = _bare(kind)
    is_list = get_origin(bare) is tuple
    words = _bare(get_args(bare)[0]) if is_list else bare
    if get_origin(words) is not Literal:
        return ""
    return ("expected a list of " if is_list else "expected one of ") + ", ".join(
        repr(word) for word in get_args(words)
    )


def _plain(text: str) -> str:
    for pattern, form in FORMS.items():
        text = text.replace(f"`str` matching regex {pattern!r}", f"{'an' if form[0] in 'aeiou' else 'a'} {form}")
    return text[:1].lower() + text[1:].replace("`", "")


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


# --- environment and overlay -----------------------------------------------------------------------------------------


def _apply_environment(raw: dict[str, Any], name: str, text: str, problems: list[str]) -> None:
    """Put one variable at its place in the raw tables. Strings are taken as they are, other options in TOML's form."""
    steps = name.removeprefix(ENV_PREFIX).lower().split("__")
    kind: Any = Config
    place: Any = raw
    key: str | int
    default: Any = Config()
    for at, step in enumerate(steps):
        section, item = section_of(kind), item_of(kind)
        if section:
            field = next((field for field in msgspec.structs.fields(section) if field.name == step), None)
            if field is None:
                problems.append(f"{name}: no such option")
                return
            kind, key, default = field.type, step, getattr(default, step, None)
        elif item and step.isdecimal() and int(step) < len(place):
            kind, key = item, int(step)
            default = default[key] if default is not None and key < len(default) else None
        else:
            problems.append(f"{name}: no such option or entry")
            return
        if at == len(steps) - 1:
            value = _environment_value(kind, name, text, problems)
            if value is not msgspec.UNSET:
                place[key] = value
            return
        if isinstance(place, dict) and key not in place:
            place[key] = _entries(default) if item_of(kind) else {}
        place = place[key]


def _entries(default: Sequence[Section]) -> list[dict[str, Any]]:
    """The built-in list as raw tables, so that one variable can change one entry of it."""
    return [{key: value for key, value in msgspec.to_builtins(entry).items() if value is not None} for entry in default]


def _environment_value(kind: Any, name: str, text: str, problems: list[str]) -> Any:
    bare = _bare(kind)
    if bare is str or get_origin(bare) is Literal:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        problems.append(f"{name}: {text!r} is not a value in TOML's form")
        return msgspec.UNSET


def _merge(raw: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(raw.get(key), dict):
            _merge(raw[key], value)
        else:
            raw[key] = dict(value) if isinstance(value, Mapping) else value


# --- rules between options -------------------------------------------------------------------------------------------


def _names_are_single(config: Config) -> Iterator[str]:
    lists = {
        "instruments.symbol": [entry.symbol for entry in config.instruments],
        "instruments.feed_symbol": [entry.feed_name for entry in config.instruments],
        "accounts.name": [entry.name for entry in config.accounts],
        "policies.name": [entry.name for entry in config.policies],
        "keys.name": [entry.name for entry in config.keys],
        "feeds.name": [entry.name for entry in config.feeds],
    }
    for where, names in lists.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{where}: {name!r} is there more than once"


def _references_exist(config: Config) -> Iterator[str]:
    accounts = {"*", *(account.name for account in config.accounts)}
    symbols = {instrument.symbol for instrument in config.instruments}
    for key in config.keys:
        for name in key.accounts:
            if name not in accounts:
                yield f"keys.{key.name}.accounts: no account {name!r}"
    for where, listed in (("venue", config.venue.symbols), *((f"feeds.{f.name}", f.symbols) for f in config.feeds)):
        for symbol in listed:
            if symbol not in symbols:
                yield f"{where}.symbols: no instrument {symbol!r}"


def _instruments_make_sense(config: Config) -> Iterator[str]:
    for entry in config.instruments:
        where = f"instruments.{entry.symbol}"
        if e9(entry.tick) == 0 or e9(entry.lot) == 0:
            yield f"{where}: tick and lot must be above 0"
        elif e9(entry.min_qty) == 0 or e9(entry.min_qty) % e9(entry.lot):
            yield f"{where}.min_qty: must be a multiple of the lot {entry.lot}, not {entry.min_qty}"
        if entry.session != "24x7" and entry.session[:5] == entry.session[6:]:
            yield f"{where}.session: opens and closes at the same minute; say 24x7"


def _keys_are_whole(config: Config) -> Iterator[str]:
    for key in config.keys:
        where = f"keys.{key.name}"
        yield from (f"{where}.{line}" for line in _credential(key))
        if key.create and config.gateway.mode == "live":
            yield f"{where}.create: secrets are not made up in live mode"
        if key.expires_ns and key.expires_ns <= key.not_before_ns:
            yield f"{where}.expires_ns: is not after not_before_ns"
        for network in key.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                yield f"{where}.networks: {error}"


def _credential(key: KeyOptions) -> Iterator[str]:
    if key.kind == "hmac":
        if bool(key.secret_env) == bool(key.secret_file):
            yield "secret_env: an hmac key names either secret_env or secret_file"
        if key.public:
            yield "public: an hmac key has none"
        if key.create and not key.secret_file:
            yield "create: needs secret_file"
        return
    if key.secret_env or key.secret_file or key.create:
        yield "secret_file: an ed25519 key has no secret here, only its public half"
    try:
        size = len(base64.b64decode(key.public, validate=True))
    except binascii.Error:
        size = 0
    if size != 32:
        yield "public: must be the base64 of 32 bytes"


def _tables_are_large_enough(config: Config) -> Iterator[str]:
    capacity = config.capacity
    if len(config.accounts) > capacity.accounts:
        yield f"capacity.accounts: {capacity.accounts} is below the {len(config.accounts)} accounts listed"
    if len(config.instruments) > capacity.instruments:
        yield f"capacity.instruments: {capacity.instruments} is below the {len(config.instruments)} instruments listed"
    if capacity.open_orders > capacity.orders:
        yield f"capacity.open_orders: {capacity.open_orders} is above capacity.orders {capacity.orders}"


def _addresses_differ(config: Config) -> Iterator[str]:
    ports = {"gateway.http_port": config.gateway.http_port, "venue.ws_port": config.venue.ws_port}
    taken = {config.gateway.ws_port: "gateway.ws_port"}
    for where, port in ports.items():
        if port and port in taken:
            yield f"{where}: port {port} is {taken[port]} already"
        taken[port] = where


def _limits_hold(config: Config) -> Iterator[str]:
    for account in config.accounts:
        try:
            account.fixed_limits()
        except LimitsInvalid as error:
            yield from (f"accounts.{account.name}.limits.{line}" for line in error.problems)


def _policies_hold(config: Config) -> Iterator[str]:
    names = {policy.name for policy in config.policies}
    symbols = [item.symbol for item in config.instruments]
    for account in config.accounts:
        if account.policy and account.policy not in names:
            yield f"accounts.{account.name}.policy: no policy {account.policy!r}"
    for policy in config.policies:
        where = f"policies.{policy.name}.on_feed_loss"
        if policy.on_feed_loss == "broker":
            yield f"{where}: no broker can hold stops yet; choose alert, second_feed or flatten"
        if policy.on_feed_loss == "second_feed":
            feeds = Counter(name for feed in config.feeds for name in feed.symbols or symbols)
            if few := [symbol for symbol in symbols if feeds[symbol] < 2]:
                yield f"{where}: second_feed needs two feeds of each instrument, not one or none of {', '.join(few)}"


def _venue_can_run(config: Config) -> Iterator[str]:
    if config.venue.market == "replay" and not config.venue.replay_file:
        yield "venue.replay_file: is required when venue.market is replay"
    sim = config.broker.sim
    if sim.secret_env and sim.secret_file not in ("", type(sim)().secret_file):
        yield "broker.sim.secret_file: name either secret_env or secret_file"
    if sim.messages_per_s and sim.reserved_burst >= sim.burst:
        yield f"broker.sim.reserved_burst: must be below burst {sim.burst}: the rest is for all other orders"


def _bounds_rise(config: Config) -> Iterator[str]:
    bounds = config.metrics.bounds_us
    if any(low >= high for low, high in itertools.pairwise(bounds)):
        yield "metrics.bounds_us: must rise"


def _feeds_are_few(config: Config) -> Iterator[str]:
    if len(config.feeds) > FEEDS_MAX:
        yield f"feeds: {len(config.feeds)} of them, at most {FEEDS_MAX}: let one feed price several instruments"


RULES: tuple[Callable[[Config], Iterator[str]], ...] = (
    _feeds_are_few,
    _names_are_single,
    _references_exist,
    _instruments_make_sense,
    _keys_are_whole,
    _tables_are_large_enough,
    _addresses_differ,
    _limits_hold,
    _policies_hold,
    _venue_can_run,
    _bounds_rise,
)
