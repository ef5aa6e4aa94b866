"""Decimals on their way to the wire: exact values only, a float is refused with the way to write it."""

import re
from decimal import Decimal

Number = Decimal | int | str

_WIRE = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?")


def decimal_text(value: Number, name: str) -> str:
    """The wire form of ``value``; TypeError for a float, ValueError for what no wire decimal can say.

    >>> decimal_text("187.20", "px"), decimal_text(100, "qty"), decimal_text(Decimal("1E-7"), "qty")
    ('187.20', '100', '0.0000001')
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
    elif isinstance(value, Decimal):
        text = format(value, "f")
    else:
        raise TypeError(f'{name} is a {type(value).__name__}: write a string such as "187.20", an int, or a Decimal')
    if _WIRE.fullmatch(text) is None:
        raise ValueError(f"{name} {text!r} is no decimal with at most nine places")
    return text


def optional_text(value: Number | None, name: str) -> str | None:
    """``decimal_text`` where the value may be left out."""
    return None if value is None else decimal_text(value, name)
