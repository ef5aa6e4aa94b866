"""The venue's own record: order messages received, facts made, reports that left. It outlives the process."""

from __future__ import annotations

import os
from pathlib import Path


class Ledger:
    """JSON lines; what is noted is in the kernel after `flush`, before the batch's reports leave."""

    def __init__(self, path: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _cut_torn_line(self._fd)
        self._lines: list[bytes] = []

    def note_in(self, key: str, line: bytes, now_ns: int) -> None:
        self._lines.append(b'{"dir":"in","ts":%d,"key":"%s","msg":%s}\n' % (now_ns, key.encode(), line))

    def note_out(self, key: str, line: bytes, now_ns: int, *, is_sent: bool) -> None:
        sent = b"true" if is_sent else b"false"
        self._lines.append(
            b'{"dir":"out","ts":%d,"key":"%s","sent":%s,"msg":%s}\n' % (now_ns, key.encode(), sent, line)
        )

    def note_fact(self, key: str, line: bytes, now_ns: int) -> None:
        self._lines.append(b'{"dir":"fact","ts":%d,"key":"%s","msg":%s}\n' % (now_ns, key.encode(), line))

    def flush(self) -> None:
        if not self._lines:
            return
        block = memoryview(b"".join(self._lines))
        self._lines.clear()
        while block:
            block = block[os.write(self._fd, block) :]

    def close(self) -> None:
        self.flush()
        os.close(self._fd)


def _cut_torn_line(fd: int) -> None:
    """A line that a killed process did not finish was never acted on: no report of its batch has left."""
    end = os.lseek(fd, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - (1 << 16))
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            os.ftruncate(fd, start + newline + 1)
            return
        end = start
    os.ftruncate(fd, 0)
