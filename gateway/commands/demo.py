"""The command `demo`: the main job end to end, and a verdict as exit status."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gateway import logs
from gateway.commands.answer import REFUSED, console, errors, fail, say_json
from gateway.commands.options import AsJson


def demo(
    accounts: Annotated[int, typer.Option("--accounts", min=2, max=500, help="Accounts, one client each.")] = 20,
    seconds: Annotated[int, typer.Option("--seconds", min=1, max=3600, help="Time for orders between the steps.")] = 6,
    speed: Annotated[int, typer.Option("--speed", min=1, max=1000, help="Multiple of the market's own pace.")] = 1,
    file: Annotated[Path | None, typer.Option("--file", help="Recorded frames, instead of made-up ones.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the made-up market.")] = 1,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Keep everything here; must be empty.")] = None,
    as_json: AsJson = False,
) -> None:
    """Positions with stops, restarts, a falling market, a verdict; exit 0 only when every promise held."""
    from gateway.child import ChildFailed
    from gateway.demo.run import Demo, Options
    from gateway.demo.view import Lines, Quiet, Terminal, View, show

    if file is not None and not file.is_file():
        raise typer.BadParameter(f"{file} is not a file", param_hint="--file")
    if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
        raise typer.BadParameter(f"{data_dir} is not empty", param_hint="--data-dir")
    logs.configure(level="error", as_json=as_json)
    folder = data_dir or Path(tempfile.mkdtemp(prefix="backstay-demo-"))
    view: View = Quiet() if as_json else (Terminal(console) if console.is_terminal else Lines(console))
    options = Options(accounts=accounts, seconds=seconds, speed=speed, file=str(file or ""), seed=seed)
    try:
        with view:
            verdict = asyncio.run(Demo(folder, options, view).run())
    except (ChildFailed, TimeoutError, OSError, RuntimeError, ExceptionGroup) as error:
        errors.print(f"processes' log: {folder}", markup=False, highlight=False)
        fail(REFUSED, "DEMO_FAILED", _reason(error), as_json=as_json)
    except KeyboardInterrupt:
        if data_dir is None:
            shutil.rmtree(folder)
        raise
    if as_json:
        say_json(verdict)
    else:
        show(verdict, console)
    if not verdict.holds:
        errors.print(f"kept for a look: {folder}", markup=False, highlight=False)
        raise typer.Exit(REFUSED)
    if data_dir is None:
        shutil.rmtree(folder)


def _reason(error: BaseException) -> str:
    """The first cause in a tree of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
