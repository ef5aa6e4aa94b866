"""Tick to wire: from the harness's write of a tick to its read of the protective order, with 100,000 stops resting.

Each tick lowers the bid by one step of the grid and fires exactly one stop. Afterwards the tail is explained from what
the gateway itself counted: its own tick-to-wire histogram, its loop's lag, its collections, its syncs.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns

from benchmarks.acknowledge import Side
from benchmarks.client import Pacer, Refused, echo_connection
from benchmarks.deployment import ASK, BID, SYMBOL, Deployment, Echo, mean_us
from benchmarks.figures import Figure, Outcome, Sample
from benchmarks.history import History
from benchmarks.quiet import at_rest, settle
from benchmarks.scale import Scale
from hotpath.fixed import from_e9, to_e9

PART = "tick to wire"
BAR_P50, BAR_P99 = 1.3, 1.8
STEP_E9 = 10_000_000
PATIENCE_S = 30.0
SLOW_US = 200  # past it a tick counts as tail
BOUNDS_S = ("0.0001", "0.0002", "0.0005", "0.001", "0.005", "0.01")


class Ticks:
    """Sends ticks that each fire one stop, and times the orders that come of them."""

    def __init__(self, gateway: Deployment) -> None:
        self.gateway = gateway
        self.bid_e9 = to_e9(BID)
        self.sent_ns: list[int] = []
        self.latencies_ns: list[int] = []
        self.due = 0
        self.is_closed_loop = True
        self.done: asyncio.Future[None]
        gateway.venue.on_new = self._on_new

    def frames(self, count: int) -> list[bytes]:
        """The next ticks, encoded."""
        made = []
        for _ in range(count):
            self.bid_e9 -= STEP_E9
            made.append(self.gateway.feed.quote(SYMBOL, from_e9(self.bid_e9), from_e9(self.bid_e9 + STEP_E9)))
        return made

    async def closed_loop(self, count: int) -> list[int]:
        """The next tick when the order of the last one is here."""
        self._begin(count, is_closed_loop=True)
        self._send(1)
        return await self._finish()

    async def paced(self, count: int, per_s: int) -> list[int]:
        """Ticks at a rate."""
        self._begin(count, is_closed_loop=False)
        pacer = Pacer(per_s, self._send)
        try:
            return await self._finish()
        finally:
            pacer.close()

    def _begin(self, count: int, *, is_closed_loop: bool) -> None:
        self._frames, self.due, self.is_closed_loop = self.frames(count), count, is_closed_loop
        self.sent_ns, self.latencies_ns = [], []
        self.done = asyncio.get_running_loop().create_future()

    async def _finish(self) -> list[int]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.done
        except TimeoutError:
            raise Refused(f"{len(self.latencies_ns)} of {self.due} stops fired") from None
        return self.latencies_ns

    def _send(self, count: int) -> None:
        for _ in range(min(count, self.due - len(self.sent_ns))):
            frame = self._frames[len(self.sent_ns)]
            self.sent_ns.append(perf_counter_ns())
            self.gateway.feed.send(frame)

    def _on_new(self, at_ns: int, count: int) -> None:
        for _ in range(count):
            self.latencies_ns.append(at_ns - self.sent_ns[len(self.latencies_ns)])
        if len(self.latencies_ns) == self.due:
            self.done.set_result(None)
        elif self.is_closed_loop:
            self._send(1)


def with_stops(gateway: Deployment, config: object, stops: int) -> None:
    """A journal with a long position and stops one step apart below the market, the highest first."""
    history = History(config, BID, ASK)  # type: ignore[arg-type]
    history.fill(1, qty="1000000")
    bid_e9 = to_e9(BID)
    history.rest(bid_e9 - at * STEP_E9 for at in range(1, stops + 1))
    history.close()


async def run(scale: Scale, outcome: Outcome) -> None:
    """Closed loop and paced, each tick beside its echo."""
    async with Echo() as echo:
        floor = Side(await echo_connection(echo.port), "e")
        gateway = Deployment(orders=max(65_536, 2 * scale.stops), open_orders=max(65_536, 2 * scale.stops))
        try:
            with_stops(gateway, await gateway.prepare(), scale.stops)
            await gateway.start()
            ticks = Ticks(gateway)
            await measure(scale, outcome, floor, ticks, gateway)
        finally:
            await gateway.close()


async def measure(scale: Scale, outcome: Outcome, floor: Side, ticks: Ticks, gateway: Deployment) -> None:
    """The rounds. The stops that fire are few against those that rest."""
    for name, per_s in (("closed loop", 0), ("1,000/s", 1_000)):
        theirs, ours = Sample(), Sample()
        before = await gateway.scrape()
        count = min(scale.ticks, scale.stops // (2 * scale.rounds + 4) // 2)
        for at in range(scale.rounds + 1):
            with at_rest():
                frames = floor.frames.take(scale.ticks)
                echoed = await (
                    floor.connection.paced(frames, per_s) if per_s else floor.connection.closed_loop(frames)
                )
            await settle(gateway.venue)
            with at_rest():
                fired = await (ticks.paced(count, per_s) if per_s else ticks.closed_loop(count))
            await settle(gateway.venue)
            if at or scale.rounds == 1:
                theirs.add(echoed)
                ours.add(fired)
        after = await gateway.scrape()
        outcome.figures += figures(name, ours, theirs, int(after["resting_stops"]))
        outcome.remarks.append(explain(name, ours, theirs, before, after))


def figures(name: str, ours: Sample, theirs: Sample, resting: int) -> list[Figure]:
    """Ratios with their bars."""
    note = (
        f"{ours.text()} / max {ours.worst_us():.0f} µs, echo {theirs.text()} / max {theirs.worst_us():.0f}; "
        f"quietest round {ours.quietest(theirs, 500):.2f} x; {resting:,} still rest"
    )
    return [
        Figure(PART, f"{name}, p50 to echo", ours.ratio(theirs, 500), "x", bar=BAR_P50, note=note),
        Figure(PART, f"{name}, p99 to echo", ours.ratio(theirs, 990), "x", bar=BAR_P99),
        Figure(PART, f"{name}, p99.9 to echo", ours.ratio(theirs, 999), "x"),
    ]


def explain(name: str, ours: Sample, theirs: Sample, before: dict[str, float], after: dict[str, float]) -> str:
    """Where the slow ones were: in the gateway's own interval from read to write, or around it."""

    def over(stage: str, bound: str) -> int:
        """How many values of a histogram passed the bound meanwhile."""

        def above(sample: dict[str, float]) -> float:
            return sample[f"{stage}_seconds_count"] - sample[f'{stage}_seconds_bucket{{le="{bound}"}}']

        return round(above(after) - above(before))

    bound = next((bound for bound in BOUNDS_S if float(bound) * 1e6 >= SLOW_US), BOUNDS_S[-1])
    values = [value for round_ in ours.rounds for value in round_]
    slow = sum(value > SLOW_US * 1_000 for value in values)
    echo_slow = sum(value > SLOW_US * 1_000 for round_ in theirs.rounds for value in round_)
    inside = over("tick_to_wire_latency", bound)
    mean = mean_us(before, after, "tick_to_wire_latency")
    collections = round(after["collection_seconds_count"] - before["collection_seconds_count"])
    commits = round(after["journal_commits"] - before["journal_commits"])
    around = "around that interval: the machine, or a loop still busy with the turn before"
    place = around if inside < slow / 2 else "inside that interval"
    return (
        f"tick to wire, {name}: {slow} of {len(values)} above {SLOW_US} µs from outside (echo: {echo_slow}); inside "
        f"the gateway, from read to write, {inside} (mean {mean:.1f} µs). Meanwhile: {collections} collections, "
        f"{over('loop_lag', '0.002')} times the loop's 10 ms timer was more than 2 ms late, "
        f"{over('journal_sync', '0.002')} of {commits} syncs above 2 ms. The tail lies {place}."
    )
