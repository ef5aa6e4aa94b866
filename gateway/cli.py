"""The command `backstay`: its groups, and what an exit status means (0 done, 1 refused, 2 usage, 3 broken)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from gateway.commands import demo, explain, journal, keys, kill, orders, processes
from gateway.commands.answer import BROKEN, REFUSED, USAGE, errors, say_json
from gateway.errors import CannotStart, ConfigError, GatewayError
from gateway.journal.errors import JournalCorrupt

app = typer.Typer(
    name="backstay", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Low-latency order gateway. Every command has --json.",
)  # fmt: skip
app.command("up")(processes.up)
app.command("gateway")(processes.gateway)
app.command("venue")(processes.venue)
app.add_typer(processes.workers, name="worker")
app.command("demo")(demo.demo)
app.command("check-config")(processes.check_config)
app.add_typer(journal.app, name="journal")
app.add_typer(orders.app, name="order")
app.command("explain")(explain.explain)
app.add_typer(kill.app, name="kill")
app.add_typer(keys.app, name="keys")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `backstay` command; ends with SystemExit. None: the arguments of the process."""
    as_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
    try:
        app(arguments)
    except ConfigError as error:
        sys.exit(_say(USAGE, "CONFIG", error.problems, as_json=as_json))
    except JournalCorrupt as error:
        sys.exit(_say(BROKEN, "JOURNAL_CORRUPT", [str(error)], as_json=as_json))
    except GatewayError as error:
        code = "CANNOT_START" if isinstance(error, CannotStart) else "FAILED"
        sys.exit(_say(REFUSED, code, [str(error)], as_json=as_json))


def _say(status: int, code: str, lines: Sequence[str], *, as_json: bool) -> int:
    """What went wrong: a line of JSON on standard output, or plain lines on standard error; the exit status."""
    if as_json:
        say_json({"error": code, "text": "; ".join(lines), "detail": lines})
        return status
    for line in lines:
        errors.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    return status
