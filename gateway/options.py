"""Every option of the configuration file: type, unit, range, safe default and meaning; the documents are made from it.

A decimal option is a string of at most nine digits after the point (`"0.01"`), the form that the order API's wire has;
its integer value is read through `e9()` or `e4()`. No option holds a secret: it names an environment variable or a
file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from risk.limits import DEFAULTS, EDGES, Edge
from risk.limits import AccountLimits as FixedLimits

DECIMAL = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$"
MONEY = r"^(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"
NAME = r"^[A-Za-z0-9._-]{1,36}$"
SYMBOL = r"^[A-Z0-9][A-Z0-9._/-]{0,23}$"
SESSION = r"^(24x7|([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])$"
FEED_URL = r"^wss?://[^\s]+$"
ADDRESS = r"^(tcp://[^\s:]+:[0-9]{1,5}|unix://[^\s]+|)$"
Scope = Literal["read", "trade", "cancel", "ops", "audit"]
FORMS = {  # what a pattern is called in messages and documents
    DECIMAL: "decimal",
    MONEY: "decimal with 4 digits",
    NAME: "name (1 to 36 of A-Z a-z 0-9 . _ -)",
    SYMBOL: "symbol",
    SESSION: "session (24x7 or HH:MM-HH:MM)",
    FEED_URL: "address (ws:// or wss://)",
    ADDRESS: "address (tcp://HOST:PORT or unix://PATH)",
}


def about(text: str, unit: str = "", **limits: Any) -> Meta:
    """What an option means, its unit and its range: msgspec checks the range, the documents show all of it."""
    return Meta(description=text, extra={"unit": unit}, **limits)


def e9(decimal: str) -> int:
    """Decimal option to units of 1e-9. The pattern of the option has been checked, so this cannot fail."""
    return _scaled(decimal, 9)


def e4(decimal: str) -> int:
    """Money option to units of 1e-4."""
    return _scaled(decimal, 4)


def _scaled(decimal: str, digits: int) -> int:
    whole, _, fraction = decimal.partition(".")
    return int(whole + fraction.ljust(digits, "0"))


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


class GatewayOptions(Section, frozen=True):
    """The process itself."""

    name: Annotated[str, about("Name of this gateway in logs and metrics.", pattern=NAME)] = "backstay"
    aud: Annotated[str, about("Audience that a login signs; a client refuses another. Empty: `host`.")] = ""
    shard: Annotated[int, about("Number of this gateway among those that share accounts out.", ge=0, le=1023)] = 0
    mode: Annotated[
        Literal["paper", "live"], about("`paper` trades at the simulated venue; `live` refuses made-up secrets.")
    ] = "paper"
    data_dir: Annotated[
        str, about("Folder of everything that is kept; the journal and secret files start here.", min_length=1)
    ] = "var"
    host: Annotated[
        str, about("Address to listen on. Anything but loopback needs TLS in front of it.", min_length=1)
    ] = "127.0.0.1"
    ws_port: Annotated[int, about("Port of the WebSocket order API; 0 takes a free one.", ge=0, le=65535)] = 8701
    http_port: Annotated[
        int, about("Port of health, metrics and the REST companions; 0 takes a free one.", ge=0, le=65535)
    ] = 8702
    pin_cpu: Annotated[int, about("CPU that the loop is pinned to; -1 leaves it to the system.", ge=-1, le=1023)] = -1
    busy_poll_us: Annotated[
        int, about("How long the loop spins before it blocks; only for who owns a core.", "µs", ge=0, le=1_000_000)
    ] = 0
    oco_wait_ms: Annotated[
        int,
        about(
            "How long a fired order waits for the end of one that its `oco` group has at the broker.",
            "ms",
            ge=0,
            le=10_000,
        ),
    ] = 250

    @property
    def audience(self) -> str:
        return self.aud or self.host


class JournalOptions(Section, frozen=True):
    """The journal: the one source of truth."""

    dir: Annotated[str, about("Folder of the segments. Give it a disk of its own.", min_length=1)] = "journal"
    segment_bytes: Annotated[
        int,
        about(
            "Size of a segment, preallocated and zeroed; in whole blocks of 4096.",
            "bytes",
            ge=1 << 20,
            le=(1 << 32) - 4096,
            multiple_of=4096,
        ),
    ] = 64 << 20
    durability: Annotated[
        Literal["disk", "off"],
        about("`disk`: acknowledged means synced. `off`: written, not synced; for measurements only."),
    ] = "disk"
    commit_gap_us_max: Annotated[
        int,
        about("Widest pause between two commits; the writer paces itself below it.", "µs", ge=0, le=100_000),
    ] = 1_000
    snapshot_every_records: Annotated[
        int, about("Records between two snapshots: bounds the replay at start.", "records", ge=1_000, le=100_000_000)
    ] = 250_000


class ApiLimits(Section, frozen=True):
    """What one client may ask of the order API."""

    place_per_s: Annotated[
        int,
        about("Place and replace, per key; protective ones have a second bucket like it.", "1/s", ge=1, le=1_000_000),
    ] = 200
    place_burst: Annotated[int, about("Burst of place and replace, per key.", "requests", ge=1, le=1_000_000)] = 400
    cancel_per_s: Annotated[int, about("Cancels, per key; a bucket of their own.", "1/s", ge=1, le=1_000_000)] = 1_000
    cancel_burst: Annotated[int, about("Burst of cancels, per key.", "requests", ge=1, le=1_000_000)] = 2_000
    get_per_s: Annotated[int, about("Queries, per key.", "1/s", ge=1, le=1_000_000)] = 20
    get_burst: Annotated[int, about("Burst of queries, per key.", "requests", ge=1, le=1_000_000)] = 40
    unanswered_max: Annotated[
        int, about("Requests of a connection that may wait for an answer, then `BUSY`.", "requests", ge=1, le=65_536)
    ] = 256
    outbound_bytes: Annotated[
        int, about("Outbound buffer of a connection; at half of it a warning, full closes 4010.", "bytes", ge=65_536)
    ] = 8 << 20
    outbound_frames: Annotated[int, about("The same, in frames.", "frames", ge=256, le=1 << 24)] = 65_536
    auth_timeout_ms: Annotated[int, about("Time from connect to a valid login.", "ms", ge=100, le=60_000)] = 5_000
    connections_per_key: Annotated[int, about("Live connections of one key.", "connections", ge=1, le=10_000)] = 8
    connections_per_address: Annotated[
        int, about("Connections of one address that have not logged in.", "connections", ge=1, le=100_000)
    ] = 64
    connections_total: Annotated[
        int, about("Connections in all; a quarter of them may be without a login.", "connections", ge=4, le=100_000)
    ] = 4_096
    hb_ms: Annotated[
        int, about("Heartbeat; a client silent for three of them is closed 4008.", "ms", ge=50, le=60_000)
    ] = 1_000
    snapshot_done_ms: Annotated[
        int, about("How long orders that are done stay in snapshots.", "ms", ge=0, le=2_592_000_000)
    ] = 86_400_000
    name_life_ms: Annotated[
        int,
        about("How long a cl_ord_id stays taken after its order is done.", "ms", ge=86_400_000, le=31_622_400_000),
    ] = 2_592_000_000


class Limits(Section, frozen=True):
    """Limits by interface."""

    api: ApiLimits = ApiLimits()


class CapacityOptions(Section, frozen=True):
    """Sizes of the tables, allocated at start. A full table is a coded refusal, never a resize."""

    orders: Annotated[
        int, about("Order rows: open ones and those whose names are still taken.", "orders", ge=1_024, le=50_000_000)
    ] = 1_000_000
    open_orders: Annotated[int, about("Orders open at once.", "orders", ge=64, le=10_000_000)] = 250_000
    accounts: Annotated[int, about("Accounts.", "accounts", ge=1, le=1_000_000)] = 4_096
    instruments: Annotated[int, about("Instruments.", "instruments", ge=1, le=65_536)] = 1_024


class InstrumentOptions(Section, frozen=True):
    """One instrument."""

    symbol: Annotated[str, about("Canonical name.", pattern=SYMBOL)]
    feed_symbol: Annotated[str, about("Name in the feed's frames. Empty: `symbol`.")] = ""
    tick: Annotated[str, about("Price increment.", "price", pattern=DECIMAL)] = "0.01"
    lot: Annotated[str, about("Quantity increment.", "units", pattern=DECIMAL)] = "0.001"
    min_qty: Annotated[str, about("Smallest quantity.", "units", pattern=DECIMAL)] = "0.001"
    asset_class: Annotated[Literal["equity", "crypto", "future", "fx"], about("Which rules and defaults apply.")] = (
        "crypto"
    )
    session: Annotated[
        str, about("When it trades: `24x7` or `HH:MM-HH:MM` in UTC (may pass midnight).", pattern=SESSION)
    ] = "24x7"
    max_age_ms: Annotated[
        int, about("Market data older than this fires no stop and prices no order.", "ms", ge=10, le=3_600_000)
    ] = 5_000
    outside_bps: Annotated[
        str, about("A print further than this from a fresh quote waits for confirmation.", "bps", pattern=DECIMAL)
    ] = "100"
    source: Annotated[
        Literal["", "last", "bid", "ask", "mid"],
        about(
            "Price that a stop watches when the order does not say. Empty: `last` for an equity, else `bid` to sell and"
            " `ask` to buy."
        ),
    ] = ""
    restricted: Annotated[bool, about("On the restricted list: refused for everybody.")] = False

    @property
    def feed_name(self) -> str:
        return self.feed_symbol or self.symbol


def _limit_field(edge: Edge) -> tuple[Any, Any]:
    """Type and default of one limit as an option."""
    default = edge.render(DEFAULTS.to_gate()[edge.field])
    if edge.kind == "count":
        return Annotated[int, about(edge.about, edge.unit, ge=0, le=edge.most)], default
    return Annotated[str, about(edge.about, edge.unit, pattern=MONEY if edge.kind == "money" else DECIMAL)], default


AccountLimits = msgspec.defstruct(  # the limits are defined in risk.limits; this is their table in the file
    "AccountLimits",
    [(name, *_limit_field(edge)) for name, edge in EDGES.items()],
    bases=(Section,), frozen=True, kw_only=True, module=__name__,
    namespace={"__doc__": "Limits of an account; without this table it may do nothing."},
)  # fmt: skip


class PolicyOptions(Section, frozen=True):
    """One protection policy: what is done for accounts that name it when their stops cannot do their work."""

    name: Annotated[str, about("Name, as accounts use it.", pattern=NAME)] = "default"
    on_feed_loss: Annotated[
        Literal["alert", "second_feed", "flatten", "broker"],
        about(
            "When an instrument with resting stops is blind. `alert`: say so and wait. `second_feed`: the same, and a"
            " configuration in which one feed alone prices an instrument is refused. `flatten`: close the position."
            " `broker` (hand the stops over) is refused: no stop can be placed there yet."
        ),
    ] = "alert"
    flatten_after_ms: Annotated[
        int, about("How long the instrument stays blind before `flatten` acts.", "ms", ge=0, le=86_400_000)
    ] = 10_000


class AccountOptions(Section, frozen=True):
    """One account."""

    name: Annotated[str, about("Name of the account.", pattern=NAME)]
    group: Annotated[
        str, about("Beneficial owner: self-trade prevention looks across it. Empty: the account alone.")
    ] = ""
    cash: Annotated[str, about("Cash when the journal begins; later the journal knows.", "money", pattern=MONEY)] = "0"
    broker: Annotated[Literal["sim"], about("Where its orders go.")] = "sim"
    policy: Annotated[str, about("Its protection policy, by name. Empty: the defaults of `[[policies]]`.")] = ""
    limits: AccountLimits | None = None  # type: ignore[valid-type]

    def fixed_limits(self) -> FixedLimits | None:
        """The limits in the core's units; None when the account has none. Raises LimitsInvalid."""
        return None if self.limits is None else FixedLimits.parse(msgspec.to_builtins(self.limits))

    def policy_of(self, policies: tuple[PolicyOptions, ...]) -> PolicyOptions:
        """Its policy among those; the defaults when it names none."""
        return next((policy for policy in policies if self.policy and policy.name == self.policy), PolicyOptions())


