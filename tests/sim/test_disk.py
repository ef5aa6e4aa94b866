"""The simulated disk itself: what a crash may keep and what it must, and the faults that it makes."""

import errno
from pathlib import Path
from random import Random

import pytest

from tests.sim.disk import DiskFaults, PowerLost, SimDisk, SimFiles

HOME = Path("/data")
FILE = HOME / "file"


def disk_of(seed: int, **faults: float) -> SimDisk:
    disk = SimDisk(Random(seed), DiskFaults(**faults))  # type: ignore[arg-type]
    disk.files().make_folder(HOME)
    return disk


def put(files: SimFiles, content: bytes) -> None:
    file = files.open(FILE, "create")
    file.pwrite(content, 0)
    file.sync()
    files.sync_folder(HOME)


def test_what_was_synced_survives_every_crash() -> None:
    for seed in range(200):
        disk = disk_of(seed)
        put(disk.files(), b"a" * 2000)
        for _ in range(3):
            disk.crash()
            assert disk.files().read(FILE) == b"a" * 2000


def test_each_unsynced_sector_may_be_old_or_new_in_any_order() -> None:
    seen = set()
    for seed in range(400):
        disk = disk_of(seed, torn_rate=0.0, flip_rate=0.0)
        put(disk.files(), b"a" * 1536)
        disk.files().open(FILE, "write").pwrite(b"b" * 1536, 0)
        disk.crash()
        found = disk.files().read(FILE)
        assert all(len(set(found[at : at + 512])) == 1 for at in (0, 512, 1024))
        seen.add(bytes(found[::512]))
    assert len(seen) == 8, "any subset, a later sector without an earlier one too"


def test_a_sector_written_twice_may_keep_the_first_version() -> None:
    seen = set()
    for seed in range(100):
        disk = disk_of(seed, torn_rate=0.0, flip_rate=0.0)
        put(disk.files(), b"a" * 512)
        file = disk.files().open(FILE, "write")
        file.pwrite(b"b", 0)
        file.pwrite(b"c", 1)
        disk.crash()
        seen.add(bytes(disk.files().read(FILE)[:2]))
    assert seen == {b"aa", b"ba", b"bc"}


def test_sectors_are_torn_and_bits_flip_only_where_nothing_was_synced() -> None:
    disk = disk_of(1, torn_rate=0.5, flip_rate=0.5)
    for _ in range(200):
        put(disk.files(), b"a" * 4096)
        disk.files().open(FILE, "write").pwrite(b"b" * 1024, 1024)
        disk.crash()
        found = disk.files().read(FILE)
        assert found[:1024] == b"a" * 1024 and found[2048:] == b"a" * 2048
    assert disk.injected["torn sector"] > 20 and disk.injected["flipped bit"] > 20


def test_a_name_is_lost_unless_its_folder_was_synced() -> None:
    kept = 0
    for seed in range(60):
        disk = disk_of(seed)
        file = disk.files().open(FILE, "create")
        file.pwrite(b"a", 0)
        file.sync()
        disk.crash()
        kept += disk.files().names(HOME) == ["file"]
    assert 0 < kept < 60


def test_a_killed_process_loses_nothing_and_can_do_nothing_more() -> None:
    disk = disk_of(1)
    files = disk.files()
    files.lock(HOME)
    file = files.open(FILE, "create")
    file.pwrite(b"a" * 600, 0)
    disk.kill()
    with pytest.raises(PowerLost):
        file.pwrite(b"b", 0)
    assert disk.files().read(FILE) == b"a" * 600
    disk.files().lock(HOME)
    with pytest.raises(BlockingIOError):
        disk.files().lock(HOME)


def test_after_a_failed_sync_the_cache_shows_what_the_disk_never_got() -> None:
    lost = 0
    for seed in range(60):
        disk = disk_of(seed, torn_rate=0.0, flip_rate=0.0)
        put(disk.files(), b"a" * 512)
        file = disk.files().open(FILE, "write")
        file.pwrite(b"b" * 512, 0)
        disk.error_at = disk.operations + 1
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
        file.sync()  # says that all is well
        assert file.pread(512, 0) == b"b" * 512
        disk.crash()
        lost += disk.files().read(FILE) == b"a" * 512
    assert 0 < lost < 60


def test_a_full_disk_takes_no_more_until_room_is_made() -> None:
    disk = disk_of(1)
    disk.faults.budget_bytes = 1000
    put(disk.files(), b"a" * 800)
    other = disk.files().open(HOME / "other", "create")
    with pytest.raises(OSError, match="No space") as caught:
        other.pwrite(b"b" * 300, 0)
    assert caught.value.errno == errno.ENOSPC
    disk.files().unlink(FILE)
    assert other.pwrite(b"b" * 300, 0) == 300


def test_faults_are_drawn_by_rate_and_the_same_seed_draws_the_same() -> None:
    def run(seed: int) -> tuple[dict[str, int], int]:
        disk = disk_of(seed)
        disk.faults = DiskFaults(error_rate=0.05, short_rate=0.2, slow_rate=0.1)
        files, failed = disk.files(), 0
        for _ in range(200):
            try:
                put(files, b"a" * 700)
            except OSError:
                failed += 1
        return dict(disk.injected), disk.took_ns + failed

    assert run(3) == run(3) != run(4)
    assert {"write error", "sync error", "short write", "slow"} <= run(3)[0].keys()


def test_a_persistent_failure_does_not_heal_by_itself() -> None:
    disk = disk_of(1)
    put(disk.files(), b"a")
    disk.faults.is_persistent = True
    disk.error_at = disk.operations + 1
    file = disk.files()
    with pytest.raises(OSError, match="Input/output"):
        file.open(FILE, "write")
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output"):
            file.open(FILE, "write").pwrite(b"b", 0)
    disk.heal()
    assert file.open(FILE, "write").pwrite(b"b", 0) == 1
