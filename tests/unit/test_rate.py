"""The link's budget: never exceeded, and its reserve is not lent to entries."""

import pytest

from brokers.capabilities import RateBudget
from brokers.rate import TokenBucket


class HandClock:
    """A monotonic clock that the test turns."""

    def __init__(self) -> None:
        self.now_ns = 5_000

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def bucket(clock: HandClock) -> TokenBucket:
    return TokenBucket(RateBudget(messages_per_s=10, burst=5, reserved_burst=2), clock)


def test_entries_stop_at_the_reserve_and_cancels_go_on(bucket: TokenBucket) -> None:
    assert [bucket.take(is_reserved=False) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(is_reserved=True) for _ in range(3)] == [True, True, False]


def test_the_wait_is_exactly_until_the_next_message_passes(bucket: TokenBucket, clock: HandClock) -> None:
    while bucket.take(is_reserved=True):
        pass
    wait_ns = bucket.wait_ns(is_reserved=False)
    assert wait_ns == 300_000_000
    clock.now_ns += wait_ns - 1
    assert not bucket.take(is_reserved=False)
    clock.now_ns += 1
    assert bucket.take(is_reserved=False)


def test_credit_never_grows_past_the_burst(bucket: TokenBucket, clock: HandClock) -> None:
    clock.now_ns += 3_600_000_000_000
    assert sum(bucket.take(is_reserved=True) for _ in range(10)) == 5


def test_a_message_that_did_not_leave_is_given_back(bucket: TokenBucket) -> None:
    assert [bucket.take(is_reserved=True) for _ in range(5)] == [True] * 5
    bucket.give_back()
    assert bucket.take(is_reserved=True)


@pytest.mark.parametrize(("rate", "burst", "reserve"), [(0, 5, 1), (10, 5, 5), (10, 0, 0), (10, 5, -1)])
def test_a_budget_without_room_for_entries_is_refused(clock: HandClock, rate: int, burst: int, reserve: int) -> None:
    with pytest.raises(ValueError, match="no room"):
        TokenBucket(RateBudget(messages_per_s=rate, burst=burst, reserved_burst=reserve), clock)