class KeyOptions(Section, frozen=True):
    """One key of the order API: Ed25519 (only the public half is here) or HMAC (a secret, named, not written)."""

    name: Annotated[str, about("Name that the client sends.", pattern=NAME)]
    kind: Annotated[Literal["ed25519", "hmac"], about("How a login is signed.")] = "ed25519"
    public: Annotated[str, about("Ed25519 public key, base64.")] = ""
    secret_env: Annotated[str, about("Environment variable that holds the HMAC secret.")] = ""
    secret_file: Annotated[str, about("File that holds the HMAC secret.")] = ""
    create: Annotated[bool, about("Make the secret file at start if it is not there; `paper` only.")] = False
    scopes: Annotated[tuple[Scope, ...], about("What the key may do.")] = ("read",)
    accounts: Annotated[tuple[str, ...], about("Accounts it may act for; `*` is all.")] = ()
    symbols: Annotated[tuple[str, ...], about("Symbol patterns it may trade; `*` is all.")] = ("*",)
    networks: Annotated[tuple[str, ...], about("IP networks it may come from, in CIDR form; empty is any.")] = ()
    not_before_ns: Annotated[int, about("Valid from, wall clock.", "ns since 1970", ge=0)] = 0
    expires_ns: Annotated[int, about("Valid until, wall clock; 0 is without end.", "ns since 1970", ge=0)] = 0


