"""A stop that fires and is refused at its release ends there and then, though nothing else fired with it."""

from gateway.core.world import World
from hotpath.enums import OrdStatus
from tests.property.order_world import LIMITS
from tests.unit.engine_rig import Rig


def test_a_refused_release_ends_the_order_when_it_alone_fires() -> None:
    rig = Rig()
    rig.up()
    order = rig.place("stop", stop="95", qty="1")
    rig.sync()
    World(rig.engine.state).set_limits(0, dict.fromkeys(LIMITS, 0), 2, rig.clock.wall)
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    assert rig.status(order) == OrdStatus.REJECTED
