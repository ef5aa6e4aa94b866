"""The core in plain Python: the same calls, records, refusals and digests as the compiled one, and its oracle.

The stubs of the compiled classes say what both have; `tests/property/test_cores.py` holds the two together. An engine
runs on either (`Engine(core=READABLE)` over a state of it).
"""

from typing import cast

from gateway.core import Core, batch, intake, reports, state, views, watch, world
from gateway.core.ref.batch import Batch
from gateway.core.ref.intake import Intake
from gateway.core.ref.reports import Reports
from gateway.core.ref.state import State
from gateway.core.ref.views import Views
from gateway.core.ref.watch import Watch
from gateway.core.ref.world import World
from hotpath import ticks
from hotpath.ref.ticks import TickParser

READABLE = Core(
    state=cast(type[state.State], State),
    world=cast(type[world.World], World),
    intake=cast(type[intake.Intake], Intake),
    batch=cast(type[batch.Batch], Batch),
    reports=cast(type[reports.Reports], Reports),
    views=cast(type[views.Views], Views),
    watch=cast(type[watch.Watch], Watch),
    parser=cast(type[ticks.TickParser], TickParser),
)
