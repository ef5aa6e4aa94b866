"""The reader: follows a live writer over rotations, shows only what is durable, finds a seq."""

from pathlib import Path

import pytest

from gateway.journal.errors import JournalCorrupt, JournalError
from gateway.journal.reader import JournalReader
from gateway.journal.recovery import Block, recover
from gateway.journal.segment import FIRST_POSITION, Mark, pack_mark, segment_name, split_position
from hotpath.frame import space, unpack_frame
from tests.unit.journal_files import Waiter, payload_of, run_of, writing


def seqs_of(block: Block) -> list[int]:
    seqs = []
    at = 0
    while at < len(block.data):
        frame = unpack_frame(block.data, at)
        seqs.append(frame.seq)
        at += frame.space
    return seqs


def test_a_reader_follows_the_writer_over_rotations(tmp_path: Path) -> None:
    with writing(tmp_path) as writer, JournalReader(tmp_path, durable_only=False) as reader:
        waiter = Waiter(writer)
        position = FIRST_POSITION
        seen: list[int] = []
        for seq in range(1, 801):
            writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
            for block in reader.blocks(position):
                assert (block.first_seq, block.last_seq) == (seqs_of(block)[0], seqs_of(block)[-1])
                seen += seqs_of(block)
                position = block.next_position
        assert seen == list(range(1, 801))
        assert writer.stats().rotations > 2


def test_a_durable_reader_sees_all_of_a_closed_journal(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 501):
            writer.submit(run_of([seq]), seq)
            if seq % 20 == 0:
                waiter.wait(seq)
    with JournalReader(tmp_path) as reader:
        assert [seq for block in reader.blocks() for seq in seqs_of(block)] == list(range(1, 501))
        end = recover(tmp_path, repair=False).next_position
        assert reader.read_at(end).next_position == end


def test_a_durable_reader_stops_at_what_the_mark_vouches_for(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of([1, 2]), 2)
        end = split_position(writer.position)[1]
        writer.submit(run_of([3]), 3)
    for number in (1000, 1001):
        offset, packed = pack_mark(Mark(end, 2, number, is_clean=False, is_synced=True))
        with (tmp_path / segment_name(1)).open("r+b") as file:
            file.seek(offset)
            file.write(packed)
    with JournalReader(tmp_path) as durable, JournalReader(tmp_path, durable_only=False) as written:
        assert [seqs_of(block) for block in durable.blocks()] == [[1, 2]]
        assert [seqs_of(block) for block in written.blocks()] == [[1, 2, 3]]


@pytest.mark.parametrize("fsync", [True, False])
def test_an_idle_writer_brings_its_mark_up_to_the_end(tmp_path: Path, fsync: bool) -> None:
    with writing(tmp_path, fsync=fsync) as writer, JournalReader(tmp_path) as reader:
        writer.submit(run_of([1, 2]), 2)
        while not (block := reader.read_at(FIRST_POSITION)).data:  # bounded by the writer's 5 ms
            Waiter(writer).wait(2)
        assert seqs_of(block) == [1, 2]


def test_blocks_hold_whole_groups_and_at_most_what_was_asked(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for first in range(1, 41, 4):
            writer.submit(run_of(range(first, first + 4), is_group=True), first + 3)
    with JournalReader(tmp_path) as reader:
        for max_bytes in (1, 500, 1000, 3000):
            seen: list[int] = []
            for block in reader.blocks(max_bytes=max_bytes):
                seqs = seqs_of(block)
                assert seqs[-1] % 4 == 0
                assert len(block.data) <= max_bytes or len(seqs) == 4
                seen += seqs
            assert seen == list(range(1, 41))


def test_a_seq_is_found_by_its_position(tmp_path: Path) -> None:
    positions = {}
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 501):
            positions[seq] = writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
    with JournalReader(tmp_path) as reader:
        for seq in (1, 2, 130, 131, 500):
            assert reader.find(seq) == positions[seq]
            assert reader.read_at(positions[seq], 1).first_seq == seq
        with pytest.raises(JournalError, match="not in the journal"):
            reader.find(501)


def test_nothing_is_read_of_a_journal_that_does_not_exist_yet(tmp_path: Path) -> None:
    with JournalReader(tmp_path) as reader:
        assert list(reader.blocks()) == []
        with pytest.raises(JournalError, match="no journal segment"):
            reader.read_at(3 << 32 | 4096)
        with pytest.raises(JournalError, match="not in the journal"):
            reader.find(1)


def test_damage_in_what_was_durable_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of([1]), 1)
        writer.submit(run_of([2, 3]), 3)
    with (tmp_path / segment_name(1)).open("r+b") as file:
        file.seek(4096 + space(len(payload_of(1))) + 12)
        file.write(b"\xff")
    with JournalReader(tmp_path) as reader:
        blocks = reader.blocks()
        assert seqs_of(next(blocks)) == [1]
        with pytest.raises(JournalCorrupt, match="bad frame"):
            next(blocks)
