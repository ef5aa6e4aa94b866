"""The controls of the pre-trade gate, one function each: PASS, or the control that refuses with its numbers filled in."""
from hotpath.enums cimport (
    ALLOW, ARMED, NO_NEW, CR_BUYPOWER, CR_GROSS, CR_POS_QTY, HALT_SYM, KILL_GATE, OPEN_ORDERS, OVERFLOW, PASS, PX_COLLAR,
    PX_MKT_CONVERT, PX_STALE, RATE_MSG, RATE_ORDER, REDUCE_ONLY_CTL, RESTRICT_LIST, SESSION_CAL, SMP, SYN_LOT, SYN_TICK,
    SZ_MAX_NOTIONAL, SZ_MAX_QTY,
)
from hotpath.enums cimport BUY as SIDE_BUY, LIMIT as TYPE_LIMIT, REDUCE_ONLY as LEVEL_REDUCE_ONLY, SELL as SIDE_SELL
from hotpath.checks cimport Bucket, Limits
from hotpath.quotes cimport CROSSED, LOCKED, ONE_SIDED

cdef extern from "hotpath/src/gate.hpp" namespace "backstay" nogil:
    int notional_e4(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept
    int scale_bps(int64_t value, int64_t bps_e9, int64_t* out) noexcept
    int add_i64(int64_t a, int64_t b, int64_t* out) noexcept
    int64_t subtract_saturated(int64_t a, int64_t b) noexcept
    int worst_case(int64_t pos, int64_t buys, int64_t sells, int64_t* out) noexcept
    int side_value_e4(int64_t signed_pos, int64_t open, int64_t px_e9, int64_t* out) noexcept
    int64_t room_qty(int64_t worst, int64_t signed_pos, int64_t open) noexcept
    int64_t affordable_qty(int64_t money_e4, int64_t px_e9) noexcept
    int regross(int64_t gross, int64_t old_expo, int64_t expo, int64_t* out) noexcept
    int64_t floor_to(int64_t value, int64_t step) noexcept
    int64_t ceil_to(int64_t value, int64_t step) noexcept

cdef enum:
    UNFIT_TOUCH = CROSSED | LOCKED | ONE_SIDED


cdef int refuse(Decision* out, int control, int scope, int unit, int64_t limit, int64_t value, int64_t passes,
                int passes_unit) noexcept nogil:
    out.control = control
    out.scope = scope
    out.unit = unit
    out.limit = limit
    out.value = value
    out.passes = passes
    out.passes_unit = passes_unit
    return control


cdef void look(View* v, const CheckRequest* rq, AccountRow* account, const InstrumentRow* instrument,
               const PairRow* pair) noexcept nogil:
    cdef bint is_buy = rq.side == SIDE_BUY
    cdef int64_t same = pair.open_buy_qty_e9 if is_buy else pair.open_sell_qty_e9
    v.account = account
    v.instrument = instrument
    v.pair = pair
    v.is_replace = rq.old_qty_e9 > 0 and not rq.is_release
    v.reserved = 0 if rq.is_held else min(max(rq.old_qty_e9, 0), same)
    v.same_open = same - v.reserved
    v.signed_pos = pair.pos_qty_e9 if is_buy else -pair.pos_qty_e9
    v.reducible = least_reducible(v, rq)
    v.reduces = 0 < rq.qty_e9 <= v.reducible
    v.is_protective = rq.is_release and rq.reduce_only and v.reduces
    v.reference_px_e9 = v.touch_px_e9 = 0


cdef void look_at_market(View* v, const CheckRequest* rq, int64_t reference_px_e9) noexcept nogil:
    cdef const InstrumentRow* ins = v.instrument
    v.reference_px_e9 = reference_px_e9
    if (ins.quote_mono_ns > 0 and not ins.flags_quote & UNFIT_TOUCH
            and subtract_saturated(rq.mono_ns, ins.quote_mono_ns) <= ins.max_age_ns):
        v.touch_px_e9 = ins.ask_px_e9 if rq.side == SIDE_BUY else ins.bid_px_e9


cdef inline int overflows(const CheckRequest* rq, Decision* out) noexcept nogil:
    return refuse(out, OVERFLOW, SCOPE_PAIR, UNIT_QTY, 0, rq.qty_e9, 0, UNIT_NONE)


cdef inline int64_t lots_within(const InstrumentRow* ins, int64_t qty_e9) noexcept nogil:
    """Largest permitted order quantity up to qty_e9, 0 when there is none."""
    cdef int64_t down = floor_to(qty_e9, ins.lot_e9)
    return down if down > 0 and down >= ins.min_qty_e9 else 0


cdef inline int64_t least_reducible(const View* v, const CheckRequest* rq) noexcept nogil:
    """What an order may do on its side and still only reduce: beside reduce-only orders when it is bound to reduce
    itself, beside everything open when it is not."""
    cdef int64_t far = -v.signed_pos
    cdef int64_t taken = v.same_open
    if rq.reduce_only:
        taken = v.pair.open_reduce_buy_qty_e9 if rq.side == SIDE_BUY else v.pair.open_reduce_sell_qty_e9
        taken = max(<int64_t>0, taken - min(v.reserved, taken) - rq.spared_qty_e9)
    return far - taken if far > 0 and far > taken else 0


cdef int check_kill(const View* v, const CheckRequest* rq, int global_level, int instrument_level,
                    Decision* out) noexcept nogil:
    cdef int level = global_level
    cdef int scope = SCOPE_GLOBAL
    if v.account != NULL and v.account.halt_level > level:
        level = v.account.halt_level
        scope = SCOPE_ACCOUNT
    if instrument_level > level:
        level = instrument_level
        scope = SCOPE_INSTRUMENT
    if level == ARMED or (level == NO_NEW and v.reduces):
        return PASS
    if v.is_protective or (v.reduces and rq.reduce_only and level == LEVEL_REDUCE_ONLY):
        return PASS
    return refuse(out, KILL_GATE, scope, UNIT_COUNT, ARMED, level, 0, UNIT_NONE)


cdef int check_release(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    """What may still hold a protective release back: a market that does not trade, or numbers that no book can hold.

    Its price is stated all the same. No size, collar, rate or self-match is worth a position that stays open.
    """
    cdef int64_t unused = 0
    if v.instrument.is_halted or not v.instrument.is_open:
        return refuse(out, HALT_SYM if v.instrument.is_halted else SESSION_CAL, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
    if rq.ord_type == TYPE_LIMIT:
        out.ref_px_e9 = rq.px_e9
    elif price_market(v, rq, out):
        return out.control
    if add_i64(v.same_open, rq.qty_e9, &unused) or notional_e4(out.ref_px_e9, rq.qty_e9, &unused):
        return overflows(rq, out)
    return PASS


cdef int check_instrument(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    if v.instrument.is_restricted:
        return refuse(out, RESTRICT_LIST, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
    if rq.is_held:
        return PASS
    if v.instrument.is_halted:
        return refuse(out, HALT_SYM, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
    if not v.instrument.is_open:
        return refuse(out, SESSION_CAL, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
    return PASS


cdef int check_steps(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    cdef const InstrumentRow* ins = v.instrument
    cdef int64_t down, smallest
    if rq.qty_e9 < ins.min_qty_e9 or rq.qty_e9 <= 0 or (ins.lot_e9 > 0 and rq.qty_e9 % ins.lot_e9 != 0):
        smallest = ceil_to(ins.min_qty_e9, ins.lot_e9) if ins.min_qty_e9 > 0 else ins.lot_e9
        down = lots_within(ins, rq.qty_e9) if rq.qty_e9 > 0 else 0
        return refuse(out, SYN_LOT, SCOPE_INSTRUMENT, UNIT_QTY, ins.min_qty_e9 if rq.qty_e9 < ins.min_qty_e9 else ins.lot_e9,
                      rq.qty_e9, down if down > 0 else smallest, UNIT_QTY)
    if rq.ord_type == TYPE_LIMIT and (rq.px_e9 <= 0 or (ins.tick_e9 > 0 and rq.px_e9 % ins.tick_e9 != 0)):
        down = floor_to(rq.px_e9, ins.tick_e9) if rq.px_e9 > 0 else 0
        if down == 0 or rq.px_e9 - down > ins.tick_e9 - (rq.px_e9 - down):
            down = ceil_to(rq.px_e9, ins.tick_e9) if rq.px_e9 > 0 else ins.tick_e9
        return refuse(out, SYN_TICK, SCOPE_INSTRUMENT, UNIT_PX, ins.tick_e9, rq.px_e9, down, UNIT_PX)
    return PASS


cdef inline int price_market(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    """ref_px of a market order: far touch, or reference, moved by the collar and rounded against the account."""
    cdef int64_t base = v.touch_px_e9 if v.touch_px_e9 > 0 else v.reference_px_e9
    cdef int64_t step = 0
    if base == 0:
        return PASS
    if scale_bps(base, v.account.limits.collar_bps_e9, &step):
        return overflows(rq, out)
    if rq.side == SIDE_BUY:
        if add_i64(base, step, &base):
            return overflows(rq, out)
        out.ref_px_e9 = ceil_to(base, v.instrument.tick_e9)
    else:
        base = floor_to(subtract_saturated(base, step), v.instrument.tick_e9) if base > step else 0
        out.ref_px_e9 = base if base > 0 else v.instrument.tick_e9
    return PASS


cdef int check_size(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    cdef const Limits* limits = &v.account.limits
    cdef int64_t px_e9, money_e4 = 0
    if rq.qty_e9 > limits.max_order_qty_e9:
        return refuse(out, SZ_MAX_QTY, SCOPE_ACCOUNT, UNIT_QTY, limits.max_order_qty_e9, rq.qty_e9,
                      lots_within(v.instrument, limits.max_order_qty_e9), UNIT_QTY)
    if rq.ord_type == TYPE_LIMIT:
        out.ref_px_e9 = rq.px_e9
    elif price_market(v, rq, out):
        return out.control
    px_e9 = out.ref_px_e9 if out.ref_px_e9 > 0 else max(v.pair.long_px_e9, v.pair.short_px_e9)
    if notional_e4(px_e9, rq.qty_e9, &money_e4):
        return overflows(rq, out)
    if money_e4 > limits.max_order_notional_e4:
        return refuse(out, SZ_MAX_NOTIONAL, SCOPE_ACCOUNT, UNIT_MONEY, limits.max_order_notional_e4, money_e4,
                      lots_within(v.instrument, affordable_qty(limits.max_order_notional_e4, px_e9)), UNIT_QTY)
    return PASS


cdef int check_price(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    cdef const InstrumentRow* ins = v.instrument
    cdef int64_t newest, step = 0, low, high = 0
    if v.reference_px_e9 == 0:
        newest = max(ins.quote_mono_ns, ins.last_mono_ns)
        if not v.reduces and (newest > 0 or rq.ord_type == TYPE_LIMIT):
            return refuse(out, PX_STALE, SCOPE_INSTRUMENT, UNIT_NS, ins.max_age_ns,
                          subtract_saturated(rq.mono_ns, newest) if newest > 0 else -1, 0, UNIT_NONE)
        if rq.ord_type != TYPE_LIMIT and not (v.reduces and rq.reduce_only):
            return refuse(out, PX_MKT_CONVERT, SCOPE_INSTRUMENT, UNIT_NONE, 0, 0, 0, UNIT_NONE)
        return PASS
    if rq.ord_type != TYPE_LIMIT:
        return PASS
    if scale_bps(v.reference_px_e9, v.account.limits.collar_bps_e9, &step):
        return overflows(rq, out)
    if add_i64(v.reference_px_e9, step, &high):
        return overflows(rq, out)
    low = subtract_saturated(v.reference_px_e9, step)
    if rq.px_e9 > high:
        return refuse(out, PX_COLLAR, SCOPE_INSTRUMENT, UNIT_PX, high, rq.px_e9, floor_to(high, ins.tick_e9), UNIT_PX)
    if rq.px_e9 < low:
        return refuse(out, PX_COLLAR, SCOPE_INSTRUMENT, UNIT_PX, low, rq.px_e9, ceil_to(low, ins.tick_e9), UNIT_PX)
    return PASS


cdef inline int64_t credit_ns(const Bucket* bucket, int64_t mono_ns) noexcept nogil:
    cdef int64_t idle_ns = subtract_saturated(mono_ns, bucket.stamp_ns)
    if idle_ns <= 0:
        return bucket.tokens_ns
    return bucket.cap_ns if idle_ns >= bucket.cap_ns - bucket.tokens_ns else bucket.tokens_ns + idle_ns


cdef inline void charge(Bucket* bucket, int64_t credit, int64_t mono_ns) noexcept nogil:
    bucket.tokens_ns = credit - bucket.cost_ns
    if mono_ns > bucket.stamp_ns:
        bucket.stamp_ns = mono_ns


cdef inline int too_fast(Decision* out, int control, const Bucket* bucket, int64_t rate, int64_t credit) noexcept nogil:
    return refuse(out, control, SCOPE_ACCOUNT, UNIT_COUNT, rate, 0,
                  bucket.cost_ns - credit if bucket.cost_ns <= bucket.cap_ns else 0, UNIT_NS)


cdef int check_rate(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    """Both buckets are charged or none; a replace pays RATE_MSG only, and what is bound to reduce pays nothing."""
    cdef AccountRow* account = v.account
    cdef Bucket* orders = &account.order_bucket
    cdef Bucket* messages = &account.msg_bucket
    cdef int64_t order_credit = 0, msg_credit = credit_ns(messages, rq.mono_ns)
    cdef int64_t left
    if rq.reduce_only:
        return PASS
    if not v.is_replace:
        order_credit = credit_ns(orders, rq.mono_ns)
        if orders.cost_ns == 0 or order_credit < orders.cost_ns:
            return too_fast(out, RATE_ORDER, orders, account.limits.order_rate_per_s, order_credit)
    if messages.cost_ns == 0 or msg_credit < messages.cost_ns:
        return too_fast(out, RATE_MSG, messages, account.limits.msg_rate_per_s, msg_credit)
    if rq.is_dry:
        return PASS
    charge(messages, msg_credit, rq.mono_ns)
    left = messages.tokens_ns // messages.cost_ns
    if not v.is_replace:
        charge(orders, order_credit, rq.mono_ns)
        left = min(left, orders.tokens_ns // orders.cost_ns)
    out.tokens_left = left
    return PASS


cdef int check_open_orders(const View* v, Decision* out) noexcept nogil:
    cdef const AccountRow* account = v.account
    if v.is_replace or account.open_orders < account.limits.max_open_orders:
        return PASS
    return refuse(out, OPEN_ORDERS, SCOPE_ACCOUNT, UNIT_COUNT, account.limits.max_open_orders, account.open_orders + 1, 0,
                  UNIT_NONE)


cdef int check_self_match(const View* v, const CheckRequest* rq, RestingBook* resting, Decision* out) noexcept nogil:
    cdef int64_t best, tick = v.instrument.tick_e9
    if rq.stp == ALLOW:
        return PASS
    if rq.side == SIDE_BUY:
        best = resting.best(v.account.group, rq.instrument, SIDE_SELL)
        if best == 0 or (out.ref_px_e9 > 0 and out.ref_px_e9 < best):
            return PASS
        return refuse(out, SMP, SCOPE_PAIR, UNIT_PX, best, out.ref_px_e9, best - tick if best > tick else 0, UNIT_PX)
    best = resting.best(v.account.group, rq.instrument, SIDE_BUY)
    if best == 0 or out.ref_px_e9 > best:
        return PASS
    return refuse(out, SMP, SCOPE_PAIR, UNIT_PX, best, out.ref_px_e9, subtract_saturated(floor_to(best, tick), -tick), UNIT_PX)


cdef int check_reduce_only(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    if not rq.reduce_only or v.reduces:
        return PASS
    return refuse(out, REDUCE_ONLY_CTL, SCOPE_PAIR, UNIT_QTY, v.reducible, rq.qty_e9, lots_within(v.instrument, v.reducible),
                  UNIT_QTY)


cdef inline int64_t passing_qty(const View* v, int64_t worst_max) noexcept nogil:
    """Largest permitted quantity that keeps the worst case within worst_max; 0 when a replace must keep more reserved."""
    cdef int64_t room = room_qty(worst_max, v.signed_pos, v.same_open)
    return lots_within(v.instrument, room) if room >= v.reserved else 0


cdef inline int64_t payable_qty(const View* v, int64_t money_e4, int64_t px_e9) noexcept nogil:
    """As passing_qty, for a limit of money over all pairs of the account."""
    cdef int64_t rest_e4 = subtract_saturated(v.account.gross_e4, v.pair.expo_e4)
    cdef int64_t allowed_e4 = max(subtract_saturated(money_e4, rest_e4), v.pair.expo_e4)
    return passing_qty(v, affordable_qty(allowed_e4, px_e9))


cdef int check_credit(const View* v, const CheckRequest* rq, Decision* out) noexcept nogil:
    """Position by the worst case, gross and buying power by what the pair's worse side can become; only an order that
    makes them larger can be refused. A replace counts with the larger of old and new; what waited and leaves now is judged
    as if it came now, its own reservation left out of what there is."""
    cdef const Limits* limits = &v.account.limits
    cdef const PairRow* pair = v.pair
    cdef int64_t open_qty = 0, worst = 0, worst_now = 0, value = 0, gross = 0, power = 0, px_e9
    cdef int64_t own_qty = v.reserved if rq.is_release else 0
    cdef int64_t buys = pair.open_buy_qty_e9 - (own_qty if rq.side == SIDE_BUY else 0)
    cdef int64_t sells = pair.open_sell_qty_e9 - (0 if rq.side == SIDE_BUY else own_qty)
    cdef int failed = add_i64(v.same_open, max(rq.qty_e9, v.reserved), &open_qty)
    if rq.side == SIDE_BUY:
        failed |= worst_case(pair.pos_qty_e9, open_qty, pair.open_sell_qty_e9, &worst)
    else:
        failed |= worst_case(pair.pos_qty_e9, pair.open_buy_qty_e9, open_qty, &worst)
    if failed or worst_case(pair.pos_qty_e9, buys, sells, &worst_now):
        return overflows(rq, out)
    if worst > limits.max_position_qty_e9 and worst > worst_now:
        return refuse(out, CR_POS_QTY, SCOPE_PAIR, UNIT_QTY, limits.max_position_qty_e9, worst,
                      passing_qty(v, max(limits.max_position_qty_e9, worst_now)), UNIT_QTY)
    px_e9 = max(out.ref_px_e9, pair.long_px_e9)
    if rq.side != SIDE_BUY:                  # a sell fills at the market when that is better than its price
        px_e9 = max(max(out.ref_px_e9, pair.short_px_e9), max(v.reference_px_e9, v.touch_px_e9))
    if side_value_e4(v.signed_pos, open_qty, px_e9, &value):
        return overflows(rq, out)
    if value < pair.expo_e4 or (value == pair.expo_e4 and own_qty == 0):
        return PASS
    if regross(v.account.gross_e4, pair.expo_e4, value, &gross):
        return overflows(rq, out)
    if gross > limits.max_gross_e4:
        return refuse(out, CR_GROSS, SCOPE_ACCOUNT, UNIT_MONEY, limits.max_gross_e4, gross,
                      payable_qty(v, limits.max_gross_e4, px_e9), UNIT_QTY)
    if scale_bps(v.account.cash_e4, limits.leverage_bps_e9, &power):
        return overflows(rq, out)
    if gross > power:
        return refuse(out, CR_BUYPOWER, SCOPE_ACCOUNT, UNIT_MONEY, power, gross, payable_qty(v, power, px_e9), UNIT_QTY)
    return PASS
