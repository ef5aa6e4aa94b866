"""What `/metrics` says: native histograms and engine counters in Prometheus' text format, read when somebody asks.

Nothing is counted here. The owners keep integers and native histograms; a scrape calls `read` once, on the loop thread,
and renders what it returned. So a scrape costs the order path nothing between scrapes, and no float is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

NS = 1e9

# A stage is measured from one point of the path to another; the gateway may add stages, these are the known ones.
STAGES = {
    "ack": "order frame read to its acknowledgement handed to the kernel, wait for the disk included",
    "check": "the core's decision on one order: parsed, checked, applied",
    "decide": "order frame read to its outcome decided ",
    "durable": "order decided to its records synced on disk",
    "tick": "market-data frame read to applied, triggers looked at",
    "tick_to_wire": "market-data frame read to the protective order's bytes handed to the kernel",
    "trigger": "market-data frame read to a stop's release decided",
    "venue_ack": "order bytes handed to the kernel to the broker's first word on it",
}


class Distribution(Protocol):
    """hotpath.hist.Histogram, as far as a scrape needs it. `buckets` counts values at or below each bound."""

    @property
    def count(self) -> int: ...

    @property
    def sum_ns(self) -> int: ...

    def buckets(self, bounds_ns: Sequence[int]) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReading:
    """One feed. `age_ns` is the time since its last sound frame, None when there was none yet."""

    is_up: bool
    age_ns: int | None
    frames: int
    is_stale: bool = False
    lag_ns: int = 0  # of the last frame behind the venue's own time, by the clocks as they are; 0: it says none
    leads: int = 0  # instruments whose data in force is its
    faults: Mapping[str, int] = field(default_factory=dict)  # malformed, crossed, backward, gap, unknown_symbol, ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalReading:
    """The journal's writer. `is_failed` means protect-only: nothing new is admitted until a restart."""

    queue_bytes: int
    last_seq: int
    durable_seq: int
    commits: int
    written_bytes: int
    commit_gap_ns: int
    is_failed: bool
    sync: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """All that a scrape shows, taken at one moment on the loop thread."""

    version: str
    mode: str
    shard: int
    stages: Mapping[str, Distribution]
    orders: Mapping[tuple[str, str], int]  # (outcome, reason): accepted, refused, filled, canceled, expired, rejected
    resting_stops: int
    stops_fired: int
    open_orders: int
    in_doubt: int
    illegal_transitions: int
    feeds: Mapping[str, FeedReading]
    links: Mapping[str, bool]
    journal: JournalReading
    sessions: Mapping[str, int]  # state: authenticated, waiting
    queues: Mapping[str, int]  # name: entries waiting
    lines: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # (broker, rank): orders, oldest ns
    over_rate: Mapping[str, int] = field(default_factory=dict)  # broker: messages that it refused for their rate
    blind_instruments: int = 0  # with stops that nobody can judge now
    unpriced_instruments: int = 0  # without a fresh reference price: market orders are refused
    unguarded_ns: int = 0
    halts: Mapping[str, int] = field(default_factory=dict)  # scope: kill switches in force
    loop_lag: Distribution | None = None
    collection: Distribution | None = None  # explicit garbage collections at idle


class Metrics(Collector):
    """Renders Readings. `bounds_us` are the upper bounds of all latency buckets, rising."""

    def __init__(self, read: Callable[[], Readings], *, bounds_us: Sequence[int]) -> None:
        self._read = read
        self._bounds_ns = [bound * 1_000 for bound in bounds_us]
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(self)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type for the scraper's Accept header: OpenMetrics if asked for, else the text format."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> list[Metric]:
        return []  # registering must not read: the engine may not run yet

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield GaugeMetricFamily("backstay_up", "The loop answers.", value=1)
        yield _labelled(
            GaugeMetricFamily("backstay_build", "What runs.", labels=["version", "mode", "shard"]),
            [((now.version, now.mode, str(now.shard)), 1)],
        )
        yield from self._latencies(now)
        yield from _orders(now)
        yield from _market(now)
        yield from _egress(now)
        yield from self._journal(now.journal)
        yield from _clients(now)

    def _latencies(self, now: Readings) -> Iterator[Metric]:
        for stage, histogram in now.stages.items():
            text = STAGES.get(stage, f"stage {stage}")
            yield self._histogram(f"backstay_{stage}_latency_seconds", text[0].upper() + text[1:] + ".", histogram)
        if now.loop_lag is not None:
            yield self._histogram("backstay_loop_lag_seconds", "How late the loop's own timer was.", now.loop_lag)
        if now.collection is not None:
            yield self._histogram("backstay_collection_seconds", "Garbage collections at idle.", now.collection)

    def _histogram(self, name: str, text: str, histogram: Distribution) -> Metric:
        counts = histogram.buckets(self._bounds_ns)
        buckets = [(_bound(bound), float(count)) for bound, count in zip(self._bounds_ns, counts, strict=True)]
        buckets.append(("+Inf", float(histogram.count)))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum_ns / NS)

    def _journal(self, journal: JournalReading) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "backstay_journal_queue_bytes", "Bytes handed to the writer, not yet synced.", value=journal.queue_bytes
        )
        yield GaugeMetricFamily("backstay_journal_last_seq", "Sequence of the last record.", value=journal.last_seq)
        yield GaugeMetricFamily("backstay_journal_durable_seq", "Last sequence on disk.", value=journal.durable_seq)
        yield GaugeMetricFamily(
            "backstay_journal_commit_gap_seconds", "Pause that the writer keeps now.", value=journal.commit_gap_ns / NS
        )
        yield GaugeMetricFamily(
            "backstay_journal_failed", "1: protect-only, nothing new is admitted.", value=int(journal.is_failed)
        )
        yield CounterMetricFamily("backstay_journal_commits", "Group commits.", value=journal.commits)
        yield CounterMetricFamily("backstay_journal_written_bytes", "Bytes of records.", value=journal.written_bytes)
        if journal.sync is not None:
            yield self._histogram("backstay_journal_sync_seconds", "One fdatasync.", journal.sync)


