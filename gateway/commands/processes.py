"""Commands that run processes: `up`, `gateway`, `venue`, `worker`; and `check-config`, which they all begin with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway import logs
from gateway.commands.answer import say, say_json
from gateway.commands.options import AsJson, ConfigFile, DataDir, Settings, read_config
from gateway.config import Config
from gateway.errors import starting
from gateway.venue import venue_config

workers = typer.Typer(
    no_args_is_help=True, help="Processes beside the gateway: they follow its journal, and no order waits for them."
)


def _start_logs(config: Config) -> None:
    options = config.logs
    with starting("the log"):
        logs.configure(
            level=options.level, as_json=options.format == "json", file=Path(options.file) if options.file else None
        )


def gateway(
    config: ConfigFile = None, data_dir: DataDir = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Run the gateway until SIGTERM. Its first line on standard output is JSON: the ports, and what was recovered."""
    from gateway.app import run  # the compiled core loads only where it is needed

    found = read_config(config, data_dir, settings)
    _start_logs(found)
    status = run(found, os.environ, say_json)
    raise typer.Exit(status)


def venue(
    config: ConfigFile = None, data_dir: DataDir = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Run the simulated venue until SIGTERM. Its first line on standard output is JSON: the ports."""
    from brokers.sim.server import run_venue

    found = read_config(config, data_dir, settings)
    _start_logs(found)
    with starting(f"the venue at {found.venue.order_address or found.broker.sim.address}"):
        run_venue(venue_config(found, os.environ))


@workers.command("snapshot")
def snapshot(
    config: ConfigFile = None, data_dir: DataDir = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Store the state every `journal.snapshot_every_records` records, so that start-up stays short. Until SIGTERM."""
    from gateway.workers.snapshot import run

    found = read_config(config, data_dir, settings)
    _start_logs(found)
    with starting("the snapshot worker"):
        status = run(found, say_json)
    raise typer.Exit(status)


def up(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    settings: Settings = None,
    as_json: AsJson = False,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="File that gets the ports, in JSON, each time all is up.")
    ] = None,
) -> None:
    """Run venue, gateway and workers, restart what dies, end in order on SIGTERM or Ctrl-C; one log on stderr."""
    from gateway.supervisor import supervise

    if ready_file is not None and not ready_file.parent.is_dir():
        raise typer.BadParameter(f"{ready_file.parent} is not a folder", param_hint="--ready-file")
    found = read_config(config, data_dir, settings)
    _start_logs(found)
    raise typer.Exit(supervise(found, file=config, settings=settings or [], ready_file=ready_file, as_json=as_json))


def check_config(
    config: ConfigFile = None, data_dir: DataDir = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Read the configuration and say what is wrong with it; exit 2 when something is."""
    found = read_config(config, data_dir, settings)
    say(
        {
            "sound": True,
            "file": str(config) if config else None,
            "instruments": len(found.instruments),
            "accounts": len(found.accounts),
            "keys": [key.name for key in found.keys],
        },
        as_json=as_json,
        text=f"sound: {len(found.instruments)} instruments, {len(found.accounts)} accounts, {len(found.keys)} keys",
    )  # fmt: skip
