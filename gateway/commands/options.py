"""Options that commands share, and what they become: a checked configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.config import ENV_PREFIX, Config, load

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; without one the built-in defaults hold.")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of everything that is kept.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One option as SECTION.KEY=VALUE, such as gateway.ws_port=0. May be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def read_config(
    file: Path | None, data_dir: Path | None = None, settings: list[str] | None = None, **overlay: Any
) -> Config:
    """Defaults, file, environment, `--set`, then the named options. Raises ConfigError with every problem."""
    environ = dict(os.environ)
    for setting in settings or ():
        path, equals, value = setting.partition("=")
        if not equals:
            raise typer.BadParameter(f"{setting!r} is not SECTION.KEY=VALUE", param_hint="--set")
        environ[ENV_PREFIX + path.replace(".", "__").upper()] = value
    if data_dir is not None:
        overlay.setdefault("gateway", {})["data_dir"] = str(data_dir)
    return load(file, environ=environ, overlay=overlay)
