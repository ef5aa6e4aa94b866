"""Names of the record kinds for Python readers; the layouts are in records.pxd."""


def payload_sizes() -> dict:
    """Bytes of each fixed payload: the golden test of the journal format holds them."""
    return {
        "Terms": sizeof(Terms),
        "OrderEvent": sizeof(OrderEvent),
        "AcceptedBody": sizeof(AcceptedBody),
        "SentBody": sizeof(SentBody),
        "NewBody": sizeof(NewBody),
        "TradeBody": sizeof(TradeBody),
        "TriggeredBody": sizeof(TriggeredBody),
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
        "HaltBody": sizeof(HaltBody),
        "InstrumentStateBody": sizeof(InstrumentStateBody),
    }
