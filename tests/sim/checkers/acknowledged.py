"""I1: what a client was told is on disk before it is told, and there after any crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.sim.history import Heard, Record
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Acknowledged:
    """From the clients' frames against what the disk is known to hold."""

    id = "I1"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.told: dict[str, int] = {}  # account -> newest event that a client heard of

    def on_heard(self, item: Heard) -> None:
        message = item.message
        if "seq" not in message or "account" not in message or message["t"] in ("snapshot", "sync", "live"):
            return
        account, seq = message["account"], message["seq"]
        journal = self.judge.journal
        record = journal.events.get((journal.accounts.index(account), seq))
        if record is None:
            raise Broken("I1", f"{item.client} heard of {account} {seq}, which no journal has: {message['t']}")
        if record > self.judge.durable_seq:
            raise Broken("I1", f"{item.client} heard of {account} {seq} before it was on disk")
        self.told[account] = max(self.told.get(account, 0), seq)

    def on_lost(self, first: Record, lost: Sequence[Record]) -> None:
        if first.seq <= self.judge.durable_seq:
            raise Broken("I1", f"record {first.seq} was on disk and is gone")
        journal = self.judge.journal
        for account, seq in self.told.items():
            if account not in journal.accounts or journal.heads.get(journal.accounts.index(account), 0) < seq:
                raise Broken("I1", f"event {seq} of {account} was told and is gone")
