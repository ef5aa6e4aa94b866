"""Twin of hotpath.stops: every order by itself in one dict, everything else by looking at all of them and sorting.

A trailing stop is its stop price: it goes to round(price -+ offset) whenever that is tighter. The order in which stops
at one price fire is the order of arrival there: arming, or for a trailing stop its last move. Stops that one price
moves together arrive by (bps after amount, offset, tick), then in the order in which they would have fired before.
"""

from dataclasses import dataclass, field

from hotpath.ref.fixed import E9, INT64_MAX, MAX_E9

DOWN, UP = 0, 1
SOURCES = 5
GROUPS_PER_LINE = 4096
BPS_ONE = 10_000 * E9

Line = tuple[int, int, int]  # instrument, source, direction
Trail = tuple[int, int, int]  # is_bps, offset_e9, tick_e9


@dataclass(slots=True)
class Resting:
    line: Line
    px_e9: int | None  # None: a trail that has not started or is out of range, so that no price fires it
    arrival: int
    trail: Trail | None = None


def _is_price(px_e9: int) -> bool:
    return 0 < px_e9 <= MAX_E9


def stop_px(direction: int, trail: Trail, px_e9: int) -> int | None:
    """The stop of an extreme, tick-rounded away from the market; None when that is no price that can fire."""
    is_bps, offset_e9, tick_e9 = trail
    sign = -1 if direction == DOWN else 1
    scaled = px_e9 * (BPS_ONE + sign * offset_e9) if is_bps else (px_e9 + sign * offset_e9) * BPS_ONE
    unit = BPS_ONE * tick_e9
    ticks = scaled // unit if direction == DOWN else -(-scaled // unit)
    stop_e9 = ticks * tick_e9
    return stop_e9 if 0 < stop_e9 <= INT64_MAX else None


def _is_tighter(direction: int, px_e9: int | None, than_e9: int | None) -> bool:
    if px_e9 is None or than_e9 is None:
        return px_e9 is not None
    return px_e9 > than_e9 if direction == DOWN else px_e9 < than_e9


def _nearness(item: Resting) -> tuple[int, int]:
    """Sorts by firing order within a line."""
    if item.px_e9 is None:
        return INT64_MAX, item.arrival
    return (-item.px_e9 if item.line[2] == DOWN else item.px_e9), item.arrival


