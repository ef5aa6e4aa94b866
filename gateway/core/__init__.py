"""The core of one shard as a set of classes that belong together: a state, what asks it, changes it and reads it."""

from dataclasses import dataclass

from gateway.core.batch import Batch
from gateway.core.intake import Intake
from gateway.core.reports import Reports
from gateway.core.state import State
from gateway.core.turn import Turn
from gateway.core.views import Views
from gateway.core.watch import Watch
from gateway.core.world import World
from hotpath.ticks import TickParser


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """One implementation of the core. Its classes work on its own states only; another's raises TypeError."""

    state: type[State]
    world: type[World]
    intake: type[Intake]
    batch: type[Batch]
    reports: type[Reports]
    views: type[Views]
    watch: type[Watch]
    parser: type[TickParser]
    turn: type[Turn]


COMPILED = Core(
    state=State,
    world=World,
    intake=Intake,
    batch=Batch,
    reports=Reports,
    views=Views,
    watch=Watch,
    parser=TickParser,
    turn=Turn,
)
