"""Recovery: what is cut at the tail, what is refused, and what is made durable before the first append."""

import errno
import shutil
from pathlib import Path

import pytest

from gateway.journal.errors import JournalCorrupt, JournalError
from gateway.journal.recovery import recover
from gateway.journal.segment import PAGE_BYTES, Mark, pack_mark, parse_header, parse_mark, segment_name, split_position
from gateway.journal.writer import FaultPlan
from hotpath.frame import pack_frame, space
from tests.unit.journal_files import Waiter, assert_history, frames_of, payload_of, run_of, writing


def write_journal(directory: Path, last_seq: int) -> list[int]:
    """Frames 1..last_seq one by one, closed; returns the position of each."""
    with writing(directory) as writer:
        waiter = Waiter(writer)
        positions = []
        for seq in range(1, last_seq + 1):
            positions.append(writer.submit(run_of([seq]), seq))
            if seq % 20 == 0:
                waiter.wait(seq)
    return positions


def alter(directory: Path, position: int, content: bytes) -> None:
    number, offset = split_position(position)
    with (directory / segment_name(number)).open("r+b") as file:
        file.seek(offset)
        file.write(content)


def forget_synced(directory: Path, segment_no: int, end: int) -> None:
    """Put the marks back to ``end``: the disk as a crash would leave it when what follows was never synced."""
    for number in (1000, 1001):
        offset, packed = pack_mark(Mark(end, 0, number, is_clean=False, is_synced=True))
        alter(directory, segment_no << 32 | offset, packed)


def test_an_empty_folder_is_an_empty_journal(tmp_path: Path) -> None:
    recovered = recover(tmp_path)
    assert (recovered.last_seq, recovered.history_id, list(recovered.blocks())) == (0, b"", [])


def test_damage_before_a_sound_frame_names_file_offset_and_seq(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 30)
    alter(tmp_path, positions[9] + 20, b"\xff")
    with pytest.raises(JournalCorrupt, match="sound again") as caught:
        recover(tmp_path)
    number, offset = split_position(positions[9])
    assert (caught.value.file, caught.value.offset, caught.value.seq) == (
        str(tmp_path / segment_name(number)),
        offset,
        10,
    )


def test_a_hole_in_what_was_never_synced_is_a_torn_tail(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 30)
    forget_synced(tmp_path, 1, split_position(positions[5])[1])
    alter(tmp_path, positions[9] + 20, b"\xff")
    recovered = recover(tmp_path)
    assert_history(recovered, 9)
    assert recovered.truncated_bytes > 0 and recovered.synced_bytes_lost == 0


def test_a_damaged_last_frame_is_cut_and_what_was_synced_is_reported_lost(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 30)
    alter(tmp_path, positions[29] + 9, b"\xff")
    recovered = recover(tmp_path)
    assert_history(recovered, 29)
    assert recovered.next_position == positions[29]
    assert recovered.truncated_bytes > 0
    assert recovered.synced_bytes_lost == space(len(payload_of(30)))


def test_the_cut_tail_is_zero_before_anything_is_appended(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 30)
    alter(tmp_path, positions[29] + 9, b"\xff")
    recover(tmp_path)
    number, offset = split_position(positions[29])
    data = (tmp_path / segment_name(number)).read_bytes()
    assert not any(data[offset:])
    mark = parse_mark(data)
    assert mark is not None and (mark.end, mark.last_seq) == (offset, 29)
    again = recover(tmp_path)
    assert (again.truncated_bytes, again.synced_bytes_lost) == (0, 0)
    with writing(tmp_path) as writer:
        writer.submit(run_of([30, 31]), 31)
    assert_history(recover(tmp_path), 31)


def test_reading_without_repair_changes_nothing(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 30)
    alter(tmp_path, positions[29] + 9, b"\xff")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert recover(tmp_path, repair=False).last_seq == 29
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_atomic_group_without_its_end_is_cut_from_its_start(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of([1, 2, 3], is_group=True), 3)
        position = writer.submit(run_of([4, 5, 6, 7], is_group=True), 7)
    last = position + sum(space(len(payload_of(seq))) for seq in (4, 5, 6))
    alter(tmp_path, last, bytes(space(len(payload_of(7)))))
    recovered = recover(tmp_path)
    assert_history(recovered, 3)
    assert recovered.next_position == position


def test_a_seq_gap_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of([1, 2]), 2)
        end = writer.position
    alter(tmp_path, end, pack_frame(4, 0, 7, 1, 1, 0, b"late"))
    with pytest.raises(JournalCorrupt, match="seq gap"):
        recover(tmp_path)


