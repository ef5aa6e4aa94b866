"""The operating errors of the gateway: the world misbehaved. A refusal is a value and a broken invariant is neither."""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """The root of them all."""


class ConfigError(GatewayError):
    """The configuration cannot be used; `problems` holds every one that was found, each with the option's path."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
