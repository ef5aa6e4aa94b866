"""A world of nothing but numbers, for the tests of the runner: what goes wrong in it is known by its seed."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping

from tests.sim.outcome import Outcome, Violation

BREAKS, RAISES, DIES, HANGS, DRIFTS = 13, 29, 41, 53, 67  # seeds
NEEDS = ("link.drop_report", "venue.bust")  # faults without which BREAKS holds
LEAST = 4  # and orders
DRAWN = {"link.drop_report": 0.2, "link.delay": 0.1, "venue.bust": 0.01, "feed.gap": 0.02}


def run(
    seed: int, *, plant: str = "", faults: Mapping[str, float | bool] | None = None, orders: int | None = None,
    core: str = "compiled",
) -> Outcome:  # fmt: skip
    """One run: 10 events and 1 s for each order."""
    on = DRAWN if faults is None else dict(faults)
    count = 30 if orders is None else orders
    outcome = Outcome(
        seed, "core", digest=f"{seed * 7919:x}", events=10 * count, sim_ns=count * 10**9, orders=count,
        injected=Counter(dict.fromkeys(on, 2)), reached=Counter({"none>accepted": count, "queued>sent": count}),
        options=dict(on), last=[f"{count} end of seed {seed}"],
    )  # fmt: skip
    if seed == BREAKS and all(on.get(name) for name in NEEDS) and count >= LEAST:
        outcome.violation = Violation("I4", "cum_qty is not the sum of fills", ["1 accepted", "2 trade"])
    if seed == RAISES:
        raise ZeroDivisionError("the world itself is wrong")
    if seed == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == HANGS:
        threading.Event().wait()
    if seed == DRIFTS and core == "readable":
        outcome.digest += "0"
    return outcome
