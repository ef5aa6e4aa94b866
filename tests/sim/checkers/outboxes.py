"""I14: a slow or dead client takes no memory past its bound: it is closed, and can resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

EACH = 16  # events between two looks
SLACK_BYTES = 48 << 10  # what one turn may add before the end takes effect


class Outboxes:
    """The bytes that wait for each connection."""

    id = "I14"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.limit_bytes = judge.world.config.limits.api.outbound_bytes + SLACK_BYTES

    def step(self) -> None:
        world = self.judge.world
        if world.kernel.events % EACH:
            return
        for client in world.clients:
            if client.wire is not None and client.wire.get_write_buffer_size() > self.limit_bytes:
                raise Broken("I14", f"{client.wire.get_write_buffer_size()} bytes wait for {client.name}")
