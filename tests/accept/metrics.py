"""5.1: the metrics show what happened, stage by stage, and asking for them disturbs nothing."""

import time
from collections import Counter
from pathlib import Path

import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from backstay import Refused, Stop
from gateway.demo.deployment import OPS_KEYS, Deployment, Plan
from gateway.demo.figures import readable, spread
from tests.accept.clients import client, rest
from tests.accept.scenario import Measure, Scenario

ACCOUNT = "M1"
RESTING, FILLED, CANCELED, REFUSED, STOPS = 7, 5, 4, 3, 2
SCRAPES = 200
SCRAPE_NS = 50_000_000
STAGES = ("ack", "check", "decide", "durable", "tick", "tick_to_wire", "trigger", "venue_ack")
WANTED = (
    "backstay_up", "backstay_orders", "backstay_resting_stops", "backstay_stops_fired", "backstay_open_orders",
    "backstay_in_doubt_orders", "backstay_illegal_transitions", "backstay_feed_up", "backstay_feed_age_seconds",
    "backstay_feed_frames", "backstay_feed_faults", "backstay_link_up", "backstay_sessions", "backstay_queue_depth",
    "backstay_loop_lag_seconds", "backstay_journal_queue_bytes", "backstay_journal_last_seq",
    "backstay_journal_durable_seq", "backstay_journal_sync_seconds", "backstay_journal_commits",
    *(f"backstay_{stage}_latency_seconds" for stage in STAGES),
)  # fmt: skip


class Page:
    """One scrape, looked up by name and labels."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, name: str, **labels: str) -> int:
        """Sum of the samples of this name with these labels."""
        samples = [sample for family in self.families.values() for sample in family.samples if sample.name == name]
        return int(sum(s.value for s in samples if labels.items() <= s.labels.items()))


async def trade(deployment: Deployment) -> None:
    """A known number of orders of each outcome."""
    async with client(deployment, ACCOUNT) as gateway:
        for _ in range(FILLED):
            await (await gateway.buy("BTCUSDT", "0.1")).done(timeout=20)
        for _ in range(RESTING + CANCELED):
            order = await gateway.buy("BTCUSDT", "0.01", px="59500", tif="gtc")
            await order.working(timeout=20)
        for name in [name for name, order in gateway.orders.items() if order.ord_status == "new"][:CANCELED]:
            await gateway.order(name).cancel()
            await gateway.order(name).done(timeout=20)
        for _ in range(REFUSED):
            try:
                await gateway.buy("BTCUSDT", "0.1", px="90000")
            except Refused:
                continue
        for px in ("50000", "60500"):
            await gateway.sell("BTCUSDT", "0.1", trigger=Stop(px, source="bid"), reduce_only=True, tif="gtc")
        fired = [order for order in gateway.orders.values() if order.ord_status == "held"]
        async with deployment.control() as control:
            await control.quote("BTCUSDT", "60400", "60401")
        await gateway.order(fired[-1].cl_ord_id).done(timeout=20)


async def scrape(deployment: Deployment, times: int) -> tuple[Page, list[int], str]:
    """The last page, how long each took, and its content type asked for as OpenMetrics."""
    took = []
    async with rest(deployment, OPS_KEYS[0]) as api:
        for _ in range(times):
            began = time.perf_counter_ns()
            text = await api.text("/metrics")
            took.append(time.perf_counter_ns() - began)
        await api.text("/metrics", accept="application/openmetrics-text; version=1.0.0")
        return Page(text), took, api.content_type


async def run(folder: Path) -> list[Measure]:
    """Trade a known number of orders of each kind, then compare what the page says."""
    async with Deployment(folder, Plan(accounts=[ACCOUNT])) as deployment:
        await deployment.settled()
        await trade(deployment)
        page, took, open_type = await scrape(deployment, SCRAPES)
    due = {
        ("backstay_orders_total", "accepted"): FILLED + RESTING + CANCELED + STOPS,
        ("backstay_orders_total", "filled"): FILLED + 1,
        ("backstay_orders_total", "canceled"): CANCELED,
        ("backstay_orders_total", "refused"): REFUSED,
    }
    told = {key: page.value(key[0], outcome=key[1]) for key in due}
    due |= {("backstay_resting_stops", ""): 1, ("backstay_stops_fired_total", ""): 1}
    due |= {("backstay_open_orders", ""): RESTING + 1, ("backstay_in_doubt_orders", ""): 0}
    told |= {key: page.value(key[0]) for key in due if not key[1]}
    wrong = {f"{name} {label}".strip(): f"{told[name, label]}, not {count}" for (name, label), count in due.items()
             if told[name, label] != count}  # fmt: skip
    missing = [name for name in WANTED if name not in page.families]
    empty = [stage for stage in STAGES if not page.value(f"backstay_{stage}_latency_seconds_count")]
    lag = page.value("backstay_journal_last_seq") - page.value("backstay_journal_durable_seq")
    duration = spread(took)
    return [
        Measure("families on the page", f"{len(WANTED) - len(missing)} of {len(WANTED)}", "all", not missing,
                {"missing": missing}),
        Measure("counts against what was done", f"{len(wrong)} of {len(due)} differ", "none", not wrong,
                {"differ": wrong, "told": dict(Counter({f"{k[0]} {k[1]}".strip(): v for k, v in told.items()}))}),
        Measure("stage histograms filled", f"{len(STAGES) - len(empty)} of {len(STAGES)}", "all", not empty),
        Measure("records waiting for the disk at rest", str(lag), "0", lag == 0),
        Measure("OpenMetrics when asked for", open_type.partition(";")[0], "application/openmetrics-text",
                open_type.startswith("application/openmetrics-text")),
        Measure(f"one scrape, of {SCRAPES}", duration.text(), f"p99 {readable(SCRAPE_NS)}",
                0 < duration.p99_ns <= SCRAPE_NS, {"spread": msgspec.to_builtins(duration)}),
    ]  # fmt: skip


SCENARIO = Scenario("5.1", "metrics", run)
