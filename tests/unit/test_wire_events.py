"""Each record kind renders to an event that the published schema accepts, member by member."""

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.contracts import events
from gateway.core.state import State
from hotpath.enums import (
    Control,
    HaltLevel,
    OrdStatus,
    OrdType,
    Pending,
    PriceSource,
    Reason,
    Side,
    Stage,
    Stp,
    Tif,
    TriggerKind,
)
from hotpath.frame import pack_frame
from hotpath.records import Kind, payload_sizes
from hotpath.wire import EVENT_MAX_BYTES, Renderer

GOLDEN = Path(__file__).parents[1] / "golden" / "payload_sizes.json"
E9 = 10**9
WALL_NS = 1_764_000_000_123_456_789
DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(events.OrderEvents | events.AccountEvents)
AWKWARD = 'q"b\\s\n\t\x01 é 😀'
AWKWARD_BYTES = AWKWARD.encode()


def terms(**changes: int) -> bytes:
    t = {
        "qty": 100 * E9,
        "px": 187 * E9 + E9 // 5,
        "stop": 0,
        "collar": 0,
        "expire": 0,
        "queue": 60 * E9,
        "age": 0,
        "instrument": 1,
        "origin": 0,
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "tif": Tif.DAY,
        "extended": 0,
        "trigger": 0,
        "source": 0,
        "stp": Stp.CANCEL_NEW,
        "reduce_only": 0,
        "fire_through": 0,
        "rearm": 0,
        **changes,
    }
    values = list(t.values())
    return struct.pack("<7q8q3I2I10B10x", *values[:7], *[0] * 11, *values[7:])


def order_event(body: bytes = b"", **changes: int) -> bytes:
    e = {
        "acct_seq": 7,
        "account": 1,
        "order": 33,
        "cum": 0,
        "leaves": 100 * E9,
        "avg": 0,
        "rev": 1,
        "status": OrdStatus.NEW,
        "stage": 0,
        "hold": 0,
        "pending": 0,
        "reason": 0,
        "late": 0,
        **changes,
    }
    return struct.pack("<Q2I3qI6BB37s", *e.values(), 7, b"trend:1") + body


def accepted(**changes: int) -> bytes:
    session, tag, signal = b"trend", AWKWARD_BYTES, b"sig-1"
    head = terms(**changes) + struct.pack("<qQ5B3x", 187 * E9, 1, len(session), len(tag), len(signal), 0, 0)
    return order_event(head + session + tag + signal, status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED)


def replace(code: bytes = b"", session: bytes = b"", tag: bytes = b"", signal: bytes = b"") -> bytes:
    sizes = (len(text) for text in (code, session, tag, signal))
    return terms(qty=50 * E9) + struct.pack("<qQI6B6x", 187 * E9, 1, 2, 0, 1, *sizes) + code + session + tag + signal


def texts(code: bytes, broker_code: bytes = b"", text: bytes = b"", since_ns: int = 0) -> bytes:
    return struct.pack("<q4H", since_ns, len(code), len(broker_code), len(text), 0) + code + broker_code + text


def account_event(
    *,
    count: int = 0,
    since: int = 0,
    level: int = 0,
    state: int = 0,
    side: int = 0,
    keep: int = 0,
    text: bytes = b"",
    symbol: bytes = b"",
    session: bytes = b"",
    tag: bytes = b"",
    orders: bytes = b"",
    first: bytes = b"",
) -> bytes:
    head = struct.pack(
        "<Q2Iq4B2H2BH4x",
        7,
        1,
        count,
        since,
        level,
        state,
        side,
        keep,
        len(text),
        len(symbol),
        len(session),
        len(tag),
        len(orders),
    )
    return head + first


