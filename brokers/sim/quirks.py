"""What a broker does to a clean stream of reports: seeded switches, all off by default."""

from __future__ import annotations

from random import Random

import msgspec

from brokers.sim import messages as m

MILLION = 1_000_000


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Probabilities in parts per million (`_ppm`), times in nanoseconds."""

    latency_ns: int = 0  # every report
    latency_jitter_ns: int = 0  # 0 to this on top; order is kept
    partial_ppm: int = 0  # a fill takes only part of what it could
    reject_ppm: int = 0  # a sound order is refused
    swallow_ppm: int = 0  # a message vanishes before it is taken
    lost_answer_ppm: int = 0  # the order is taken, its ack or reject never sent
    lost_ppm: int = 0  # any report is never sent
    duplicate_ppm: int = 0  # a report is sent again, later
    delay_ppm: int = 0  # a report is late by up to delay_ns_max, others overtake it
    delay_ns_max: int = 20_000_000
    fill_first_ppm: int = 0  # the first fill comes before the ack
    disconnect_ppm: int = 0  # the link is reset after a message was taken, before its answer
    stale_query_ppm: int = 0  # a query does not find an order that is there
    unknown_word_ppm: int = 0  # a message of a kind that nobody documented precedes a report
    is_depth_unlimited: bool = False  # the touch has room for any size
    rate_per_s: int = 0  # messages of a key: orders, cancels, replaces, queries; more are refused. 0: any number
    rate_burst: int = 1  # how many of them at once after a rest
    taker_fee_ppm: int = 0
    maker_fee_ppm: int = 0


class Drop(msgspec.Struct, frozen=True, gc=False):
    """Not a message: the server resets the link of this key."""


class Unknown(m.Message, frozen=True, gc=False, tag="advisory"):
    """A word that the protocol does not have."""

    text: str


Outbound = tuple[int, str, m.Message | Drop]  # (delay_ns, key, message)


class Delivery:
    """Turns reports into what leaves, and when. Owns the floor that keeps undisturbed reports of a key in order."""

    def __init__(self, rng: Random, quirks: Quirks) -> None:
        self.rng = rng
        self.quirks = quirks
        self._floor_ns: dict[str, int] = {}

    def hits(self, ppm: int) -> bool:
        return ppm > 0 and self.rng.randrange(MILLION) < ppm

    def deliver(self, key: str, message: m.Message, now_ns: int, out: list[Outbound]) -> None:
        """Append what becomes of one report to `out`."""
        quirks = self.quirks
        if self.hits(quirks.lost_ppm):
            return
        if isinstance(message, m.Ack | m.Rejected) and self.hits(quirks.lost_answer_ppm):
            return
        delay_ns = quirks.latency_ns
        if quirks.latency_jitter_ns:
            due_ns = now_ns + delay_ns + self.rng.randrange(quirks.latency_jitter_ns)
            due_ns = max(due_ns, self._floor_ns.get(key, 0))
            self._floor_ns[key] = due_ns
            delay_ns = due_ns - now_ns
        if self.hits(quirks.unknown_word_ppm):
            out.append((delay_ns, key, Unknown("house notice")))
        if self.hits(quirks.duplicate_ppm):
            out.append((delay_ns + 1 + self.rng.randrange(quirks.delay_ns_max), key, message))
        if self.hits(quirks.delay_ppm):
            delay_ns += 1 + self.rng.randrange(quirks.delay_ns_max)
        out.append((delay_ns, key, message))
