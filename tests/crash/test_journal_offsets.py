"""Every offset: a small journal cut at each byte, and with each bit flipped, gives its longest prefix or a refusal."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.journal.errors import JournalCorrupt
from gateway.journal.recovery import recover
from gateway.journal.segment import HEADER_BYTES, PAGE_BYTES, segment_name, split_position
from tests.unit.journal_files import (
    HISTORY,
    Waiter,
    assert_history,
    fast_folder,
    frames_of,
    payload_of,
    run_of,
    writing,
)

FRAMES = 14
GROUP = (6, 7, 8)  # one atomic group among single frames


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as path:
        yield path


def build(directory: Path) -> list[tuple[int, int]]:
    """A journal of one 8 KiB segment; returns (end offset, last seq) of each whole prefix, the empty one first."""
    directory.mkdir()
    prefixes = [(PAGE_BYTES, 0)]
    with writing(directory, segment_bytes=8192, buffer_bytes=4096) as writer:
        seq = 1
        while seq <= FRAMES:
            seqs = GROUP if seq == GROUP[0] else (seq,)
            writer.submit(run_of(seqs, is_group=True), seqs[-1])
            prefixes.append((split_position(writer.position)[1], seqs[-1]))
            seq = seqs[-1] + 1
        Waiter(writer).wait(FRAMES)
    for number in (2, 3):
        (directory / segment_name(number)).unlink(missing_ok=True)
    return prefixes


def place(directory: Path, content: bytes) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / segment_name(1)).write_bytes(content)
    return directory


def flipped(file: Path, bits: list[int]) -> Iterator[int]:
    """The file with one bit after the other flipped, in place."""
    with file.open("r+b", buffering=0) as out:
        for bit in bits:
            byte = os.pread(out.fileno(), 1, bit // 8)
            os.pwrite(out.fileno(), bytes([byte[0] ^ 1 << (bit % 8)]), bit // 8)
            yield bit
            os.pwrite(out.fileno(), byte, bit // 8)


@pytest.mark.parametrize("rest", ["gone", "zero", "garbage"])
def test_a_journal_cut_at_every_byte_gives_the_longest_whole_prefix(folder: Path, rest: str) -> None:
    prefixes = build(folder / "whole")
    whole = (folder / "whole" / segment_name(1)).read_bytes()
    used = prefixes[-1][0]
    noise = os.urandom(len(whole))
    for cut in [*range(HEADER_BYTES + 2), *range(PAGE_BYTES, used + 1)]:
        tail = {"gone": b"", "zero": bytes(len(whole) - cut), "garbage": noise[cut:used] + bytes(len(whole) - used)}[
            rest
        ]
        if rest == "garbage" and cut < PAGE_BYTES:
            continue  # a damaged header with bytes behind it is a refusal, which another test holds
        content = whole[:cut] + tail  # a cut inside zeros that are zero again is no cut
        journal = place(folder / "cut", content)
        recovered = recover(journal)
        expected = max(last for end, last in prefixes if content[:end] == whole[:end] or end == PAGE_BYTES)
        assert recovered.last_seq == expected, cut
        assert_history(recovered, expected)
        again = recover(journal)
        assert (again.last_seq, again.truncated_bytes, again.next_position) == (expected, 0, recovered.next_position), (
            cut
        )


def test_writing_goes_on_from_a_cut_at_every_frame(folder: Path) -> None:
    prefixes = build(folder / "whole")
    whole = (folder / "whole" / segment_name(1)).read_bytes()
    for end, last_seq in prefixes:
        for cut in (end, end + 9):
            journal = place(folder / "cut", whole[:cut])
            with writing(journal, segment_bytes=8192, buffer_bytes=4096) as writer:
                writer.submit(run_of([last_seq + 1, last_seq + 2]), last_seq + 2)
            assert_history(recover(journal), last_seq + 2)


def test_every_flipped_bit_gives_a_valid_prefix_or_a_refusal(folder: Path) -> None:
    prefixes = build(folder / "whole")
    whole = (folder / "whole" / segment_name(1)).read_bytes()
    used = prefixes[-1][0]
    valid = {last for _, last in prefixes}
    refused = 0
    bits = [*range(HEADER_BYTES * 8), *range(1024 * 8, 1056 * 8), *range(2048 * 8, 2080 * 8)]
    bits += [*range(PAGE_BYTES * 8, (used + 64) * 8)]
    file = place(folder / "flipped", whole) / segment_name(1)
    for bit in flipped(file, bits):
        try:
            recovered = recover(file.parent, repair=False)
        except JournalCorrupt:
            refused += 1
            continue
        assert recovered.last_seq in valid, bit
        assert recovered.history_id == HISTORY
        frames = frames_of(recovered)
        assert [frame.seq for frame in frames] == list(range(1, recovered.last_seq + 1)), bit
        assert all(bytes(frame.payload) == payload_of(frame.seq) for frame in frames), bit
    last_run = prefixes[-1][0] - prefixes[-2][0]
    assert refused >= (used - PAGE_BYTES - last_run) * 8 + HEADER_BYTES * 8


def test_every_flipped_bit_of_a_sealed_segment_is_refused(folder: Path) -> None:
    journal = folder / "journal"
    journal.mkdir()
    with writing(journal, segment_bytes=8192, buffer_bytes=4096) as writer:
        waiter = Waiter(writer)
        seq = 0
        while split_position(writer.position)[0] == 1:
            seq += 1
            writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
    file = journal / segment_name(1)
    bits = [*range(HEADER_BYTES * 8), *range(PAGE_BYTES * 8, file.stat().st_size * 8, 7)]
    for _ in flipped(file, bits):
        with pytest.raises(JournalCorrupt):
            recover(journal, repair=False)
