"""`python -m benchmarks [PART ...] [--quick] [--json FILE]`: the end-to-end harness; `peers` beside other engines.

Times are printed, never asserted: a slow machine fails nothing. A part that does not run makes the status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter_ns

import msgspec
import uvloop

from benchmarks import acknowledge, figures, micro, peers, restart, throughput, tick_to_wire
from benchmarks.deployment import CLIENT_CPU
from benchmarks.figures import Outcome
from benchmarks.scale import QUICK, Scale

Part = Callable[[Scale, Outcome], Awaitable[None]]
PARTS: dict[str, Part] = {
    "ack": acknowledge.run,
    "wire": tick_to_wire.run,
    "throughput": throughput.run,
    "micro": micro.run,
    "restart": restart.run,
    "peers": peers.run,
}
PRIORITY = -10
REALTIME_PRIORITY = 10
REALTIME = ("ack", "wire")  # parts that leave their core idle most of the time
DEFAULT = ("ack", "wire", "throughput", "micro", "restart")


def schedule(is_realtime: bool) -> None:
    """The class of client, echo and gateway: in the real-time one nothing else on the machine delays them."""
    kind = os.SCHED_RR if is_realtime else os.SCHED_OTHER
    os.sched_setscheduler(0, kind, os.sched_param(REALTIME_PRIORITY if is_realtime else 0))


async def run(names: list[str], scale: Scale, outcome: Outcome, is_realtime: bool) -> None:
    """One part after the other; one that breaks is told and does not keep the others from running."""
    for name in names:
        begin = perf_counter_ns()
        try:
            if is_realtime:
                schedule(name in REALTIME)
            await PARTS[name](scale, outcome)
        except Exception as error:  # noqa: BLE001  # whatever a part fails with is its result
            traceback.print_exc()
            outcome.failed.append(f"{name}: {type(error).__name__}: {error}")
        print(f"{name}: {(perf_counter_ns() - begin) / 1e9:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows only that everything works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison")
    parser.add_argument(
        "--realtime", action="store_true", help="on a shared machine, as root: let nothing else in between"
    )
    asked = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CPU})
    with contextlib.suppress(PermissionError):  # client, echo and gateway alike: what else runs here waits
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    scale = QUICK if asked.quick else Scale()
    if asked.rounds:
        scale = msgspec.structs.replace(scale, rounds=asked.rounds)
    outcome = Outcome(machine=figures.machine())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(asked.parts or list(DEFAULT), scale, outcome, asked.realtime))
    outcome.machine["realtime"] = asked.realtime
    outcome.machine["load_after"] = [round(load, 2) for load in os.getloadavg()]
    figures.show(outcome)
    if asked.json:
        verdicts = [{**msgspec.to_builtins(figure), "verdict": figure.verdict} for figure in outcome.figures]
        asked.json.write_bytes(
            msgspec.json.format(msgspec.json.encode({**msgspec.to_builtins(outcome), "figures": verdicts}))
        )
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
