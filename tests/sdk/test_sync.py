"""The sync facade: the same client without await, generated, usable beside a running loop."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from backstay import Accepted, Refused, Stop
from backstay.loop_thread import LoopThread
from backstay.sync import Gateway
from gateway.contracts.export import ROOT
from tests.sdk.peer import ACCOUNT, SECRET, Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    loop, served = LoopThread(), Peer()
    loop.run(served.__aenter__())
    yield served
    loop.run(served.__aexit__())
    loop.stop()


def test_checked_in_facade_equals_generated() -> None:
    subprocess.run([sys.executable, str(ROOT / "sdk" / "tools" / "make_sync.py"), "--check"], check=True)


def test_orders_without_await(peer: Peer) -> None:
    with Gateway(peer.url, key="k1", secret=SECRET, session="s1", account=ACCOUNT) as gw:
        events = gw.events()
        order = gw.buy("AAPL", 100, px="187.20")
        assert order.working(timeout=2).ord_status == "new"
        assert order.cancel().done(timeout=2).ord_status == "canceled"
        assert isinstance(next(events), Accepted)
        assert gw.orders[order.cl_ord_id].ord_status == "canceled"
        stop = gw.sell("AAPL", 1, trigger=Stop("1"))
        assert stop.ord_status == "held"
        assert len(gw.batch([gw.new("buy", "AAPL", 1, px="1")])) == 1
        assert gw.settle("never") is None


def test_it_works_inside_a_running_loop(peer: Peer) -> None:
    async def notebook() -> str:
        with Gateway(peer.url, key="k1", secret=SECRET, session="s1", account=ACCOUNT) as gw:
            return gw.buy("AAPL", 1, px="1").cl_ord_id

    assert asyncio.run(notebook()) in peer.orders


def test_a_refused_login_is_raised_and_leaves_no_thread(peer: Peer) -> None:
    peer.aud = "elsewhere"
    gw = Gateway(peer.url, key="k1", secret=SECRET, session="s1", account=ACCOUNT)
    with pytest.raises(Refused, match="AUD_MISMATCH"):
        gw.open()
