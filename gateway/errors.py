"""The operating errors of the gateway: the world misbehaved. A refusal is a value and a broken invariant is neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class GatewayError(Exception):
    """The root of them all."""


class ConfigError(GatewayError):
    """The configuration cannot be used; `problems` holds every one that was found, each with the option's path."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StateTorn(SystemExit):
    """A record did not fit the state, which may be half changed: the process ends, whatever it was about.

    No Exception: nothing on its way may catch it and go on. A start from the journal, which never got that record, is
    sound.
    """


class CannotStart(GatewayError):
    """The machine refused what a process needs before it serves anyone: a port, a folder, a file."""


@contextmanager
def starting(who: str) -> Iterator[None]:
    """While `who` comes up, an OSError is such a refusal and is told in one line."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CannotStart(f"{who} cannot start: {error.filename}: {reason}" if error.filename else
                          f"{who} cannot start: {reason}") from error  # fmt: skip