TRADE = struct.pack("<6q2B6x48s", 3 * E9, 187 * E9, 12_500, 3 * E9, 5, 3 * E9, 6, 1, b'x"1\\\xff')
TRIGGERED = struct.pack(
    "<12qQ6q7BxI4x",
    181 * E9,
    300 * E9,
    180 * E9,
    182 * E9,
    5,
    6,
    4_410_000_000,
    6_200,
    100 * E9,
    0,
    182 * E9,
    181 * E9,
    99,
    7 * E9,
    8 * E9,
    1_500,
    10 * E9,
    12 * E9,
    0,
    PriceSource.BID,
    0,
    Control.SZ_MAX_QTY,
    1,
    0,
    1,
    5,
    1,
)
STATE = {"cl_ord_id": "trend:1", "order_id": "O0011", "rev": 1}
TRAILED = struct.pack("<2qB7x", 182 * E9, 183 * E9, 0)
CASES: dict[Kind, tuple[bytes, dict[str, Any]]] = {
    Kind.ACCEPTED: (accepted(), {"ord_status": "pending_new", "stage": "queued", **STATE}),
    Kind.SENT_EV: (
        order_event(
            struct.pack("<3q2B6x24s", 14_000, 310_000, 318_000, 17, 0, b"B030123400000101A"),
            stage=Stage.SENT,
            status=OrdStatus.PENDING_NEW,
        ),
        {
            "route": "sim",
            "broker_cl_ord_id": "B030123400000101A",
            "lat_ns": {"risk": 14_000, "durable": 310_000, "wire": 318_000},
        },
    ),
    Kind.NEW_EV: (
        order_event(struct.pack("<qB7x40s", 5, 4, b'v"7\\')),
        {"broker_order_id": 'v"7\\', "ord_status": "new"},
    ),
    Kind.TRADE: (
        order_event(TRADE, cum=3 * E9, leaves=97 * E9, avg=187 * E9, status=OrdStatus.PARTIALLY_FILLED, late=1),
        {
            "exec_id": 'x"1\\ÿ\0',
            "last_qty": "3",
            "last_px": "187",
            "fee": "1.25",
            "pos_qty": "3",
            "liquidity": "maker",
            "late": True,
            "venue_ns": 5,
            "cum_qty": "3",
            "leaves_qty": "97",
            "avg_px": "187",
        },
    ),
    Kind.TRADE_CANCELED: (
        order_event(struct.pack("<5qB7x48s", 3 * E9, 187 * E9, -3 * E9, 0, 5, 2, b"x1")),
        {
            "exec_id": "x1",
            "before": events.Fill(last_qty="3", last_px="187"),
            "pos_qty": "-3",
            "cum_qty": "0",
            "avg_px": None,
        },
    ),
    Kind.RELEASED: (
        order_event(reason=Reason.OPEN, status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED),
        {"reason": "open"},
    ),
    Kind.TRIGGERED: (
        order_event(TRIGGERED + b"sip-a", status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED),
        {
            "gap_bps": "4.41",
            "missed": False,
            "lat_ns": {"decide": 6_200},
            "evidence": events.Evidence(
                source="bid",
                px="181",
                qty="300",
                feed="sip-a",
                feed_seq=99,
                venue_ns=5,
                recv_ns=6,
                age_ns=1_500,
                bid="180",
                bid_qty="7",
                ask="182",
                ask_qty="8",
                ticks=1,
            ),
        },
    ),
    Kind.TRAILED: (order_event(TRAILED), {"stop_px": "182", "extreme_px": "183"}),
    Kind.PENDING_REPLACE_EV: (
        order_event(replace(), pending=Pending.PENDING_REPLACE),
        {"ask_rev": 2, "pending": "replace"},
    ),
    Kind.REPLACED: (order_event(replace(), rev=2), {"ask_rev": 2, "rev": 2, "how": "amend", "priority_kept": True}),
    Kind.REPLACE_REJECTED: (order_event(replace(b"BROKER_REJECTED")), {"ask_rev": 2, "code": "BROKER_REJECTED"}),
    Kind.PENDING_CANCEL_EV: (
        order_event(reason=Reason.LEASE, pending=Pending.PENDING_CANCEL),
        {"reason": "lease", "pending": "cancel"},
    ),
    Kind.CANCELED_EV: (
        order_event(struct.pack("<q", 0), reason=Reason.REQUEST, leaves=0, status=OrdStatus.CANCELED),
        {"reason": "request", "ord_status": "canceled", "leaves_qty": "0"},
    ),
    Kind.CANCEL_REJECTED: (
        order_event(texts(b"BROKER_REJECTED", b"17", AWKWARD_BYTES)),
        {"code": "BROKER_REJECTED", "broker_code": "17", "broker_text": AWKWARD},
    ),
    Kind.EXPIRED_EV: (
        order_event(struct.pack("<q", 0), reason=Reason.QUEUE, leaves=0, status=OrdStatus.EXPIRED),
        {"reason": "queue"},
    ),
    Kind.REJECTED_EV: (
        order_event(texts(b"RC_COLLAR", b'"', AWKWARD_BYTES), leaves=0, status=OrdStatus.REJECTED),
        {"code": "RC_COLLAR", "broker_code": '"', "broker_text": AWKWARD},
    ),
    Kind.IN_DOUBT_EV: (
        order_event(texts(b"link lost", since_ns=WALL_NS), status=OrdStatus.PENDING_NEW, stage=Stage.IN_DOUBT),
        {"since_ns": WALL_NS, "cause": "link lost", "stage": "in_doubt"},
    ),
    Kind.REQUEUED: (
        order_event(texts(b"unknown id"), status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED),
        {"evidence": {"answer": "unknown id"}},
    ),
    Kind.RESTATED: (
        order_event(struct.pack("<3q2B6x", E9, 99 * E9, 2 * E9, OrdStatus.CANCELED, 0), reason=Reason.RECONCILED),
        {
            "reason": "reconciled",
            "before": {"ord_status": "canceled", "cum_qty": "1", "leaves_qty": "99"},
            "after": {"owed_qty": "2"},
        },
    ),
    Kind.CANCEL_ALL_EV: (
        account_event(
            count=3,
            keep=1,
            side=Side.SELL,
            symbol=b"AAPL",
            session=b"s-1",
            tag=AWKWARD_BYTES,
            first=b"AAPLs-1" + AWKWARD_BYTES,
        ),
        {"count": 3, "keep": "protective", "side": "sell", "symbol": "AAPL", "session": "s-1", "tag": AWKWARD},
    ),
    Kind.BATCH_EV: (account_event(count=3), {"count": 3}),
    Kind.HALT_EV: (
        account_event(count=9, level=HaltLevel.CANCEL_ALL, state=1, text=AWKWARD_BYTES, first=AWKWARD_BYTES),
        {"halt_id": "H9", "scope": "account:A1", "level": "cancel_all", "on": True, "reason": AWKWARD},
    ),
    Kind.GUARD_EV: (
        account_event(
            state=2, since=WALL_NS, symbol=b"AAPL", text=b"feed silent", orders=b"o1,o2", first=b"AAPLfeed silento1,o2"
        ),
        {"state": "blind", "symbol": "AAPL", "cause": "feed silent", "orders": ["o1", "o2"], "since_ns": WALL_NS},
    ),
}


