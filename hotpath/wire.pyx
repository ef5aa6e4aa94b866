"""Journal records as the JSON events of the order API (order-api section 6), a pure function of the record.

What is sent live, what a resume replays and what REST lists come from this one place, so they cannot differ.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strlen
from hotpath.enums cimport *
from hotpath.fixed cimport format_e4, format_e9, format_i64
from hotpath.frame cimport FrameHeader
from hotpath.records cimport *

cdef const char* STATUS[9]
STATUS[:] = [b"none", b"held", b"pending_new", b"new", b"partially_filled", b"filled", b"canceled", b"expired", b"rejected"]
cdef const char* STAGE[4]
STAGE[:] = [b"", b"queued", b"sent", b"in_doubt"]
cdef const char* HOLD[5]
HOLD[:] = [b"", b"trigger", b"parent", b"open", b"review"]
cdef const char* TIF_NAME[8]
TIF_NAME[:] = [b"day", b"gtc", b"opg", b"ioc", b"fok", b"", b"gtd", b"cls"]
cdef const char* TRIGGER_NAME[5]
TRIGGER_NAME[:] = [b"", b"stop", b"touch", b"trail", b"time"]
cdef const char* SOURCE[6]
SOURCE[:] = [b"last", b"bid", b"ask", b"mid", b"mark", b"clock"]
cdef const char* REASON[17]
REASON[:] = [
    b"", b"request", b"lease", b"halt", b"oco", b"parent", b"flat", b"stp", b"broker", b"adjust", b"tif", b"queue",
    b"reconciled", b"external", b"broker_change", b"open", b"review",
]
cdef const char* LEVEL[5]
LEVEL[:] = [b"armed", b"no_new", b"reduce_only", b"cancel_all", b"flatten"]
cdef const char* TEXT_KEY[5]
TEXT_KEY[:] = [b',"session":', b',"tag":', b',"signal":', b',"after":{"cl_ord_id":', b',"oco":']
cdef const char* GUARD[5]
GUARD[:] = [b"unguarded", b"armed", b"blind", b"handed_to_broker", b"excess"]
cdef const char* CROCKFORD = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
cdef const char* HEX = b"0123456789abcdef"


cdef char* put(char* p, const char* literal) noexcept nogil:
    cdef size_t n = strlen(literal)
    memcpy(p, literal, n)
    return p + n


cdef char* put_bytes(char* p, const char* text, int size) noexcept nogil:
    memcpy(p, text, size)
    return p + size


cdef char* put_int(char* p, int64_t value) noexcept nogil:
    return p + format_i64(value, p)


cdef char* put_dec(char* p, int64_t value_e9) noexcept nogil:
    p[0] = c'"'
    p += 1 + format_e9(value_e9, p + 1)
    p[0] = c'"'
    return p + 1


cdef char* put_money(char* p, int64_t value_e4) noexcept nogil:
    p[0] = c'"'
    p += 1 + format_e4(value_e4, p + 1)
    p[0] = c'"'
    return p + 1


cdef char* put_text(char* p, const char* text, int size) noexcept nogil:
    """A JSON string; control characters, quotes and backslashes are escaped (RFC 8259 section 7)."""
    cdef int i
    cdef unsigned char c
    p[0] = c'"'
    p += 1
    for i in range(size):
        c = <unsigned char>text[i]
        if c == 0x22 or c == 0x5C:
            p[0] = 0x5C
            p[1] = <char>c
            p += 2
        elif c < 32:
            p = put(p, b"\\u00")
            p[0] = HEX[c >> 4]
            p[1] = HEX[c & 15]
            p += 2
        else:
            p[0] = <char>c
            p += 1
    p[0] = c'"'
    return p + 1


cdef char* put_id(char* p, const char* text, int size) noexcept nogil:
    """A broker's id as a JSON string: bytes, whatever they are, stand for the characters of the same numbers."""
    cdef int i
    cdef unsigned char c
    p = put(p, b'"')
    for i in range(size):
        c = <unsigned char>text[i]
        if c < 32 or c > 126 or c == 0x22 or c == 0x5C:
            p = put(p, b"\\u00")
            p[0] = HEX[c >> 4]
            p[1] = HEX[c & 15]
            p += 2
        else:
            p[0] = <char>c
            p += 1
    return put(p, b'"')