def test_an_epoch_that_goes_back_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of([1, 2]), 2)
        end = writer.position
    alter(tmp_path, end, pack_frame(3, 0, 6, 1, 1, 0, b"of an older leader"))
    with pytest.raises(JournalCorrupt, match="epoch went back"):
        recover(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, 500)
    (tmp_path / segment_name(2)).unlink()
    with pytest.raises(JournalCorrupt, match="missing segment"):
        recover(tmp_path)


def test_a_lost_prefix_of_the_frames_breaks_the_hash_chain(tmp_path: Path) -> None:
    write_journal(tmp_path, 500)
    other = tmp_path / "other"
    other.mkdir()
    with writing(other) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 501):
            writer.submit(pack_frame(seq, 5, 7, 1, 1, 0, payload_of(seq)), seq)
            if seq % 20 == 0:
                waiter.wait(seq)
    shutil.copy(other / segment_name(2), tmp_path / segment_name(2))
    shutil.rmtree(other)
    with pytest.raises(JournalCorrupt, match="hash chain"):
        recover(tmp_path)


def test_damage_in_a_sealed_segment_is_refused_even_at_its_end(tmp_path: Path) -> None:
    write_journal(tmp_path, 500)
    data = (tmp_path / segment_name(1)).read_bytes()
    last = len(data.rstrip(b"\0")) - 1
    alter(tmp_path, 1 << 32 | last, bytes([data[last] ^ 1]))
    with pytest.raises(JournalCorrupt):
        recover(tmp_path)


def test_a_damaged_header_with_frames_behind_it_is_refused(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 500)
    alter(tmp_path, split_position(positions[-1])[0] << 32 | 20, b"\xff")
    with pytest.raises(JournalCorrupt, match="damaged segment header"):
        recover(tmp_path)


def test_a_header_torn_before_its_first_frame_is_an_unused_segment(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        Waiter(writer).until_prepared(2)
        writer.submit(run_of([1, 2]), 2)
    alter(tmp_path, 2 << 32, b"BKSTSEG\n\x01")
    assert_history(recover(tmp_path), 2)
    assert not any((tmp_path / segment_name(2)).read_bytes())
    with writing(tmp_path) as writer:
        writer.submit(run_of([3]), 3)
    assert_history(recover(tmp_path), 3)


def test_after_a_failed_sync_the_next_start_takes_what_it_rewrote_and_no_more(tmp_path: Path) -> None:
    with writing(tmp_path, fault=FaultPlan("fdatasync", 3, errno.EIO)) as writer:
        waiter = Waiter(writer)
        writer.submit(run_of([1]), 1)
        waiter.wait(1)
        writer.submit(run_of([2, 3]), 3)
        assert waiter.wait(3) == 1
    recovered = recover(tmp_path)  # written though never acknowledged: it may stay, for it is on disk now
    assert not recovered.is_clean
    assert_history(recovered, 3)
    page = (tmp_path / segment_name(1)).read_bytes()[:PAGE_BYTES]
    mark = parse_mark(page)
    assert mark is not None and mark.is_synced and mark.last_seq == 3


def test_recovery_since_a_position_reads_only_what_follows(tmp_path: Path) -> None:
    positions = write_journal(tmp_path, 1000)
    since = positions[799]
    alter(tmp_path, positions[3] + 20, b"\xff")  # before the snapshot: another run of verify finds it
    recovered = recover(tmp_path, since=since)
    assert [frame.seq for frame in frames_of(recovered, since)] == list(range(800, 1001))
    assert recovered.frames == 1000
    with pytest.raises(JournalCorrupt):
        list(recovered.blocks())
    assert recovered.find(900) == positions[899]
    with pytest.raises(JournalError, match="not in the journal"):
        recovered.find(1002)


def test_a_trimmed_journal_recovers_from_its_first_segment_on(tmp_path: Path) -> None:
    write_journal(tmp_path, 1000)
    (tmp_path / segment_name(1)).unlink()
    recovered = recover(tmp_path)
    header = parse_header((tmp_path / segment_name(2)).read_bytes())
    assert header is not None and recovered.first_seq == header.first_seq > 1
    assert recovered.last_seq == 1000


def test_a_segment_of_another_history_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, 500)
    other = tmp_path / "other"
    other.mkdir()
    with writing(other, history_id=bytes(16)) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 501):
            writer.submit(run_of([seq]), seq)
            if seq % 20 == 0:
                waiter.wait(seq)
    shutil.copy(other / segment_name(2), tmp_path / segment_name(2))
    with pytest.raises(JournalCorrupt, match="another history"):
        recover(tmp_path)


def test_a_clean_end_is_one_only_for_the_start_that_finds_it(tmp_path: Path) -> None:
    """A life that dies with nothing on disk looked like the orderly end before it: its stops had fired unseen."""
    write_journal(tmp_path, 3)
    assert recover(tmp_path, repair=False).is_clean
    assert recover(tmp_path).is_clean
    again = recover(tmp_path)
    assert not again.is_clean
    assert_history(again, 3)
