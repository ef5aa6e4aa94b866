"""A kill switch as a record: book, gate and the account's stream follow it, live, in replay and from a snapshot."""

import msgspec
import pytest

from gateway.core.state import State
from gateway.core.world import World
from hotpath import frame
from hotpath.enums import HaltLevel, HaltScope
from risk.halts import HaltBook, HaltRefused
from tests.property.order_world import new_state

WALL_NS = 10**18


def opened() -> tuple[State, World]:
    state = new_state()
    world = World(state)
    world.start_epoch(1, bytes(range(16)), WALL_NS)
    world.list_instrument(
        b"S0", tick_e9=1, lot_e9=1, min_qty_e9=1, max_age_ns=1, outside_bps_e9=1, asset_class=0, wall_ns=WALL_NS
    )
    world.open_account(b"A0", 0, 0, WALL_NS)
    return state, world


def trip(state: State, world: World, scope: HaltScope, target: str, level: HaltLevel) -> None:
    change = state.halts.to_set(scope=scope, target=target, level=level, reason="loss", actor="ann", wall_ns=WALL_NS)
    world.change_halt(change, 0)


def test_book_and_gate_follow_the_records_and_two_persons_lift() -> None:
    state, world = opened()
    trip(state, world, HaltScope.ACCOUNT, "A0", HaltLevel.NO_NEW)
    trip(state, world, HaltScope.INSTRUMENT, "S0", HaltLevel.REDUCE_ONLY)
    trip(state, world, HaltScope.GLOBAL, "", HaltLevel.CANCEL_ALL)
    assert state.gate.halts_py() == (HaltLevel.CANCEL_ALL, {0: HaltLevel.REDUCE_ONLY})
    assert [(halt.halt_id, halt.target) for halt in state.halts.active()] == [(1, "A0"), (2, "S0"), (3, "")]
    world.change_halt(state.halts.to_request_lift(1, actor="ann", reason="found", wall_ns=WALL_NS), 0)
    with pytest.raises(HaltRefused, match="another person"):
        state.halts.to_confirm_lift(1, actor="ann", wall_ns=WALL_NS)
    assert state.gate.account(0)["halt_level"] == HaltLevel.NO_NEW
    world.change_halt(state.halts.to_confirm_lift(1, actor="bob", wall_ns=WALL_NS), 0)
    assert state.gate.account(0)["halt_level"] == HaltLevel.ARMED
    assert [halt.halt_id for halt in state.halts.active()] == [2, 3]


def test_replay_and_snapshot_give_the_same_book() -> None:
    state, world = opened()
    trip(state, world, HaltScope.ACCOUNT, "A0", HaltLevel.NO_NEW)
    trip(state, world, HaltScope.ACCOUNT, "A0", HaltLevel.CANCEL_ALL)
    world.change_halt(state.halts.to_request_lift(2, actor="ann", reason="found", wall_ns=WALL_NS), 0)
    replayed, loaded = new_state(), new_state()
    replayed.replay(state.peek(), 0)
    loaded.load(state.dump(), replayed.positions_dump())
    for other in (replayed, loaded):
        assert other.digest() == state.digest()
        assert other.halts.to_dict() == state.halts.to_dict() != HaltBook().to_dict()
    world.change_halt(state.halts.to_confirm_lift(2, actor="bob", wall_ns=WALL_NS), 0)
    assert loaded.digest() != state.digest()


def test_the_account_sees_it_trip_and_lift_but_not_the_asking() -> None:
    state, world = opened()
    trip(state, world, HaltScope.ACCOUNT, "A0", HaltLevel.NO_NEW)
    world.change_halt(state.halts.to_request_lift(1, actor="ann", reason="found", wall_ns=WALL_NS), 0)
    world.change_halt(state.halts.to_confirm_lift(1, actor="bob", wall_ns=WALL_NS), 0)
    data, at, told = bytes(state.peek()), 0, []
    while at < len(data):
        one = frame.unpack_frame(data, at)
        if text := state.names.render_frame(data[at : at + one.space]):
            event = msgspec.json.decode(text)
            told.append((event["t"], event["on"], event["reason"]))
        at += one.space
    assert told == [("halt", True, "loss"), ("halt", False, "found")]