class FeedOptions(Section, frozen=True):
    """One market-data feed."""

    name: Annotated[str, about("Name in metrics and evidence.", pattern=NAME)] = "sim"
    kind: Annotated[Literal["binance"], about("Format: Binance combined streams.")] = "binance"
    url: Annotated[str, about("Address of the stream, with its query.", pattern=FEED_URL)] = (
        "ws://127.0.0.1:8711/stream?streams="
    )
    symbols: Annotated[tuple[str, ...], about("Instruments that it prices; empty is all.")] = ()
    market: Annotated[
        str,
        about(
            "Feeds of one market carry the same prices with the venue's own times and numbers: the newest counts."
            " Empty: a market of its own, of which one leads and the others stand in."
        ),
    ] = ""
    stale_ms: Annotated[
        int,
        about("Silence after which a connected feed is stale: state, log and metric say so.", "ms", ge=10, le=600_000),
    ] = 2_000
    idle_ms: Annotated[
        int, about("Silence after which the feed counts as down and is reconnected.", "ms", ge=100, le=600_000)
    ] = 10_000


class SimBrokerOptions(Section, frozen=True):
    """The simulated venue as a broker."""

    address: Annotated[
        str,
        about("Order entry: `tcp://HOST:PORT` or `unix://PATH`.", pattern=ADDRESS, min_length=1),
    ] = "tcp://127.0.0.1:8712"
    key: Annotated[str, about("Key of the order session.", pattern=NAME)] = "gateway"
    secret_env: Annotated[str, about("Environment variable that holds the key's secret.")] = ""
    secret_file: Annotated[str, about("File that holds it; made at start in `paper` mode.")] = "keys/venue.secret"
    horizon_ms: Annotated[
        int,
        about(
            "How long after its hand-over the venue may not find an order, its way there included.",
            "ms",
            ge=0,
            le=600_000,
        ),
    ] = 0
    messages_per_s: Annotated[
        int,
        about("Messages that the venue takes, never passed: say a little less than it allows. 0: no rate.", "1/s",
              ge=0, le=1_000_000),
    ] = 0  # fmt: skip
    burst: Annotated[int, about("How many of them at once after a rest.", "messages", ge=1, le=1_000_000)] = 50
    reserved_burst: Annotated[
        int,
        about("Part of the burst for protective exits; half of it, rounded down, serves cancels as well.", "messages",
              ge=0, le=1_000_000),
    ] = 10  # fmt: skip


