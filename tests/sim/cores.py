"""The implementations of the core that a run can be asked for, by name."""

from __future__ import annotations

from gateway.core import COMPILED, Core


def core_named(name: str) -> Core:
    """The core of that name: `compiled`, or `readable`, its twin in plain Python."""
    if name == "readable":
        from gateway.core.ref import READABLE  # slow to import, and only some runs ask for it

        return READABLE
    return COMPILED
