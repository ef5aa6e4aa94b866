"""The value types of the order API: names, decimals, times, enumerations (order-api.md, 1 and 5 to 9).

Patterns stand in ``extra_json_schema``: they are in every published schema and cost the decoder nothing; the
core's native parser holds the server to them. Lengths and ranges are checked by the decoder itself (one compare in C).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

DECIMAL_PATTERN = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?$"
NAME_PATTERN = r"^[A-Za-z0-9._:-]+$"
INT53_END = 2**53

Dec = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "decimal", "pattern": DECIMAL_PATTERN})]
DecOut = Dec  # decimals in what the server sends; the SDK's generated twin decodes these to decimal.Decimal
Name = Annotated[str, Meta(min_length=1, max_length=36, extra_json_schema={"pattern": NAME_PATTERN})]
ClOrdId = Name
Symbol = Annotated[str, Meta(min_length=1, max_length=32)]
Account = Annotated[str, Meta(min_length=1, max_length=36)]
Tag = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=4096)]
Int53 = Annotated[int, Meta(ge=0, lt=INT53_END)]
Seq = Int53
Rev = Annotated[int, Meta(ge=1, lt=INT53_END)]
RequestId = Annotated[int, Meta(ge=1, lt=INT53_END)]
Ns = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # since 1970 UTC, or a length where the name says so
Ms = Annotated[int, Meta(ge=0, lt=2**53)]
Code = Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Z][A-Z0-9_]*$"})]
Scalar = str | int | bool | None
Detail = dict[str, Any]

Side = Literal["buy", "sell"]
OrdType = Literal["market", "limit"]
Tif = Literal["day", "gtc", "gtd", "ioc", "fok", "opg", "cls"]
Hours = Literal["regular", "extended"]
Stp = Literal["cancel_new", "cancel_old", "cancel_both", "decrement", "allow"]
OrdStatus = Literal["held", "pending_new", "new", "partially_filled", "filled", "canceled", "expired", "rejected"]
Stage = Literal["queued", "sent", "in_doubt"]
HoldKind = Literal["trigger", "parent", "open", "review"]
PendingKind = Literal["cancel", "replace"]
Origin = Literal["api", "external", "gateway"]
TriggerKind = Literal["stop", "touch", "trail", "time"]
Source = Literal["last", "bid", "ask", "mid", "mark"]
FiredBy = Literal["last", "bid", "ask", "mid", "mark", "clock"]
IfThrough = Literal["reject", "fire"]
OnMissed = Literal["fire", "rearm"]
Corp = Literal["adjust", "ignore"]
Placement = Literal["gateway", "broker", "both"]
Keep = Literal["none", "protective"]
CancelReason = Literal["request", "lease", "halt", "oco", "parent", "flat", "stp", "broker", "adjust"]
ChangeReason = Literal["oco", "parent"]
ReleaseReason = Literal["parent", "open", "review"]
ExpireReason = Literal["tif", "queue"]
RestateReason = Literal["reconciled", "external", "broker_change"]
ReplaceHow = Literal["amend", "cancel_new"]
Liquidity = Literal["maker", "taker", "auction"]
GuardState = Literal["armed", "blind", "handed_to_broker", "unguarded", "excess"]
HaltLevel = Literal["no_new", "reduce_only", "cancel_all", "flatten", "disconnect"]
LeaseMode = Literal["disconnect", "renew"]
LeaseScope = Literal["session", "account"]
LeaseState = Literal["set", "changed", "dropped", "expired"]
Scope = Literal["read", "trade", "cancel", "ops", "audit"]
Mode = Literal["live", "paper"]
Durability = Literal["none", "disk", "quorum"]
Retry = Literal["never", "fix", "later"]
GetWhat = Literal["order", "orders", "positions", "instrument", "limits", "explain", "time"]
LinkState = Literal["up", "down", "connecting", "throttled"]
FeedState = Literal["fresh", "stale", "down"]
