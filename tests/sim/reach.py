"""What runs should reach: every transition in the life of an order, every branch that the product marks.

A transition is named `PLACE>EVENT` after the row of the model's table (tests.property.order_model.TABLE) that the
order stood in and the event that came, `queued>sent`. A branch is whatever the product calls `reach("name")` with.
One that no seed reaches is a hole in the workload, and is listed.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.property.order_model import DONE_STATES, TABLE

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hotpath", "risk", "brokers", "recon", "gateway")
MARK = re.compile(r'\breach\(\s*b?"([^"]+)"')
# In the table because the life of an order allows it; nothing in the product does it yet.
NOT_YET = {
    "working>rejected": "a broker that refuses what it has called working",
    # What waits in line never left, or is certain not to have arrived: the broker's word about it is a broken horizon.
    "queued>new": "a broker that finds an order later than its horizon says",
    "queued>trade": "a broker that finds an order later than its horizon says",
    "queued>restated": "a broker that finds an order later than its horizon says",
}


def place(event: Mapping[str, Any]) -> str:
    """The row of the table that an order stands in after an event of its account's stream."""
    status = event["ord_status"]
    if status in DONE_STATES:
        return "done"
    if status == "pending_new":
        return str(event["stage"])
    return "held" if status == "held" else "working"


class Transitions:
    """Counts transitions over a stream of events; feed each event once, in the order of its account."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._places: dict[tuple[str, str], str] = {}

    def feed(self, event: Mapping[str, Any]) -> None:
        """One event; those that speak of no order count nothing."""
        if "cl_ord_id" not in event or "ord_status" not in event:
            return
        key = event["account"], event["cl_ord_id"]
        self.reached[f"{self._places.get(key, 'none')}>{event['t']}"] += 1
        self._places[key] = place(event)


@functools.cache
def transitions() -> tuple[str, ...]:
    """Every transition that a workload should reach."""
    named = [f"{row}>{event}" for row, events in TABLE.items() for event in sorted(events)]
    named += [f"{row}>restated" for row in TABLE]
    named += ["none>accepted", "working>trade_canceled", "done>trade_canceled"]
    return tuple(name for name in named if name not in NOT_YET)


@functools.cache
def branches() -> tuple[str, ...]:
    """Every branch that the product marks."""
    found: dict[str, None] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py*")):
            if path.suffix in (".py", ".pyx"):
                found |= dict.fromkeys(MARK.findall(path.read_text(encoding="utf-8")))
    return tuple(found)


def unseen(reached: Mapping[str, int], declared: Iterable[str]) -> list[str]:
    """Those of the declared that no run reached."""
    return [name for name in declared if not reached.get(name)]
