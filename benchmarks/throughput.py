"""Pipelined orders over 16 connections: accepted, journalled, sent and acknowledged, against the echo server's pace."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter_ns

from benchmarks.acknowledge import Side
from benchmarks.client import Refused, echo_connection
from benchmarks.deployment import Deployment, Echo, cpu_ns, mean_us
from benchmarks.figures import Figure, Outcome
from benchmarks.quiet import at_rest, settle
from benchmarks.scale import Scale

PART = "throughput"
BAR = 0.4
PATIENCE_S = 60.0


async def run(scale: Scale, outcome: Outcome) -> None:
    """Each window: plain echo, joined echo and gateway in turn."""
    async with Echo() as echo, Deployment() as gateway:
        count = range(scale.connections)
        plain = [Side(await echo_connection(echo.port), f"p{at}") for at in count]
        joined = [Side(await echo_connection(echo.port, "/joined"), f"j{at}") for at in count]
        sides = [Side(await gateway.connect(f"c{at}"), f"c{at}") for at in count]
        for window in scale.windows:
            await measure(scale, outcome, window, plain, joined, sides, gateway)


async def measure(
    scale: Scale, outcome: Outcome, window: int, plain: Sequence[Side], joined: Sequence[Side], sides: Sequence[Side],
    gateway: Deployment,
) -> None:  # fmt: skip
    """One window."""
    floor, together, ours, loop_us, threads_us = [], [], [], [], []
    before = await gateway.scrape()
    for _ in range(scale.rounds):
        floor.append(await pace(plain, scale.pipelined, window))
        together.append(await pace(joined, scale.pipelined, window))
        spent = cpu_ns(gateway.pid)
        ours.append(await pace(sides, scale.pipelined, window, gateway))
        now = cpu_ns(gateway.pid)
        loop_us.append((now["loop"] - spent["loop"]) / scale.pipelined / 1_000)
        threads_us.append((now["threads"] - spent["threads"]) / scale.pipelined / 1_000)
        await settle(gateway.venue)
    after = await gateway.scrape()
    ratio = median(mine / theirs for mine, theirs in zip(ours, floor, strict=True))
    name = f"{len(sides)} x {window} in flight"
    note = f"{median(ours):,.0f} orders/s; echo {median(floor):,.0f}/s, joined answers {median(together):,.0f}/s"
    decide_us = mean_us(before, after, "decide_latency")
    outcome.figures += [
        Figure(PART, f"{name}, to echo", ratio, "x", bar=BAR, at_least=True, note=note),
        Figure(
            PART, f"{name}, CPU an order", median(loop_us), "µs",
            note=f"loop; journal threads {median(threads_us):.1f} µs; decide {decide_us:.1f} µs",
        ),
    ]  # fmt: skip


async def pace(sides: Sequence[Side], count: int, window: int, gateway: Deployment | None = None) -> float:
    """Messages a second over all connections; with a gateway, until its venue has them too."""
    each = count // len(sides)
    work = [(side.connection, side.frames.take(each)) for side in sides]
    sent = asyncio.Event()
    if gateway is not None:
        due = gateway.venue.orders + each * len(sides)
        gateway.venue.on_new = lambda at_ns, more: sent.set() if gateway.venue.orders >= due else None
    with at_rest():
        begin = perf_counter_ns()
        await asyncio.gather(*(connection.closed_loop(frames, window) for connection, frames in work))
        if gateway is not None:
            try:
                await asyncio.wait_for(sent.wait(), PATIENCE_S)
            except TimeoutError:
                raise Refused(f"the venue has {gateway.venue.orders} of {due} orders") from None
        took = perf_counter_ns() - begin
    return each * len(sides) * 1e9 / took
