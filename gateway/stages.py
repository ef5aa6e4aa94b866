"""Latency of each stage that a tick or an order goes through, in native histograms."""

from __future__ import annotations

from hotpath.hist import Histogram


class Stages:
    """One histogram a stage; nanoseconds of the monotonic clock. Who ends a stage records it."""

    def __init__(self) -> None:
        self.tick = Histogram()  # frame read -> applied, triggers looked at
        self.trigger = Histogram()  # frame read -> release of a stop decided
        self.tick_to_wire = Histogram()  # frame read -> the protective order's bytes in the kernel
        self.check = Histogram()  # the core's decision on one order
        self.decide = Histogram()  # frame read -> outcome decided
        self.durable = Histogram()  # records handed to the journal -> on disk
        self.venue_ack = Histogram()  # order's bytes in the kernel -> the broker's first word on it
