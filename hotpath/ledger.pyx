"""What a reservation or a fill does to a pair and its account. Nothing is committed here: the gate does that."""
from hotpath.enums cimport BUY as SIDE_BUY

cdef extern from "hotpath/src/gate.hpp" namespace "backstay" nogil:
    int side_value_e4(int64_t signed_pos, int64_t open, int64_t px_e9, int64_t* out) noexcept
    int mul_e4(int64_t px_e9, int64_t qty_e9, int64_t* out) noexcept
    int add_i64(int64_t a, int64_t b, int64_t* out) noexcept
    int worst_case(int64_t pos, int64_t buys, int64_t sells, int64_t* out) noexcept
    int regross(int64_t gross, int64_t old_expo, int64_t expo, int64_t* out) noexcept
    int average_px(int64_t avg, int64_t held, int64_t px, int64_t added, bint is_long, int64_t* out) noexcept

cdef enum:
    SECOND_NS = 1_000_000_000


cdef int settle(const AccountRow* account, const PairRow* before, PairRow* staged, int side, int64_t px_e9,
                int64_t* gross) noexcept nogil:
    """Value the staged row, and the account's gross with it, after `side` grew at px_e9 (0: it did not grow)."""
    cdef int64_t worst = 0, bought = 0, sold = 0
    if worst_case(staged.pos_qty_e9, staged.open_buy_qty_e9, staged.open_sell_qty_e9, &worst):
        return -1
    if staged.pos_qty_e9 <= 0 and staged.open_buy_qty_e9 == 0:
        staged.long_px_e9 = 0
    elif side == SIDE_BUY and px_e9 > staged.long_px_e9:
        staged.long_px_e9 = px_e9
    if staged.pos_qty_e9 >= 0 and staged.open_sell_qty_e9 == 0:
        staged.short_px_e9 = 0
    elif side != SIDE_BUY and px_e9 > staged.short_px_e9:
        staged.short_px_e9 = px_e9
    if side_value_e4(staged.pos_qty_e9, staged.open_buy_qty_e9, staged.long_px_e9, &bought):
        return -1
    if side_value_e4(-staged.pos_qty_e9, staged.open_sell_qty_e9, staged.short_px_e9, &sold):
        return -1
    staged.expo_e4 = bought if bought > sold else sold
    return -1 if regross(account.gross_e4, before.expo_e4, staged.expo_e4, gross) else 0


cdef int move_open(PairRow* staged, int side, int64_t delta_e9, int reduce_only) noexcept nogil:
    cdef int64_t* total = &staged.open_buy_qty_e9 if side == SIDE_BUY else &staged.open_sell_qty_e9
    cdef int64_t* bound = &staged.open_reduce_buy_qty_e9 if side == SIDE_BUY else &staged.open_reduce_sell_qty_e9
    if add_i64(total[0], delta_e9, total) or total[0] < 0:
        return -1
    if reduce_only and (add_i64(bound[0], delta_e9, bound) or bound[0] < 0):
        return -1
    return 0 if bound[0] <= total[0] else -1


cdef int book_fill(PairRow* staged, int side, int64_t qty_e9, int64_t px_e9, int64_t* realised_e4) noexcept nogil:
    """Average cost; a flip closes at the average price and opens the rest at the fill's."""
    cdef int64_t pos = staged.pos_qty_e9
    cdef int64_t size = pos if pos >= 0 else -pos
    cdef int64_t closing
    staged.mark_px_e9 = px_e9
    if add_i64(pos, qty_e9 if side == SIDE_BUY else -qty_e9, &staged.pos_qty_e9):
        return -1
    if pos == 0 or (pos > 0) == (side == SIDE_BUY):
        return -1 if average_px(staged.avg_px_e9, size, px_e9, qty_e9, side == SIDE_BUY, &staged.avg_px_e9) else 0
    closing = min(qty_e9, size)
    if mul_e4(px_e9 - staged.avg_px_e9, closing if pos > 0 else -closing, realised_e4):
        return -1
    if qty_e9 >= size:
        staged.avg_px_e9 = px_e9 if qty_e9 > size else 0
    return -1 if add_i64(staged.realised_e4, realised_e4[0], &staged.realised_e4) else 0


cdef int set_bucket(Bucket* bucket, int64_t rate_per_s, int64_t burst, bint is_new) noexcept nogil:
    """A full bucket at first; later changes keep the credit there is, within the new cap."""
    cdef int64_t cost_ns = (SECOND_NS + rate_per_s - 1) // rate_per_s if rate_per_s > 0 else 0
    bucket.cost_ns = cost_ns
    bucket.cap_ns = burst * cost_ns
    if is_new or bucket.tokens_ns > bucket.cap_ns:
        bucket.tokens_ns = bucket.cap_ns
    return 0


cdef bint is_sane(const Limits* limits) noexcept nogil:
    cdef const int64_t* field = <const int64_t*>limits
    cdef size_t i
    for i in range(sizeof(Limits) // sizeof(int64_t)):
        if field[i] < 0:
            return False
    return (limits.order_rate_per_s <= SECOND_NS and limits.msg_rate_per_s <= SECOND_NS
            and limits.order_burst <= SECOND_NS and limits.msg_burst <= SECOND_NS)
