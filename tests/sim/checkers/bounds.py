"""I19: no queue or table passes its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.router import ASKING_MAX
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

EACH = 64  # events between two looks
BACKLOG_BYTES_MAX = (1 << 20) + (256 << 10)  # what cancels may reach, and what reports and timers add to it


class Bounds:
    """The queues of the engine and its router."""

    id = "I19"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def step(self) -> None:
        world = self.judge.world
        shard = world.node.shard
        if world.kernel.events % EACH or shard is None:
            return
        engine, limits = shard.engine, world.config.limits.api
        sizes = {
            "questions under way": (len(engine.router.asking), ASKING_MAX),
            "orders": (engine.state.orders.count, engine.state.orders.capacity),
            "bytes that wait for the journal": (engine.backlog_bytes, BACKLOG_BYTES_MAX),
        }
        for client in world.clients:
            if client.session is not None and client.session.outbox is not None:
                waiting = client.session.outbox.unanswered
                sizes[f"unanswered requests of {client.name}"] = (waiting, limits.unanswered_max)
        for name, (size, most) in sizes.items():
            if size > most:
                raise Broken("I19", f"{size} {name}, at most {most}")
