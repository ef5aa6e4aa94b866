"""How a command answers: JSON lines for programs, tables for people, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

DONE, REFUSED, USAGE, BROKEN = 0, 1, 2, 3
PIPED_COLUMNS = 200  # a program that reads the text gets each row on one line
console = Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)
errors = Console(stderr=True)


def say_json(value: Any) -> None:
    """One line of JSON on standard output."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say(value: Any, *, as_json: bool, text: str) -> None:
    """The value as JSON, or the sentence."""
    if as_json:
        say_json(value)
    else:
        console.print(text, highlight=False)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for a person: no column that is empty in all rows, so that it fits a terminal."""
    lines = [["" if cell is None else str(cell) for cell in row] for row in rows]
    used = [at for at in range(len(columns)) if not lines or any(line[at] for line in lines)]
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for at in used:
        shown.add_column(columns[at], overflow="fold")
    for line in lines:
        shown.add_row(*(line[at] for at in used))
    console.print(shown)


def fail(status: int, code: str, text: str, *, as_json: bool, detail: Any = None) -> NoReturn:
    """End the command with this status and say why."""
    if as_json:
        say_json({"error": code, "text": text, "detail": detail})
    else:
        errors.print(f"{code}: {text}", style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(status)
