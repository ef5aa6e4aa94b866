"""Twin of hotpath.fixed: the decimal grammar as a regular expression, products as Python integers."""

import re

E9 = 1_000_000_000
MAX_E9 = 9_200_000_000 * E9 - 1
INT64_MAX = 2**63 - 1

PARSE_OK, PARSE_SYNTAX, PARSE_PRECISION, PARSE_RANGE = range(4)
_SHAPE = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_WHY = ("", "is not a decimal", "has too many digits after the point", "is out of range")


def parse_scaled(text: str | bytes, places: int, limit: int) -> tuple[int, int]:
    """``(code, value)`` with ``places`` digits after the point: shape, then precision, then range."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    match = _SHAPE.fullmatch(raw)
    if match is None:
        return PARSE_SYNTAX, 0
    sign, whole, fraction = match[1], match[2], match[3] or b""
    if len(fraction) > places:
        return PARSE_PRECISION, 0
    if len(whole) > 20:  # int() refuses texts of thousands of digits
        return PARSE_RANGE, 0
    value = int(whole + fraction.ljust(places, b"0"))
    if value > limit:
        return PARSE_RANGE, 0
    return PARSE_OK, -value if sign else value


def parse_code(text: str | bytes) -> tuple[int, int]:
    return parse_scaled(text, 9, MAX_E9)


def _value(text: str | bytes, code: int, value: int) -> int:
    if code != PARSE_OK:
        raise ValueError(f"{text[:40]!r} {_WHY[code]}")
    return value


def to_e9(text: str | bytes) -> int:
    return _value(text, *parse_code(text))


def to_e4(text: str | bytes) -> int:
    return _value(text, *parse_scaled(text, 4, INT64_MAX))


def _format(value: int, places: int) -> str:
    whole, fraction = divmod(abs(value), 10**places)
    text = f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".")
    return "-" + text if value < 0 else text


def from_e9(value: int) -> str:
    return _format(value, 9)


def from_e4(value: int) -> str:
    return _format(value, 4)


def _narrow(magnitude: int, is_negative: bool, what: str) -> int:
    if magnitude > INT64_MAX:
        raise OverflowError(f"{what} overflows")
    return -magnitude if is_negative else magnitude


def notional(px_e9: int, qty_e9: int) -> int:
    product = px_e9 * qty_e9
    return _narrow(-(-abs(product) // 10**14), product < 0, "notional")


def multiply(px_e9: int, qty_e9: int) -> int:
    product = px_e9 * qty_e9
    return _narrow(abs(product) // 10**14, product < 0, "product")


def scale(value: int, bps_e9: int) -> int:
    product = value * bps_e9
    return _narrow(abs(product) // (10_000 * E9), product < 0, "scaled value")
