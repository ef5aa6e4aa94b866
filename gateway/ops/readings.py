"""What a scrape of `/metrics` sees: one moment of the gateway, read on the loop thread."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gateway.halts import SCOPE_NAMES
from gateway.metrics import Distribution, FeedReading, JournalReading, Readings
from hotpath.enums import OrdStatus, Reason
from hotpath.records import Kind

if TYPE_CHECKING:
    from gateway.app import Gateway

OUTCOMES = {
    OrdStatus.FILLED: "filled",
    OrdStatus.CANCELED: "canceled",
    OrdStatus.EXPIRED: "expired",
    OrdStatus.REJECTED: "rejected",
}
SOUND = ("quotes", "trades")  # what a table counts that is no fault


def take(gateway: Gateway, version: str) -> Readings:
    """All that is measured and counted, as it stands."""
    engine, stream, state = gateway.shard.engine, gateway.shard.stream, gateway.shard.state
    counts = engine.views.counts()
    return Readings(
        version=version,
        mode=gateway.config.gateway.mode,
        shard=gateway.config.gateway.shard,
        stages=stages(gateway),
        orders=_orders(gateway, counts),
        resting_stops=state.stops.armed,
        stops_fired=counts.get(Kind.TRIGGERED, 0),
        open_orders=state.orders.open_count,
        in_doubt=engine.views.in_doubt(),
        illegal_transitions=counts.get(Kind.BROKER_ANOMALY, 0) + counts.get(Kind.BROKEN_EARLY, 0),
        feeds=_feeds(gateway),
        links={name: link.state == "up" for name, link in stream.links().items()},
        journal=_journal(gateway),
        sessions={"authenticated": len(stream.sessions), "waiting": len(stream.waiting)},
        queues={
            "router": engine.router.waiting,
            "fanout": engine.fanout.depth(),
            "effects": state.effect_count(),
            "expiries": len(engine.expiries),
        },
        lines={("sim", rank): line for rank, line in engine.router.egress.depths().items()},
        over_rate={"sim": engine.router.egress.refusals},
        blind_instruments=len(engine.guard.blind),
        unpriced_instruments=_unpriced(gateway),
        unguarded_ns=engine.guard.unguarded_ns,
        halts=Counter(SCOPE_NAMES[halt.scope] for halt in state.halts.active()),
        loop_lag=gateway.loop_lag,
        collection=gateway.collection,
    )


def stages(gateway: Gateway) -> dict[str, Distribution]:
    """The latency of each stage that an order or a tick goes through."""
    return {"ack": gateway.shard.engine.fanout.ack, **vars(gateway.shard.engine.stages)}


def _orders(gateway: Gateway, counts: dict[int, int]) -> dict[tuple[str, str], int]:
    found = {("accepted", ""): counts.get(Kind.ACCEPTED, 0)}
    for code, count in gateway.shard.stream.refusals.items():
        found["refused", code] = count
    for (status, reason), count in gateway.shard.engine.views.done().items():
        outcome = OUTCOMES[OrdStatus(status)]
        label = "" if reason == Reason.REASON_NONE else Reason(reason).name.lower()
        found[outcome, label] = found.get((outcome, label), 0) + count
    return found


def _journal(gateway: Gateway) -> JournalReading:
    journal = gateway.shard.journal
    stats = journal.stats()
    return JournalReading(
        queue_bytes=stats.queue_bytes,
        last_seq=gateway.shard.state.seq,
        durable_seq=journal.durable_seq,
        commits=stats.commits,
        written_bytes=stats.bytes,
        commit_gap_ns=stats.gap_ns,
        is_failed=not gateway.shard.engine.is_admitting,
        sync=stats.sync,
    )


def _feeds(gateway: Gateway) -> dict[str, FeedReading]:
    now = gateway.clock.mono_ns()
    found: dict[str, FeedReading] = {}
    leads = Counter(gateway.shard.state.quotes.leaders())
    for number, (options, feed) in enumerate(zip(gateway.config.feeds, gateway.feeds, strict=True)):
        health = feed.health
        found[options.name] = FeedReading(
            is_up=health.is_up,
            is_stale=gateway.shard.feeds.states[number] == "stale",
            age_ns=health.age_ns(now),
            lag_ns=gateway.shard.engine.watch.frame_lag_ns(number),
            leads=leads[number],
            frames=health.frames,
            faults=_faults(gateway, number, health.ignored_frames),
        )
    return found


def _unpriced(gateway: Gateway) -> int:
    quotes, now = gateway.shard.state.quotes, gateway.clock.mono_ns()
    return sum(quotes.reference(row, now) == 0 for row in range(quotes.count))


def _faults(gateway: Gateway, number: int, ignored: int) -> dict[str, int]:
    quotes = gateway.shard.state.quotes
    total: Counter[str] = Counter(malformed=gateway.shard.engine.watch.malformed_of(number), ignored=ignored)
    for row in range(quotes.count):
        total.update({kind: count for kind, count in quotes.counters_of(row, number).items() if kind not in SOUND})
    return dict(total)
