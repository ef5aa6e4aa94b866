"""The simulated venue as the gateway's configuration describes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.market import Recording, Symbol, default_symbols
from brokers.sim.quirks import Quirks
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.options import InstrumentOptions
from gateway.secret_store import read_secret

ADMIN_KEY = "admin"
ADMIN_SECRET_FILE = "keys/venue-admin.secret"
KNOWN = {symbol.name: symbol for symbol in default_symbols(10)}
OTHER_PX = 100  # first price of an instrument that the generator does not know


def venue_config(config: Config, environ: Mapping[str, str]) -> VenueConfig:
    """What `backstay venue` runs. Raises ConfigError."""
    options, sim = config.venue, config.broker.sim
    data_dir = Path(config.gateway.data_dir)
    paper = config.gateway.mode == "paper"
    file = None if sim.secret_env else data_dir / sim.secret_file
    secret = read_secret("broker.sim", env=sim.secret_env, file=file, create=paper, environ=environ)
    admin = read_secret("venue.admin", env="", file=data_dir / ADMIN_SECRET_FILE, create=paper, environ=environ)
    scheme, _, place = (options.order_address or sim.address).partition("://")
    try:
        quirks = msgspec.convert(options.quirks, Quirks, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError([f"venue.quirks: {error}"]) from error
    return VenueConfig(
        host=options.host if scheme == "unix" else place.rpartition(":")[0],
        order_port=0 if scheme == "unix" else int(place.rpartition(":")[2]),
        order_unix=place if scheme == "unix" else "",
        feed_port=options.ws_port,
        seed=options.seed,
        keys={sim.key: secret.hex()},
        admin_keys={ADMIN_KEY: admin.hex()},
        symbols=tuple(item.feed_name for item in config.instruments),
        quirks=quirks,
        market=_market(config),
        ledger=options.ledger,
    )


def _market(config: Config) -> MarketConfig:
    options = config.venue
    if options.market == "replay":
        _look_at_recording(Path(options.replay_file))
        return MarketConfig(
            source="recorded", file=options.replay_file, speed_pct=options.speed_pct, starts_at="subscriber"
        )  # fmt: skip
    wanted = [item for item in config.instruments if not options.symbols or item.symbol in options.symbols]
    return MarketConfig(symbols=tuple(_symbol(item) for item in wanted), rate_per_s=options.frames_per_s)


def _look_at_recording(path: Path) -> None:
    """A file that is not there, or is no recording, is told before anyone waits for its first quote."""
    try:
        next(iter(Recording(path)))
    except OSError as error:
        raise ConfigError([f"venue.replay_file: {path} cannot be read: {error.strerror or error}"]) from error
    except (ValueError, StopIteration) as error:
        raise ConfigError([f"venue.replay_file: {path} does not begin with a line `NANOSECONDS FRAME`"]) from error


def _symbol(item: InstrumentOptions) -> Symbol:
    """The instrument's grid; its price from the generator's list where the name is known."""
    known = KNOWN.get(item.feed_name)
    if known is None:
        return Symbol(name=item.feed_name, px=str(OTHER_PX), tick=item.tick, lot=item.lot)
    return msgspec.structs.replace(known, tick=item.tick, lot=item.lot)
