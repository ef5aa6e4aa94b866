"""Types of hotpath.records."""

from enum import IntEnum
from typing import Any

class Kind(IntEnum):
    EPOCH_STARTED = 1
    ACCOUNT_OPENED = 2
    INSTRUMENT_LISTED = 3
    LIMITS_SET = 4
    HALT_CHANGED = 5
    INSTRUMENT_STATE = 6
    STOPPED = 7
    BROKER_ANOMALY = 8
    SUSPECTED = 9
    CLEARED = 10
    BROKEN_EARLY = 11
    TRAIL_MARK = 12
    ACCEPTED = 20
    SENT_EV = 21
    NEW_EV = 22
    TRADE = 23
    RELEASED = 24
    TRIGGERED = 25
    TRAILED = 26
    PENDING_REPLACE_EV = 27
    REPLACED = 28
    REPLACE_REJECTED = 29
    PENDING_CANCEL_EV = 30
    CANCELED_EV = 31
    CANCEL_REJECTED = 32
    EXPIRED_EV = 33
    REJECTED_EV = 34
    IN_DOUBT_EV = 35
    REQUEUED = 36
    RESTATED = 37
    TRADE_CORRECTED = 38
    TRADE_CANCELED = 39
    CANCEL_ALL_EV = 60
    BATCH_EV = 61
    HALT_EV = 62
    GUARD_EV = 63

def payload_sizes() -> dict[Any, Any]: ...
def release_check(frame: bytes) -> dict[str, int]: ...

BROKER_ID_MAX: int

BROKER_ORDER_ID_MAX: int

CL_ORD_ID_MAX: int

EXEC_ID_MAX: int

PAYLOAD_VERSION: int

TEXT_MAX: int
