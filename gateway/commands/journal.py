"""Commands about the journal: verify, dump, stats. They only read, also while a gateway writes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from gateway.commands.answer import BROKEN, REFUSED, console, errors, fail, say_json, table
from gateway.commands.options import AsJson, ConfigFile, DataDir, read_config
from gateway.config import data_path
from gateway.journal import verify as journal

app = typer.Typer(no_args_is_help=True, help="Look at the journal.")
Folder = Annotated[Path | None, typer.Option("--dir", help="Folder of the segments, instead of the configured one.")]


def _folder(config: Path | None, data_dir: Path | None, folder: Path | None, as_json: bool) -> Path:
    if folder is None:
        options = read_config(config, data_dir)
        folder = data_path(options, options.journal.dir)
    if not folder.is_dir():
        fail(REFUSED, "NO_JOURNAL", f"{folder} is not there", as_json=as_json)
    if not any(folder.glob("*.seg")):
        fail(REFUSED, "NO_JOURNAL", f"{folder} holds no segments", as_json=as_json)
    return folder


@app.command()
def verify(folder: Folder = None, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check every frame, checksum and number; exit 3 when the journal is damaged before its tail."""
    path = _folder(config, data_dir, folder, as_json)
    with Progress(console=errors, transient=True, disable=as_json or not errors.is_terminal) as progress:
        task = progress.add_task("verify", total=None)
        report = journal.verify(path, progress=lambda at, total: progress.update(task, completed=at, total=total))
    if as_json:
        say_json(asdict(report))
    else:
        rows = [(name, value) for name, value in asdict(report).items() if name not in ("kinds", "corruption")]
        table(str(path), ("", ""), rows)
        if report.corruption:
            console.print(f"damaged: {report.corruption}", style="red", markup=False)
    raise typer.Exit(0 if report.is_sound else BROKEN)


@app.command()
def stats(folder: Folder = None, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Records by kind and by segment."""
    from gateway.records_text import kind_name

    path = _folder(config, data_dir, folder, as_json)
    report = journal.stats(path)
    kinds = {kind_name(kind): counts for kind, counts in report.kinds.items()}
    if as_json:
        say_json({**asdict(report), "kinds": {name: asdict(counts) for name, counts in kinds.items()}})
        return
    table(str(path), ("kind", "records", "bytes"), [(name, c.records, c.frame_bytes) for name, c in kinds.items()])
    console.print(f"{report.records} records, {report.frame_bytes} bytes in {len(report.segments)} segments")


@app.command()
def dump(
    folder: Folder = None,
    first_seq: Annotated[int, typer.Option("--from", min=0, help="First record; 0 is the oldest.")] = 0,
    last_seq: Annotated[int | None, typer.Option("--to", help="Last record.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only this account's events.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Records in order, one JSON line each."""
    from gateway.records_text import RecordTexts

    path = _folder(config, data_dir, folder, as_json)
    with RecordTexts(path) as texts:
        for record in texts.records(first_seq, last_seq):
            if account is None or record.get("event", {}).get("account") == account:
                say_json(record)
