"""The link's bucket: never faster than declared, and what a caller must leave it leaves."""

import pytest

from brokers.capabilities import RateBudget
from brokers.rate import TokenBucket

SECOND_NS = 1_000_000_000


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
    """Ten a second, five at once; full."""
    found = TokenBucket(RateBudget(messages_per_s=10, burst=5, reserved_burst=2), clock)
    clock.now_ns += SECOND_NS
    return found


def take(bucket: TokenBucket, spare: int = 0) -> bool:
    is_there = bucket.has(1, spare=spare)
    if is_there:
        bucket.spend(1)
    return is_there


def test_it_starts_empty_because_the_life_before_may_have_spent_all(clock: HandClock) -> None:
    bucket = TokenBucket(RateBudget(messages_per_s=10, burst=5, reserved_burst=2), clock)
    assert not take(bucket)
    clock.now_ns += SECOND_NS // 10
    assert take(bucket) and not take(bucket)


def test_who_must_leave_some_stops_there_and_others_go_on(bucket: TokenBucket) -> None:
    assert [take(bucket, spare=2) for _ in range(5)] == [True, True, True, False, False]
    assert [take(bucket, spare=1) for _ in range(2)] == [True, False]
    assert [take(bucket) for _ in range(2)] == [True, False]


def test_a_run_leaves_whole_or_not_at_all(bucket: TokenBucket) -> None:
    assert bucket.has(3, spare=2) and not bucket.has(4, spare=2) and bucket.has(5, spare=0)


def test_the_wait_is_exactly_until_the_next_message_passes(bucket: TokenBucket, clock: HandClock) -> None:
    while take(bucket):
        pass
    wait_ns = bucket.wait_ns(spare=2)
    assert wait_ns == 300_000_000
    clock.now_ns += wait_ns - 1
    assert not take(bucket, spare=2)
    clock.now_ns += 1
    assert take(bucket, spare=2)


def test_credit_never_grows_past_the_burst(bucket: TokenBucket, clock: HandClock) -> None:
    clock.now_ns += 3_600 * SECOND_NS
    assert sum(take(bucket) for _ in range(10)) == 5


def test_a_refusal_takes_all_that_was_left(bucket: TokenBucket, clock: HandClock) -> None:
    bucket.empty()
    assert not take(bucket)
    clock.now_ns += SECOND_NS // 10
    assert take(bucket)


def test_a_rate_that_does_not_divide_a_second_is_never_passed(clock: HandClock) -> None:
    bucket = TokenBucket(RateBudget(messages_per_s=7, burst=1, reserved_burst=0), clock)
    sent = 0
    for _ in range(100_000):  # ten seconds
        clock.now_ns += SECOND_NS // 10_000
        sent += take(bucket)
    assert sent in (69, 70)


@pytest.mark.parametrize(("rate", "burst", "reserve"), [(0, 5, 1), (10, 5, 5), (10, 0, 0), (10, 5, -1)])
def test_a_budget_without_room_for_entries_is_refused(clock: HandClock, rate: int, burst: int, reserve: int) -> None:
    with pytest.raises(ValueError, match="no room"):
        TokenBucket(RateBudget(messages_per_s=rate, burst=burst, reserved_burst=reserve), clock)
