"""At most once, whatever crashes, bounces or is changed meanwhile: the engine under random words, disks and links.

The broker works every order that reached it and knows it by its id; the disk keeps what was said to be durable.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from brokers.ports import ReportNew, ReportState
from gateway.core.state import State
from hotpath.enums import OrdStatus
from hotpath.fixed import from_e9
from tests.property.order_world import E9
from tests.unit.engine_rig import CENT, Rig

SEEDS = max(300, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "0")) // 70)
DAY_MS = 86_400_000
WORDS = (
    *("place", "place", "stop", "entry", "replace", "cancel", "new"),
    *("quote", "quote", "sync", "sync", "durable", "flush", "time", "turn"),
    *("up", "down", "answer", "crash"),
)


class Twice(Exception):
    """An order reached the broker twice."""


class Chaos:
    """One seed's run: each step does one thing to the engine, its disk or its link."""

    def __init__(self, seed: int, *, forgets_doubt: bool = False) -> None:
        """forgets_doubt: a planted bug, the stops of an unclean end are not asked about."""
        self.draw = Random(seed)
        self.forgets_doubt = forgets_doubt
        self.rig = Rig()
        self.revs: dict[str, int] = {}
        self.rig.sync()
        self.rig.up()

    def run(self) -> None:
        for _ in range(self.draw.randint(20, 120)):
            getattr(self, self.draw.choice(WORDS))()
            ids = Counter(ticket.broker_cl_ord_id for ticket in self.rig.link.submitted)
            orders = Counter(ticket.order for ticket in self.rig.link.submitted)
            if max(*ids.values(), *orders.values(), 0, 0) > 1:
                raise Twice(f"{ids} {orders}")

    # --- clients ----------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        name = f"o{len(self.revs)}"
        self.revs[name] = 1
        return name

    def place(self) -> None:
        self.rig.place(
            self._name(), qty=str(self.draw.randint(1, 9)), max_queue_ms=self.draw.choice([None, 10, DAY_MS])
        )

    def stop(self) -> None:
        if self.draw.random() < 0.5:
            self.rig.quote("S0")
            self.rig.place(
                self._name(), stop=str(self.draw.randint(90, 98)), qty="1", reduce_only=self.draw.random() < 0.5
            )

    def entry(self) -> None:
        self.rig.quote("S0")
        self.rig.place(self._name(), side="buy", stop=str(self.draw.randint(102, 110)), qty="1", max_queue_ms=DAY_MS)

    def replace(self) -> None:
        if self.revs:
            name = self.draw.choice(list(self.revs))
            if self.rig.replace(name, self.revs[name] + 1, qty=str(self.draw.randint(1, 9))) > 0:
                self.revs[name] += 1

    def cancel(self) -> None:
        if self.revs:
            self.rig.engine.intake.cancel(0, self.draw.choice(list(self.revs)), 0, self.rig.clock.wall)

    # --- the market, the disk, the loop -----------------------------------------------------------------------------

    def quote(self) -> None:
        bid_e9 = self.draw.randint(88, 112) * E9
        self.rig.quote("S0", from_e9(bid_e9), from_e9(bid_e9 + CENT))

    def sync(self) -> None:
        self.rig.sync()

    def flush(self) -> None:
        self.rig.engine.flush()

    def durable(self) -> None:
        """What was handed over before is on disk; what is recorded since is not."""
        self.rig.journal.durable_seq = self.rig.journal.last_seq
        self.rig.engine.on_durable()

    def time(self) -> None:
        self.rig.clock.pass_ns(self.draw.choice([10**6, 10**8, 3 * E9]))
        self.rig.engine.on_timer()

    def turn(self) -> None:
        self.rig.turn()

    def crash(self) -> None:
        old = self.rig
        at = 4096
        while at < len(old.journal.data):
            if int.from_bytes(old.journal.data[at + 8 : at + 16], "little") > old.journal.durable_seq:
                break
            at += (int.from_bytes(old.journal.data[at : at + 4], "little") + 7) // 8 * 8
        kept = bytes(old.journal.data[4096:at])
        state = State(shard=0, orders=old.state.orders.capacity, accounts=2, instruments=2)
        state.replay(memoryview(kept), 4096)
        self.rig = Rig(state)
        self.rig.journal.data += kept
        self.rig.journal.last_seq = self.rig.journal.durable_seq = state.seq
        self.rig.clock.wall, self.rig.clock.mono = old.clock.wall, old.clock.mono
        self.rig.link.submitted = old.link.submitted
        self.rig.engine.recover(old.clock.wall, is_clean=self.forgets_doubt)

    # --- the broker -------------------------------------------------------------------------------------------------

    def up(self) -> None:
        if not self.rig.link.is_up:
            self.rig.link.is_up = True
            self.rig.engine.on_link(True, "login")

    def down(self) -> None:
        if self.rig.link.is_up:
            self.rig.link.is_up = False
            self.rig.engine.on_link(False, "lost")

    def answer(self) -> None:
        known = {ticket.broker_cl_ord_id: ticket for ticket in self.rig.link.submitted}
        asked = {ticket.order: ticket.broker_cl_ord_id for ticket in self.rig.link.asked}
        for order in list(self.rig.engine.router.asking):
            ticket = known.get(asked[order])
            status = OrdStatus.NEW if ticket else OrdStatus.NONE
            qty_e9 = ticket.qty_e9 if ticket else 0
            self.rig.engine.on_report(
                ReportState(
                    order=order, rev=1, venue_ns=0, raw=b"", found=bool(ticket), status=status, order_qty_e9=qty_e9
                )
            )

    def new(self) -> None:
        if self.rig.link.is_up and self.rig.link.submitted:
            order = self.draw.choice(self.rig.link.submitted).order
            self.rig.engine.on_report(ReportNew(order=order, rev=1, venue_ns=0, raw=b"", broker_order_id=b"b"))


def run_all(seeds: int, *, forgets_doubt: bool = False) -> None:
    for seed in range(seeds):
        Chaos(seed, forgets_doubt=forgets_doubt).run()


def test_no_order_reaches_the_broker_twice() -> None:
    run_all(SEEDS)


def test_a_restart_that_forgets_its_doubts_is_caught() -> None:
    with pytest.raises(Twice):
        run_all(3_000, forgets_doubt=True)
