"""What the demo promises, held against the clients' streams, the venue's own ledger and the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from backstay import Accepted, Sent, Triggered
from brokers.ids import decode_broker_id
from gateway.demo.figures import Spread, readable, spread
from gateway.demo.trader import Trader

BUDGET_NS = 500_000_000
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Check(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    value: str
    target: str
    holds: bool


class Restart(msgspec.Struct, frozen=True):
    """A restart of the gateway: the digest before it, or what the journal gave, and the digest it came up with."""

    how: str
    before: str
    replayed: str
    after: str
    seq: int
    boot_ms: int

    @property
    def is_equal(self) -> bool:
        return self.before == self.replayed == self.after


class VenueLedger:
    """The venue's record of what it took and said."""

    def __init__(self, path: Path) -> None:
        self.orders: Counter[str] = Counter()  # times that each broker-side id came as a new order
        self.execs: Counter[str] = Counter()
        self.taken_ns: dict[str, int] = {}
        self.net: dict[str, Decimal] = {}
        sides: dict[str, tuple[str, Decimal]] = {}
        for line in path.read_bytes().splitlines():
            entry = msgspec.json.decode(line)
            message = entry["msg"]
            if entry["dir"] == "in" and message.get("t") == "new":
                self.orders[message["id"]] += 1
                self.taken_ns.setdefault(message["id"], entry["ts"])
                sides[message["id"]] = (message["sym"], Decimal(1 if message["side"] == "buy" else -1))
            elif entry["dir"] == "out" and message.get("t") == "fill" and message["exec"] not in self.execs:
                self.execs[message["exec"]] += 1
                symbol, sign = sides[message["id"]]
                self.net[symbol] = self.net.get(symbol, Decimal(0)) + sign * Decimal(message["qty"])


class Verdict(msgspec.Struct, frozen=True):
    """All checks and figures of a run."""

    holds: bool
    checks: list[Check]
    tick_to_wire: Spread
    tick_to_venue: Spread
    acknowledged: Spread
    round_trip: Spread
    restarts: list[Restart]
    orders: int
    fills: int
    stops_fired: int
    accounts: int


def judge(traders: Sequence[Trader], ledger: VenueLedger, restarts: Sequence[Restart], journal: Any) -> Verdict:
    """Every promise, with what was found. `journal`: the report of `verify`."""
    wires, venues = _stop_latencies(traders, ledger)
    acks = spread(
        event.out_ns - event.in_ns
        for trader in traders
        for event in trader.events
        if event.re is not None and event.in_ns is not None and event.out_ns is not None and not event.dup
    )
    trips = spread(value for trader in traders for value in trader.round_trips_ns)
    orders = sum(trader.accepted() for trader in traders)
    fired = sum(trader.fired() for trader in traders)
    checks = [
        *_once(traders, ledger, orders, fired),
        _every("tick to wire", wires),
        _every("tick to venue, by its ledger", venues),
        _most("order to acknowledgement", acks),
        _most("order round trip at the client, outages aside", trips),
        *(_digest(restart) for restart in restarts),
        Check(
            "journal verified", f"{journal.frames} records, epoch {journal.epoch}", "sound, ended cleanly",
            journal.is_sound and journal.is_clean,
        ),
    ]  # fmt: skip
    fills = sum(sum(trader.exec_ids().values()) for trader in traders)
    return Verdict(
        all(check.holds for check in checks), checks, wires, venues, acks, trips, list(restarts), orders, fills, fired,
        len(traders),
    )  # fmt: skip


def _once(traders: Sequence[Trader], ledger: VenueLedger, orders: int, fired: int) -> list[Check]:
    """Orders, fills and stops: each exactly once."""
    told: Counter[str] = Counter()
    for trader in traders:
        told.update(trader.exec_ids())
    twice = sum(count > 1 for count in ledger.orders.values())
    sent = {event.broker_cl_ord_id for trader in traders for event in trader.events if isinstance(event, Sent)}
    rows = _rows(traders)
    unknown = sum(_row(name) not in rows for name in set(ledger.orders) - sent)
    lost = len(set(ledger.execs) - set(told))
    extra = sum(told.values()) - len(set(ledger.execs) & set(told))
    filled = [trader for trader in traders if trader.stop_status() == "filled"]
    flat = not any(qty for trader in traders for qty in trader.positions().values())
    net = [f"{symbol} {qty}" for symbol, qty in ledger.net.items() if qty]
    gaps = sum(trader.gaps() for trader in traders)
    return [
        Check("orders accepted", str(orders), "all told in gap-free streams", gaps == 0 and orders > 0),
        Check("orders at the venue", f"{len(ledger.orders)}, {twice} twice", "none twice", twice == 0),
        Check("orders at the venue that were told", f"{unknown} unknown", "none unknown", unknown == 0),
        Check(
            "fills", f"{len(ledger.execs)} at the venue, {sum(told.values())} told", "each exactly once",
            lost == 0 and extra == 0,
        ),
        Check(
            "stops fired", f"{fired} of {len(traders)}", "each exactly once, filled",
            all(trader.fired() == 1 for trader in traders) and len(filled) == len(traders),
        ),
        Check("positions", "flat" if flat and not net else "open " + ", ".join(net), "flat here and there",
              flat and not net),
    ]  # fmt: skip


def _row(broker_cl_ord_id: str) -> int:
    """The order that a broker-side id names, -1 for none: one handed over just before a kill has no `sent` event."""
    parts = decode_broker_id(broker_cl_ord_id.encode())
    return -1 if parts is None else parts[2]


def _rows(traders: Sequence[Trader]) -> set[int]:
    """Orders that were accepted, by the number in their `order_id`."""
    accepted = (event.order_id for trader in traders for event in trader.events if isinstance(event, Accepted))
    return {reduce(lambda row, char: row * 32 + CROCKFORD.index(char), order_id[1:], 0) for order_id in accepted}


def _stop_latencies(traders: Sequence[Trader], ledger: VenueLedger) -> tuple[Spread, Spread]:
    """From the receipt of the tick to the bytes with the kernel, and to the venue's own stamp (one clock here)."""
    wires, venues = [], []
    for trader in traders:
        received_ns = 0
        for event in trader.of_stop():
            if isinstance(event, Triggered) and event.evidence.recv_ns is not None:
                received_ns = event.evidence.recv_ns
            elif isinstance(event, Sent) and event.lat_ns is not None and received_ns:
                wires.append(event.lat_ns["wire"])
                taken_ns = ledger.taken_ns.get(event.broker_cl_ord_id)
                if taken_ns is not None:
                    venues.append(max(0, taken_ns - received_ns))
    return spread(wires), spread(venues)


def _every(name: str, found: Spread) -> Check:
    """The budget holds for each one: a stop waits for no disk."""
    return Check(name, found.text(), f"max {readable(BUDGET_NS)}", found.count > 0 and found.max_ns <= BUDGET_NS)


def _most(name: str, found: Spread) -> Check:
    """An acknowledgement waits for the disk, and a disk may stall: the budget holds for 99 of 100."""
    return Check(name, found.text(), f"p99 {readable(BUDGET_NS)}", found.count > 0 and found.p99_ns <= BUDGET_NS)


def _digest(restart: Restart) -> Check:
    digests = [restart.after] if restart.is_equal else [restart.before, restart.replayed, restart.after]
    text = ", ".join(digest[:12] for digest in digests)
    up = f", up in {restart.boot_ms} ms" if restart.boot_ms else ""
    return Check(f"state after {restart.how}", f"{text} at {restart.seq}{up}", "equal digest", restart.is_equal)
