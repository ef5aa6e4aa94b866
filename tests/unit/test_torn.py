"""A record that does not fit the state: it never reaches the journal, and nothing goes on after it."""

from __future__ import annotations

import pytest

from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from gateway.errors import StateTorn
from tests.property.order_world import E9
from tests.unit.engine_rig import Rig


@pytest.mark.parametrize("core", [COMPILED, READABLE], ids=["compiled", "readable"])
def test_a_record_that_cannot_be_applied_is_not_written_and_ends_the_process(core: Core) -> None:
    rig = Rig(core=core)
    rig.place("before")
    written = bytes(rig.state.peek())
    rig.state.stops.set_tick(0, 3 * E9)  # an index that cannot take what the intake let in
    with pytest.raises(ValueError, match="cannot be armed"):
        rig.place("torn", stop="95")
    assert bytes(rig.state.peek()) == written
    with pytest.raises(StateTorn):
        rig.place("after")
    taken = len(rig.journal.data)
    with pytest.raises(SystemExit):
        rig.engine.flush()
    assert len(rig.journal.data) == taken, "what was said before it is not acknowledged either"
