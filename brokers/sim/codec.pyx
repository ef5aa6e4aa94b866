"""Tickets to the venue's lines, rendered natively: one buffer, one bytes object, no formatting machinery."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy, strlen
from hotpath.enums cimport BUY, DAY, FOK, GTC, GTD, IOC, MARKET, SELL
from hotpath.fixed cimport format_e9, format_i64
from hotpath.ticket cimport Ticket

cdef enum:
    LINE_BYTES = 384
    NAME_BYTES_MAX = 36          # longest id or symbol; three of them, four decimals, a time and the words fit LINE_BYTES


cdef inline char* put(char* at, const char* text) noexcept nogil:
    cdef size_t size = strlen(text)
    memcpy(at, text, size)
    return at + size


cdef char* put_name(char* at, bytes name) except NULL:
    cdef const char* text = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t i
    if not 1 <= size <= NAME_BYTES_MAX:
        raise ValueError("name must have 1 to 36 characters: %r" % name)
    for i in range(size):
        if text[i] <= 0x20 or text[i] >= 0x7F or text[i] == c'"' or text[i] == c"\\":
            raise ValueError("name has a character that the venue does not take: %r" % name)
    memcpy(at, text, size)
    return at + size


cdef inline bytes line(const char* begin, char* end):
    end[0] = c"\n"
    return PyBytes_FromStringAndSize(begin, end - begin + 1)


cdef const char* tif_word(int tif) except NULL:
    if tif == DAY:
        return b"day"
    if tif == GTC:
        return b"gtc"
    if tif == IOC:
        return b"ioc"
    if tif == FOK:
        return b"fok"
    if tif == GTD:
        return b"gtd"
    raise ValueError("the venue has no time in force %d" % tif)


cdef char* put_amounts(char* at, Ticket ticket) noexcept:
    """Quantity, limit and trigger, as far as the ticket has them."""
    at = put(at, b'","qty":"')
    at += format_e9(ticket.qty_e9, at)
    if ticket.px_e9 != 0 and ticket.ord_type != MARKET:
        at = put(at, b'","px":"')
        at += format_e9(ticket.px_e9, at)
    if ticket.stop_px_e9 != 0:
        at = put(at, b'","stop":"')
        at += format_e9(ticket.stop_px_e9, at)
    if ticket.trail_e9 != 0 or ticket.trail_bps_e9 != 0:
        at = put(at, b'","trail":"' if ticket.trail_e9 != 0 else b'","trail_bps":"')
        at += format_e9(ticket.trail_e9 if ticket.trail_e9 != 0 else ticket.trail_bps_e9, at)
    return put(at, b'"')


cdef const char* type_word(Ticket ticket) noexcept:
    if ticket.stop_px_e9 != 0:
        return b'stop","tif":"' if ticket.ord_type == MARKET else b'stop_limit","tif":"'
    return b'market","tif":"' if ticket.ord_type == MARKET else b'limit","tif":"'


def render_new(Ticket ticket not None) -> bytes:
    """A `new` line. Raises ValueError for terms that the venue has no word for."""
    cdef char out[LINE_BYTES]
    cdef char* at = out
    if ticket.side != BUY and ticket.side != SELL:
        raise ValueError("the venue has no side %d" % ticket.side)
    at = put(at, b'{"t":"new","id":"')
    at = put_name(at, ticket.broker_cl_ord_id)
    at = put(at, b'","sym":"')
    at = put_name(at, ticket.symbol)
    at = put(at, b'","side":"buy","type":"' if ticket.side == BUY else b'","side":"sell","type":"')
    at = put(at, type_word(ticket))
    at = put(at, tif_word(ticket.tif))
    at = put_amounts(at, ticket)
    if ticket.tif == GTD:
        at = put(at, b',"exp":')
        at += format_i64(ticket.expire_ns, at)
    at = put(at, b"}")
    return line(out, at)


def render_replace(Ticket ticket not None) -> bytes:
    """A `replace` line: the ticket's own id over the revision in force."""
    cdef char out[LINE_BYTES]
    cdef char* at = put(out, b'{"t":"replace","id":"')
    at = put_name(at, ticket.broker_cl_ord_id)
    at = put(at, b'","orig":"')
    at = put_name(at, ticket.orig_broker_cl_ord_id)
    at = put_amounts(at, ticket)
    at = put(at, b"}")
    return line(out, at)


cdef bytes render_named(const char* head, bytes id):
    cdef char out[LINE_BYTES]
    cdef char* at = put(out, head)
    at = put_name(at, id)
    at = put(at, b'"}')
    return line(out, at)


def render_cancel(Ticket ticket not None) -> bytes:
    """A `cancel` line for the revision in force (the order's own id when the ticket names no other)."""
    return render_named(b'{"t":"cancel","id":"', ticket.orig_broker_cl_ord_id or ticket.broker_cl_ord_id)


def render_query(Ticket ticket not None) -> bytes:
    """A `query` line."""
    return render_named(b'{"t":"query","id":"', ticket.broker_cl_ord_id)
