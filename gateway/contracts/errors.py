"""The error taxonomy: for each code when to retry, its HTTP status and what to do (order-api.md, section 10)."""

from dataclasses import dataclass

from gateway.contracts.values import Retry


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One line of the taxonomy. ``text`` is the sentence for a caller who has nothing more exact to say."""

    code: str
    retry: Retry
    http_status: int
    text: str


_ROWS: tuple[tuple[str, Retry, int, str], ...] = (
    ("AUTH_FAILED", "never", 401, "the key is unknown or the signature does not match: check key, secret and aud"),
    ("AUTH_REQUIRED", "never", 401, "authenticate first"),
    ("KEY_REVOKED", "never", 401, "this key was revoked: ask for a new one"),
    ("IP_DENIED", "never", 403, "this key may not be used from this address"),
    ("SCOPE_DENIED", "never", 403, "this key lacks the scope for this request"),
    ("ACCOUNT_DENIED", "never", 403, "this key may not use this account, or none was named and there are several"),
    ("SYMBOL_DENIED", "never", 403, "this key may not trade this symbol"),
    ("MALFORMED", "fix", 400, "the frame is not one well-formed object"),
    ("UNKNOWN_REQUEST", "fix", 400, "t names no request of this version"),
    ("BAD_FIELD", "fix", 422, "a member is unknown, missing, or of the wrong type or range: see path"),
    ("BAD_DECIMAL", "fix", 422, "write decimals as strings with at most nine places, below 9200000000: see path"),
    ("BAD_TICK", "fix", 422, "the price is not on the tick"),
    ("BAD_LOT", "fix", 422, "the quantity is not on the lot"),
    ("BAD_COMBINATION", "fix", 422, "these members do not go together: see path"),
    ("TOO_LARGE", "fix", 413, "fewer items, or a smaller frame"),
    ("UNKNOWN_SYMBOL", "fix", 404, "no such instrument here: see /v1/instruments"),
    ("UNSUPPORTED", "fix", 422, "this deployment or broker cannot do that: see welcome.features"),
    ("CL_ORD_ID_CONFLICT", "never", 409, "another order has this cl_ord_id: choose a new one"),
    ("REV_CONFLICT", "never", 409, "rev is not the next revision: look at the order and ask again"),
    ("UNKNOWN_ORDER", "never", 404, "no such order in this account"),
    ("ORDER_DONE", "never", 409, "the order is done: no instruction acts on it any more"),
    ("ORDER_CLOSING", "never", 409, "a cancel of this order is under way"),
    ("ORDER_IN_DOUBT", "never", 409, "the broker is being asked about this order: cancel it, or wait"),
    ("TRIGGER_THROUGH", "fix", 422, "the condition is already true: move the trigger or say if_through fire"),
    ("DEADLINE_PASSED", "never", 408, "the request came after its deadline_ns"),
    ("RATE_LIMITED", "later", 429, "too fast: wait retry_ns"),
    ("BUSY", "later", 429, "too many unanswered requests on this connection: wait for answers"),
    ("LINK_DOWN", "later", 503, "the broker cannot be reached and max_queue_ms is 0"),
    ("JOURNAL_STOPPED", "later", 503, "nothing can be made durable now: the order was not taken"),
    ("STARTING", "later", 503, "the gateway is starting"),
    ("DRAINING", "later", 503, "the gateway is about to close: connect to the next one"),
    ("WRONG_SHARD", "later", 421, "this account is served elsewhere: see detail.url"),
    ("BROKER_REJECTED", "fix", 422, "the broker refused: see detail.reason"),
)

ERRORS: dict[str, ErrorKind] = {row[0]: ErrorKind(*row) for row in _ROWS}

CLOSE_CODES: dict[int, str] = {
    1000: "normal: the client said bye",
    1012: "restart, announced by goaway",
    4001: "authentication failed, or came too late",
    4002: "protocol broken: frame too large, not parseable, or without an id",
    4003: "the key was revoked",
    4008: "nothing came from the client for three heartbeats",
    4009: "taken over by a newer connection of this session",
    4010: "the client reads too slowly: resume from the last seq",
    4011: "the journal failed: reconnect and resend what is unanswered",
    4029: "flood of refused frames",
}


def error_kind(code: str) -> ErrorKind:
    """The row of ``code``; a control's code (``RC_...``) is refused for a fix unless its control says otherwise."""
    if code.startswith("RC_"):
        return ErrorKind(code, "fix", 422, "refused by a pre-trade control: see detail")
    return ERRORS[code]
