"""Frames on their way to one connection: the slow client is warned at half of its limit, always before it is closed."""

from __future__ import annotations

from gateway.stream.fanout import Outbox


class Pipe:
    """A transport whose peer reads nothing."""

    def __init__(self) -> None:
        self.waiting = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes) -> None:
        self.waiting += len(data)


def outbox(told: list[str]) -> Outbox:
    made = Outbox(Pipe(), -1, 1000, False, lambda: told.append("slow"))
    made.on_lag = lambda: told.append("lag")
    return made


def test_the_half_is_told_once_until_it_was_left_again() -> None:
    told: list[str] = []
    box = outbox(told)
    for size in (300, 300, 100):
        box.send(b"x" * size)
        box.flush()
    assert (told, box.lagging) == (["lag"], True)
    box.transport.waiting = 0
    box.send(b"x" * 100)
    box.flush()
    assert (told, box.lagging) == (["lag"], False)
    box.send(b"x" * 600)
    box.flush()
    assert told == ["lag", "lag"]


def test_one_burst_past_the_whole_limit_warns_before_it_closes() -> None:
    told: list[str] = []
    box = outbox(told)
    box.send(b"x" * 2000)
    box.flush()
    assert (told, box.closed) == (["lag", "slow"], True)
