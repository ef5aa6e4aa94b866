"""Journal records as text, for people and tools: what `backstay journal dump` prints."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from gateway.boot import EventReader
from gateway.contracts.notices import Explained
from gateway.explain import ORDER_KINDS, explained, tell
from gateway.journal.verify import DumpedRecord, dump
from hotpath.records import Kind
from hotpath.wire import Renderer

ACCOUNT = struct.Struct("<qIIIHH")  # records.pxd AccountBody
INSTRUMENT = struct.Struct("<5qIBB2x")  # records.pxd InstrumentBody
NAMES_MAX = 1 << 16


def kind_name(kind: int) -> str:
    """A record kind in lower case; unknown ones by number."""
    try:
        return Kind(kind).name.removesuffix("_EV").lower()
    except ValueError:
        return f"kind_{kind}"


class RecordTexts:
    """Renders the records of one journal; it learns the names of accounts and instruments as they are listed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._frames = EventReader(folder)
        self._names = Renderer(NAMES_MAX, NAMES_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._frames.close()

    def records(self, first_seq: int = 0, last_seq: int | None = None) -> Iterator[dict[str, Any]]:
        """Records in order. Names come from the records before `first_seq`, so those are read too."""
        for record in dump(self._folder, self._payload, last_seq=last_seq):
            if record.seq >= first_seq:
                yield self._text(record)

    def explained(self, account: str, cl_ord_id: str) -> Explained | None:
        """What became of an order of this name; None where the journal has none. Reads the journal to its end."""
        name, told = cl_ord_id.encode(), []
        for record in dump(self._folder, self._payload):
            if record.kind not in ORDER_KINDS or name not in record.payload:  # type: ignore[operator]
                continue
            event, check = tell(self._frames.read(record.position), self._names.render_frame)
            if event["account"] == account and event["cl_ord_id"] == cl_ord_id:
                told.append((event, check))
        return explained(told, is_whole=True) if told else None

    def _payload(self, kind: int, version: int, payload: memoryview) -> bytes:
        data = bytes(payload)
        if kind == Kind.ACCOUNT_OPENED:
            _, row, _, _, size, _ = ACCOUNT.unpack_from(data)
            self._names.name_account(row, data[ACCOUNT.size : ACCOUNT.size + size])
        elif kind == Kind.INSTRUMENT_LISTED:
            row, _, size = INSTRUMENT.unpack_from(data)[5:8]
            self._names.name_symbol(row, data[INSTRUMENT.size : INSTRUMENT.size + size])
        return data

    def _text(self, record: DumpedRecord) -> dict[str, Any]:
        found: dict[str, Any] = {
            "seq": record.seq, "kind": kind_name(record.kind), "wall_ns": record.wall_ns, "epoch": record.epoch,
            "position": record.position, "version": record.version, "continues": record.continues,
        }  # fmt: skip
        if record.kind >= Kind.ACCEPTED:
            found["event"] = msgspec.json.decode(self._names.render_frame(self._frames.read(record.position)))
        else:
            found["payload_hex"] = record.payload.hex()  # type: ignore[attr-defined]
        return found
