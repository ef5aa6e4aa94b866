"""The snapshot store: written whole or not at all, damaged ones passed over and reported, start-up from the newest."""

from pathlib import Path

from gateway.journal.recovery import recover
from gateway.journal.snapshot import Snapshot, SnapshotStore, restore
from tests.unit.journal_files import HISTORY, Waiter, run_of, writing


def snapshot_at(seq: int, position: int = 1 << 32 | 4096) -> Snapshot:
    return Snapshot(seq, position, HISTORY, b"state after %d" % seq * 10)


def test_the_newest_snapshot_is_loaded_and_three_are_kept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    for seq in (10, 20, 30, 40, 1000):
        store.write(snapshot_at(seq))
    loaded = store.load(history_id=HISTORY, last_seq=2000)
    assert loaded.snapshot == snapshot_at(1000)
    assert loaded.refused == ()
    assert [path.name for path in store.paths()] == [f"{seq:020d}.snap" for seq in (1000, 40, 30)]


def test_an_empty_store_has_none(tmp_path: Path) -> None:
    loaded = SnapshotStore(tmp_path).load()
    assert (loaded.snapshot, loaded.refused) == (None, ())


def test_every_flipped_bit_and_every_cut_is_passed_over(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write(snapshot_at(10))
    path = store.write(snapshot_at(20))
    whole = path.read_bytes()
    altered = [whole[:cut] for cut in range(len(whole))] + [whole + b"\0"]
    for bit in range(len(whole) * 8):
        one = bytearray(whole)
        one[bit // 8] ^= 1 << (bit % 8)
        altered.append(bytes(one))
    for content in altered:
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
        loaded = store.load(history_id=HISTORY, last_seq=100)
        assert loaded.snapshot == snapshot_at(10)
        assert [refused.path for refused in loaded.refused] == [path]


def test_a_snapshot_of_another_history_or_ahead_of_the_journal_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.write(snapshot_at(10))
    assert store.load(history_id=bytes(16)).refused[0].why == "a snapshot of another history"
    ahead = store.load(history_id=HISTORY, last_seq=9)
    assert ahead.snapshot is None
    assert ahead.refused[0].why == "ahead of the journal: seq 10 after 9"


def test_an_unfinished_snapshot_is_never_seen(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    path = store.write(snapshot_at(10))
    path.with_name(f"{20:020d}.tmp").write_bytes(b"half")
    assert store.load().snapshot == snapshot_at(10)


def test_restore_begins_behind_the_newest_usable_snapshot(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    with writing(tmp_path) as writer:
        waiter = Waiter(writer)
        for seq in range(1, 501):
            writer.submit(run_of([seq]), seq)
            waiter.wait(seq)
            if seq in (100, 400):
                store.write(snapshot_at(seq, writer.position))
    restored = restore(tmp_path)
    assert restored.snapshot is not None and restored.snapshot.seq == 400
    assert next(restored.recovered.blocks(restored.snapshot.position)).first_seq == 401

    newest = store.paths()[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    restored = restore(tmp_path)
    assert restored.snapshot is not None and restored.snapshot.seq == 100
    assert [refused.why for refused in restored.refused] == ["damaged content"]
    assert next(restored.recovered.blocks(restored.snapshot.position)).first_seq == 101


def test_restore_checks_the_whole_journal_when_the_snapshot_is_ahead_of_it(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.submit(run_of(range(1, 51)), 50)
    SnapshotStore(tmp_path).write(snapshot_at(60, 9 << 32 | 4096))
    restored = restore(tmp_path)
    assert restored.snapshot is None
    assert restored.recovered.last_seq == recover(tmp_path).last_seq == 50
    assert [block.first_seq for block in restored.recovered.blocks()] == [1]
