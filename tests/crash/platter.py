"""A power failure for files that a real process wrote: the file layer's record, told to the simulated disk.

The disk of `tests/sim/disk.py` knows what of it was synced; it loses, tears, shuffles and flips the rest, and what it
keeps becomes the real folder. Before that the folder must be what the record says: nothing went past the layer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

from tests.crash.layer import WRITES, Entry, FileLayer, Kind, State
from tests.sim.disk import DiskFaults, Folder, Inode, SimDisk

TOP = Path("/")


class Platter:
    """The folder `name` under the layer's own, as the disk has it. It begins without it."""

    def __init__(self, layer: FileLayer, name: str, rng: Random, faults: DiskFaults | None = None) -> None:
        self.layer = layer
        self.folder = layer.folder / name
        self.disk = SimDisk(rng, faults or DiskFaults())
        self._name = name
        self._open: dict[int, Inode | Folder] = {}
        self._unsure: list[tuple[Inode, int, int]] = []  # writes in which the process died

    def catch_up(self) -> None:
        """The process is dead: take what it did, and hold the folder against it."""
        self._open.clear()
        self._unsure.clear()
        for entry in self.layer.entries():
            self._take(entry)
        self._check(self.disk.root.cache.get(self._name), self.folder)

    def lose_power(self) -> None:
        """Part of what was not synced is gone, in the folder too."""
        self.disk.crash()
        shutil.rmtree(self.folder, ignore_errors=True)
        kept = self.disk.root.cache.get(self._name)
        if kept is not None:
            _write_out(kept, self.folder)

    def begin_anew(self) -> None:
        """The folder was never there."""
        self.disk.root = Folder()
        self.disk.used_bytes = 0
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- what the process did -----------------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        if entry.kind in WRITES:
            self._written(entry)
        elif entry.kind in (Kind.SYNC, Kind.FOLDER):
            self._synced(entry)
        elif entry.kind != Kind.RANGE:
            self._named(entry)

    def _written(self, entry: Entry) -> None:
        inode = self._open.get(entry.handle)
        if isinstance(inode, Inode) and entry.state != State.FAILED:
            self.disk.write(inode, entry.data, entry.offset)
            if entry.state == State.BEGUN:
                self._unsure.append((inode, entry.offset, entry.offset + len(entry.data)))

    def _synced(self, entry: Entry) -> None:
        """A sync that failed keeps what chance will have, now: no later one brings the rest to the disk."""
        what = self._open.get(entry.handle)
        if isinstance(what, Inode):
            if entry.state == State.DONE:
                self.disk.sync(what)
            elif entry.state == State.FAILED:
                self.disk.lose_some(what)
        elif isinstance(what, Folder) and entry.state == State.DONE:
            what.durable = dict(what.cache)
            what.dirty.clear()

    def _named(self, entry: Entry) -> None:
        text = entry.data.decode()
        path = self._inside(text[: entry.offset] if entry.kind == Kind.RENAME else text)
        if path is None or entry.state == State.FAILED:
            return
        if path == TOP:
            self._open[entry.handle] = self.disk.root
            return
        folder = self.disk.folder(path.parent)
        if entry.kind == Kind.OPEN:
            if path.name in folder.cache:
                self._open[entry.handle] = folder.cache[path.name]
        elif entry.kind == Kind.RENAME:
            new = self._inside(text[entry.offset :])
            assert new is not None and new.parent == path.parent, f"a rename across folders: {text}"
            if _happened(entry, not self._real(path).exists()):
                folder.cache[new.name] = what = folder.cache.pop(path.name)
                folder.dirty.append((path.name, new.name, what))
        elif entry.kind == Kind.UNLINK:
            if path.name in folder.cache and _happened(entry, not self._real(path).exists()):
                folder.dirty.append((path.name, None, folder.cache.pop(path.name)))
        elif _happened(entry, self._real(path).exists()):
            made = Folder() if entry.kind == Kind.MKDIR else Inode()
            folder.cache[path.name] = self._open[entry.handle] = made
            folder.dirty.append((None, path.name, made))

    def _inside(self, text: str) -> Path | None:
        """The name as the simulated disk has it; None for what is not of this folder."""
        parts = Path(text).relative_to(self.layer.folder).parts
        return TOP.joinpath(*parts) if not parts or parts[0] == self._name else None

    def _real(self, path: Path) -> Path:
        return self.layer.folder / path.relative_to(TOP)

    # --- the proof that the record is whole ---------------------------------------------------------------------------

    def _check(self, what: Inode | Folder | None, path: Path) -> None:
        if isinstance(what, Folder):
            assert set(os.listdir(path)) == set(what.cache), f"names in {path} that the layer never saw, or saw go"
            for name, entry in what.cache.items():
                self._check(entry, path / name)
        elif isinstance(what, Inode):
            real = path.read_bytes()
            for inode, start, end in self._unsure:
                if inode is what:
                    what.cache[start:end] = seen = real[start:end]
                    last = max(at for at, (offset, _) in enumerate(what.dirty) if offset == start)
                    what.dirty[last] = (start, seen)
            assert real == what.cache, f"{path} is not what the layer saw written"
        else:
            assert not path.exists(), f"{path} was made past the layer"


def _happened(entry: Entry, is_seen: bool) -> bool:
    """Whether the call took effect; of one in which the process died, the folder tells."""
    return is_seen or entry.state == State.DONE


def _write_out(what: Inode | Folder, path: Path) -> None:
    if isinstance(what, Inode):
        path.write_bytes(what.cache)
        return
    path.mkdir()
    for name, entry in what.cache.items():
        _write_out(entry, path / name)
