from enum import IntEnum

class Side(IntEnum):
    BUY = 1
    SELL = 2

class OrdType(IntEnum):
    MARKET = 1
    LIMIT = 2

class Tif(IntEnum):
    DAY = 0
    GTC = 1
    OPG = 2
    IOC = 3
    FOK = 4
    GTD = 6
    CLS = 7

class OrdStatus(IntEnum):
    NONE = 0
    HELD = 1
    PENDING_NEW = 2
    NEW = 3
    PARTIALLY_FILLED = 4
    FILLED = 5
    CANCELED = 6
    EXPIRED = 7
    REJECTED = 8

class Stage(IntEnum):
    STAGE_NONE = 0
    QUEUED = 1
    SENT = 2
    IN_DOUBT = 3

class Hold(IntEnum):
    HOLD_NONE = 0
    HOLD_TRIGGER = 1
    HOLD_PARENT = 2
    HOLD_OPEN = 3
    HOLD_REVIEW = 4

class Pending(IntEnum):
    PENDING_NONE = 0
    PENDING_CANCEL = 1
    PENDING_REPLACE = 2

class TriggerKind(IntEnum):
    NO_TRIGGER = 0
    STOP = 1
    TOUCH = 2
    TRAIL = 3
    TIME = 4

class PriceSource(IntEnum):
    LAST = 0
    BID = 1
    ASK = 2
    MID = 3
    MARK = 4
    CLOCK = 5

class Direction(IntEnum):
    DOWN = 0
    UP = 1

class Stp(IntEnum):
    CANCEL_NEW = 0
    ALLOW = 1

class HaltScope(IntEnum):
    GLOBAL = 0
    ACCOUNT = 1
    INSTRUMENT = 2

class HaltLevel(IntEnum):
    ARMED = 0
    NO_NEW = 1
    REDUCE_ONLY = 2
    CANCEL_ALL = 3
    FLATTEN = 4

class Reason(IntEnum):
    REASON_NONE = 0
    REQUEST = 1
    LEASE = 2
    HALT = 3
    OCO = 4
    PARENT = 5
    FLAT = 6
    STP_RULE = 7
    BROKER = 8
    ADJUST = 9
    TIF_END = 10
    QUEUE = 11
    RECONCILED = 12
    EXTERNAL = 13
    BROKER_CHANGE = 14
    OPEN = 15
    REVIEW = 16

class Rank(IntEnum):
    EXITS = 0
    CANCELS = 1
    REDUCTIONS = 2
    ENTRIES = 3

class Control(IntEnum):
    PASS = 0
    KILL_GATE = 1
    NO_LIMIT = 2
    RESTRICT_LIST = 3
    SESSION_CAL = 4
    HALT_SYM = 5
    DUP_ID = 6
    SYN_LOT = 7
    SYN_TICK = 8
    SZ_MAX_QTY = 9
    SZ_MAX_NOTIONAL = 10
    PX_STALE = 11
    PX_COLLAR = 12
    PX_MKT_CONVERT = 13
    RATE_MSG = 14
    RATE_ORDER = 15
    OPEN_ORDERS = 16
    SMP = 17
    REDUCE_ONLY_CTL = 18
    CR_POS_QTY = 19
    CR_GROSS = 20
    CR_BUYPOWER = 21
    OVERFLOW = 22
    STALE_QUEUE = 23