cdef char* put_order_id(char* p, uint32_t order) noexcept nogil:
    """`"O"` and the order's row in Crockford base32, at least four characters; a JSON string."""
    cdef int shift = 15
    while shift < 30 and (order >> (shift + 5)) != 0:
        shift += 5
    p = put(p, b'"O')
    while shift >= 0:
        p[0] = CROCKFORD[(order >> shift) & 31]
        p += 1
        shift -= 5
    p[0] = c'"'
    return p + 1


cdef char* put_state(char* p, const char* cl_ord_id, int cl_size, uint32_t order, uint32_t rev, int ord_status, int stage,
                     int hold, int pending, int64_t cum_qty_e9, int64_t leaves_qty_e9, int64_t avg_px_e9) noexcept nogil:
    """The state members that every order event and order answer carries."""
    p = put(p, b'"cl_ord_id":"')
    p = put_bytes(p, cl_ord_id, cl_size)
    p = put(p, b'","order_id":')
    p = put_order_id(p, order)
    p = put(p, b',"rev":')
    p = put_int(p, rev)
    p = put(p, b',"ord_status":"')
    p = put(p, STATUS[ord_status])
    if stage:
        p = put(p, b'","stage":"')
        p = put(p, STAGE[stage])
    if hold:
        p = put(p, b'","hold":"')
        p = put(p, HOLD[hold])
    if pending == Pending.PENDING_NONE:
        p = put(p, b'","pending":null,"cum_qty":')
    elif pending == Pending.PENDING_CANCEL:
        p = put(p, b'","pending":"cancel","cum_qty":')
    else:
        p = put(p, b'","pending":"replace","cum_qty":')
    p = put_dec(p, cum_qty_e9)
    p = put(p, b',"leaves_qty":')
    p = put_dec(p, leaves_qty_e9)
    p = put(p, b',"avg_px":')
    if cum_qty_e9 > 0:
        return put_dec(p, avg_px_e9)
    return put(p, b"null")


