"""Names of the record kinds for Python readers; the layouts are in records.pxd."""
from hotpath.frame cimport FrameHeader


def payload_sizes() -> dict:
    """Bytes of each fixed payload: the golden test of the journal format holds them."""
    return {
        "Terms": sizeof(Terms),
        "OrderEvent": sizeof(OrderEvent),
        "AcceptedBody": sizeof(AcceptedBody),
        "SentBody": sizeof(SentBody),
        "NewBody": sizeof(NewBody),
        "TradeBody": sizeof(TradeBody),
        "ReleasedBody": sizeof(ReleasedBody),
        "TriggeredBody": sizeof(TriggeredBody),
        "TrailedBody": sizeof(TrailedBody),
        "ReplaceBody": sizeof(ReplaceBody),
        "TradeCanceledBody": sizeof(TradeCanceledBody),
        "BrokenEarlyBody": sizeof(BrokenEarlyBody),
        "DoneBody": sizeof(DoneBody),
        "TextBody": sizeof(TextBody),
        "RestatedBody": sizeof(RestatedBody),
        "AccountEvent": sizeof(AccountEvent),
        "EpochBody": sizeof(EpochBody),
        "AccountBody": sizeof(AccountBody),
        "InstrumentBody": sizeof(InstrumentBody),
        "LimitsBody": sizeof(LimitsBody),
        "TrailMarkBody": sizeof(TrailMarkBody),
        "HaltBody": sizeof(HaltBody),
        "InstrumentStateBody": sizeof(InstrumentStateBody),
    }


def release_check(bytes frame not None) -> dict:
    """What the control that refused the release of a fired order had in hand, as a Decision; {} where none refused.

    `frame` is any whole framed record of the journal.
    """
    cdef const char* data = frame
    cdef const FrameHeader* head = <const FrameHeader*>data
    cdef const TriggeredBody* body = <const TriggeredBody*>(data + sizeof(FrameHeader) + sizeof(OrderEvent))
    if len(frame) < <Py_ssize_t>(sizeof(FrameHeader) + sizeof(OrderEvent) + sizeof(TriggeredBody)):
        return {}
    if head.kind != Kind.TRIGGERED or body.control == 0:
        return {}
    return {
        "control": body.control, "unit": body.check_unit, "limit": body.check_limit, "value": body.check_value,
        "passes": body.check_passes, "passes_unit": body.check_passes_unit, "scope": body.check_scope,
    }
