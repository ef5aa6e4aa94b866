"""The metrics page: names, labels and units, read from the owners at the moment of the scrape."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import FeedReading, JournalReading, Metrics, Readings


@dataclass
class FakeHistogram:
    """Values kept as they are: what hotpath.hist.Histogram answers, without its bucket error."""

    values_ns: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.values_ns)

    @property
    def sum_ns(self) -> int:
        return sum(self.values_ns)

    def buckets(self, bounds_ns: Sequence[int]) -> list[int]:
        return [sum(value <= bound for value in self.values_ns) for bound in bounds_ns]


ACK = FakeHistogram([4_000, 10_000, 3_000_000_000])
READINGS = Readings(
    version="0.1.0",
    mode="paper",
    shard=3,
    stages={"ack": ACK, "new_stage": FakeHistogram()},
    orders={("accepted", ""): 7, ("refused", "RC_MAX_QTY"): 2},
    resting_stops=100_000,
    stops_fired=4,
    open_orders=5,
    in_doubt=1,
    illegal_transitions=6,
    feeds={
        "sim": FeedReading(is_up=True, age_ns=1_500_000_000, frames=9, faults={"malformed": 3}),
        "b": FeedReading(is_up=False, age_ns=None, frames=0),
    },
    links={"sim": True},
    journal=JournalReading(
        queue_bytes=512,
        last_seq=90,
        durable_seq=80,
        commits=11,
        written_bytes=4_096,
        commit_gap_ns=400_000,
        is_failed=False,
        sync=FakeHistogram([100_000]),
    ),
    sessions={"authenticated": 2, "waiting": 1},
    queues={"router": 8},
    lines={("sim", "exits"): (3, 250_000_000), ("sim", "entries"): (0, 0)},
    over_rate={"sim": 2},
    unpriced_instruments=12,
    loop_lag=FakeHistogram([1_000]),
)


def samples(readings: Readings) -> dict[tuple[str, tuple[str, ...]], float]:
    body, content_type = Metrics(lambda: readings, bounds_us=[5, 10, 1_000_000]).render()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_latency_is_a_histogram_in_seconds() -> None:
    found = samples(READINGS)
    buckets = [found["backstay_ack_latency_seconds_bucket", (le,)] for le in ("5e-06", "1e-05", "1.0", "+Inf")]
    assert buckets == [1, 2, 2, 3]
    assert found["backstay_ack_latency_seconds_count", ()] == 3
    assert found["backstay_ack_latency_seconds_sum", ()] == 3.000014
    assert found["backstay_new_stage_latency_seconds_count", ()] == 0
    assert found["backstay_journal_sync_seconds_count", ()] == 1
    assert found["backstay_loop_lag_seconds_count", ()] == 1


def test_counts_carry_their_labels() -> None:
    found = samples(READINGS)
    assert found["backstay_orders_total", ("refused", "RC_MAX_QTY")] == 2
    assert found["backstay_feed_faults_total", ("sim", "malformed")] == 3
    assert found["backstay_sessions", ("waiting",)] == 1
    assert found["backstay_queue_depth", ("router",)] == 8
    assert found["backstay_build", ("paper", "3", "0.1.0")] == 1
    assert found["backstay_resting_stops", ()] == 100_000
    assert found["backstay_unpriced_instruments", ()] == 12


def test_feed_that_never_spoke_is_infinitely_old() -> None:
    found = samples(READINGS)
    assert found["backstay_feed_age_seconds", ("sim",)] == 1.5
    assert found["backstay_feed_age_seconds", ("b",)] == float("inf")


def test_each_scrape_reads_anew_and_registering_reads_nothing() -> None:
    reads: list[Readings] = []

    def read() -> Readings:
        reads.append(replace(READINGS, open_orders=len(reads)))
        return reads[-1]

    metrics = Metrics(read, bounds_us=[1])
    assert reads == []
    assert b"backstay_open_orders 0.0" in metrics.render()[0]
    assert b"backstay_open_orders 1.0" in metrics.render()[0]
    assert len(reads) == 2


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    body, content_type = Metrics(lambda: READINGS, bounds_us=[1]).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