cdef class Renderer:
    """Renders records; knows the names of accounts and instruments by their row."""

    def __cinit__(self, uint32_t account_capacity, uint32_t symbol_capacity):
        self.accounts = <Name*>calloc(account_capacity, sizeof(Name))
        self.symbols = <Name*>calloc(symbol_capacity, sizeof(Name))
        self.account_capacity = account_capacity
        self.symbol_capacity = symbol_capacity
        if self.accounts == NULL or self.symbols == NULL:
            raise MemoryError("no room for the names of accounts and instruments")

    def __dealloc__(self):
        free(self.accounts)
        free(self.symbols)

    def name_account(self, uint32_t account, bytes name) -> None:
        """Give the account row its name (up to 40 bytes of ASCII)."""
        self._set(self.accounts, self.account_capacity, account, name)

    def name_symbol(self, uint32_t instrument, bytes name) -> None:
        """Give the instrument row its canonical symbol (up to 40 bytes of ASCII)."""
        self._set(self.symbols, self.symbol_capacity, instrument, name)

    cdef _set(self, Name* names, uint32_t capacity, uint32_t index, bytes name):
        if index >= capacity or not 1 <= len(name) <= 40:
            raise ValueError(f"name {name!r} of row {index} does not fit (capacity {capacity}, 1 to 40 bytes)")
        names[index].size = <int>len(name)
        memcpy(names[index].text, <const char*>name, len(name))

    cdef char* put_order(self, char* p, const Terms* t, const char* texts, const uint8_t* sizes) noexcept nogil:
        """The `order` block: the terms in full. `texts` are the order's session, tag, signal, parent and group."""
        cdef Name* symbol = &self.symbols[t.instrument]
        cdef int i
        p = put(p, b'{"symbol":"')
        p = put_bytes(p, symbol.text, symbol.size)
        p = put(p, b'","side":"buy","ord_type":"' if t.side == Side.BUY else b'","side":"sell","ord_type":"')
        p = put(p, b'market","qty":' if t.ord_type == OrdType.MARKET else b'limit","qty":')
        p = put_dec(p, t.order_qty_e9)
        if t.px_e9:
            p = put(p, b',"px":')
            p = put_dec(p, t.px_e9)
        p = put(p, b',"tif":"')
        p = put(p, TIF_NAME[t.tif])
        p = put(p, b'"')
        if t.expire_ns:
            p = put(p, b',"expire_ns":')
            p = put_int(p, t.expire_ns)
        p = put(p, b',"hours":"extended"' if t.extended else b',"hours":"regular"')
        if t.trigger:
            p = put_trigger(put(p, b',"trigger":'), t)
        if t.collar_bps_e9:
            p = put(p, b',"collar_bps":')
            p = put_dec(p, t.collar_bps_e9)
        if t.max_queue_ns >= 0:
            p = put(p, b',"max_queue_ms":')
            p = put_int(p, t.max_queue_ns // 1000000)
        p = put(p, b',"stp":"cancel_new"' if t.stp == Stp.CANCEL_NEW else b',"stp":"allow"')
        p = put(p, b',"reduce_only":true' if t.reduce_only else b',"reduce_only":false')
        for i in range(5):
            if i != 3:
                p = put_member(p, TEXT_KEY[i], texts, sizes[i])
            elif sizes[i]:
                p = put_text(put(p, TEXT_KEY[i]), texts, sizes[i])
                p = put(p, b',"on":"full"}' if t.when_full else b',"on":"fill"}')
            texts += sizes[i]
        return put(p, b',"origin":"external"}' if t.origin else b',"origin":"api"}')

    cdef char* _lead(self, char* p, const char* kind, uint32_t account, uint64_t acct_seq, int64_t wall_ns) noexcept nogil:
        p = put(p, b'{"t":"')
        p = put(p, kind)
        p = put(p, b'","account":"')
        p = put_bytes(p, self.accounts[account].text, self.accounts[account].size)
        p = put(p, b'","seq":')
        p = put_int(p, acct_seq)
        p = put(p, b',"ts_ns":')
        p = put_int(p, wall_ns)
        return put(p, b",")

    cdef Py_ssize_t render(self, const char* frame, char* out) noexcept nogil:
        cdef const FrameHeader* head = <const FrameHeader*>frame
        cdef const char* payload = frame + sizeof(FrameHeader)
        cdef const OrderEvent* ev = <const OrderEvent*>payload
        cdef const char* kind = event_name(head.kind)
        cdef char* p = out
        if kind == NULL:
            return 0
        if head.kind >= Kind.CANCEL_ALL_EV:
            return self._account_event(kind, head, <const AccountEvent*>payload, out)
        p = self._lead(p, kind, ev.account, ev.acct_seq, head.wall_ns)
        p = put_state(p, ev.cl_ord_id, ev.cl_size, ev.order, ev.rev, ev.ord_status, ev.stage, ev.hold, ev.pending,
                      ev.cum_qty_e9, ev.leaves_qty_e9, ev.avg_px_e9)
        if ev.reason:
            p = put(p, b',"reason":"')
            p = put(p, REASON[ev.reason])
            p = put(p, b'"')
        return self._body(p, head.kind, ev, payload + sizeof(OrderEvent)) - out

    cdef char* _body(self, char* p, int kind, const OrderEvent* ev, const char* body) noexcept nogil:
        cdef const AcceptedBody* accepted = <const AcceptedBody*>body
        cdef const char* tail = body + sizeof(AcceptedBody)
        if kind == Kind.ACCEPTED:
            p = put(p, b',"order":')
            return self.put_order(p, &accepted.terms, tail, &accepted.session_size)
        if kind == Kind.SENT_EV:
            return put_sent(p, <const SentBody*>body)
        if kind == Kind.NEW_EV:
            p = put(p, b',"broker_order_id":')
            return put_id(p, (<const NewBody*>body).broker_order_id, (<const NewBody*>body).id_size)
        if kind == Kind.TRADE:
            return put_trade(p, ev, <const TradeBody*>body)
        if kind == Kind.TRADE_CANCELED:
            return put_trade_canceled(p, <const TradeCanceledBody*>body)
        if kind == Kind.TRAILED:
            p = put(p, b',"stop_px":')
            p = put_dec(p, (<const TrailedBody*>body).stop_px_e9)
            p = put(p, b',"extreme_px":')
            return put_dec(p, (<const TrailedBody*>body).extreme_px_e9)
        if kind == Kind.TRIGGERED:
            return put_triggered(p, <const TriggeredBody*>body)
        if kind == Kind.PENDING_REPLACE_EV or kind == Kind.REPLACED or kind == Kind.REPLACE_REJECTED:
            return self._replace(p, kind, <const ReplaceBody*>body)
        if kind == Kind.RESTATED:
            return put_restated(p, <const RestatedBody*>body)
        if kind == Kind.REJECTED_EV or kind == Kind.CANCEL_REJECTED or kind == Kind.IN_DOUBT_EV or kind == Kind.REQUEUED:
            return put_texts(p, kind, <const TextBody*>body, body + sizeof(TextBody))
        return p

    cdef char* _replace(self, char* p, int kind, const ReplaceBody* body) noexcept nogil:
        cdef const char* tail = <const char*>body + sizeof(ReplaceBody)
        p = put(p, b',"ask_rev":')
        p = put_int(p, body.ask_rev)
        if kind == Kind.REPLACE_REJECTED:
            p = put(p, b',"code":')
            return put_text(p, tail, body.code_size)
        if kind == Kind.PENDING_REPLACE_EV:
            return p
        p = put(p, b',"how":"cancel_new"' if body.how else b',"how":"amend"')
        p = put(p, b',"priority_kept":true' if body.priority_kept else b',"priority_kept":false')
        p = put(p, b',"order":')
        return self.put_order(p, &body.terms, tail + body.code_size, &body.session_size)

    cdef Py_ssize_t _account_event(self, const char* kind, const FrameHeader* head, const AccountEvent* ev,
                                   char* out) noexcept nogil:
        cdef const char* tail = <const char*>ev + sizeof(AccountEvent)
        cdef char* p = self._lead(out, kind, ev.account, ev.acct_seq, head.wall_ns)
        if head.kind == Kind.HALT_EV:
            return self._halt(p, ev, tail) - out
        if head.kind == Kind.GUARD_EV:
            return put_guard(p, ev, tail) - out
        p = put(p, b'"count":')
        p = put_int(p, ev.count)
        if head.kind == Kind.BATCH_EV:
            return p - out
        p = put(p, b',"keep":"protective"' if ev.keep else b',"keep":"none"')
        if ev.side:
            p = put(p, b',"side":"buy"' if ev.side == Side.BUY else b',"side":"sell"')
        p = put_member(p, b',"symbol":', tail, ev.symbol_size)
        p = put_member(p, b',"session":', tail + ev.symbol_size, ev.session_size)
        return put_member(p, b',"tag":', tail + ev.symbol_size + ev.session_size, ev.tag_size) - out

    cdef char* _halt(self, char* p, const AccountEvent* ev, const char* tail) noexcept nogil:
        p = put(p, b'"halt_id":"H')
        p = put_int(p, ev.count)
        p = put(p, b'","scope":"account:')
        p = put_bytes(p, self.accounts[ev.account].text, self.accounts[ev.account].size)
        p = put(p, b'","level":"')
        p = put(p, LEVEL[ev.level])
        p = put(p, b'","on":true,"reason":' if ev.state else b'","on":false,"reason":')
        return put_text(p, tail, ev.text_size)

    def render_frame(self, frame: bytes) -> bytes:
        """One framed record as a JSON event; empty for a record that is no account event."""
        cdef char out[4096]
        cdef const char* data = frame
        cdef Py_ssize_t n = self.render(data, out)
        return out[:n] + b"}" if n else b""


cdef const char* event_name(int kind) noexcept nogil:
    if kind == Kind.ACCEPTED: return b"accepted"
    if kind == Kind.SENT_EV: return b"sent"
    if kind == Kind.NEW_EV: return b"new"
    if kind == Kind.TRADE: return b"trade"
    if kind == Kind.RELEASED: return b"released"
    if kind == Kind.TRADE_CANCELED: return b"trade_canceled"
    if kind == Kind.TRIGGERED: return b"triggered"
    if kind == Kind.TRAILED: return b"trailed"
    if kind == Kind.PENDING_REPLACE_EV: return b"pending_replace"
    if kind == Kind.REPLACED: return b"replaced"
    if kind == Kind.REPLACE_REJECTED: return b"replace_rejected"
    if kind == Kind.PENDING_CANCEL_EV: return b"pending_cancel"
    if kind == Kind.CANCELED_EV: return b"canceled"
    if kind == Kind.CANCEL_REJECTED: return b"cancel_rejected"
    if kind == Kind.EXPIRED_EV: return b"expired"
    if kind == Kind.REJECTED_EV: return b"rejected"
    if kind == Kind.IN_DOUBT_EV: return b"in_doubt"
    if kind == Kind.REQUEUED: return b"requeued"
    if kind == Kind.RESTATED: return b"restated"
    if kind == Kind.CANCEL_ALL_EV: return b"cancel_all"
    if kind == Kind.BATCH_EV: return b"batch"
    if kind == Kind.HALT_EV: return b"halt"
    if kind == Kind.GUARD_EV: return b"guard"
    return NULL


cdef char* put_member(char* p, const char* key, const char* text, int size) noexcept nogil:
    """A member whose empty text is left out."""
    if size == 0:
        return p
    return put_text(put(p, key), text, size)


cdef char* put_guard(char* p, const AccountEvent* ev, const char* tail) noexcept nogil:
    """Protection changed; the orders' names are the comma-separated tail."""
    cdef int i
    cdef const char* orders = tail + ev.symbol_size + ev.text_size
    p = put(p, b'"state":"')
    p = put(p, GUARD[ev.state])
    p = put(p, b'","since_ns":')
    p = put_int(p, ev.since_ns)
    p = put_member(p, b',"symbol":', tail, ev.symbol_size)
    p = put(p, b',"cause":')
    p = put_text(p, tail + ev.symbol_size, ev.text_size)
    p = put_member(p, b',"excess_qty":', orders + ev.orders_size, ev.excess_size)
    if ev.orders_size == 0:
        return put(p, b',"orders":[]')
    p = put(p, b',"orders":["')
    for i in range(ev.orders_size):
        if orders[i] == c",":
            p = put(p, b'","')
        else:
            p[0] = orders[i]
            p += 1
    return put(p, b'"]')


cdef char* put_sent(char* p, const SentBody* body) noexcept nogil:
    p = put(p, b',"route":"sim","broker_cl_ord_id":')
    p = put_text(p, body.broker_cl_ord_id, body.id_size)
    p = put(p, b',"lat_ns":{')
    if body.risk_ns:
        p = put(p, b'"risk":')
        p = put_int(p, body.risk_ns)
        p = put(p, b",")
    if body.durable_ns:
        p = put(p, b'"durable":')
        p = put_int(p, body.durable_ns)
        p = put(p, b",")
    p = put(p, b'"wire":')
    p = put_int(p, body.wire_ns)
    return put(p, b"}")


cdef char* put_trade(char* p, const OrderEvent* ev, const TradeBody* body) noexcept nogil:
    p = put(p, b',"exec_id":')
    p = put_id(p, body.exec_id, body.exec_size)
    p = put(p, b',"last_qty":')
    p = put_dec(p, body.last_qty_e9)
    p = put(p, b',"last_px":')
    p = put_dec(p, body.last_px_e9)
    p = put(p, b',"fee":')
    p = put_money(p, body.fee_e4)
    p = put(p, b',"pos_qty":')
    p = put_dec(p, body.pos_qty_e9)
    if body.liquidity:
        p = put(p, b',"liquidity":"maker"' if body.liquidity == 1 else b',"liquidity":"taker"')
    p = put(p, b',"venue_ns":')
    p = put_int(p, body.venue_ns)
    return put(p, b',"late":true' if ev.late else b',"late":false')


cdef char* put_trade_canceled(char* p, const TradeCanceledBody* body) noexcept nogil:
    p = put(p, b',"exec_id":')
    p = put_id(p, body.exec_id, body.exec_size)
    p = put(p, b',"before":{"last_qty":')
    p = put_dec(p, body.last_qty_e9)
    p = put(p, b',"last_px":')
    p = put_dec(p, body.last_px_e9)
    p = put(p, b'},"pos_qty":')
    return put_dec(p, body.pos_qty_e9)


cdef char* put_triggered(char* p, const TriggeredBody* body) noexcept nogil:
    p = put(p, b',"gap_bps":')
    p = put_dec(p, body.gap_bps_e9)
    p = put(p, b',"missed":true' if body.missed else b',"missed":false')
    if body.decide_ns:                               # a gap that took more than one turn; else `sent` tells
        p = put(p, b',"lat_ns":{"decide":')
        p = put_int(p, body.decide_ns)
        p = put(p, b"}")
    p = put(p, b',"evidence":{"source":"')
    p = put(p, SOURCE[body.source])
    p = put(p, b'"')
    if body.px_e9:
        p = put(p, b',"px":')
        p = put_dec(p, body.px_e9)
    if body.qty_e9:
        p = put(p, b',"qty":')
        p = put_dec(p, body.qty_e9)
    p = put_member(p, b',"feed":', <const char*>body + sizeof(TriggeredBody), body.feed_size)
    if body.source != PriceSource.CLOCK:
        p = put(p, b',"feed_seq":')
        p = put_int(p, body.feed_seq)
    if body.venue_ns:
        p = put(p, b',"venue_ns":')
        p = put_int(p, body.venue_ns)
    p = put(p, b',"recv_ns":')
    p = put_int(p, body.recv_wall_ns)
    p = put(p, b',"age_ns":')
    p = put_int(p, body.age_ns)
    if body.bid_px_e9:
        p = put(p, b',"bid":')
        p = put_dec(p, body.bid_px_e9)
        p = put(p, b',"bid_qty":')
        p = put_dec(p, body.bid_qty_e9)
    if body.ask_px_e9:
        p = put(p, b',"ask":')
        p = put_dec(p, body.ask_px_e9)
        p = put(p, b',"ask_qty":')
        p = put_dec(p, body.ask_qty_e9)
    if body.ticks:
        p = put(p, b',"ticks":')
        p = put_int(p, body.ticks)
    return put(p, b"}")


cdef char* put_trigger(char* p, const Terms* t) noexcept nogil:
    """What a held order waits for: a price, or a time as it was asked for."""
    p = put(p, b'{"kind":"')
    p = put(p, TRIGGER_NAME[t.trigger])
    p = put(p, b'"')
    if t.trigger == TriggerKind.TIME:
        p = put(p, b',"at_ns":' if t.at_ns else b',"after_ms":')
        p = put_int(p, t.at_ns if t.at_ns else t.after_ns // 1000000)
    else:
        p = put_price_trigger(p, t)
    p = put(p, b',"if_through":"fire"' if t.fire_through else b',"if_through":"reject"')
    if t.trigger != TriggerKind.TIME:
        p = put_confirm(put(p, b',"on_missed":"rearm"' if t.rearm_missed else b',"on_missed":"fire"'), t)
    if t.max_age_ns:
        p = put(p, b',"max_age_ms":')
        p = put_int(p, t.max_age_ns // 1000000)
    return put(p, b',"placement":"gateway"}')


cdef char* put_price_trigger(char* p, const Terms* t) noexcept nogil:
    if t.stop_px_e9:
        p = put(p, b',"stop_px":')
        p = put_dec(p, t.stop_px_e9)
    p = put(p, b',"source":"')
    p = put(p, SOURCE[t.source])
    p = put(p, b'"')
    if t.trail_e9:
        p = put(p, b',"trail":{"bps":' if t.trail_unit else b',"trail":{"amount":')
        p = put_dec(p, t.trail_e9)
        p = put(p, b"}")
    if t.has_limit_offset:
        p = put(p, b',"limit_offset":')
        p = put_dec(p, t.limit_offset_e9)
    return p


cdef char* put_confirm(char* p, const Terms* t) noexcept nogil:
    if t.confirm_ticks == 0 and t.confirm_ns == 0:
        return p
    p = put(p, b',"confirm":{"ticks":' if t.confirm_ticks else b',"confirm":{"ms":')
    p = put_int(p, t.confirm_ticks if t.confirm_ticks else t.confirm_ns // 1000000)
    return put(p, b"}")


cdef char* put_restated(char* p, const RestatedBody* body) noexcept nogil:
    p = put(p, b',"before":{"ord_status":"')
    p = put(p, STATUS[body.before_status])
    p = put(p, b'","cum_qty":')
    p = put_dec(p, body.before_cum_qty_e9)
    p = put(p, b',"leaves_qty":')
    p = put_dec(p, body.before_leaves_qty_e9)
    p = put(p, b'},"after":{"owed_qty":')
    p = put_dec(p, body.owed_qty_e9)
    return put(p, b"}")


cdef char* put_texts(char* p, int kind, const TextBody* body, const char* tail) noexcept nogil:
    if kind == Kind.IN_DOUBT_EV:
        p = put(p, b',"since_ns":')
        p = put_int(p, body.since_ns)
        p = put(p, b',"cause":')
        return put_text(p, tail, body.code_size)
    if kind == Kind.REQUEUED:
        p = put(p, b',"evidence":{"answer":')
        p = put_text(p, tail, body.code_size)
        return put(p, b"}")
    p = put(p, b',"code":')
    p = put_text(p, tail, body.code_size)
    tail += body.code_size
    if body.broker_code_size:
        p = put(p, b',"broker_code":')
        p = put_text(p, tail, body.broker_code_size)
    tail += body.broker_code_size
    if body.text_size:
        p = put(p, b',"broker_text":')
        p = put_text(p, tail, body.text_size)
    return p
