"""What the journal commands report: counts of a sound journal, the place of damage, the records themselves."""

from pathlib import Path

import pytest

from gateway.journal.errors import JournalCorrupt
from gateway.journal.segment import segment_name, split_position
from gateway.journal.verify import dump, stats, verify
from tests.unit.journal_files import HISTORY, Waiter, payload_of, run_of, writing


@pytest.fixture
def positions(tmp_path: Path) -> list[int]:
    """A journal of 500 records in the test's folder; where each of them is."""
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        found = []
        for seq in range(1, 501):
            found.append(writer.submit(run_of([seq]), seq))
            waiter.wait(seq)
    return found


def test_verify_counts_a_sound_journal(tmp_path: Path, positions: list[int]) -> None:
    told: list[tuple[int, int]] = []
    report = verify(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert report.is_sound and report.is_clean and report.corruption is None
    assert (report.frames, report.first_seq, report.last_seq, report.epoch) == (500, 1, 500, 7)
    assert report.kinds == dict.fromkeys(range(1, 6), 100)
    assert report.history_id == HISTORY.hex()
    assert report.segments == split_position(positions[-1])[0] == len(told)
    assert told[-1] == (report.segments, report.segments)
    assert report.torn_tail_bytes == 0


def test_verify_says_where_damage_begins_and_counts_what_is_before_it(tmp_path: Path, positions: list[int]) -> None:
    number, offset = split_position(positions[299])
    with (tmp_path / segment_name(number)).open("r+b") as file:
        file.seek(offset + 30)
        file.write(b"\xff\xff")
    report = verify(tmp_path)
    assert not report.is_sound and report.corruption is not None
    assert (report.corruption.offset, report.corruption.seq) == (offset, 300)
    assert report.corruption.file.endswith(segment_name(number))
    assert (report.frames, report.last_seq) == (299, 299)


def test_verify_reports_a_torn_tail_and_leaves_it(tmp_path: Path, positions: list[int]) -> None:
    number, offset = split_position(positions[-1])
    file = tmp_path / segment_name(number)
    file.write_bytes(file.read_bytes()[: offset + 50])
    for _ in range(2):
        report = verify(tmp_path)
        assert report.is_sound and report.last_seq == 499
        assert 0 < report.torn_tail_bytes <= 50


def test_dump_renders_the_records_asked_for(tmp_path: Path, positions: list[int]) -> None:
    records = list(
        dump(tmp_path, lambda kind, version, payload: (kind, version, bytes(payload)), first_seq=130, last_seq=260)
    )
    assert [record.seq for record in records] == list(range(130, 261))
    assert [record.position for record in records] == positions[129:260]
    assert all(record.payload == (record.seq % 5 + 1, 1, payload_of(record.seq)) for record in records)
    assert all(record.wall_ns == record.seq * 1000 for record in records)
    assert len(list(dump(tmp_path, lambda *_: None))) == 500


def test_stats_add_up(tmp_path: Path, positions: list[int]) -> None:
    report = stats(tmp_path)
    assert report.records == 500 == sum(kind.records for kind in report.kinds.values())
    assert report.frame_bytes == sum(kind.frame_bytes for kind in report.kinds.values())
    assert report.payload_bytes == sum(len(payload_of(seq)) for seq in range(1, 501))
    assert report.file_bytes % 16384 == 0
    first, *_, last = report.segments
    assert (first.first_seq, first.first_wall_ns, last.last_seq, last.last_wall_ns) == (1, 1000, 500, 500_000)


def test_an_empty_journal_is_sound(tmp_path: Path) -> None:
    assert verify(tmp_path).is_sound
    assert stats(tmp_path).records == 0
    assert list(dump(tmp_path, lambda *_: None)) == []


def test_dump_ends_at_damage_with_its_place(tmp_path: Path, positions: list[int]) -> None:
    number, offset = split_position(positions[5])
    with (tmp_path / segment_name(number)).open("r+b") as file:
        file.seek(offset + 30)
        file.write(b"\xff\xff")
    seen = []
    with pytest.raises(JournalCorrupt, match="bad frame"):
        seen.extend(record.seq for record in dump(tmp_path, lambda *_: None))
