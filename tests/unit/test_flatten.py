"""Closing a position: what goes to the broker, within which limits, and what the account is told."""

from gateway.core.world import World
from gateway.flatten import Flatten
from hotpath.enums import OrdType, Side
from tests.property.order_world import E9, LIMITS
from tests.unit.engine_rig import Rig

STALE_NS = 2 * 10**18  # beyond any limit of the rig's instruments


def blind_rig(qty: int = 10) -> Rig:
    rig = Rig()
    rig.up()
    if qty:
        rig.long(qty)
    rig.link.submitted.clear()
    rig.clock.mono += STALE_NS
    return rig


def close(rig: Rig) -> str:
    done = Flatten(rig.engine).close(0, 0, "guard-0-7")
    rig.sync()
    return done


def test_a_long_position_is_sold_at_market_without_any_price() -> None:
    rig = blind_rig()
    assert close(rig) == "flatten: guard-0-7-1"
    (ticket,) = rig.link.submitted
    assert (ticket.side, ticket.ord_type, ticket.qty_e9) == (Side.SELL, OrdType.MARKET, 10 * E9)


def test_it_leaves_only_when_it_is_on_disk() -> None:
    rig = blind_rig()
    Flatten(rig.engine).close(0, 0, "guard-0-7")
    rig.engine.flush()
    assert rig.link.submitted == []
    rig.sync()
    assert len(rig.link.submitted) == 1


def test_no_position_is_nothing_to_close() -> None:
    rig = blind_rig(0)
    assert close(rig) == "flatten: nothing to close"
    assert rig.link.submitted == []


def test_what_others_close_already_is_not_sold_twice() -> None:
    rig = blind_rig()
    rig.place("mine", side="sell", ord_type="limit", qty="4", px="100", reduce_only=True)
    rig.sync()
    assert close(rig) == "flatten: guard-0-7-1"
    assert [ticket.qty_e9 // E9 for ticket in rig.link.submitted] == [4, 6]
    assert close(rig) == "flatten: nothing to close"


def test_a_position_beyond_so_many_orders_is_told_as_what_is_left() -> None:
    rig = blind_rig(40)
    World(rig.state).set_limits(0, {**LIMITS, "max_order_qty_e9": 2 * E9}, 2, rig.clock.wall)
    assert close(rig) == "flatten: 16 orders to sell; 8 left"


def test_a_limit_on_one_order_makes_several() -> None:
    rig = blind_rig()
    World(rig.state).set_limits(0, {**LIMITS, "max_order_qty_e9": 4 * E9}, 2, rig.clock.wall)
    assert close(rig) == "flatten: 3 orders to sell"
    assert [ticket.qty_e9 // E9 for ticket in rig.link.submitted] == [4, 4, 2]


def test_a_market_that_does_not_trade_refuses_it_and_says_why() -> None:
    rig = blind_rig()
    rig.state.quotes.set_state(0, is_halted=True)
    assert close(rig) == "flatten; 10 refused: RC_HALTED"
    assert rig.link.submitted == []
