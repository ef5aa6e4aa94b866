"""The command `backstay`: its groups, and what an exit status means (0 done, 1 refused, 2 usage, 3 broken)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from gateway.commands import demo, journal, keys, kill, orders, processes
from gateway.commands.answer import BROKEN, REFUSED, USAGE, errors
from gateway.errors import ConfigError, GatewayError
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
app.add_typer(kill.app, name="kill")
app.add_typer(keys.app, name="keys")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `backstay` command; ends with SystemExit. None: the arguments of the process."""
    try:
        app(arguments)
    except ConfigError as error:
        for problem in error.problems:
            errors.print(problem, style="red", highlight=False, markup=False)
        sys.exit(USAGE)
    except JournalCorrupt as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        sys.exit(BROKEN)
    except GatewayError as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        sys.exit(REFUSED)
