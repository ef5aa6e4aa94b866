"""What outsiders saw: clients, the broker, operators. It survives every crash; checkers hold the gateway against it.

Nothing here comes from the gateway's own memory; of its disk only the records, as they go to the journal's writer.
Lists only grow: a checker keeps its place in each.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import msgspec

decode = msgspec.json.Decoder().decode
FRAME = struct.Struct("<IIQqIH")  # length, crc, seq, wall_ns, epoch, kind
FRAME_BYTES = 40


@dataclass(slots=True)
class Asked:
    """One request that a client sent; nobody knows whether it arrived until it is answered."""

    at_ns: int
    client: str
    link: int  # number of the client's connection
    id: int
    kind: str  # `place`, `cancel`, `replace`, `cancel_all`, `batch`, `get`, `subscribe`
    account: str
    cl_ord_id: str
    request: dict[str, Any]  # as sent
    answer: dict[str, Any] | None = None  # the frame that answered it


@dataclass(slots=True)
class Heard:
    """One frame that a client received and read."""

    at_ns: int
    client: str
    link: int
    text: bytes
    message: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.message["t"])


@dataclass(slots=True)
class Linked:
    """A client's connection began (`open`) or ended (`closed`, with the server's code, or 0: it just went away)."""

    at_ns: int
    client: str
    link: int
    what: str
    code: int = 0


@dataclass(slots=True)
class Left:
    """One message as the gateway handed it to the link, before the link did anything to it."""

    at_ns: int
    life: int
    message: Any  # as in Reached


@dataclass(slots=True)
class Reached:
    """One message that reached the broker (after what the link did to it), in the broker's own words."""

    at_ns: int
    life: int  # of the gateway that sent it
    message: Any  # brokers.sim.messages: New, Cancel, Replace, Query


@dataclass(slots=True)
class Fact:
    """What changed the broker's book: its own ledger (brokers.sim.messages: Ack, Fill, Canceled, ... Busted)."""

    at_ns: int
    message: Any


@dataclass(slots=True)
class Act:
    """What an operator did: `kill`, `lift`, `cut`. `done_ns` is when it was in force; -1: never."""

    at_ns: int
    what: str
    detail: dict[str, Any]
    done_ns: int = -1


@dataclass(slots=True)
class Lived:
    """The node's life: `boot`, `crash`, `stop`, `pause`, `wake`, `jump`, `freeze`, `suspend`; `by_ns` with some."""

    at_ns: int
    life: int  # counts the boots
    what: str
    by_ns: int = 0


@dataclass(slots=True)
class Tick:
    """One frame of market data as it was handed to the gateway, with the faults that it carries."""

    at_ns: int
    symbol: str
    text: bytes
    fault: str  # "" for a sound one
    feed: int = 0  # its number
    connection: int = 0  # of the feed, counted
    is_heard: bool = True  # the feed was connected
    is_late: bool = False  # a newer one of the same market was heard before it, whichever feed it came by


@dataclass(slots=True)
class Record:
    """One record as it was handed to the journal's writer. A crash may lose it: then its `seq` comes again."""

    at_ns: int
    life: int
    seq: int
    kind: int  # hotpath.records.Kind
    wall_ns: int
    payload: bytes


@dataclass(slots=True)
class History:
    """All of it, in the order of virtual time."""

    asked: list[Asked] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    links: list[Linked] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    lives: list[Lived] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def note_run(self, at_ns: int, life: int, run: bytes | memoryview) -> None:
        """A run of whole frames on its way to the disk: what the gateway has decided."""
        at = 0
        while at < len(run):
            length, _, seq, wall_ns, _, kind = FRAME.unpack_from(run, at)
            self.records.append(Record(at_ns, life, seq, kind, wall_ns, bytes(run[at + FRAME_BYTES : at + length])))
            at += -(-length // 8) * 8