class BrokerOptions(Section, frozen=True):
    """Broker links, one table each."""

    sim: SimBrokerOptions = SimBrokerOptions()


class VenueOptions(Section, frozen=True):
    """The simulated venue's own process (`backstay venue`). It takes its keys from `broker.sim`."""

    host: Annotated[str, about("Address to listen on.", min_length=1)] = "127.0.0.1"
    ws_port: Annotated[int, about("Port of its market data; 0 takes a free one.", ge=0, le=65535)] = 8711
    order_address: Annotated[str, about("Where it takes orders. Empty: `broker.sim.address`.", pattern=ADDRESS)] = ""
    market: Annotated[
        Literal["generator", "replay"], about("Seeded quotes for all instruments, or a recorded file.")
    ] = "generator"
    replay_file: Annotated[
        str, about("Recorded frames (`.jsonl`, `.jsonl.gz`) for `replay`; from the working folder.")
    ] = ""
    speed_pct: Annotated[
        int, about("Pace of a replay: 100 is as recorded, 0 is as fast as it goes.", "%", ge=0, le=100_000)
    ] = 100
    seed: Annotated[int, about("Seed of the generator and of the quirks.", ge=0, le=(1 << 63) - 1)] = 1
    symbols: Annotated[tuple[str, ...], about("Instruments that it makes; empty is all.")] = ()
    frames_per_s: Annotated[int, about("Pace of the generator, all symbols together.", "1/s", ge=1, le=1_000_000)] = 500
    ledger: Annotated[str, about("File that gets a line for each order message; empty is none.")] = ""
    quirks: Annotated[
        dict[str, int], about("Misbehaviour by name: latencies in ns, chances in parts per million (docs/venue.md).")
    ] = {}


