"""The SDK against the scripted gateway: orders, the book, and every way in which a connection can let it down."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from backstay import (
    Accepted,
    Gateway,
    Idle,
    Lagged,
    Link,
    Refused,
    Stop,
    Trade,
    Unanswered,
)
from tests.conformance.frames import FrameCheck
from tests.sdk.peer import ACCOUNT, SECRET, Frame, Peer, Session

Scenario = Callable[[Peer], Awaitable[None]]


def client(peer: Peer, **more: Any) -> Gateway:
    return Gateway(peer.url, **{"key": "k1", "secret": SECRET, "session": "s1", "account": ACCOUNT, **more})


def run(scenario: Scenario) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), Peer() as peer:
            await scenario(peer)

    asyncio.run(main())


def test_an_order_lives_from_acceptance_to_fill() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            order = await gw.buy("AAPL", 100, px="187.20")
            state = await order.working(timeout=2)
            assert state.ord_status == "new"
            peer.fill(order.cl_ord_id, "100", "187.2", "100")
            final = await order.done(timeout=2)
            assert (final.ord_status, final.cum_qty, final.avg_px) == ("filled", Decimal(100), Decimal("187.2"))
            assert gw.positions["AAPL"].pos_qty == 100
            assert gw.positions["AAPL"].avg_px == Decimal("187.2")
            assert gw.seq == len(peer.journal)

    run(scenario)


def test_a_stop_is_a_market_order_with_a_trigger() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            order = await gw.sell("AAPL", 50, trigger=Stop("181.50"), reduce_only=True, tif="gtc")
            assert order.ord_status == "held"
            sent = peer.requests[-1]
            assert (sent["ord_type"], sent["trigger"]) == ("market", {"kind": "stop", "stop_px": "181.50"})
            assert sent["reduce_only"] is True
            trigger = order.state.order.trigger
            assert trigger is not None
            assert trigger.stop_px == Decimal("181.50")

    run(scenario)


def test_replaces_count_their_revisions_and_a_refused_one_uses_none() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            order = await gw.buy("AAPL", 100, px="187.20")
            await order.replace(px="187.25")
            peer.on_request = refuse_once(peer, "replace", "RC_MAX_QTY", "fix")
            with pytest.raises(Refused, match="RC_MAX_QTY"):
                await order.replace(qty=1_000_000)
            await order.replace(px="187.30")
            assert [r["rev"] for r in peer.requests if r["t"] == "replace"] == [2, 3, 3]
            await gw._within(gw._follower.reached(len(peer.journal)), None, 2)
            assert order.state.rev == 3
            assert order.state.order.px == Decimal("187.30")

    run(scenario)


def refuse_once(peer: Peer, kind: str, code: str, retry: str, **more: Any) -> Callable[[Session, Frame], bool]:
    def hook(session: Session, request: Frame) -> bool:
        if request["t"] != kind:
            return False
        peer.on_request = lambda session, request: False
        session.err(request["id"], code, retry, **more)
        return True

    return hook


def test_a_float_is_refused_before_anything_is_sent() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            with pytest.raises(TypeError, match="write a string"):
                await gw.buy("AAPL", 100, px=187.2)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                await gw.buy("AAPL", 1.5, px="1")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="nine places"):
                await gw.buy("AAPL", "1e3", px="1")
            assert all(request["t"] != "place" for request in peer.requests)

    run(scenario)


def test_a_refusal_says_code_and_retry() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            peer.on_request = refuse_once(peer, "place", "RC_MAX_NOTIONAL", "fix", detail={"passes": {"qty": "267"}})
            with pytest.raises(Refused) as caught:
                await gw.buy("AAPL", 333, px="187.20")
            assert (caught.value.code, caught.value.retry) == ("RC_MAX_NOTIONAL", "fix")
            assert caught.value.detail == {"passes": {"qty": "267"}}

    run(scenario)


def test_a_passing_refusal_is_tried_again_under_the_same_name() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            peer.on_request = refuse_once(peer, "place", "RATE_LIMITED", "later", retry_ns=1_000_000)
            order = await gw.buy("AAPL", 1, px="1")
            names = [request["cl_ord_id"] for request in peer.requests if request["t"] == "place"]
            assert names == [order.cl_ord_id] * 2

    run(scenario)


@pytest.mark.parametrize("journalled", [False, True], ids=["lost-on-the-way", "answer-lost"])
@pytest.mark.parametrize("kind", ["place", "replace", "cancel", "cancel_all", "batch"])
def test_a_connection_lost_at_a_request_ends_in_exactly_one_effect(kind: str, journalled: bool) -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            first = await gw.buy("AAPL", 1, px="1")

            def hook(session: Session, request: Frame) -> bool:
                if request["t"] != kind:
                    return False
                peer.on_request = lambda session, request: False
                if journalled:
                    session.following = False
                    peer.on_event = lambda to, event: to is session
                    peer.apply(session, request)
                session.drop()
                return True

            peer.on_request = hook
            calls: dict[str, Callable[[], Awaitable[object]]] = {
                "place": lambda: gw.buy("AAPL", 2, px="2", cl_ord_id="again"),
                "replace": lambda: first.replace(px="2"),
                "cancel": first.cancel,
                "cancel_all": gw.cancel_all,
                "batch": lambda: gw.batch([gw.new("buy", "AAPL", 3, px="3", cl_ord_id="item")]),
            }
            await calls[kind]()
            accepted = [event["cl_ord_id"] for event in peer.journal if event["t"] == "accepted"]
            assert len(accepted) == len(set(accepted))
            assert accepted[1:] == {"place": ["again"], "batch": ["item"]}.get(kind, [])
            if kind in ("cancel", "cancel_all"):
                assert (await first.done(timeout=2)).ord_status == "canceled"

    run(scenario)


def test_an_unanswered_order_is_settled_either_way() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            for journalled in (True, False):

                def hook(session: Session, request: Frame, journalled: bool = journalled) -> bool:
                    if request["t"] != "place":
                        return False
                    if journalled:
                        peer.accept(request)
                    return True

                peer.on_request = hook
                name = f"u-{journalled}"
                with pytest.raises(Unanswered) as caught:
                    await gw.buy("AAPL", 1, px="1", cl_ord_id=name, timeout=0.05)
                assert caught.value.cl_ord_id == name
                peer.on_request = lambda session, request: False
                order = await gw.settle(name)
                assert (order is not None) == journalled

    run(scenario)


def test_what_could_not_be_sent_in_time_is_refused_for_certain() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            peer.on_request = lambda session, request: request["t"] == "auth"
            peer.sessions[0].drop()
            assert isinstance(await anext(events), Link)
            with pytest.raises(Refused, match="DEADLINE_PASSED"):
                await gw.buy("AAPL", 1, px="1", timeout=0.05)

    run(scenario)


def test_a_stream_is_unbroken_across_reconnects() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            order = await gw.buy("AAPL", 1, px="1")
            peer.sessions[0].drop()
            peer.fill(order.cl_ord_id, "1", "1", "1")
            seen = [await anext(events) for _ in range(5)]
            kinds = [type(item).__name__ for item in seen]
            assert kinds == ["Accepted", "New", "Link", "Trade", "Link"]
            assert [item.state for item in seen if isinstance(item, Link)] == ["lost", "resumed"]
            resumed = seen[-1]
            assert isinstance(resumed, Link)
            assert resumed.replayed == 1

    run(scenario)


def test_a_gap_is_noticed_at_the_next_event_and_filled() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            peer.on_event = lambda session, event: event["seq"] == 2 and not swallowed and not swallowed.append(event)
            swallowed: list[Frame] = []
            order = await gw.buy("AAPL", 1, px="1")
            peer.fill(order.cl_ord_id, "1", "1", "1")
            await order.done(timeout=2)
            seen = [await anext(events) for _ in range(3)]
            assert [item.seq for item in seen if not isinstance(item, Link | Idle | Lagged)] == [1, 2, 3]
            assert len(swallowed) == 1

    run(scenario)


def test_a_loss_on_a_quiet_stream_is_noticed_by_two_heartbeats() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            order = await gw.buy("AAPL", 1, px="1")
            peer.on_event = lambda session, event: True
            peer.fill(order.cl_ord_id, "1", "1", "1")
            peer.on_event = lambda session, event: False
            peer.heartbeat()
            peer.heartbeat()
            assert (await order.done(timeout=2)).ord_status == "filled"

    run(scenario)


def test_a_repeated_answer_changes_nothing() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            first = await gw.buy("AAPL", 1, px="1", cl_ord_id="same")
            await first.cancel()
            await first.done(timeout=2)
            again = await gw.buy("AAPL", 1, px="1", cl_ord_id="same")
            assert again.ord_status == "canceled"
            assert gw.seq == len(peer.journal)

    run(scenario)


def test_a_slow_iterator_is_told_and_reads_again() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events(limit=3)
            for _ in range(5):
                await gw.buy("AAPL", 1, px="1")
            await gw._within(gw._follower.reached(10), None, 2)
            numbers, lags = [], 0
            while len(numbers) < 10:
                item = await anext(events)
                if isinstance(item, Lagged):
                    lags += 1
                elif not isinstance(item, Link | Idle):
                    numbers.append(item.seq)
            assert numbers == list(range(1, 11))
            assert lags >= 1

    run(scenario)


def test_an_idle_iterator_says_so_and_filters_by_symbol() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events(symbol="MSFT", idle=0.02)
            await gw.buy("AAPL", 1, px="1")
            assert isinstance(await anext(events), Idle)
            order = await gw.buy("MSFT", 1, px="1")
            peer.fill(order.cl_ord_id, "1", "1", "1")
            seen = [await anext(events) for _ in range(3)]
            assert isinstance(seen[0], Accepted)
            assert isinstance(seen[2], Trade)

    run(scenario)


def test_a_trimmed_journal_gives_a_snapshot() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            order = await gw.buy("AAPL", 1, px="1", cl_ord_id="kept")
            peer.sessions[0].drop()
            peer.fill(order.cl_ord_id, "1", "1", "1")
            peer.trimmed_to = len(peer.journal)
            states = [item.state async for item in until_resumed(events)]
            assert states == ["lost", "snapshot"]
            assert gw.orders["kept"].ord_status == "filled"
            assert gw.seq == len(peer.journal)

    run(scenario)


def test_a_gap_that_is_trimmed_gives_a_snapshot_on_the_same_connection() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            swallowed: list[Frame] = []
            peer.on_event = lambda session, event: event["seq"] == 2 and not swallowed and not swallowed.append(event)
            peer.trimmed_to = 99
            order = await gw.buy("AAPL", 1, px="1")
            peer.fill(order.cl_ord_id, "1", "1", "1")
            assert (await order.done(timeout=2)).ord_status == "filled"
            assert isinstance(await anext(events), Accepted)
            link = await anext(events)
            assert isinstance(link, Link)
            assert link.state == "snapshot"

    run(scenario)


def test_who_waits_for_an_order_that_a_snapshot_lacks_is_told() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            order = await gw.buy("AAPL", 1, px="1")
            peer.sessions[0].drop()
            peer.history, peer.journal, peer.orders, peer.answers = "h-2", [], {}, {}
            with pytest.raises(Unanswered):
                await order.done(timeout=5)
            assert await gw.settle(order.cl_ord_id) is None

    run(scenario)


def test_another_history_drops_what_did_not_happen() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            await gw.buy("AAPL", 1, px="1", cl_ord_id="undone")
            peer.sessions[0].drop()
            peer.history, peer.journal, peer.orders = "h-2", [], {}
            states = [item.state async for item in until_resumed(events)]
            assert states == ["lost", "history"]
            assert "undone" not in gw.orders
            assert gw.seq == 0

    run(scenario)


async def until_resumed(events: Any) -> Any:
    async for item in events:
        if isinstance(item, Link):
            yield item
            if item.state != "lost":
                return


@pytest.mark.parametrize(("code", "name"), [(4009, "TAKEN_OVER"), (4003, "KEY_REVOKED"), (4002, "PROTOCOL")])
def test_a_final_close_ends_everything_with_a_refusal(code: int, name: str) -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            events = gw.events()
            peer.sessions[0].close(code)
            assert isinstance(await anext(events), Link)
            with pytest.raises(Refused, match=name):
                await anext(events)
            with pytest.raises(Refused, match=name):
                await gw.buy("AAPL", 1, px="1")

    run(scenario)


@pytest.mark.parametrize("code", [4008, 4010, 4011, 1012, 1006])
def test_a_passing_close_is_resumed(code: int) -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            peer.sessions[0].close(code)
            order = await gw.buy("AAPL", 1, px="1")
            assert order.cl_ord_id in peer.orders

    run(scenario)


def test_goaway_moves_the_client_without_a_gap() -> None:
    async def scenario(peer: Peer) -> None:
        async with Peer() as other, client(peer) as gw:
            events = gw.events()
            other.journal, other.orders = peer.journal, peer.orders
            peer.sessions[0].send(t="goaway", reason="deploy", at_ns=2**62, url=other.url)
            assert [item.state async for item in until_resumed(events)] == ["lost", "resumed"]
            order = await gw.buy("AAPL", 1, px="1")
            assert any(request.get("cl_ord_id") == order.cl_ord_id for request in other.requests)

    run(scenario)


def test_another_gateway_than_the_one_meant_gets_no_signature() -> None:
    async def scenario(peer: Peer) -> None:
        peer.aud = "evil.example"
        with pytest.raises(Refused, match="AUD_MISMATCH"):
            await client(peer).open()
        assert peer.requests == []

    run(scenario)


def test_a_refused_login_is_raised() -> None:
    async def scenario(peer: Peer) -> None:
        peer.on_request = refuse_once(peer, "auth", "AUTH_FAILED", "never")
        with pytest.raises(Refused, match="AUTH_FAILED"):
            await client(peer).open()

    run(scenario)


def test_no_gateway_is_unanswered() -> None:
    async def scenario(peer: Peer) -> None:
        with pytest.raises(Unanswered):
            await Gateway("ws://127.0.0.1:9/v1/ws", key="k", secret=SECRET, session="s").open(timeout=0.2)

    run(scenario)


def test_an_event_of_a_later_version_is_counted_and_keeps_its_number() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            peer.checking = False
            peer.append({"t": "moonphase", "phase": "full"})
            order = await gw.buy("AAPL", 1, px="1")
            await order.working(timeout=2)
            assert order.state.seq == len(peer.journal) == 3
            assert gw.unknown_count == 1

    run(scenario)


def test_a_mute_gateway_is_left() -> None:
    async def scenario(peer: Peer) -> None:
        peer.hb_ms = 20
        async with client(peer) as gw:
            events = gw.events()
            lost = await anext(events)
            assert isinstance(lost, Link)
            assert "4008" in lost.reason

    run(scenario)


def test_no_more_requests_wait_for_answers_than_the_gateway_allows() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            held: list[tuple[Session, Frame]] = []
            full = asyncio.Event()

            def hold(session: Session, request: Frame) -> bool:
                held.append((session, request))
                if len(held) == gw._asker.window:
                    full.set()
                return True

            peer.on_request = hold
            async with asyncio.TaskGroup() as tasks:
                for _ in range(100):
                    tasks.create_task(gw.buy("AAPL", 1, px="1"))
                await full.wait()
                assert len(held) == gw._asker.window < 64
                peer.on_request = lambda session, request: False
                for session, request in held:
                    peer.apply(session, request)
            assert len(peer.orders) == 100

    run(scenario)


def test_a_tap_sees_every_frame_of_both_directions() -> None:
    async def scenario(peer: Peer) -> None:
        frames: list[tuple[str, bytes]] = []
        async with client(peer, tap=lambda direction, raw: frames.append((direction, raw))) as gw:
            await gw.buy("AAPL", 1, px="1")
        check = FrameCheck()
        for direction, raw in frames:
            check(direction, raw)
        assert {("out", "hello"), ("in", "auth"), ("in", "place"), ("out", "accepted"), ("in", "bye")} <= check.seen

    run(scenario)


def test_dry_run_places_nothing() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            room = await gw.dry_run("buy", "AAPL", 1, px="1")
            assert [line.control for line in room] == ["SZ-MAX-QTY"]
            assert peer.journal == []

    run(scenario)


def test_a_batch_gives_handles_when_all_of_it_is_applied() -> None:
    async def scenario(peer: Peer) -> None:
        async with client(peer) as gw:
            orders = await gw.batch([gw.new("buy", "AAPL", n, px="1") for n in (1, 2, 3)])
            assert [order.leaves_qty for order in orders] == [1, 2, 3]
            answer = await gw.cancel_all()
            assert answer.count == 3

    run(scenario)
