"""Restart with a long journal: from the start of the process to its ready line, by replay and from a snapshot."""

from __future__ import annotations

from time import perf_counter_ns

from benchmarks.deployment import ASK, BID, Deployment
from benchmarks.figures import Figure, Outcome
from benchmarks.history import History
from benchmarks.scale import Scale
from hotpath.fixed import to_e9

PART = "restart"
BAR_S = 10.0
STEP_E9 = 10_000_000


async def run(scale: Scale, outcome: Outcome) -> None:
    """First by replay alone; its orderly end leaves the snapshot that the second start reads."""
    gateway = Deployment(orders=scale.journalled + 65_536, open_orders=scale.resting + 65_536)
    try:
        config = await gateway.prepare()
        begin = perf_counter_ns()
        history = History(config, BID, ASK)
        filled = scale.journalled - scale.resting
        history.fill(filled)
        bid_e9 = to_e9(BID)
        history.rest(bid_e9 - (at % 100_000 + 1) * STEP_E9 for at in range(scale.resting))
        seq = history.close()
        outcome.remarks.append(
            f"restart: journal of {seq:,} records made in {(perf_counter_ns() - begin) / 1e9:.1f} s by the core alone"
        )
        for name in ("replay of the whole journal", "from a snapshot"):
            await gateway.start()
            counts = await gateway.scrape()
            if counts["resting_stops"] != scale.resting:
                raise ValueError(f"{counts['resting_stops']:.0f} stops rest, {scale.resting} were journalled")
            note = (
                f"{scale.journalled:,} orders, {scale.resting:,} resting; {gateway.ready['replayed']:,} records "
                f"replayed; {gateway.ready['boot_ms'] / 1000:.1f} s of it recovery and replay"
            )
            outcome.figures.append(Figure(PART, name, gateway.ready_s, "s", bar=BAR_S, note=note))
            begin = perf_counter_ns()
            await gateway.stop()
            outcome.remarks.append(
                f"restart: orderly end with its snapshot in {(perf_counter_ns() - begin) / 1e9:.1f} s"
            )
    finally:
        await gateway.close()
