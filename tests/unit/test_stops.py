"""Trigger index: what fires, in which order, how trails move, and where the index refuses."""

import pytest

from hotpath.stops import TriggerIndex

E9 = 10**9
TICK = E9 // 100
LAST, BID = 0, 1
DOWN, UP = 0, 1
MAX_E9 = 9_200_000_000 * E9 - 1


def index(handles: int = 64) -> TriggerIndex:
    stops = TriggerIndex(2, handles)
    stops.set_tick(0, TICK)
    return stops


def test_a_stop_fires_at_its_price_or_through_it_once() -> None:
    stops = index()
    assert stops.arm_stop(1, 0, LAST, DOWN, 100 * E9) == 0
    assert stops.arm_stop(2, 0, LAST, UP, 110 * E9) == 0
    assert not stops.check(0, LAST, 100 * E9 + 1)
    assert not stops.check(0, BID, 1)
    assert not stops.check(1, LAST, 1)
    assert stops.check(0, LAST, 100 * E9)
    assert stops.take_fired(0, LAST, 90 * E9) == [1]
    assert stops.take_fired(0, LAST, 90 * E9) == []
    assert stops.take_fired(0, LAST, 110 * E9) == [2]
    assert stops.armed == 0


def test_stops_fire_nearest_price_first_then_by_arrival_in_bounded_batches() -> None:
    stops = index(10_000)
    for handle in range(10_000):
        stops.arm_stop(handle, 0, LAST, DOWN, (1_000 - handle % 10) * TICK)
    expected = [handle for level in range(10) for handle in range(level, 10_000, 10)]
    fired: list[int] = []
    while batch := stops.take_fired(0, LAST, 1, 300):
        assert len(batch) <= 300
        fired += batch
    assert fired == expected


def test_both_directions_of_a_source_fire_down_first() -> None:
    stops = index()
    stops.arm_stop(1, 0, LAST, UP, 90 * E9)
    stops.arm_stop(2, 0, LAST, DOWN, 110 * E9)
    assert stops.take_fired(0, LAST, 100 * E9) == [2, 1]


def test_no_qualifying_price_fires_nothing() -> None:
    stops = index()
    stops.arm_stop(1, 0, LAST, DOWN, 100 * E9)
    stops.arm_trailing(2, 0, LAST, DOWN, E9, False, TICK, 200 * E9)
    for px_e9 in (0, -1, MAX_E9 + 1, 2**63 - 1, -(2**63)):
        assert not stops.check(0, LAST, px_e9)
        assert stops.advance(0, LAST, px_e9) == 0
        assert stops.take_fired(0, LAST, px_e9) == []


@pytest.mark.parametrize(
    "place",
    [(64, 0, 0, 0, E9), (0, 2, 0, 0, E9), (0, 0, 5, 0, E9), (0, 0, -1, 0, E9), (0, 0, 0, 2, E9), (0, 0, 0, 0, 0),
     (0, 0, 0, 0, MAX_E9 + 1), (0, 0, 0, 0, E9 + 1)],
)  # fmt: skip
def test_bad_arguments_and_prices_off_the_tick_are_refused(place: tuple[int, int, int, int, int]) -> None:
    stops = index()
    assert stops.arm_stop(*place) == -1
    assert stops.armed == 0


def test_a_handle_is_armed_once_and_disarmed_once() -> None:
    stops = index()
    assert stops.arm_stop(3, 0, LAST, DOWN, E9) == 0
    assert stops.arm_stop(3, 0, LAST, DOWN, 2 * E9) == -1
    assert stops.arm_trailing(3, 0, LAST, DOWN, E9, False, TICK) == -1
    assert stops.trigger_of(3) == E9
    assert stops.disarm_stop(3) == 0
    assert stops.disarm_stop(3) == -1
    assert stops.disarm_stop(1_000) == -1
    assert (stops.holds(3), stops.trigger_of(3), stops.best_of(0, LAST, DOWN)) == (False, 0, None)


def test_without_a_tick_any_price_is_exact() -> None:
    stops = index()
    for handle, px_e9 in enumerate((100 * E9 + 1, 1, MAX_E9)):
        assert stops.arm_stop(handle, 1, LAST, DOWN, px_e9) == 0
    assert stops.take_fired(1, LAST, 100 * E9 + 2) == [2]
    assert stops.take_fired(1, LAST, 100 * E9 + 1) == [0]
    assert stops.take_fired(1, LAST, 1) == [1]


def test_the_tick_cannot_change_under_resting_stops() -> None:
    stops = index()
    stops.arm_stop(1, 0, LAST, DOWN, E9)
    stops.set_tick(0, TICK)
    with pytest.raises(ValueError, match="tick refused"):
        stops.set_tick(0, 2 * TICK)
    stops.disarm_stop(1)
    stops.set_tick(0, 2 * TICK)


