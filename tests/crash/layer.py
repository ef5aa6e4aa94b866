"""The preloaded file layer (file_layer.cpp) as a test sees it: built, told its rules, read once the process is dead."""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("file_layer.cpp")
MEMORY = Path("/dev/shm")
HEAD_BYTES = 4096
LOG_BYTES = 1 << 30  # sparse: it costs what one life writes
USED, CALLS, RULES = 1, 2, 18  # words of the head
RULE_WORDS = 8
RECORD = struct.Struct("<IIIIQQ")


class Kind(IntEnum):
    """Calls that change what is on disk."""

    OPEN = 0
    CREATE = 1
    WRITE = 2
    HEADER = 3  # a small write at the very beginning of a file
    SYNC = 4
    RANGE = 5  # sync_file_range: on its way, not there
    RENAME = 6
    UNLINK = 7
    MKDIR = 8
    FOLDER = 9  # sync of a folder


class Act(IntEnum):
    """What a rule does."""

    NONE = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    FAIL = 3
    SHORT = 4
    LIE = 5  # the call returns success, and nothing was done


class State(IntEnum):
    """How a call ended. BEGUN: the process died in it."""

    BEGUN = 0
    DONE = 1
    FAILED = 2


BOUNDARIES = frozenset(Kind) - {Kind.OPEN}
WRITES = frozenset((Kind.WRITE, Kind.HEADER))


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `data`: what was written, or the names; `offset`: where, or the length of the first name."""

    kind: Kind
    state: State
    handle: int
    offset: int
    data: bytes


@functools.cache
def library() -> Path:
    """The layer, compiled for this machine. Skips where there is no compiler."""
    text = SOURCE.read_bytes()
    target = ROOT / "build" / f"file_layer-{hashlib.blake2b(text, digest_size=8).hexdigest()}.so"
    if target.exists():
        return target
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a C++ compiler")
        pytest.skip("the file layer needs a C++ compiler")
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-fPIC", "-shared"]
        subprocess.run([compiler, *options, "-o", str(made), str(SOURCE), "-ldl"], check=True)
        made.replace(target)
    return target


class FileLayer:
    """What one process after the other does to the files under `folder`. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._library = library()
        handle, name = tempfile.mkstemp(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
        os.ftruncate(handle, HEAD_BYTES + LOG_BYTES)
        self._file = Path(name)
        self._map = mmap.mmap(handle, HEAD_BYTES + LOG_BYTES)
        os.close(handle)
        self._words = memoryview(self._map)[:HEAD_BYTES].cast("Q")
        self._words[0] = LOG_BYTES

    def close(self) -> None:
        """Let the shared file go."""
        self._words.release()
        self._map.close()
        self._file.unlink()

    def prefix(self) -> list[str]:
        """Put before a command: its process, and no other, works through the layer."""
        return [
            "env", f"LD_PRELOAD={self._library}", f"BACKSTAY_LAYER={self._file}",
            f"BACKSTAY_LAYER_FOLDER={self.folder}",
        ]  # fmt: skip

    # --- rules, of a process that runs or is about to -----------------------------------------------------------------

    def strike(
        self, act: Act, kinds: Collection[Kind], nth: int = 1, *, every: int = 0, since: Collection[Kind] = (),
        error: int = 0, slot: int = 0,
    ) -> None:  # fmt: skip
        """At the nth call from now on of these kinds, and then at each `every`-th (0: once).

        since: the counting begins with the first call of one of these; error: errno of what fails.
        """
        at = RULES + slot * RULE_WORDS
        self._words[at] = Act.NONE
        fields = (_bits(kinds), nth, every, _bits(since), error, 0, 0)
        for offset, value in enumerate(fields, 1):
            self._words[at + offset] = value
        self._words[at] = act  # last: from here on it counts

    def calm(self) -> None:
        """No more rules."""
        for slot in range(4):
            self._words[RULES + slot * RULE_WORDS] = Act.NONE

    def struck(self, slot: int = 0) -> int:
        """How often a rule has struck."""
        return self._words[RULES + slot * RULE_WORDS + 6]

    def struck_at(self, slot: int = 0) -> Kind:
        """The last call that it struck."""
        return Kind(self._words[RULES + slot * RULE_WORDS + 7])

    def calls(self, kinds: Collection[Kind] = BOUNDARIES) -> int:
        """Calls of these kinds so far, over all processes."""
        return sum(self._words[CALLS + kind] for kind in kinds)

    # --- the record, once the process is dead -------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """What was done since the last time, in order."""
        found, at, end = [], HEAD_BYTES, HEAD_BYTES + self._words[USED]
        while at < end:
            size, kind, state, handle, offset, length = RECORD.unpack_from(self._map, at)
            data = self._map[at + RECORD.size : at + RECORD.size + length]
            found.append(Entry(Kind(kind), State(state), handle, offset, data))
            at += size
        self._words[USED] = 0
        return found


def _bits(kinds: Collection[Kind]) -> int:
    return sum(1 << kind for kind in kinds)
