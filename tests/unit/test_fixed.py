"""Fixed point: the grammar's edges, shortest formatting, and products that refuse to wrap."""

import pytest

from hotpath import fixed

MAX_E9 = 9_200_000_000 * 10**9 - 1


@pytest.mark.parametrize(
    ("text", "code", "value"),
    [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("-0.000", 0, 0),
        ("1", 0, 10**9),
        ("0.000000001", 0, 1),
        ("-187.25", 0, -187_250_000_000),
        ("9199999999.999999999", 0, MAX_E9),
        ("-9199999999.999999999", 0, -MAX_E9),
        ("9200000000", 3, 0),
        ("-9200000000.0", 3, 0),
        ("9223372036854775808", 3, 0),
        ("1" * 5000, 3, 0),
        ("0.0000000000", 2, 0),
        ("99999999999.0000000001", 2, 0),
        *[
            (text, 1, 0)
            for text in ("", "-", ".", "1.", ".5", "-.5", "01", "-00", "+1", "1e3", " 1", "1 ", "1\n", "1\0", "0x1",
                         "1,5", "1.2.3", "--1", "NaN", "Infinity", "١", "\ud800", "1_000")
        ],
    ],
)  # fmt: skip
def test_each_edge_of_the_decimal_grammar_has_its_code(text: str, code: int, value: int) -> None:
    assert fixed.parse_code(text) == (code, value)


def test_text_that_is_no_decimal_raises_with_the_reason() -> None:
    with pytest.raises(ValueError, match="is not a decimal"):
        fixed.to_e9("1e9")
    with pytest.raises(ValueError, match="too many digits"):
        fixed.to_e9(b"0.0000000001")
    with pytest.raises(ValueError, match="out of range"):
        fixed.to_e9("9200000000")
    with pytest.raises(ValueError, match="too many digits"):
        fixed.to_e4("0.00001")
    with pytest.raises(TypeError):
        fixed.to_e9(1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "0.000000001"), (-1, "-0.000000001"), (10**9, "1"), (187_250_000_000, "187.25"),
     (-(2**63), "-9223372036.854775808"), (2**63 - 1, "9223372036.854775807"), (100 * 10**9, "100")],
)  # fmt: skip
def test_a_value_is_written_in_its_shortest_form(value: int, text: str) -> None:
    assert fixed.from_e9(value) == text


def test_money_uses_four_places_over_the_whole_range() -> None:
    assert fixed.to_e4("922337203685477.5807") == 2**63 - 1
    assert fixed.from_e4(-(2**63)) == "-922337203685477.5808"
    assert fixed.from_e4(-5) == "-0.0005"
    with pytest.raises(ValueError, match="out of range"):
        fixed.to_e4("922337203685477.5808")


def test_notional_rounds_against_the_account() -> None:
    assert fixed.notional(1, 1) == 1
    assert fixed.notional(-1, 1) == -1
    assert fixed.notional(10**9, 10**9) == 10**4
    assert fixed.notional(187_250_000_000, 100 * 10**9) == 187_250_000
    assert fixed.multiply(1, 1) == 0
    assert fixed.multiply(-(10**14) - 1, 1) == -1


def test_products_refuse_to_wrap() -> None:
    for function in (fixed.notional, fixed.multiply):
        with pytest.raises(OverflowError):
            function(MAX_E9, MAX_E9)
    with pytest.raises(OverflowError):
        fixed.scale(MAX_E9, MAX_E9)
    assert fixed.scale(MAX_E9, 10_000 * 10**9) == MAX_E9
    assert fixed.scale(-200, 50 * 10**9) == -1
    assert fixed.scale(-199, 50 * 10**9) == 0
