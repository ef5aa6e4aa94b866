"""Types of gateway.core.turn."""

from collections.abc import Callable

from gateway.core.state import State
from gateway.stream.fanout import Fanout
from hotpath.hist import Histogram

class Turn:
    def __init__(
        self,
        state: State,
        fanout: Fanout,
        journal: object,
        *,
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        times: Histogram,
        is_durable: bool,
        act: Callable[[list[tuple[int, int]]], None],
    ) -> None: ...
    def flush(self) -> None: ...
    def on_durable(self) -> None: ...
    def settle(self, durable_seq: int) -> None: ...
