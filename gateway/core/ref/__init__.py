"""The core in plain Python: the same calls, records, refusals and digests as the compiled one, and its oracle.

The stubs of the compiled classes say what both have; `tests/property/test_cores.py` holds the two together. An engine
runs on either (`Engine(core=READABLE)` over a state of it). Compiled remain what holds no order state: the renderer of
events, the broker ticket and the enumerations.
"""

from typing import Any, cast

from gateway.core import Core
from gateway.core.ref.batch import Batch
from gateway.core.ref.intake import Intake
from gateway.core.ref.reports import Reports
from gateway.core.ref.state import State
from gateway.core.ref.turn import Turn
from gateway.core.ref.views import Views
from gateway.core.ref.watch import Watch
from gateway.core.ref.world import World
from hotpath.ref.ticks import TickParser

# The types of a Core are the compiled classes; that these answer the same calls is what the property test proves.
READABLE = Core(
    state=cast(Any, State), world=cast(Any, World), intake=cast(Any, Intake), batch=cast(Any, Batch),
    reports=cast(Any, Reports), views=cast(Any, Views), watch=cast(Any, Watch), parser=cast(Any, TickParser),
    turn=cast(Any, Turn),
)  # fmt: skip
