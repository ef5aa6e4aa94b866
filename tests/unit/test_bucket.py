"""The token bucket of a key."""

from gateway.stream.bucket import Bucket


def test_all_or_none_and_what_is_given_back_is_there_again() -> None:
    bucket = Bucket(10, 3)
    assert [bucket.take(1, 2), bucket.take(1, 2), bucket.take(1, 0)] == [1, -1, 1]
    bucket.give_back(2)
    assert bucket.take(1, 3) == 0
    assert bucket.wait_ns() == 100_000_000
    assert bucket.take(1 + 100_000_000) == 0
