"""A journal that takes nothing for a while: records wait in order, whole groups go when it takes them again."""

from __future__ import annotations

import pytest

from gateway.contracts.requests import PlaceItem
from gateway.core.intake import Intake
from gateway.core.state import State
from gateway.core.views import Views
from gateway.core.world import World
from hotpath.enums import Reason
from hotpath.frame import FLAG_CONTINUES

ORDERS = 2_500
WALL_NS = 1_700_000_000_000_000_000
LIMITS = {
    "max_order_qty_e9": 10**15, "max_order_notional_e4": 10**14, "max_position_qty_e9": 10**17, "max_gross_e4": 10**17,
    "leverage_bps_e9": 10**17, "collar_bps_e9": 10**12, "max_open_orders": 100_000,
    "order_rate_per_s": 10**6, "order_burst": 10**6,
    "msg_rate_per_s": 10**6, "msg_burst": 10**6,
}  # fmt: skip


@pytest.fixture
def state() -> State:
    made = State(shard=0, orders=10_000, accounts=4, instruments=4)
    world = World(made)
    world.start_epoch(1, bytes(range(16)), WALL_NS)
    world.list_instrument(b"X", tick_e9=10**7, lot_e9=10**9, min_qty_e9=10**9, max_age_ns=10**9, outside_bps_e9=0,
                          asset_class=1, wall_ns=WALL_NS)  # fmt: skip
    world.open_account(b"A", 0, 10**13, WALL_NS)
    world.set_limits(0, LIMITS, 1, WALL_NS)
    made.quotes.quote(0, 10**9 - 10**7, 10**9, 10**9, 10**9, 1, 0, 1)
    made.placed(0)
    return made


def place(state: State, count: int) -> list[int]:
    intake = Intake(state)
    for number in range(count):
        item = PlaceItem(cl_ord_id=f"o-{number}", symbol="X", side="buy", ord_type="limit", qty="1", px="1", tif="gtc")
        answer = intake.place(0, item, b"s", 0, False, WALL_NS, 1)
        assert answer > 0, (answer, intake.text, intake.decision)
    return Views(state).open_orders(0)


def frames(run: bytes) -> list[tuple[int, int]]:
    """(seq, flags) of each frame."""
    found, at = [], 0
    while at < len(run):
        found.append((int.from_bytes(run[at + 8 : at + 16], "little"), run[at + 31]))
        at += (int.from_bytes(run[at : at + 4], "little") + 7) // 8 * 8
    return found


def test_a_run_is_cut_behind_a_whole_group_and_the_rest_follows_without_a_gap(state: State) -> None:
    rows = place(state, ORDERS)
    Intake(state).cancel_all(0, rows, 0, b"", b"", b"", False, Reason.REQUEST, WALL_NS)
    whole = bytes(state.peek())
    taken, last, position = b"", 0, 4096
    while state.has_records():
        run, seq = state.run(400_000)
        cut = frames(bytes(run))
        assert len(run) <= 400_000
        assert cut[-1] == (seq, 0), "cut inside an atomic group"
        assert cut[0][0] == last + 1 or last == 0
        taken, last = taken + bytes(run), seq
        state.placed(position, len(run))
        position += len(run)
    assert taken == whole
    assert last == state.seq
    assert any(flags & FLAG_CONTINUES for _, flags in frames(whole))


def test_positions_of_events_are_those_of_the_run_that_carried_them(state: State) -> None:
    place(state, 100)
    bases: dict[int, int] = {}
    base = 1 << 20
    while state.has_records():
        run, _ = state.run(5_000)
        at = 0
        for seq, _ in frames(bytes(run)):
            bases[seq] = base + at
            at += (int.from_bytes(run[at : at + 4], "little") + 7) // 8 * 8
        state.placed(base, len(run))
        base += 1 << 20
    first = state.seq - 99
    assert [state.position_of(0, number) for number in range(1, 101)] == [bases[first + n] for n in range(100)]


def test_an_answer_in_several_groups_is_told_when_all_of_it_is_durable(state: State) -> None:
    rows = place(state, ORDERS)
    before = state.seq
    first = Intake(state).cancel_all(0, rows, 0, b"", b"", b"", False, Reason.REQUEST, WALL_NS)
    assert first == before + 1
    assert state.whole(before) == before
    assert state.whole(first) == before
    assert state.whole(first + 1_500) == before
    assert state.whole(state.seq) == state.seq


def test_a_group_that_no_run_can_hold_is_a_broken_invariant(state: State) -> None:
    rows = place(state, 100)
    state.placed(0)
    Intake(state).cancel_all(0, rows, 0, b"", b"", b"", False, Reason.REQUEST, WALL_NS)
    with pytest.raises(RuntimeError, match="atomic group"):
        state.run(1_000)