def test_a_trail_follows_the_market_up_and_never_down() -> None:
    stops = index()
    stops.arm_trailing(1, 0, BID, DOWN, 5 * E9, False, TICK, 100 * E9)
    assert stops.trigger_of(1) == 95 * E9
    assert stops.advance(0, BID, 110 * E9) == 1
    assert stops.trigger_of(1) == 105 * E9
    assert stops.advance(0, BID, 106 * E9) == 0
    assert stops.trigger_of(1) == 105 * E9
    assert stops.take_fired(0, BID, 105 * E9) == [1]


def test_a_trail_rounds_away_from_the_market() -> None:
    stops = index()
    stops.arm_trailing(1, 0, LAST, DOWN, E9, False, TICK, 100 * E9 + TICK - 1)
    stops.arm_trailing(2, 0, LAST, UP, E9, False, TICK, 100 * E9 + 1)
    stops.arm_trailing(3, 0, LAST, DOWN, 75 * E9, True, TICK, 100 * E9 + TICK)
    assert stops.trigger_of(1) == 99 * E9
    assert stops.trigger_of(2) == 101 * E9 + TICK
    assert stops.trigger_of(3) == 99 * E9 + 25 * TICK
    assert stops.advance(0, LAST, 100 * E9 + TICK) == 1  # only the sell trail by amount reaches the next tick
    assert stops.trigger_of(1) == 99 * E9 + TICK


def test_members_of_a_group_keep_their_own_stop_until_the_market_passes_it() -> None:
    stops = index()
    stops.arm_trailing(1, 0, LAST, DOWN, 5 * E9, False, TICK, 120 * E9)
    stops.arm_trailing(2, 0, LAST, DOWN, 5 * E9, False, TICK, 100 * E9)
    assert [stops.trigger_of(handle) for handle in (1, 2)] == [115 * E9, 95 * E9]
    assert stops.advance(0, LAST, 118 * E9) == 1
    assert [stops.trigger_of(handle) for handle in (1, 2)] == [115 * E9, 113 * E9]
    assert stops.take_fired(0, LAST, 114 * E9) == [1]
    assert stops.take_fired(0, LAST, 113 * E9) == [2]


def test_a_trail_without_an_extreme_starts_at_the_first_price() -> None:
    stops = index()
    for handle, direction in ((1, DOWN), (2, UP)):
        stops.arm_trailing(handle, 0, LAST, direction, 5 * E9, False, TICK)
        assert (stops.trigger_of(handle), stops.extreme_of(handle)) == (0, 0)
    assert stops.check(0, LAST, 100 * E9)
    assert stops.advance(0, LAST, 100 * E9) == 2
    assert [stops.trigger_of(handle) for handle in (1, 2)] == [95 * E9, 105 * E9]
    assert stops.extreme_of(1) == 100 * E9


def test_an_offset_wider_than_the_price_waits_below_zero() -> None:
    stops = index()
    stops.arm_trailing(1, 0, LAST, DOWN, 150 * E9, False, TICK, 100 * E9)
    assert stops.trigger_of(1) == 0
    assert stops.take_fired(0, LAST, 1) == []
    stops.advance(0, LAST, 151 * E9)
    assert stops.trigger_of(1) == E9


def test_a_moved_trail_queues_behind_stops_already_at_that_price() -> None:
    stops = index()
    stops.arm_trailing(1, 0, LAST, DOWN, 5 * E9, False, TICK, 90 * E9)
    stops.arm_trailing(2, 0, LAST, DOWN, 5 * E9, False, TICK, 91 * E9)
    stops.arm_stop(3, 0, LAST, DOWN, 95 * E9)
    stops.advance(0, LAST, 100 * E9)
    stops.arm_stop(4, 0, LAST, DOWN, 95 * E9)
    assert stops.take_fired(0, LAST, 95 * E9) == [3, 2, 1, 4]


def test_more_distances_than_should_come_to_a_line_are_armed_all_the_same() -> None:
    stops = index(5_000)
    for handle in range(5_000):
        assert stops.arm_trailing(handle, 0, LAST, DOWN, (handle + 1) * TICK, False, TICK, 900 * E9) == 0
    assert stops.advance(0, LAST, 901 * E9) == 5_000
    assert stops.trigger_of(4_999) == 901 * E9 - 5_000 * TICK


def test_the_index_stays_below_64_bytes_a_stop() -> None:
    count = 50_000
    empty = TriggerIndex(1, 1).memory_bytes()
    for spacing in (1, 7, 1_009):
        stops = TriggerIndex(1, count)
        for handle in range(count):
            assert stops.arm_stop(handle, 0, LAST, DOWN, E9 + (handle * 7_919 % count) * spacing) == 0
        assert (stops.memory_bytes() - empty) / count <= 64


def test_a_size_out_of_range_is_refused() -> None:
    for sizes in ((0, 1), (1, 0), (10_000_001, 1), (1, 1_000_000_001)):
        with pytest.raises(ValueError, match="out of range"):
            TriggerIndex(*sizes)