class MetricsOptions(Section, frozen=True):
    """What `/metrics` serves."""

    bounds_us: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100_000_000)], ...],
        about("Upper bounds of the latency buckets, rising.", "µs", min_length=1, max_length=64),
    ] = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000)


class LogOptions(Section, frozen=True):
    """One stream of structured log lines."""

    level: Annotated[Literal["debug", "info", "warning", "error"], about("Least level that is written.")] = "info"
    format: Annotated[Literal["json", "console"], about("JSON lines, or text for a person.")] = "json"
    file: Annotated[str, about("File that gets the lines. Empty: standard error.")] = ""


DEFAULT_INSTRUMENTS = (
    InstrumentOptions(symbol="BTCUSDT", tick="0.1"),
    InstrumentOptions(symbol="ETHUSDT", tick="0.01"),
    InstrumentOptions(symbol="SOLUSDT", tick="0.01", lot="0.01", min_qty="0.01"),
    InstrumentOptions(symbol="XRPUSDT", tick="0.0001", lot="1", min_qty="1"),
)
DEFAULT_ACCOUNTS = (
    AccountOptions(
        name="DEMO",
        cash="1000000",
        limits=AccountLimits(
            max_order_qty="10000", max_order_notional="100000", max_position_qty="50000", max_gross="5000000",
            leverage_bps="50000", max_open_orders=10_000, order_rate_per_s=200, order_burst=400, msg_rate_per_s=400,
            msg_burst=800,
        ),
    ),
)  # fmt: skip
DEFAULT_KEYS = (
    KeyOptions(
        name="demo", kind="hmac", secret_file="keys/demo.secret", create=True, scopes=("read", "trade"), accounts=("*",)
    ),
    # two of them, because lifting a kill switch takes two different keys
    KeyOptions(name="ops", kind="hmac", secret_file="keys/ops.secret", create=True, scopes=("read", "ops")),
    KeyOptions(name="ops-2", kind="hmac", secret_file="keys/ops-2.secret", create=True, scopes=("read", "ops")),
)


class Config(Section, frozen=True):
    """The whole file. Without a file these defaults are one paper-trading gateway on loopback."""

    gateway: GatewayOptions = GatewayOptions()
    journal: JournalOptions = JournalOptions()
    limits: Limits = Limits()
    capacity: CapacityOptions = CapacityOptions()
    instruments: tuple[InstrumentOptions, ...] = DEFAULT_INSTRUMENTS
    policies: tuple[PolicyOptions, ...] = (PolicyOptions(),)
    accounts: tuple[AccountOptions, ...] = DEFAULT_ACCOUNTS
    keys: tuple[KeyOptions, ...] = DEFAULT_KEYS
    feeds: tuple[FeedOptions, ...] = (FeedOptions(),)
    broker: BrokerOptions = BrokerOptions()
    venue: VenueOptions = VenueOptions()
    metrics: MetricsOptions = MetricsOptions()
    logs: LogOptions = LogOptions()
