"""What a held order waits for: a stop, a touch, a trailing stop, or a time."""

from dataclasses import dataclass
from typing import Literal

from backstay._wire import requests as wire
from backstay.decimals import Number, decimal_text, optional_text

PriceSource = Literal["last", "bid", "ask", "mid", "mark"]


def _confirm(ticks: int | None) -> wire.Confirm | None:
    return None if ticks is None else wire.Confirm(ticks=ticks)


@dataclass(frozen=True, slots=True)
class Stop:
    """Fires when the price goes against the position: sell at or below, buy at or above ``px``.

    >>> Stop("181.50").to_wire().kind
    'stop'
    """

    px: Number
    source: PriceSource | None = None
    confirm_ticks: int | None = None
    if_through: Literal["reject", "fire"] = "reject"
    on_missed: Literal["fire", "rearm"] = "fire"

    def to_wire(self) -> wire.Trigger:
        return wire.Trigger(
            kind="stop",
            stop_px=decimal_text(self.px, "stop_px"),
            source=self.source,
            confirm=_confirm(self.confirm_ticks),
            if_through=self.if_through,
            on_missed=self.on_missed,
        )


@dataclass(frozen=True, slots=True)
class Touch:
    """Fires when the price goes with the position (take profit): sell at or above, buy at or below ``px``."""

    px: Number
    source: PriceSource | None = None
    confirm_ticks: int | None = None

    def to_wire(self) -> wire.Trigger:
        return wire.Trigger(
            kind="touch",
            stop_px=decimal_text(self.px, "stop_px"),
            source=self.source,
            confirm=_confirm(self.confirm_ticks),
        )


@dataclass(frozen=True, slots=True)
class Trail:
    """A stop that follows the price at a distance: exactly one of ``amount``, ``bps`` and ``pct``."""

    amount: Number | None = None
    bps: Number | None = None
    pct: Number | None = None
    activate_px: Number | None = None
    limit_offset: Number | None = None
    source: PriceSource | None = None

    def to_wire(self) -> wire.Trigger:
        if sum(distance is not None for distance in (self.amount, self.bps, self.pct)) != 1:
            raise ValueError("a trailing stop has exactly one of amount, bps and pct")
        return wire.Trigger(
            kind="trail",
            stop_px=optional_text(self.activate_px, "activate_px"),
            limit_offset=optional_text(self.limit_offset, "limit_offset"),
            source=self.source,
            trail=wire.Trail(
                amount=optional_text(self.amount, "amount"),
                bps=optional_text(self.bps, "bps"),
                pct=optional_text(self.pct, "pct"),
            ),
        )


@dataclass(frozen=True, slots=True)
class At:
    """Fires at a time: exactly one of ``at_ns``, on the server's clock, and ``after_ms``, since it was armed.

    An order is armed when it is accepted, a child when its parent releases it: the time stop of a bracket.

    >>> At(after_ms=30_000).to_wire().after_ms
    30000
    """

    at_ns: int | None = None
    after_ms: int | None = None
    if_through: Literal["reject", "fire"] = "reject"

    def to_wire(self) -> wire.Trigger:
        if (self.at_ns is None) == (self.after_ms is None):
            raise ValueError("a time order has exactly one of at_ns and after_ms")
        return wire.Trigger(kind="time", at_ns=self.at_ns, after_ms=self.after_ms, if_through=self.if_through)


Trigger = Stop | Touch | Trail | At
