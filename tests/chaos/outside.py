"""The verdict from outside, once the clients are done: each account's whole stream against the venue's own ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import reduce
from pathlib import Path
from random import Random

import msgspec

from brokers.ids import decode_broker_id
from gateway.contracts.lint import StreamLint
from tests.chaos.flood import Flood, Heard, Line, Record
from tests.chaos.hammer import Market
from tests.integration.world import World

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DONE = ("filled", "canceled", "expired", "rejected")


def row_of(order_id: str) -> int:
    """Number of an order, by its public id."""
    return reduce(lambda row, char: row * 32 + CROCKFORD.index(char), order_id[1:], 0)


class Story:
    """One account's events from the first on, summed up as they come."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.triggered: Counter[str] = Counter()
        self.execs: Counter[str] = Counter()
        self.open: dict[str, str] = {}  # orders without an end, and their status
        self.broker_ids: dict[str, set[str]] = {}  # of each order, as its `sent` events name them
        self.rows: dict[int, str] = {}  # number of each order, which its id at the broker carries, to its name
        self.suspected: set[str] = set()  # orders whose client was told, without a `sent`, that the venue may have them
        self.pos_qty = Decimal(0)

    def take(self, event: Heard) -> None:
        name = event.cl_ord_id
        self.kinds[event.t] += 1
        if event.t in ("in_doubt", "restated", "triggered"):  # a stop may have fired just before the kill
            self.suspected.add(name)
        if event.t == "accepted":
            self.accepted[name] += 1
            self.rows[row_of(event.order_id)] = name
        elif event.t == "triggered":
            self.triggered[name] += 1
        elif event.t == "trade":
            self.execs[event.exec_id] += 1
            self.pos_qty = Decimal(event.pos_qty)
        if event.broker_cl_ord_id:
            self.broker_ids.setdefault(name, set()).add(event.broker_cl_ord_id)
        if event.ord_status in DONE:
            self.open.pop(name, None)
        elif name:
            self.open[name] = event.ord_status


class Reader(Flood):
    """A client that only reads: the account's stream from the first event, held against the life of an order."""

    def __init__(self, world: World, account: str, history: str) -> None:
        super().__init__(world, account, Market(Random(0)), Random(0), side="buy", per_s=0)
        self.record = Record(account)
        self.record.history = history
        self.story = Story()
        self._lint = StreamLint()
        self._whole = msgspec.json.Decoder()

    def hear_raw(self, line: Line, frame: Heard, raw: memoryview) -> None:
        seq = self.record.seq
        self.hear(line, frame)
        if self.record.seq != seq:
            self.story.take(frame)
            self._lint.feed(self._whole.decode(raw))
        if frame.t == "live":
            self.leave.set()

    async def read(self) -> Story:
        """All of it, up to the head."""
        await self.run()
        return self.story


class Message(msgspec.Struct, gc=False):
    """What the verdict needs of a message of the venue."""

    t: str
    id: str = ""
    exec: str = ""
    status: str = ""


class Entry(msgspec.Struct, gc=False):
    """A line of the ledger."""

    dir: str
    msg: Message


class Ledger:
    """The venue's record: what came in as new, and which executions it made."""

    def __init__(self, path: Path) -> None:
        self.received: Counter[str] = Counter()
        self.execs: set[str] = set()
        decode = msgspec.json.Decoder(Entry).decode
        with path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    continue
                entry = decode(line)
                if entry.dir == "in" and entry.msg.t == "new":
                    self.received[entry.msg.id] += 1
                elif entry.dir == "fact" and entry.msg.t == "fill":
                    self.execs.add(entry.msg.exec)


def judge(records: list[Record], stories: dict[str, Story], ledger: Ledger, seen: dict[str, tuple[str, str]]) -> int:
    """Nothing acknowledged lost, nothing doubled, no gap: by the clients' records and the venue's own.

    `seen`: of each account the digests of the stream that its client was told and that a second reader saw.
    Returns how many orders of the venue no `sent` event names: the client of each was told of the doubt, or of a stop
    that fired.
    """
    for record in records:
        _judge_account(record, stories[record.account], seen[record.account])
    doubled = {name: count for name, count in ledger.received.items() if count != 1}
    assert not doubled, f"reached the venue more than once: {list(doubled.items())[:5]}"
    execs: Counter[str] = Counter()
    for story in stories.values():
        execs.update(story.execs)
    again = [name for name, count in execs.items() if count != 1]
    assert not again, f"executions counted for two accounts: {again[:5]}"
    assert set(execs) == ledger.execs, f"executions differ: {list(set(execs) ^ ledger.execs)[:5]}"
    return _judge_ids(stories, ledger)


def _judge_account(record: Record, story: Story, digests: tuple[str, str]) -> None:
    lost = [name for name in record.acknowledged if name not in story.accepted]
    assert not lost, f"acknowledged and gone: {lost[:5]} of {record.account}"
    again = [name for name, count in story.accepted.items() if count != 1]
    assert not again, f"accepted more than once: {again[:5]} of {record.account}"
    told, read = digests
    assert told == read, f"{record.account} was told another story than a second reader"
    assert not story.open, f"without an end: {list(story.open.items())[:5]} of {record.account}"
    fired = [name for name, count in story.triggered.items() if count != 1]
    assert not fired, f"fired more than once: {fired[:5]}"
    counted = [name for name, count in story.execs.items() if count != 1]
    assert not counted, f"executions counted more than once: {counted[:5]}"


def _judge_ids(stories: dict[str, Story], ledger: Ledger) -> int:
    """Each order of the venue is one accepted order, under its one id, and its client was told of it."""
    owners = {row: (story, name) for story in stories.values() for row, name in story.rows.items()}
    assert len(owners) == sum(len(story.accepted) for story in stories.values()), "two orders share a number"
    journals, unnamed = set(), 0
    for id in ledger.received:
        parts = decode_broker_id(id.encode())
        assert parts is not None and parts[2] in owners, f"the venue has {id}, which no client placed"
        shard, history, row, _ = parts
        journals.add((shard, history))
        story, name = owners[row]
        named = story.broker_ids.get(name, set())
        assert named <= {id}, f"{name} is {id} at the venue and was told to be {named}"
        assert named or name in story.suspected, f"{name} is {id} at the venue, and nobody was told that it might be"
        unnamed += not named
    assert len(journals) <= 1, f"ids of more than one journal: {journals}"
    for story in stories.values():
        ids = [id for named in story.broker_ids.values() for id in named]
        strange = [id for id in ids if id not in ledger.received]
        assert not strange, f"told to be sent, unknown to the venue: {strange[:5]}"
    return unnamed


def judge_positions(stories: Mapping[str, Story], venue: Mapping[str, Decimal]) -> None:
    """The one instrument's position: the accounts' own, by their last trades, add up to the venue's."""
    ours, theirs = sum(story.pos_qty for story in stories.values()), sum(venue.values())
    assert ours == theirs, f"positions add up to {ours}, the venue holds {theirs}"
