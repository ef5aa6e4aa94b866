"""A client's request as the terms of an order: read, put on the instrument's grid, or refused with the member that is wrong.

Nothing here looks at the market or at other orders; that is `Intake`, which is built on it.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from hotpath.enums cimport *
from hotpath.fixed cimport PARSE_OK, PARSE_PRECISION, format_e9, parse_e9
from hotpath.records cimport *
from gateway.core.state cimport State

cdef extern from "hotpath/src/tables.hpp" namespace "backstay" nogil:
    uint64_t hash_bytes(const char* data, size_t size, uint64_t seed)

cdef enum:
    DAY_NS = 86400000000000
    ALL_PCT_E9 = 100000000000            # 100 %
    CONFIRM_TICKS_MAX = 1000000
    CONFIRM_MS_MAX = 86400000            # a day: no session is longer
    AFTER_MS_MAX = 31622400000           # 366 days

TIFS = {"day": 0, "gtc": 1, "opg": 2, "ioc": 3, "fok": 4, "gtd": 6, "cls": 7}
_MS_END = 9000000000000                  # milliseconds that still fit as nanoseconds
KINDS = {"stop": 1, "touch": 2, "trail": 3, "time": 4}
OF_PRICES = ("stop_px", "trail", "limit_offset", "source", "confirm", "max_age_ms")
SOURCES = {"last": 0, "bid": 1, "ask": 2, "mid": 3, "mark": 4}


cdef bint _is_offset(object req):
    """Whether the limit follows from where the stop fires."""
    return req.trigger is not None and req.trigger.kind == "trail" and req.trigger.limit_offset is not None


cdef bint name_ok(const char* text, Py_ssize_t size) noexcept nogil:
    """1 to 36 of `A-Z a-z 0-9 . _ : -`."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if size < 1 or size > 36:
        return False
    for i in range(size):
        c = <unsigned char>text[i]
        if not (48 <= c <= 58 or 65 <= c <= 90 or 97 <= c <= 122 or c == 45 or c == 46 or c == 95):
            return False
    return True

