"""What is known about one market-data feed: up or not, how old its last frame is, what it counted."""

from __future__ import annotations


class FeedHealth:
    """Owned by the feed client; metrics and the guard read it. Ages are by the local monotonic clock."""

    __slots__ = (
        "bytes_received", "cause", "connects", "frames", "ignored_frames", "is_up", "last_frame_ns", "losses",
        "renewals", "since_ns",
    )  # fmt: skip

    def __init__(self) -> None:
        self.is_up = False
        self.since_ns = 0  # of the present state; 0 before the first
        self.cause = "not started"
        self.last_frame_ns = 0  # 0 = none yet
        self.frames = 0
        self.bytes_received = 0
        self.ignored_frames = 0  # binary or fragmented: the feed's format has none
        self.connects = 0
        self.losses = 0
        self.renewals = 0  # planned changes of connection, without a gap

    def age_ns(self, now_ns: int) -> int | None:
        """Time since the last frame, None when there was none yet."""
        return now_ns - self.last_frame_ns if self.last_frame_ns else None

    def silence_ns(self, now_ns: int) -> int:
        """Time since the last sign of life: a frame, or the connection itself."""
        return now_ns - max(self.last_frame_ns, self.since_ns)

    def set_state(self, *, is_up: bool, cause: str, now_ns: int) -> None:
        self.is_up, self.cause, self.since_ns = is_up, cause, now_ns
        if is_up:
            self.connects += 1
        else:
            self.losses += 1
