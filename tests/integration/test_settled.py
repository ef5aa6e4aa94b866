"""A deployment that says that it is settled takes a market order in everything that its venue quotes."""

import asyncio
from pathlib import Path

from gateway.demo.deployment import SYMBOLS, Deployment, Plan
from tests.accept.clients import client

# So slow that the feed is fresh, by the frame of one instrument, well before the last one has a price.
SLOW_MARKET = "frames_per_s = 20"


async def buy_one_lot_each(folder: Path) -> list[str]:
    """The account's orders; Refused when one of them found no price."""
    async with Deployment(folder, Plan(accounts=["A1"], venue=SLOW_MARKET)) as deployment:
        await deployment.settled()
        async with client(deployment, "A1") as gateway:
            return [(await gateway.buy(name, lot)).cl_ord_id for name, _, lot in SYMBOLS]


def test_every_instrument_is_priced_once_settled(tmp_path: Path) -> None:
    assert len(asyncio.run(buy_one_lot_each(tmp_path))) == len(SYMBOLS)