def _orders(now: Readings) -> Iterator[Metric]:
    yield _labelled(
        CounterMetricFamily("backstay_orders", "Orders by outcome and reason.", labels=["outcome", "reason"]),
        now.orders.items(),
    )
    yield GaugeMetricFamily("backstay_resting_stops", "Stops armed in the index.", value=now.resting_stops)
    yield CounterMetricFamily("backstay_stops_fired", "Stops that fired.", value=now.stops_fired)
    yield GaugeMetricFamily("backstay_open_orders", "Orders that are not done.", value=now.open_orders)
    yield GaugeMetricFamily("backstay_in_doubt_orders", "Orders sent, outcome not known.", value=now.in_doubt)
    yield CounterMetricFamily(
        "backstay_illegal_transitions", "Broker reports that the state table forbids.", value=now.illegal_transitions
    )
    yield _labelled(
        GaugeMetricFamily("backstay_halts", "Kill switches in force.", labels=["scope"]),
        [((scope,), count) for scope, count in now.halts.items()],
    )


def _market(now: Readings) -> Iterator[Metric]:
    up = GaugeMetricFamily("backstay_feed_up", "1: connected and not silent.", labels=["feed"])
    age = GaugeMetricFamily("backstay_feed_age_seconds", "Since the last sound frame; Inf: none yet.", labels=["feed"])
    frames = CounterMetricFamily("backstay_feed_frames", "Frames received.", labels=["feed"])
    faults = CounterMetricFamily("backstay_feed_faults", "Frames that fired nothing.", labels=["feed", "kind"])
    stale = GaugeMetricFamily("backstay_feed_stale", "1: connected and silent beyond its limit.", labels=["feed"])
    lag = GaugeMetricFamily("backstay_feed_lag_seconds", "Venue's time to receipt, last frame.", labels=["feed"])
    leads = GaugeMetricFamily("backstay_feed_leads", "Instruments whose data in force is the feed's.", labels=["feed"])
    for name, feed in now.feeds.items():
        stale.add_metric([name], int(feed.is_stale))
        lag.add_metric([name], feed.lag_ns / NS)
        leads.add_metric([name], feed.leads)
        up.add_metric([name], int(feed.is_up))
        age.add_metric([name], float("inf") if feed.age_ns is None else feed.age_ns / NS)
        frames.add_metric([name], feed.frames)
        for kind, count in feed.faults.items():
            faults.add_metric([name, kind], count)
    yield from (up, stale, age, lag, leads, frames, faults)
    yield GaugeMetricFamily(
        "backstay_blind_instruments", "Instruments with resting stops and data beyond its limit.",
        value=now.blind_instruments,
    )  # fmt: skip
    yield GaugeMetricFamily(
        "backstay_unpriced_instruments", "Instruments without a fresh reference price: no market order is taken.",
        value=now.unpriced_instruments,
    )  # fmt: skip
    yield CounterMetricFamily(
        "backstay_unguarded_seconds", "Time in which resting stops were not watched, all instruments together.",
        value=now.unguarded_ns / NS,
    )  # fmt: skip
    yield _labelled(
        GaugeMetricFamily("backstay_link_up", "1: the broker link is logged in.", labels=["broker"]),
        [((broker,), int(is_up)) for broker, is_up in now.links.items()],
    )


def _egress(now: Readings) -> Iterator[Metric]:
    depth = GaugeMetricFamily("backstay_egress_depth", "Orders in line to the broker.", labels=["broker", "rank"])
    oldest = GaugeMetricFamily(
        "backstay_egress_oldest_seconds", "How long the oldest of them has waited.", labels=["broker", "rank"]
    )
    for labels, (count, age_ns) in now.lines.items():
        depth.add_metric(labels, count)
        oldest.add_metric(labels, age_ns / NS)
    yield from (depth, oldest)
    yield _labelled(
        CounterMetricFamily("backstay_egress_refused", "Messages refused for their rate.", labels=["broker"]),
        [((broker,), count) for broker, count in now.over_rate.items()],
    )


def _clients(now: Readings) -> Iterator[Metric]:
    yield _labelled(
        GaugeMetricFamily("backstay_sessions", "Connections of the order API by state.", labels=["state"]),
        [((state,), count) for state, count in now.sessions.items()],
    )
    yield _labelled(
        GaugeMetricFamily("backstay_queue_depth", "Entries waiting in a bounded queue.", labels=["queue"]),
        [((queue,), count) for queue, count in now.queues.items()],
    )


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    for labels, value in values:
        family.add_metric(list(labels), value)
    return family


def _bound(bound_ns: int) -> str:
    """A bucket's `le` in seconds, the shortest exact decimal."""
    return repr(bound_ns / NS)
