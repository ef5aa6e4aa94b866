"""Twin of gateway.core.terms: a client's request as the terms of an order, or refused with the member that is wrong.

Nothing here looks at the market or at other orders; that is `Intake`, which is built on it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from gateway.contracts.requests import Confirm, PlaceItem, ReplaceItem, Trail, Trigger
from gateway.core.ref.state import State
from hotpath.enums import OrdType, PriceSource, Side, Stp, Tif, TriggerKind
from hotpath.ref import records as rec
from hotpath.ref.fixed import PARSE_OK, PARSE_PRECISION, from_e9, parse_code
from hotpath.ref.records import Terms

(CONTROL, CL_ORD_ID_CONFLICT, UNKNOWN_ORDER, ORDER_DONE, ORDER_CLOSING, ORDER_IN_DOUBT, REV_CONFLICT, TRIGGER_THROUGH,
 UNSUPPORTED, BAD_FIELD, BAD_DECIMAL, BAD_COMBINATION, UNKNOWN_SYMBOL, DEADLINE_PASSED, LINK_DOWN, BUSY, BAD_TICK,
 BAD_LOT, DRY_PASSED) = range(-1, -20, -1)  # fmt: skip

DAY_NS = 86_400_000_000_000
MS_END = 9_000_000_000_000  # milliseconds that still fit as nanoseconds
MS_NS = 1_000_000
CONFIRM_TICKS_MAX = 1_000_000
CONFIRM_MS_MAX = 86_400_000  # a day: no session is longer
AFTER_MS_MAX = 31_622_400_000  # 366 days
INT64_MAX = 2**63 - 1
QUEUE_NS = 60_000_000_000  # how long an order waits for its link when it does not say
TAG_BYTES_MAX = 64
TIFS = {"day": 0, "gtc": 1, "opg": 2, "ioc": 3, "fok": 4, "gtd": 6, "cls": 7}
KINDS = {"stop": 1, "touch": 2, "trail": 3, "time": 4}
OF_PRICES = ("stop_px", "trail", "limit_offset", "source", "confirm", "max_age_ms")
ALL_PCT_E9 = 100_000_000_000  # 100 %
SOURCES = {"last": 0, "bid": 1, "ask": 2, "mid": 3, "mark": 4}
NAME = re.compile(r"[A-Za-z0-9._:-]{1,36}")
TRIGGER_EXTRAS = ("breakeven", "backstop_bps", "policy")
SEED_TERMS, SEED_CHANGE = 7, 11


class Refused(Exception):
    """A request that has no effect, and why; raised, so that each check reads as what it demands."""

    def __init__(self, code: int, path: str, text: str) -> None:
        super().__init__(code)
        self.code, self.path, self.text = code, path, text


def is_name(text: str) -> bool:
    """1 to 36 of `A-Z a-z 0-9 . _ : -`."""
    return NAME.fullmatch(text) is not None


class TermsReader:
    """Reads requests for one state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.day_ends: dict[int, int] = {}
        self.sources: dict[int, int] = {}  # by instrument: what triggers watch by default; absent: by asset class

    def set_day_end(self, instrument: int, wall_ns: int) -> None:
        """When `day` orders of the instrument end."""
        self.day_ends[instrument] = wall_ns

    def _day_end(self, instrument: int) -> int:
        """End of the day that is on; one that has passed moves by whole days until somebody sets the next."""
        end_ns, now_ns = self.day_ends.get(instrument, 0), self.state.wall_ns
        if 0 < end_ns <= now_ns:
            end_ns += ((now_ns - end_ns) // DAY_NS + 1) * DAY_NS
        return end_ns

    def set_source(self, instrument: int, source: str) -> None:
        """What a trigger of the instrument watches when it does not say; empty: by asset class (order-api 8)."""
        self.sources.pop(instrument, None)
        if source:
            self.sources[instrument] = SOURCES[source]

    def _terms(self, req: PlaceItem) -> Terms:
        row = self.state.quotes.row_of(req.symbol)
        if row < 0:
            raise Refused(UNKNOWN_SYMBOL, "symbol", f"symbol {req.symbol} is not listed; see /v1/instruments")
        t = Terms(instrument=row, order_qty_e9=_decimal(req.qty, "qty"))
        t.whole_qty_e9 = t.order_qty_e9
        t.side = int(Side.BUY if req.side == "buy" else Side.SELL)
        t.ord_type = int(OrdType.MARKET if req.ord_type == "market" else OrdType.LIMIT)
        is_market = t.ord_type == OrdType.MARKET
        if req.px is not None:
            t.px_e9 = _decimal(req.px, "px")
        if (is_market or is_offset(req)) == (req.px is not None):
            text = "a limit order needs px (or, trailing, a limit_offset), a market order has none"
            raise Refused(BAD_COMBINATION, "px", text)
        t.tif = TIFS[req.tif]
        t.extended = int(req.hours == "extended")
        t.reduce_only = int(req.reduce_only)
        if req.stp not in (None, "cancel_new", "allow"):
            raise Refused(UNSUPPORTED, "stp", "stp supports cancel_new and allow")
        t.stp = int(Stp.ALLOW if req.stp == "allow" else Stp.CANCEL_NEW)
        self._unsupported(req, t)
        if req.trigger is not None:
            self._trigger(req.trigger, t)
        if req.collar_bps is not None:
            if not is_market:
                raise Refused(BAD_COMBINATION, "collar_bps", "collar_bps belongs to a market order")
            t.collar_bps_e9 = _decimal(req.collar_bps, "collar_bps")
        if req.max_queue_ms is not None:
            if req.max_queue_ms >= MS_END:
                raise Refused(BAD_FIELD, "max_queue_ms", "max_queue_ms is too far away")
            t.max_queue_ns = req.max_queue_ms * MS_NS
        elif t.reduce_only:
            t.max_queue_ns = -1
        elif not is_market and t.tif not in (Tif.IOC, Tif.FOK):
            t.max_queue_ns = QUEUE_NS
        return t

    def _unsupported(self, req: PlaceItem, t: Terms) -> None:
        if t.tif in (Tif.OPG, Tif.CLS):
            raise Refused(UNSUPPORTED, "tif", "this broker has no opening or closing auction")
        if (t.tif == Tif.GTD) != (req.expire_ns is not None):
            raise Refused(BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        t.expire_ns = req.expire_ns or 0
        if req.tag is not None and len(req.tag.encode()) > TAG_BYTES_MAX:
            raise Refused(BAD_FIELD, "tag", "tag is at most 64 bytes of UTF-8")
        if req.signal is not None and not is_name(req.signal):
            raise Refused(BAD_FIELD, "signal", "signal must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        t.when_full = int(req.after is not None and req.after.on == "full")
        if req.post_only:
            raise Refused(UNSUPPORTED, "post_only", "this broker has no post-only orders")
        if req.display_qty is not None:
            raise Refused(UNSUPPORTED, "display_qty", "this broker has no iceberg orders")

    def _trigger(self, trigger: Trigger, t: Terms) -> None:
        """A condition that the gateway holds."""
        if trigger.kind not in KINDS:
            raise Refused(UNSUPPORTED, "trigger.kind", f"trigger kinds here are {', '.join(KINDS)}")
        t.trigger = KINDS[trigger.kind]
        _held_here(trigger)
        if t.trigger == TriggerKind.TIME:
            _hour(trigger, t)
            return
        for name in ("at_ns", "after_ms"):
            if getattr(trigger, name) is not None:
                raise Refused(BAD_COMBINATION, f"trigger.{name}", f"trigger.{name} belongs to kind time")
        if trigger.stop_px is None and t.trigger != TriggerKind.TRAIL:
            raise Refused(BAD_COMBINATION, "trigger.stop_px", f"a {trigger.kind} needs stop_px")
        if trigger.stop_px is not None:
            t.stop_px_e9 = _decimal(trigger.stop_px, "trigger.stop_px")
        self._trail(trigger, t)
        if trigger.confirm is not None:
            _confirmation(trigger.confirm, t)
        t.source = self._source(trigger, t)
        t.fire_through = int(trigger.if_through == "fire")
        t.rearm_missed = int(trigger.on_missed == "rearm")
        if t.trigger == TriggerKind.TRAIL and t.rearm_missed:
            raise Refused(UNSUPPORTED, "trigger.on_missed", "a trailing stop that was missed fires here")
        if t.trigger == TriggerKind.TRAIL and trigger.max_age_ms is not None:
            text = "the age limit of a trailing stop is the instrument's here"
            raise Refused(UNSUPPORTED, "trigger.max_age_ms", text)
        if trigger.max_age_ms is not None:
            if trigger.max_age_ms >= MS_END:
                raise Refused(BAD_FIELD, "trigger.max_age_ms", "trigger.max_age_ms is too far away")
            t.max_age_ns = trigger.max_age_ms * MS_NS
            if not 0 < t.max_age_ns <= self.state.quotes.rows[t.instrument].max_age_ns:
                text = "trigger.max_age_ms is 1 to the instrument's own limit; see /v1/instruments"
                raise Refused(UNSUPPORTED, "trigger.max_age_ms", text)

    def _trail(self, trigger: Trigger, t: Terms) -> None:
        """How far a trailing stop stays behind, and its limit."""
        if t.trigger != TriggerKind.TRAIL:
            for name in ("trail", "limit_offset"):
                if getattr(trigger, name) is not None:
                    raise Refused(BAD_COMBINATION, f"trigger.{name}", f"trigger.{name} belongs to kind trail")
            return
        if trigger.trail is None:
            raise Refused(BAD_COMBINATION, "trigger.trail", "a trail needs trail: amount, bps or pct")
        t.trail_e9, t.trail_unit = distance(trigger.trail, "trigger.trail")
        if trigger.limit_offset is None:
            return
        if t.ord_type != OrdType.LIMIT:
            raise Refused(BAD_COMBINATION, "trigger.limit_offset", "limit_offset belongs to a limit order")
        t.has_limit_offset, t.limit_offset_e9 = 1, _number(trigger.limit_offset, "trigger.limit_offset")

    def _source(self, trigger: Trigger, t: Terms) -> int:
        if trigger.source is not None:
            if trigger.source == "mark":
                raise Refused(UNSUPPORTED, "trigger.source", "no mark price here; use last, bid, ask or mid")
            return SOURCES[trigger.source]
        if t.instrument in self.sources:
            return self.sources[t.instrument]
        if self.state.quotes.rows[t.instrument].asset_class == 0:
            return int(PriceSource.LAST)
        return int(PriceSource.BID if t.side == Side.SELL else PriceSource.ASK)

    def _move_trigger(self, trigger: Trigger, t: Terms) -> None:
        """A replace moves the stop, its trail or its time; whatever else it says about the trigger must be as it is."""
        asked = replace(t)
        self._trigger(trigger, asked)
        is_other = (
            asked.trigger != t.trigger
            or (trigger.source is not None and asked.source != t.source)
            or (trigger.max_age_ms is not None and asked.max_age_ns != t.max_age_ns)
            or (asked.confirm_ticks, asked.confirm_ns) != (t.confirm_ticks, t.confirm_ns)
            or (asked.fire_through and not t.fire_through)
            or (asked.rearm_missed and not t.rearm_missed)
        )
        if is_other:
            text = "a replace can change stop_px, trail, limit_offset, at_ns and after_ms of a trigger only"
            raise Refused(UNSUPPORTED, "trigger", text)
        t.stop_px_e9, t.trail_e9, t.trail_unit = asked.stop_px_e9, asked.trail_e9, asked.trail_unit
        t.limit_offset_e9, t.has_limit_offset = asked.limit_offset_e9, asked.has_limit_offset
        t.at_ns, t.after_ns = asked.at_ns, asked.after_ns

    def _grid(self, t: Terms) -> None:
        """Prices on the tick, quantity on the lot; the text gives the nearest value below."""
        row = self.state.quotes.rows[t.instrument]
        if t.order_qty_e9 % row.lot_e9 or t.order_qty_e9 < row.min_qty_e9:
            nearest_e9 = max(row.min_qty_e9, t.order_qty_e9 - t.order_qty_e9 % row.lot_e9)
            raise Refused(BAD_LOT, "qty", from_e9(nearest_e9))
        prices = ("px", t.px_e9), ("trigger.limit_offset", t.limit_offset_e9), ("trigger.stop_px", t.stop_px_e9)
        for path, px_e9 in prices:
            if px_e9 % row.tick_e9:
                raise Refused(BAD_TICK, path, from_e9(px_e9 - px_e9 % row.tick_e9))

    def _content(self, t: Terms, req: PlaceItem) -> int:
        content = rec.hash_bytes(t.pack(), SEED_TERMS)
        for text in (req.tag, req.signal):
            content = rec.hash_bytes((text or "").encode(), content)
        if (
            req.after is not None or req.oco is not None
        ):  # by name: the rows that they mean are not known yet in a batch
            for text in (req.after.cl_ord_id if req.after is not None else "", req.oco or ""):
                content = rec.hash_bytes(text.encode(), content)
        return content | 1

    def _changes(self, req: ReplaceItem, t: Terms) -> None:
        if req.display_qty is not None:
            raise Refused(UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        if req.qty is not None:
            t.order_qty_e9 = t.whole_qty_e9 = _decimal(req.qty, "qty")
        if req.px is not None:
            if t.ord_type == OrdType.MARKET or t.has_limit_offset:
                text = "a market order has no px, and a limit_offset makes it when the stop fires"
                raise Refused(BAD_COMBINATION, "px", text)
            t.px_e9 = _decimal(req.px, "px")
        if req.trigger is not None:
            if not t.trigger:
                raise Refused(BAD_COMBINATION, "trigger", "the order has no trigger")
            self._move_trigger(req.trigger, t)
        not_gtd = Refused(BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        if req.tif is not None:
            t.tif = TIFS[req.tif]
            if (t.tif == Tif.GTD) != (req.expire_ns is not None):
                raise not_gtd
            if t.tif not in (Tif.DAY, Tif.GTC, Tif.GTD):
                raise Refused(UNSUPPORTED, "tif", "an order can be changed to day, gtc or gtd")
            t.expire_ns = self._day_end(t.instrument) if t.tif == Tif.DAY else 0
        if req.expire_ns is not None:
            if t.tif != Tif.GTD:
                raise not_gtd
            t.expire_ns = req.expire_ns


def _held_here(trigger: Trigger) -> None:
    """Refuse what no trigger of this gateway has."""
    for name in TRIGGER_EXTRAS:
        if getattr(trigger, name) is not None:
            raise Refused(UNSUPPORTED, f"trigger.{name}", f"trigger.{name} is not supported here")
    if trigger.placement not in (None, "gateway"):
        text = "this broker has no native stops; placement is gateway"
        raise Refused(UNSUPPORTED, "trigger.placement", text)


def _hour(trigger: Trigger, t: Terms) -> None:
    """When a time order fires, and nothing that only prices have."""
    for name in OF_PRICES:
        if getattr(trigger, name) is not None:
            text = f"trigger.{name} belongs to a price, not to kind time"
            raise Refused(BAD_COMBINATION, f"trigger.{name}", text)
    if trigger.on_missed == "rearm":
        raise Refused(BAD_COMBINATION, "trigger.on_missed", "a time comes once: what was missed fires")
    if (trigger.at_ns is None) == (trigger.after_ms is None):
        raise Refused(BAD_COMBINATION, "trigger.at_ns", "kind time has at_ns or after_ms, one of them")
    if trigger.at_ns is not None and not 0 < trigger.at_ns <= INT64_MAX:
        raise Refused(BAD_FIELD, "trigger.at_ns", "trigger.at_ns is nanoseconds since 1970, above zero")
    if trigger.after_ms is not None and not 1 <= trigger.after_ms <= AFTER_MS_MAX:
        text = f"trigger.after_ms is 1 to {AFTER_MS_MAX} (366 days)"
        raise Refused(BAD_FIELD, "trigger.after_ms", text)
    t.at_ns, t.after_ns = trigger.at_ns or 0, (trigger.after_ms or 0) * MS_NS
    t.fire_through = int(trigger.if_through == "fire")


def _confirmation(confirm: Confirm, t: Terms) -> None:
    """How long the condition must hold; one update is the default, however it is said."""
    if t.trigger == TriggerKind.TRAIL:
        raise Refused(UNSUPPORTED, "trigger.confirm", "a trailing stop fires on the first price here")
    if (confirm.ticks is None) == (confirm.ms is None):
        raise Refused(BAD_COMBINATION, "trigger.confirm", "confirm has ticks or ms, one of them")
    for name, most in (("ticks", CONFIRM_TICKS_MAX), ("ms", CONFIRM_MS_MAX)):
        value = getattr(confirm, name)
        if value is not None and not 1 <= value <= most:
            raise Refused(BAD_FIELD, f"trigger.confirm.{name}", f"confirm.{name} is 1 to {most}")
    t.confirm_ticks = confirm.ticks if confirm.ticks is not None and confirm.ticks > 1 else 0
    t.confirm_ns = (confirm.ms or 0) * MS_NS


def _decimal(text: str, path: str) -> int:
    """A positive decimal string in 1e-9; the reason of a refusal names the member."""
    value_e9 = _number(text, path)
    if value_e9 == 0:
        raise Refused(BAD_FIELD, path, f"{path} must be above zero")
    return value_e9


def _number(text: str, path: str) -> int:
    """A decimal string of zero or more, in 1e-9."""
    code, value_e9 = parse_code(text)
    if code == PARSE_PRECISION:
        raise Refused(BAD_DECIMAL, path, f"{path} has more than nine digits after the point")
    if code != PARSE_OK:
        raise Refused(BAD_DECIMAL, path, f'{path} must be a decimal string below 9200000000, like "187.20"')
    if value_e9 < 0:
        raise Refused(BAD_FIELD, path, f"{path} must be above zero")
    return value_e9


def distance(trail: Trail, path: str) -> tuple[int, int]:
    """(distance in 1e-9, unit: 0 amount, 1 bps) of exactly one of amount, bps and pct; a percent is a hundred bps."""
    given = [name for name in ("amount", "bps", "pct") if getattr(trail, name) is not None]
    if len(given) != 1:
        raise Refused(BAD_COMBINATION, path, f"{path} has exactly one of amount, bps and pct")
    path = f"{path}.{given[0]}"
    value_e9 = _decimal(getattr(trail, given[0]), path)
    if given[0] != "amount" and value_e9 >= (ALL_PCT_E9 if given[0] == "pct" else ALL_PCT_E9 * 100):
        raise Refused(BAD_FIELD, path, f"{path} must be below the whole price")
    return value_e9 * (100 if given[0] == "pct" else 1), int(given[0] != "amount")


def is_offset(req: PlaceItem) -> bool:
    """Whether the limit follows from where the stop fires."""
    return req.trigger is not None and req.trigger.kind == "trail" and req.trigger.limit_offset is not None


def change_content(req: ReplaceItem) -> int:
    """What a repeated request is known by: the changes that it asks for, as terms."""
    stop = req.trigger.stop_px if req.trigger is not None else None
    numbers = [0 if text is None else _decimal(text, "") for text in (req.qty, req.px, stop)]
    changes = Terms(*numbers[:3])
    changes.tif = TIFS[req.tif] + 1 if req.tif is not None else 0
    changes.expire_ns = req.expire_ns or 0
    if req.trigger is not None:
        changes.at_ns, changes.after_ns = req.trigger.at_ns or 0, (req.trigger.after_ms or 0) * MS_NS
    if req.trigger is not None and req.trigger.trail is not None:
        changes.trail_e9, changes.trail_unit = distance(req.trigger.trail, "")
    if req.trigger is not None and req.trigger.limit_offset is not None:
        changes.has_limit_offset, changes.limit_offset_e9 = 1, _number(req.trigger.limit_offset, "")
    return rec.hash_bytes(changes.pack(), SEED_CHANGE) | 1