@dataclass(slots=True)
class TriggerIndex:
    instruments: int
    handles: int
    resting: dict[int, Resting] = field(default_factory=dict)
    ticks: dict[int, int] = field(default_factory=dict)
    popped: dict[int, int] = field(default_factory=dict)  # where those that fired last stood
    clock: int = 0

    @property
    def armed(self) -> int:
        return len(self.resting)

    def _is_place(self, handle: int, instrument: int, source: int, direction: int) -> bool:
        return (
            0 <= handle < self.handles
            and handle not in self.resting
            and 0 <= instrument < self.instruments
            and 0 <= source < SOURCES
            and direction in (DOWN, UP)
        )

    def _arrive(self) -> int:
        self.clock += 1
        return self.clock

    def set_tick(self, instrument: int, tick_e9: int) -> None:
        rests = any(item.line[0] == instrument and item.trail is None for item in self.resting.values())
        is_same = tick_e9 == self.ticks.get(instrument, 1)
        if not 0 <= instrument < self.instruments or not _is_price(tick_e9) or (rests and not is_same):
            raise ValueError("tick refused")
        self.ticks[instrument] = tick_e9

    def arm_stop(self, handle: int, instrument: int, source: int, direction: int, trigger_px_e9: int) -> int:
        if not self._is_place(handle, instrument, source, direction) or not _is_price(trigger_px_e9):
            return -1
        if trigger_px_e9 % self.ticks.get(instrument, 1):
            return -1
        self.resting[handle] = Resting((instrument, source, direction), trigger_px_e9, self._arrive())
        return 0

    def arm_trailing(
        self,
        handle: int,
        instrument: int,
        source: int,
        direction: int,
        offset_e9: int,
        offset_is_bps: bool,
        tick_e9: int,
        extreme_px_e9: int = 0,
    ) -> int:
        if not self._is_place(handle, instrument, source, direction):
            return -1
        if not _is_price(offset_e9) or not _is_price(tick_e9) or (offset_is_bps and offset_e9 >= BPS_ONE):
            return -1
        if extreme_px_e9 != 0 and not _is_price(extreme_px_e9):
            return -1
        line, trail = (instrument, source, direction), (int(offset_is_bps), offset_e9, tick_e9)
        px_e9 = stop_px(direction, trail, extreme_px_e9) if extreme_px_e9 else None
        self.resting[handle] = Resting(line, px_e9, self._arrive(), trail)
        return 0

    def disarm_stop(self, handle: int) -> int:
        return 0 if self.resting.pop(handle, None) else -1

    def holds(self, handle: int) -> bool:
        return handle in self.resting

    def _moving(self, line: Line, px_e9: int) -> list[tuple[Resting, Trail]]:
        if not _is_price(px_e9):
            return []
        return [
            (item, item.trail)
            for item in self.resting.values()
            if item.line == line
            and item.trail is not None
            and _is_tighter(line[2], stop_px(line[2], item.trail, px_e9), item.px_e9)
        ]

    def _firing(self, instrument: int, source: int, px_e9: int) -> list[int]:
        if not _is_price(px_e9):
            return []
        fired = [
            (handle, item)
            for handle, item in self.resting.items()
            if item.line[:2] == (instrument, source)
            and item.px_e9 is not None
            and (px_e9 <= item.px_e9 if item.line[2] == DOWN else px_e9 >= item.px_e9)
        ]
        fired.sort(key=lambda pair: (pair[1].line[2], _nearness(pair[1])))
        return [handle for handle, _ in fired]

    def check(self, instrument: int, source: int, px_e9: int) -> bool:
        return self.moves(instrument, source, px_e9) or self.hits(instrument, source, px_e9)

    def hits(self, instrument: int, source: int, px_e9: int) -> bool:
        """Whether a price fires a stop of a source."""
        return bool(self._firing(instrument, source, px_e9))

    def advance(self, instrument: int, source: int, px_e9: int) -> int:
        moved = 0
        for direction in (DOWN, UP):
            moving = self._moving((instrument, source, direction), px_e9)
            moving.sort(key=lambda pair: (pair[1], _nearness(pair[0])))
            for item, trail in moving:
                item.px_e9 = stop_px(direction, trail, px_e9)
                item.arrival = self._arrive()
            moved += len({trail for _, trail in moving})
        return moved

    def take_fired(self, instrument: int, source: int, px_e9: int, cap: int = 256) -> list[int]:
        taken = self._firing(instrument, source, px_e9)[:cap]
        for handle in taken:
            self.popped[handle] = self.resting.pop(handle).px_e9 or 0
        return taken

    def popped_of(self, handle: int) -> int:
        """Where a handle that fired last stood, until it is armed again."""
        return self.popped.get(handle, 0)

    def has_trail_room(self, line: Line, trail: Trail) -> bool:
        """Whether one more distance should come to the line; `arm_trailing` takes it regardless."""
        trails = {item.trail for item in self.resting.values() if item.line == line and item.trail is not None}
        return trail in trails or len(trails) < GROUPS_PER_LINE

    def moves(self, instrument: int, source: int, px_e9: int) -> bool:
        """Whether a price moves a trailing stop of a source."""
        return any(self._moving((instrument, source, direction), px_e9) for direction in (DOWN, UP))

    def trigger_of(self, handle: int) -> int:
        item = self.resting.get(handle)
        return 0 if item is None or item.px_e9 is None else item.px_e9

    def extreme_of(self, handle: int) -> int:
        """The least favourable extreme that puts a trailing stop where it is; 0 when it has not started."""
        item = self.resting.get(handle)
        if item is None or item.trail is None or item.px_e9 is None:
            return 0
        is_bps, offset_e9, _ = item.trail
        if item.line[2] == DOWN:
            rest = BPS_ONE - offset_e9
            px_e9 = -(-item.px_e9 * BPS_ONE // rest) if is_bps else item.px_e9 + offset_e9
        else:
            px_e9 = item.px_e9 * BPS_ONE // (BPS_ONE + offset_e9) if is_bps else item.px_e9 - offset_e9
        return min(max(px_e9, 0), INT64_MAX)

    def best_of(self, instrument: int, source: int, direction: int) -> int | None:
        line = (instrument, source, direction)
        prices = [item.px_e9 for item in self.resting.values() if item.line == line and item.px_e9 is not None]
        return (max(prices) if direction == DOWN else min(prices)) if prices else None
