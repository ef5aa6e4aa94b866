"""Fixed point: the kernel equals its twin on any text and any pair of numbers, and text survives a round trip."""

import os
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotpath import fixed
from hotpath.ref import fixed as twin

EXAMPLES = int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "500"))
quick = settings(max_examples=EXAMPLES, deadline=None)

int64 = st.integers(-(2**63), 2**63 - 1) | st.builds(
    lambda power, near: max(-(2**63), min(2**63 - 1, 10**power + near)), st.integers(0, 19), st.integers(-2, 2)
)
near_decimals = (
    st.from_regex(r"\A-?[0-9]{0,21}(\.[0-9]{0,11})?\Z") | st.text("-+.0123456789e ", max_size=24) | st.text()
)


def outcome(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except (ValueError, OverflowError) as error:
        return type(error)


@quick
@given(near_decimals)
@example("9200000000")
def test_any_text_gets_the_twins_verdict(text: str) -> None:
    assert fixed.parse_code(text) == twin.parse_code(text)
    assert outcome(fixed.to_e4, text) == outcome(twin.to_e4, text)


@quick
@given(st.integers(-twin.MAX_E9, twin.MAX_E9))
def test_text_of_a_value_parses_back_to_it(value: int) -> None:
    text = fixed.from_e9(value)
    assert text == twin.from_e9(value)
    assert fixed.to_e9(text) == value


@quick
@given(int64)
def test_money_text_equals_the_twins(value: int) -> None:
    assert fixed.from_e4(value) == twin.from_e4(value)
    assert fixed.from_e9(value) == twin.from_e9(value)


@quick
@given(int64, int64)
def test_products_equal_the_twins(a: int, b: int) -> None:
    assert outcome(fixed.notional, a, b) == outcome(twin.notional, a, b)
    assert outcome(fixed.multiply, a, b) == outcome(twin.multiply, a, b)
    assert outcome(fixed.scale, a, b) == outcome(twin.scale, a, b)
