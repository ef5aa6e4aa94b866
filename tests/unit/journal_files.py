"""Builds small journals on disk and waits for the writer by its eventfd, for the journal's tests."""

import os
import select
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.journal.recovery import Recovered, recover
from gateway.journal.writer import JournalWriter
from hotpath.frame import FLAG_CONTINUES, Frame, pack_frame, unpack_frame

HISTORY = bytes(range(16))
SMALL = {"segment_bytes": 16384, "buffer_bytes": 8192}


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A folder in memory where the machine has one: tests of bytes need no disk behind their thousand syncs."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def payload_of(seq: int) -> bytes:
    return bytes((seq + at) % 251 for at in range(seq % 90))


def run_of(seqs: Sequence[int], *, is_group: bool = False) -> bytes:
    """Frames of consecutive seqs; with ``is_group`` one atomic group."""
    last = seqs[-1]
    return b"".join(
        pack_frame(
            seq, seq * 1000, 7, seq % 5 + 1, 1, FLAG_CONTINUES if is_group and seq != last else 0, payload_of(seq)
        )
        for seq in seqs
    )


def open_writer(directory: Path, recovered: Recovered | None = None, **options: Any) -> JournalWriter:
    found = recovered if recovered is not None else recover(directory)
    settings: dict[str, Any] = {"history_id": HISTORY, **SMALL, **options}
    return JournalWriter(str(directory), position=found.next_position, last_seq=found.last_seq, epoch=7, **settings)


@contextmanager
def writing(directory: Path, **options: Any) -> Iterator[JournalWriter]:
    writer = open_writer(directory, **options)
    try:
        yield writer
    finally:
        writer.close()


class Waiter:
    """Waits for a writer's eventfd, as the loop does."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._poll = select.poll()
        self._poll.register(writer.eventfd, select.POLLIN)

    def wait(self, seq: int) -> int:
        """Until ``seq`` is durable or the writer failed; returns durable_seq."""
        while (durable := self._writer.take_event()) < seq and not self._writer.failed:
            self.poll()
        return max(durable, self._writer.durable_seq)

    def poll(self) -> None:
        assert self._poll.poll(30_000), "the writer said nothing for 30 s"

    def until_prepared(self, segment_no: int) -> None:
        while self._writer.stats().prepared_segment < segment_no and not (self._writer.failed or self._writer.is_low):
            self.poll()
            self._writer.take_event()


def frames_of(recovered: Recovered, position: int = 0) -> list[Frame]:
    frames = []
    for block in recovered.blocks(position):
        at = 0
        while at < len(block.data):
            frame = unpack_frame(block.data, at)
            frames.append(frame)
            at += frame.space
    return frames


def assert_history(recovered: Recovered, last_seq: int) -> None:
    """The journal holds exactly the frames 1..last_seq that run_of made."""
    frames = frames_of(recovered)
    assert [frame.seq for frame in frames] == list(range(1, last_seq + 1))
    assert all(bytes(frame.payload) == payload_of(frame.seq) and frame.epoch == 7 for frame in frames)
    assert recovered.last_seq == last_seq