cdef class TermsReader:
    """Reads requests for one state.

    Args:
        state: the shard's state, for its instruments.
    """

    def __cinit__(self, State state not None):
        self.state = state
        self.day_ends = <int64_t*>calloc(state.quotes.capacity, sizeof(int64_t))
        self.sources = <uint8_t*>calloc(state.quotes.capacity, 1)
        if self.day_ends == NULL or self.sources == NULL:
            raise MemoryError("no room for what instruments default to")
        self.path = self.text = ""

    def __dealloc__(self):
        free(self.day_ends)
        free(self.sources)

    def set_day_end(self, uint32_t instrument, int64_t wall_ns) -> None:
        """When `day` orders of the instrument end."""
        self.day_ends[instrument] = wall_ns

    cdef int64_t _day_end(self, uint32_t instrument) noexcept:
        """End of the day that is on; one that has passed moves by whole days until somebody sets the next."""
        cdef int64_t end = self.day_ends[instrument]
        if 0 < end <= self.state.wall_ns:
            end += ((self.state.wall_ns - end) // DAY_NS + 1) * DAY_NS
        return end

    def set_source(self, uint32_t instrument, str source not None) -> None:
        """What a trigger of the instrument watches when it does not say; empty: by asset class (order-api section 8)."""
        self.sources[instrument] = SOURCES[source] + 1 if source else 0

    cdef int _refuse(self, int code, str path, str text) except 1:
        self.path = path
        self.text = text
        return code

    cdef int _decimal(self, object text, str path, int64_t* out) except 1:
        """A positive decimal string; the reason of a refusal names the member."""
        cdef int code = self._number(text, path, out)
        if code == 0 and out[0] == 0:
            return self._refuse(Refusal.BAD_FIELD, path, f"{path} must be above zero")
        return code

    cdef int _number(self, object text, str path, int64_t* out) except 1:
        """A decimal string of zero or more."""
        cdef Py_ssize_t size = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
        cdef int code = parse_e9(data, size, out)
        if code != PARSE_OK:
            if code == PARSE_PRECISION:
                return self._refuse(Refusal.BAD_DECIMAL, path, f"{path} has more than nine digits after the point")
            return self._refuse(Refusal.BAD_DECIMAL, path, f"{path} must be a decimal string below 9200000000, like \"187.20\"")
        if out[0] < 0:
            return self._refuse(Refusal.BAD_FIELD, path, f"{path} must be above zero")
        return 0

    cdef int _terms(self, object req, Terms* t) except 1:
        cdef int code
        cdef object px = req.px
        memset(t, 0, sizeof(Terms))
        row = self.state.quotes.index_of.get(req.symbol)
        if row is None:
            return self._refuse(Refusal.UNKNOWN_SYMBOL, "symbol", f"symbol {req.symbol} is not listed; see /v1/instruments")
        t.instrument = row
        t.side = Side.BUY if req.side == "buy" else Side.SELL
        t.ord_type = OrdType.MARKET if req.ord_type == "market" else OrdType.LIMIT
        code = self._decimal(req.qty, "qty", &t.order_qty_e9)
        if code:
            return code
        t.whole_qty_e9 = t.order_qty_e9
        if px is not None:
            code = self._decimal(px, "px", &t.px_e9)
            if code:
                return code
        if (t.ord_type == OrdType.LIMIT and not _is_offset(req)) != (px is not None):
            return self._refuse(Refusal.BAD_COMBINATION, "px", "a limit order needs px (or, trailing, a limit_offset), a market order has none")
        t.tif = TIFS[req.tif]
        t.extended = req.hours == "extended"
        t.reduce_only = req.reduce_only
        if req.stp is not None:
            if req.stp != "cancel_new" and req.stp != "allow":
                return self._refuse(Refusal.UNSUPPORTED, "stp", "stp supports cancel_new and allow")
            t.stp = Stp.ALLOW if req.stp == "allow" else Stp.CANCEL_NEW
        code = self._unsupported(req, t)
        if code:
            return code
        if req.trigger is not None:
            code = self._trigger(req.trigger, t)
            if code:
                return code
        if req.collar_bps is not None:
            if t.ord_type == OrdType.LIMIT:
                return self._refuse(Refusal.BAD_COMBINATION, "collar_bps", "collar_bps belongs to a market order")
            code = self._decimal(req.collar_bps, "collar_bps", &t.collar_bps_e9)
            if code:
                return code
        if req.max_queue_ms is not None:
            if req.max_queue_ms >= _MS_END:
                return self._refuse(Refusal.BAD_FIELD, "max_queue_ms", "max_queue_ms is too far away")
            t.max_queue_ns = <int64_t>req.max_queue_ms * 1000000
        elif t.reduce_only:
            t.max_queue_ns = -1
        elif t.ord_type == OrdType.MARKET or t.tif == Tif.IOC or t.tif == Tif.FOK:
            t.max_queue_ns = 0
        else:
            t.max_queue_ns = 60000000000
        return 0

    cdef int _unsupported(self, object req, Terms* t) except 1:
        if t.tif == Tif.OPG or t.tif == Tif.CLS:
            return self._refuse(Refusal.UNSUPPORTED, "tif", "this broker has no opening or closing auction")
        if (t.tif == Tif.GTD) != (req.expire_ns is not None):
            return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        if t.tif == Tif.GTD:
            t.expire_ns = req.expire_ns
        if req.tag is not None and len(req.tag.encode()) > 64:
            return self._refuse(Refusal.BAD_FIELD, "tag", "tag is at most 64 bytes of UTF-8")
        if req.signal is not None and not name_ok(req.signal.encode(), len(req.signal.encode())):
            return self._refuse(Refusal.BAD_FIELD, "signal", "signal must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        t.when_full = req.after is not None and req.after.on == "full"
        if req.post_only:
            return self._refuse(Refusal.UNSUPPORTED, "post_only", "this broker has no post-only orders")
        if req.display_qty is not None:
            return self._refuse(Refusal.UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        return 0

    cdef int _trigger(self, object trigger, Terms* t) except 1:
        """A condition that the gateway holds."""
        cdef int code
        if trigger.kind not in KINDS:
            return self._refuse(Refusal.UNSUPPORTED, "trigger.kind", f"trigger kinds here are {', '.join(KINDS)}")
        t.trigger = KINDS[trigger.kind]
        code = self._held_here(trigger)
        if code:
            return code
        if t.trigger == TriggerKind.TIME:
            return self._hour(trigger, t)
        for name in ("at_ns", "after_ms"):
            if getattr(trigger, name) is not None:
                return self._refuse(Refusal.BAD_COMBINATION, f"trigger.{name}", f"trigger.{name} belongs to kind time")
        if trigger.stop_px is None and t.trigger != TriggerKind.TRAIL:
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.stop_px", f"a {trigger.kind} needs stop_px")
        if trigger.stop_px is not None:
            code = self._decimal(trigger.stop_px, "trigger.stop_px", &t.stop_px_e9)
            if code:
                return code
        code = self._trail(trigger, t)
        if code:
            return code
        code = self._confirmation(trigger.confirm, t)
        if code:
            return code
        if trigger.source is not None:
            if trigger.source == "mark":
                return self._refuse(Refusal.UNSUPPORTED, "trigger.source", "no mark price here; use last, bid, ask or mid")
            t.source = SOURCES[trigger.source]
        elif self.sources[t.instrument]:
            t.source = self.sources[t.instrument] - 1
        elif self.state.quotes.rows[t.instrument].asset_class == 0:
            t.source = PriceSource.LAST
        else:
            t.source = PriceSource.BID if t.side == Side.SELL else PriceSource.ASK
        t.fire_through = trigger.if_through == "fire"
        t.rearm_missed = trigger.on_missed == "rearm"
        if t.trigger == TriggerKind.TRAIL and t.rearm_missed:
            return self._refuse(Refusal.UNSUPPORTED, "trigger.on_missed", "a trailing stop that was missed fires here")
        if t.trigger == TriggerKind.TRAIL and trigger.max_age_ms is not None:
            return self._refuse(Refusal.UNSUPPORTED, "trigger.max_age_ms", "the age limit of a trailing stop is the instrument's here")
        if trigger.max_age_ms is not None:
            if trigger.max_age_ms >= _MS_END:
                return self._refuse(Refusal.BAD_FIELD, "trigger.max_age_ms", "trigger.max_age_ms is too far away")
            t.max_age_ns = <int64_t>trigger.max_age_ms * 1000000
            if not 0 < t.max_age_ns <= self.state.quotes.rows[t.instrument].max_age_ns:
                return self._refuse(Refusal.UNSUPPORTED, "trigger.max_age_ms", "trigger.max_age_ms is 1 to the instrument's own limit; see /v1/instruments")
        return 0

    cdef int _held_here(self, object trigger) except 1:
        """What no trigger of this gateway has."""
        for name in ("breakeven", "backstop_bps", "policy"):
            if getattr(trigger, name) is not None:
                return self._refuse(Refusal.UNSUPPORTED, f"trigger.{name}", f"trigger.{name} is not supported here")
        if trigger.placement is not None and trigger.placement != "gateway":
            return self._refuse(Refusal.UNSUPPORTED, "trigger.placement", "this broker has no native stops; placement is gateway")
        return 0

    cdef int _hour(self, object trigger, Terms* t) except 1:
        """When a time order fires, and nothing that only prices have."""
        for name in OF_PRICES:
            if getattr(trigger, name) is not None:
                return self._refuse(Refusal.BAD_COMBINATION, f"trigger.{name}", f"trigger.{name} belongs to a price, not to kind time")
        if trigger.on_missed == "rearm":
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.on_missed", "a time comes once: what was missed fires")
        if (trigger.at_ns is None) == (trigger.after_ms is None):
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.at_ns", "kind time has at_ns or after_ms, one of them")
        t.at_ns = t.after_ns = 0
        if trigger.at_ns is not None:
            if not 0 < trigger.at_ns <= INT64_MAX:
                return self._refuse(Refusal.BAD_FIELD, "trigger.at_ns", "trigger.at_ns is nanoseconds since 1970, above zero")
            t.at_ns = trigger.at_ns
        elif not 1 <= trigger.after_ms <= AFTER_MS_MAX:
            return self._refuse(Refusal.BAD_FIELD, "trigger.after_ms", f"trigger.after_ms is 1 to {AFTER_MS_MAX} (366 days)")
        else:
            t.after_ns = <int64_t>trigger.after_ms * 1000000
        t.fire_through = trigger.if_through == "fire"
        return 0

    cdef int _confirmation(self, object confirm, Terms* t) except 1:
        """How long the condition must hold; one update is the default, however it is said."""
        if confirm is None:
            return 0
        if t.trigger == TriggerKind.TRAIL:
            return self._refuse(Refusal.UNSUPPORTED, "trigger.confirm", "a trailing stop fires on the first price here")
        if (confirm.ticks is None) == (confirm.ms is None):
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.confirm", "confirm has ticks or ms, one of them")
        if confirm.ticks is not None:
            if not 1 <= confirm.ticks <= CONFIRM_TICKS_MAX:
                return self._refuse(Refusal.BAD_FIELD, "trigger.confirm.ticks", f"confirm.ticks is 1 to {CONFIRM_TICKS_MAX}")
            t.confirm_ticks, t.confirm_ns = confirm.ticks if confirm.ticks > 1 else 0, 0
        elif not 1 <= confirm.ms <= CONFIRM_MS_MAX:
            return self._refuse(Refusal.BAD_FIELD, "trigger.confirm.ms", f"confirm.ms is 1 to {CONFIRM_MS_MAX}")
        else:
            t.confirm_ticks, t.confirm_ns = 0, <int64_t>confirm.ms * 1000000
        return 0

    cdef int _trail(self, object trigger, Terms* t) except 1:
        """How far a trailing stop stays behind, and its limit."""
        cdef int code
        if t.trigger != TriggerKind.TRAIL:
            for name in ("trail", "limit_offset"):
                if getattr(trigger, name) is not None:
                    return self._refuse(Refusal.BAD_COMBINATION, f"trigger.{name}", f"trigger.{name} belongs to kind trail")
            return 0
        if trigger.trail is None:
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.trail", "a trail needs trail: amount, bps or pct")
        code = self._distance(trigger.trail, "trigger.trail", &t.trail_e9, &t.trail_unit)
        if code:
            return code
        if trigger.limit_offset is None:
            return 0
        if t.ord_type != OrdType.LIMIT:
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.limit_offset", "limit_offset belongs to a limit order")
        t.has_limit_offset = 1
        return self._number(trigger.limit_offset, "trigger.limit_offset", &t.limit_offset_e9)

    cdef int _distance(self, object trail, str path, int64_t* distance_e9, uint8_t* unit) except 1:
        """Exactly one of amount, bps and pct; a percent is a hundred basis points."""
        cdef int code
        given = [name for name in ("amount", "bps", "pct") if getattr(trail, name) is not None]
        if len(given) != 1:
            return self._refuse(Refusal.BAD_COMBINATION, path, f"{path} has exactly one of amount, bps and pct")
        path = f"{path}.{given[0]}"
        code = self._decimal(getattr(trail, given[0]), path, distance_e9)
        if code:
            return code
        unit[0] = given[0] != "amount"
        if unit[0] and distance_e9[0] >= (ALL_PCT_E9 if given[0] == "pct" else ALL_PCT_E9 * 100):
            return self._refuse(Refusal.BAD_FIELD, path, f"{path} must be below the whole price")
        if given[0] == "pct":
            distance_e9[0] *= 100
        return 0

    cdef int _move_trigger(self, object trigger, Terms* t) except 1:
        """A replace moves the stop, its trail or its time; whatever else it says about the trigger must be as it is."""
        cdef Terms asked = t[0]
        cdef int code = self._trigger(trigger, &asked)
        if code:
            return code
        if (asked.trigger != t.trigger or (trigger.source is not None and asked.source != t.source)
                or (trigger.max_age_ms is not None and asked.max_age_ns != t.max_age_ns)
                or asked.confirm_ticks != t.confirm_ticks or asked.confirm_ns != t.confirm_ns
                or (asked.fire_through and not t.fire_through) or (asked.rearm_missed and not t.rearm_missed)):
            return self._refuse(Refusal.UNSUPPORTED, "trigger", "a replace can change stop_px, trail, limit_offset, at_ns and after_ms of a trigger only")
        t.stop_px_e9, t.trail_e9, t.trail_unit = asked.stop_px_e9, asked.trail_e9, asked.trail_unit
        t.limit_offset_e9, t.has_limit_offset = asked.limit_offset_e9, asked.has_limit_offset
        t.at_ns, t.after_ns = asked.at_ns, asked.after_ns
        return 0

    cdef int _grid(self, const Terms* t) except 1:
        """Prices on the tick, quantity on the lot; the text gives the nearest value below."""
        cdef int64_t tick = self.state.quotes.rows[t.instrument].tick_e9
        cdef int64_t lot = self.state.quotes.rows[t.instrument].lot_e9
        cdef int64_t least = self.state.quotes.rows[t.instrument].min_qty_e9
        if t.order_qty_e9 % lot or t.order_qty_e9 < least:
            return self._nearest(Refusal.BAD_LOT, "qty", max(least, t.order_qty_e9 - t.order_qty_e9 % lot))
        if t.px_e9 % tick:
            return self._nearest(Refusal.BAD_TICK, "px", t.px_e9 - t.px_e9 % tick)
        if t.limit_offset_e9 % tick:
            return self._nearest(Refusal.BAD_TICK, "trigger.limit_offset", t.limit_offset_e9 - t.limit_offset_e9 % tick)
        if t.stop_px_e9 % tick:
            return self._nearest(Refusal.BAD_TICK, "trigger.stop_px", t.stop_px_e9 - t.stop_px_e9 % tick)
        return 0

    cdef int _nearest(self, int code, str path, int64_t value_e9) except 1:
        cdef char out[32]
        cdef int n = format_e9(value_e9, out)
        return self._refuse(code, path, out[:n].decode())

    cdef uint64_t _content(self, const Terms* t, object req) except? 0:
        cdef uint64_t h = hash_bytes(<const char*>t, sizeof(Terms), 7)
        for text in (req.tag, req.signal):
            encoded = (text or "").encode()
            h = hash_bytes(<const char*>encoded, len(encoded), h)
        if req.after is not None or req.oco is not None:     # by name: the rows that they mean are not known yet in a batch
            for text in (req.after.cl_ord_id if req.after is not None else "", req.oco or ""):
                encoded = text.encode()
                h = hash_bytes(<const char*>encoded, len(encoded), h)
        return h | 1

    cdef int _changes(self, object req, Terms* t) except 1:
        cdef int code = 0
        if req.display_qty is not None:
            return self._refuse(Refusal.UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        if req.qty is not None:
            code = self._decimal(req.qty, "qty", &t.order_qty_e9)
            t.whole_qty_e9 = t.order_qty_e9
        if code == 0 and req.px is not None:
            if t.ord_type == OrdType.MARKET or t.has_limit_offset:
                return self._refuse(Refusal.BAD_COMBINATION, "px", "a market order has no px, and a limit_offset makes it when the stop fires")
            code = self._decimal(req.px, "px", &t.px_e9)
        if code == 0 and req.trigger is not None:
            if not t.trigger:
                return self._refuse(Refusal.BAD_COMBINATION, "trigger", "the order has no trigger")
            code = self._move_trigger(req.trigger, t)
        if code == 0 and req.tif is not None:
            t.tif = TIFS[req.tif]
            if (t.tif == Tif.GTD) != (req.expire_ns is not None):
                return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
            if t.tif not in (Tif.DAY, Tif.GTC, Tif.GTD):
                return self._refuse(Refusal.UNSUPPORTED, "tif", "an order can be changed to day, gtc or gtd")
            t.expire_ns = self._day_end(t.instrument) if t.tif == Tif.DAY else 0
        if code == 0 and req.expire_ns is not None:
            if t.tif != Tif.GTD:
                return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
            t.expire_ns = req.expire_ns
        return code

    cdef uint64_t _change_content(self, object req) except? 0:
        cdef Terms blank
        cdef object stop = req.trigger.stop_px if req.trigger is not None else None
        memset(&blank, 0, sizeof(blank))
        for text, path in ((req.qty, 0), (req.px, 1), (stop, 2)):
            if text is not None:
                self._decimal(text, "", &blank.order_qty_e9 + <Py_ssize_t>path)
        if req.trigger is not None and req.trigger.trail is not None:
            self._distance(req.trigger.trail, "", &blank.trail_e9, &blank.trail_unit)
        if req.trigger is not None and req.trigger.limit_offset is not None:
            blank.has_limit_offset = 1
            self._number(req.trigger.limit_offset, "", &blank.limit_offset_e9)
        if req.trigger is not None:
            blank.at_ns, blank.after_ns = req.trigger.at_ns or 0, (req.trigger.after_ms or 0) * 1000000
        blank.tif = TIFS[req.tif] + 1 if req.tif is not None else 0
        blank.expire_ns = req.expire_ns or 0
        return hash_bytes(<const char*>&blank, sizeof(Terms), 11) | 1
