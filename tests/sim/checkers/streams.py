"""I13: each client has its account's events in order, without gap or repeat, always the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.history import Heard, Linked
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

OWN = ("re", "in_ns", "out_ns", "left", "dup")  # members that only the asker gets


class Streams:
    """From the clients' frames alone."""

    id = "I13"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.next: dict[str, int] = {}  # client -> number of the event that must come now, 0: it does not follow yet
        self.answered: dict[str, set[int]] = {}  # events that it had as answers, out of turn or not
        self.events: dict[tuple[str, int], dict[str, object]] = {}

    def on_links(self, item: Linked) -> None:
        self.next[item.client] = 0
        self.answered[item.client] = set()

    def on_heard(self, item: Heard) -> None:
        message, kind = item.message, item.kind
        if kind == "sync" or kind == "snapshot":
            self.next[item.client] = message["seq"] + 1
        if "seq" not in message or "ts_ns" not in message or "account" not in message or kind == "snapshot":
            return
        seq = message["seq"]
        plain = {key: value for key, value in message.items() if key not in OWN}
        if self.events.setdefault((message["account"], seq), plain) != plain:
            raise Broken("I13", f"{item.client} heard another event {seq} of {message['account']} than was told before")
        if message.get("dup"):
            return
        answered, due = self.answered.setdefault(item.client, set()), self.next.get(item.client, 0)
        if "re" in message:
            answered.add(seq)
            return
        if not due:
            raise Broken("I13", f"{item.client} heard event {seq} without following")
        while due < seq and due in answered:
            due += 1
        if seq > due:
            raise Broken("I13", f"{item.client} heard event {seq} where {due} was due")
        if seq < due and seq not in answered:
            raise Broken("I13", f"{item.client} heard event {seq} again: {due} was due")
        self.next[item.client] = max(due, seq + 1)
