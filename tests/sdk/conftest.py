"""What the SDK's docstring examples need: a running gateway, and names in it."""

import os
from collections.abc import Iterator

import pytest

from backstay.loop_thread import LoopThread
from tests.sdk.peer import ACCOUNT, SECRET, Peer


@pytest.fixture(scope="session")
def example_gateway() -> Iterator[dict[str, str]]:
    """url, key, secret, account, a symbol, and a price far below its market.

    BACKSTAY_EXAMPLE_GATEWAY ("url key secret account symbol low_px") names a running one; else the scripted one serves.
    """
    given = os.environ.get("BACKSTAY_EXAMPLE_GATEWAY")
    names = ("url", "key", "secret", "account", "symbol", "low_px")
    if given:
        yield dict(zip(names, given.split(), strict=True))
        return
    loop, peer = LoopThread(), Peer()
    loop.run(peer.__aenter__())
    yield dict(zip(names, (peer.url, "k1", SECRET, ACCOUNT, "AAPL", "1.25"), strict=True))
    loop.run(peer.__aexit__())
    loop.stop()