def rendered(kind: int, payload: bytes) -> bytes:
    names = Renderer(4, 4)
    names.name_account(1, b"A1")
    names.name_symbol(1, b"AAPL")
    return names.render_frame(pack_frame(40, WALL_NS, 1, kind, 1, 0, payload))


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: Kind(kind).name)
def test_record_renders_to_an_event_of_the_schema(kind: Kind) -> None:
    payload, expected = CASES[kind]
    event = DECODER.decode(rendered(kind, payload))
    assert (event.account, event.seq, event.ts_ns) == ("A1", 7, WALL_NS)
    for member, value in expected.items():
        assert getattr(event, member) == value, member


def test_every_kind_of_an_account_is_rendered_and_the_world_is_not() -> None:
    for kind in Kind:
        if kind < Kind.ACCEPTED:
            assert rendered(kind, bytes(512)) == b""
    assert set(CASES) == {kind for kind in Kind if rendered(kind, bytes(512)) != b""}


def test_terms_are_rendered_in_full() -> None:
    stop = {
        "stop": 181 * E9 + E9 // 2,
        "px": 0,
        "ord_type": OrdType.MARKET,
        "trigger": TriggerKind.STOP,
        "source": PriceSource.ASK,
        "collar": 50 * E9,
        "expire": WALL_NS,
        "tif": Tif.GTD,
        "extended": 1,
        "age": 2 * E9,
        "queue": -1,
        "reduce_only": 1,
        "side": Side.SELL,
        "stp": Stp.ALLOW,
        "fire_through": 1,
        "rearm": 1,
        "origin": 1,
    }
    order = DECODER.decode(rendered(Kind.ACCEPTED, accepted(**stop))).order
    assert order == events.Terms(
        symbol="AAPL",
        side="sell",
        ord_type="market",
        qty="100",
        tif="gtd",
        reduce_only=True,
        origin="external",
        stp="allow",
        session="trend",
        hours="extended",
        expire_ns=WALL_NS,
        collar_bps="50",
        tag=AWKWARD,
        signal="sig-1",
        trigger=events.TriggerTerms(
            kind="stop",
            stop_px="181.5",
            source="ask",
            if_through="fire",
            on_missed="rearm",
            max_age_ms=2000,
            placement="gateway",
        ),
    )


def test_replaced_shows_the_texts_of_the_order_again() -> None:
    payload = order_event(replace(session=b"trend", tag=AWKWARD_BYTES, signal=b"sig-1"), rev=2)
    order = DECODER.decode(rendered(Kind.REPLACED, payload)).order
    assert (order.session, order.tag, order.signal) == ("trend", AWKWARD, "sig-1")


def test_guard_of_no_order_lists_none() -> None:
    event = DECODER.decode(rendered(Kind.GUARD_EV, account_event(state=1)))
    assert (event.orders, event.cause) == ([], "")


def test_longest_texts_fit_the_room_of_an_event() -> None:
    worst = b"\x01" * 240
    payload = order_event(texts(b"BROKER_REJECTED", b"\x01" * 64, worst), leaves=0, status=OrdStatus.REJECTED)
    assert len(rendered(Kind.REJECTED_EV, payload)) < EVENT_MAX_BYTES


def test_payload_sizes_are_those_of_the_format() -> None:
    """A changed size is a changed journal: raise PAYLOAD_VERSION and add an upgrade before this file is touched."""
    assert payload_sizes() == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_state_without_orders_renders_names_it_was_given() -> None:
    state = State(shard=1, orders=4, accounts=2, instruments=2)
    with pytest.raises(ValueError, match="does not fit"):
        state.names.name_account(2, b"A2")
