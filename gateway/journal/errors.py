"""What can go wrong with the journal, as exceptions that say it in one line."""

import os

from gateway.errors import GatewayError


class JournalError(GatewayError):
    """The journal cannot do what was asked."""


class JournalFull(JournalError):
    """Back-pressure: the writer's buffer is full, nothing was taken; the caller answers BUSY."""

    def __init__(self, queue_bytes: int) -> None:
        super().__init__(f"journal buffer full: queue_bytes={queue_bytes}")
        self.queue_bytes = queue_bytes


class JournalStopped(JournalError):
    """The writing has ended: an operation failed, the disk is full, or the writer was closed."""

    def __init__(self, errno: int, op: str) -> None:
        super().__init__(f"journal stopped: {op} failed: {os.strerror(errno)}" if errno else f"journal stopped: {op}")
        self.errno = errno
        self.op = op


class JournalCorrupt(JournalError):
    """Damage before later sound data: refused, never repaired by guessing. Names file, offset and the seq wanted."""

    def __init__(self, file: str, offset: int, seq: int, what: str) -> None:
        super().__init__(f"journal corrupt: {file} offset={offset} seq={seq}: {what}")
        self.file = file
        self.offset = offset
        self.seq = seq
        self.what = what
