"""The file layer speaks up: what was not synced can be lost, what was synced cannot, and nothing passes it unseen."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.crash.layer import BOUNDARIES, WRITES, Act, FileLayer, Kind
from tests.crash.platter import Platter
from tests.sim.disk import DiskFaults

ROOT = Path(__file__).resolve().parents[2]
BEGIN = ("mkdir d", "folder .", "create d/f", "write aaaa 0", "sync", "folder d")  # f is there, and holds aaaa


class Rig:
    """A folder whose power a test takes. Its disk keeps this share of what was not synced."""

    def __init__(self, folder: Path, layer: FileLayer) -> None:
        self.layer = layer
        self.file = folder / "d/f"
        self.platter = Platter(layer, "d", Random(1), DiskFaults(torn_rate=0, flip_rate=0, keep_share=0.0))
        assert self.run(*BEGIN) == [0, 0, 0, 4, 0, 0]
        self.platter.catch_up()

    def run(self, *calls: str) -> list[int]:
        """What each call gave; fewer answers when the process was killed."""
        argv = [*self.layer.prefix(), sys.executable, "-P", "-m", "tests.crash.layer_child", str(self.layer.folder)]
        done = subprocess.run([*argv, *calls], capture_output=True, text=True, cwd=ROOT, check=False, env=_paths())
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return [int(line) for line in done.stdout.split()]

    def lose(self) -> bytes:
        """The file after a power failure."""
        self.platter.catch_up()
        self.platter.lose_power()
        return self.file.read_bytes() if self.file.exists() else b"gone"


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(entry for entry in sys.path if entry), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with closing(FileLayer(tmp_path)) as layer:
        yield Rig(tmp_path, layer)


def test_only_what_was_synced_is_sure(rig: Rig) -> None:
    assert rig.run("open d/f", "write bb 0", "sync", "write cc 2") == [0, 2, 0, 2]
    assert rig.file.read_bytes() == b"bbcc"
    assert rig.lose() == b"bbaa"


def test_what_is_kept_is_what_was_written(rig: Rig) -> None:
    rig.platter.disk.faults.keep_share = 1.0
    rig.run("open d/f", "write bb 0")
    assert rig.lose() == b"bbaa"


def test_a_sync_that_lies_makes_nothing_sure(rig: Rig) -> None:
    rig.layer.strike(Act.LIE, (Kind.SYNC,))
    assert rig.run("open d/f", "write bb 0", "sync") == [0, 2, 0]
    assert rig.lose() == b"aaaa"


def test_after_a_failed_sync_no_later_one_brings_back_what_it_lost(rig: Rig) -> None:
    rig.layer.strike(Act.FAIL, (Kind.SYNC,), error=errno.EIO)
    assert rig.run("open d/f", "write bb 0", "sync", "write cc 2", "sync") == [0, 2, -errno.EIO, 2, 0]
    assert rig.lose() == b"aacc"


def test_a_write_is_cut_short_and_refused(rig: Rig) -> None:
    rig.layer.strike(Act.SHORT, WRITES, nth=1)
    rig.layer.strike(Act.FAIL, WRITES, nth=3, every=1, error=errno.ENOSPC, slot=1)
    calls = ("open d/f", "write bbbb 0", "write cc 2", "write dd 0", "write dd 0", "sync")
    assert rig.run(*calls) == [0, 2, 2, -errno.ENOSPC, -errno.ENOSPC, 0]
    assert (rig.layer.struck(0), rig.layer.struck(1)) == (1, 2)
    assert rig.lose() == b"bbcc"


@pytest.mark.parametrize(
    ("act", "nth", "told", "left"),
    [(Act.KILL_BEFORE, 1, 1, b"aaaa"), (Act.KILL_AFTER, 1, 1, b"bbaa"), (Act.KILL_BEFORE, 2, 2, b"bbaa")],
)
def test_the_process_dies_at_the_call(rig: Rig, act: Act, nth: int, told: int, left: bytes) -> None:
    rig.layer.strike(act, BOUNDARIES, nth)
    assert len(rig.run("open d/f", "write bb 0", "sync")) == told
    assert rig.file.read_bytes() == left
    assert rig.lose() == b"aaaa"


def test_a_kill_after_a_sync_leaves_what_it_synced(rig: Rig) -> None:
    rig.layer.strike(Act.KILL_AFTER, (Kind.SYNC,))
    assert len(rig.run("open d/f", "write bb 0", "sync")) == 2
    assert rig.lose() == b"bbaa"


def test_counting_begins_where_it_is_told(rig: Rig) -> None:
    rig.layer.strike(Act.KILL_BEFORE, BOUNDARIES, nth=2, since=(Kind.HEADER,))
    assert rig.run("open d/f", "write b 1", "sync", "write b 0", "write b 3") == [0, 1, 0, 1]


def test_names_are_lost_until_their_folder_is_synced(rig: Rig) -> None:
    assert rig.run("rename d/f d/g", "create d/h", "write hh 0", "sync", "folder d", "unlink d/g") == [0, 0, 2, 0, 0, 0]
    rig.lose()
    assert {path.name: path.read_bytes() for path in rig.platter.folder.iterdir()} == {"g": b"aaaa", "h": b"hh"}


def test_a_folder_that_was_made_is_lost_too(tmp_path: Path) -> None:
    with closing(FileLayer(tmp_path)) as layer:
        rig = Rig(tmp_path, layer)
        rig.run("mkdir d/s", "create d/s/x", "write xx 0", "sync", "folder d/s")
        rig.lose()
        assert [path.name for path in rig.platter.folder.iterdir()] == ["f"]


def test_what_goes_past_the_layer_is_found(rig: Rig) -> None:
    rig.run("past d/f zz")
    with pytest.raises(AssertionError, match="not what the layer saw"):
        rig.platter.catch_up()
    rig.file.with_name("new").touch()
    with pytest.raises(AssertionError, match="never saw"):
        rig.platter.catch_up()


def test_calls_are_counted(rig: Rig) -> None:
    before = rig.layer.calls()
    rig.run("open d/f", "write bb 1", "sync", "folder d")
    assert rig.layer.calls() - before == 3
    assert rig.layer.calls((Kind.FOLDER,)) == 3
