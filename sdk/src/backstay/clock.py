"""The server's clock as seen from here, for deadlines that do not depend on this machine's wall clock."""

import time


class ServerClock:
    """An offset from the local monotonic clock.

    A frame that took longer to come makes the server look earlier than it is, so a larger sample is adopted at once
    and a smaller one only by a sixteenth: deadlines err on the early side by little more than the best latency seen.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    def observe(self, server_ns: int) -> None:
        sample = server_ns - time.monotonic_ns()
        if self._offset_ns is None or sample > self._offset_ns:
            self._offset_ns = sample
        else:
            self._offset_ns += (sample - self._offset_ns) >> 4

    def now_ns(self) -> int | None:
        """Nanoseconds since 1970 by the server, or None before it was ever heard."""
        return None if self._offset_ns is None else time.monotonic_ns() + self._offset_ns
