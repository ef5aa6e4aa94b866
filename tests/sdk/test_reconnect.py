"""The connection is lost at every single frame of a session in turn, and nothing is lost, doubled or out of order."""

import asyncio
from decimal import Decimal

import pytest

from backstay import Event, EventStream, Gateway, Lagged, Stop, Unanswered
from gateway.contracts.lint import StreamLint
from tests.sdk.peer import ACCOUNT, SECRET, Peer

FRAMES = 30  # more than the session below sends when nothing breaks


async def session(gw: Gateway) -> None:
    order = await gw.buy("AAPL", 10, px="1", cl_ord_id="o-1")
    await order.replace(px="2")
    await gw.sell("AAPL", 10, trigger=Stop("0.5"), reduce_only=True, cl_ord_id="o-2")
    await gw.batch([gw.new("buy", "AAPL", 1, px="1", cl_ord_id=name) for name in ("o-3", "o-4")])
    await order.cancel()
    await order.done(timeout=5)
    await gw.cancel_all()


async def events_up_to(events: EventStream, last: int) -> list[int]:
    numbers: list[int] = []
    while not numbers or numbers[-1] < last:
        item = await anext(events)
        assert not isinstance(item, Lagged)
        if isinstance(item, Event):
            numbers.append(item.seq)
    return numbers


async def scenario(drop_at: int) -> int:
    async with asyncio.timeout(20), Peer() as peer:
        peer.drop_at = drop_at
        async with Gateway(peer.url, key="k1", secret=SECRET, session="s1", account=ACCOUNT) as gw:
            events = gw.events()
            await session(gw)
            last = len(peer.journal)
            assert await events_up_to(events, last) == list(range(1, last + 1))
            accepted = [event["cl_ord_id"] for event in peer.journal if event["t"] == "accepted"]
            assert accepted == ["o-1", "o-2", "o-3", "o-4"]
            assert sum(event["t"] == "pending_replace" for event in peer.journal) == 1
            assert StreamLint().feed_all(peer.journal) == last
            for name, state in peer.orders.items():
                ours = gw.orders[name]
                assert (ours.ord_status, ours.rev) == (state["ord_status"], state["rev"])
                assert ours.leaves_qty == Decimal(state["leaves_qty"])
        return peer.frames_sent


def test_the_session_is_shorter_than_the_sweep() -> None:
    assert asyncio.run(scenario(0)) < FRAMES


@pytest.mark.parametrize("drop_at", range(1, FRAMES))
def test_a_connection_lost_at_any_frame_loses_and_doubles_nothing(drop_at: int) -> None:
    asyncio.run(scenario(drop_at))


def test_an_open_that_runs_out_of_time_after_the_login_leaves_no_connection_behind() -> None:
    """One that stayed would bring its events beside those of the next."""

    async def scenario() -> None:
        async with asyncio.timeout(20), Peer() as peer:
            peer.on_request = lambda session, request: request["t"] == "subscribe"  # and never answers it
            gw = Gateway(peer.url, key="k1", secret=SECRET, session="s1", account=ACCOUNT)
            with pytest.raises(Unanswered):
                await gw.open(0.5)
            assert [request["t"] for request in peer.requests] == ["auth", "subscribe"]
            for transport in [one.transport for one in peer.sessions]:
                assert transport is not None
                await asyncio.wait_for(transport.wait_disconnected(), 2)  # a mute one is dropped after three

    asyncio.run(scenario())
