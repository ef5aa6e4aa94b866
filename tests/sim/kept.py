"""Seeds that are worth keeping, from seeds.txt: those that once failed, each under a name; they are always run.

A line is `NAME TIER SEED [FAULT=VALUE ... | no-faults] [orders=N]  # why`; without faults, those that the seed draws.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.sim.tally import FaultList

SEEDS = Path(__file__).with_name("seeds.txt")
TIERS = ("core", "loop")
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


class BadInput(Exception):
    """What was asked for does not exist or cannot be: a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One line of the file."""

    name: str
    tier: str
    seed: int
    faults: FaultList
    orders: int | None
    why: str


def parse_value(text: str) -> float | bool:
    """`on`, `off`, or a rate."""
    if text in ("on", "off"):
        return text == "on"
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{text!r} is no strength of a fault: on, off or a number") from None


def parse_fault(text: str) -> tuple[str, float | bool]:
    """`name=value`."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise BadInput(f"{text!r} is no fault: NAME=VALUE with VALUE on, off or a number")
    return name, parse_value(value)


def parse_line(line: str) -> Kept:
    """One line that is not empty and no comment."""
    words, _, why = line.partition("#")
    parts = words.split()
    if len(parts) < 3 or not NAME.fullmatch(parts[0]) or parts[1] not in TIERS or not parts[2].isdecimal():
        raise BadInput("a kept seed is NAME TIER SEED [FAULT=VALUE ...] [orders=N]  # why")
    if not why.strip():
        raise BadInput(f"{parts[0]} does not say why it is kept: end the line with # and a reason")
    faults: FaultList = None
    orders = None
    for part in parts[3:]:
        if part == "no-faults":
            faults = ()
        elif part.startswith("orders="):
            if not part[7:].isdecimal():
                raise BadInput(f"{part!r} is no number of orders")
            orders = int(part[7:])
        else:
            faults = (*(faults or ()), parse_fault(part))
    return Kept(parts[0], parts[1], int(parts[2]), faults, orders, why.strip())


def read(path: Path = SEEDS) -> dict[str, Kept]:
    """All of the file, by name."""
    if not path.is_file():
        raise BadInput(f"there is no file of kept seeds at {path}")
    found: dict[str, Kept] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            kept = parse_line(line)
        except BadInput as error:
            raise BadInput(f"{path.name} line {number}: {error}") from None
        if kept.name in found:
            raise BadInput(f"{path.name} line {number}: the name {kept.name} is taken")
        found[kept.name] = kept
    return found


def named(name: str, path: Path = SEEDS) -> Kept:
    """One by name."""
    found = read(path)
    if name not in found:
        there = ", ".join(found) or "none yet"
        raise BadInput(f"{path.name} keeps no seed called {name!r}; there are: {there}")
    return found[name]
