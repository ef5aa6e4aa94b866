"""`explain` on a running deployment: socket, REST, SDK, command line, and from the journal alone."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backstay import Gateway, Refused, Stop
from gateway.commands.rest_client import RestClient, RestRefused
from tests.integration.command_line import backstay_process
from tests.integration.rest_check import RestCheck
from tests.integration.world import World, audit, make_world

pytestmark = pytest.mark.e2e
SYMBOL = "BTCUSDT"
NO_MARKET = 'market = "generator"\nsymbols = ["ETHUSDT"]'  # the prices of SYMBOL come from this test alone
check = RestCheck()


async def fired(world: World, control: Any) -> None:
    """A position of 0.1, a protective stop for 0.3 of it, and a price through it."""
    async with Gateway(
        world.ws_url, key="A1", secret=world.secret("A1"), account="A1", session="trader"
    ) as gw:  # fmt: skip
        await control.quote(SYMBOL, "60000", "60001")
        entry = await gw.buy(SYMBOL, "0.1")
        await entry.done(timeout=20)
        stop = await gw.sell(
            SYMBOL, "0.3", trigger=Stop("59000", source="bid"), reduce_only=True, tif="gtc", cl_ord_id="stop"
        )
        await control.quote(SYMBOL, "58990", "58991")
        await stop.done(timeout=20)


def is_the_story(found: dict[str, Any]) -> None:
    """What every way of asking must tell."""
    assert [step["step"] for step in found["chain"]] == [
        "accepted", "judged", "checked", "cut", "sent", "new", "trade",
    ]  # fmt: skip
    assert (found["account"], found["cl_ord_id"], found["ord_status"]) == ("A1", "stop", "filled")
    evidence = found["evidence"]
    assert (evidence["source"], Decimal(evidence["px"]), evidence["feed"]) == ("bid", Decimal(58990), "sim")
    assert {"feed_seq", "recv_ns", "age_ns", "bid", "bid_qty", "ask", "ask_qty"} <= set(evidence)
    texts = {step["step"]: step["text"] for step in found["chain"]}
    assert texts["judged"] == "bid 58990 fires the stop at 59000, 1.69 bps through it"
    assert texts["checked"] == "passes: it reduces, so no limit stands in its way"
    assert texts["cut"] == "0.1 of 0.3 go out: what the position leaves to reduce"
    stages = found["since_tick_ns"]
    assert 0 <= stages["judged"] <= stages["checked"] <= stages["wire"] <= stages["working"] <= stages["filled"]
    assert found["is_whole"]


async def command(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = await asyncio.to_thread(backstay_process, "explain", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_fired_order_is_explained_the_same_by_every_way_of_asking(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with make_world(tmp_path, "A1", venue=NO_MARKET) as world:
            await world.settled()
            async with world.control() as control:
                await fired(world, control)
            async with await world.client("A1") as client:
                answer = await client.ask("get", what="explain", account="A1", cl_ord_id="stop")
                is_the_story(answer["explain"])
                refused = await client.ask("get", what="explain", account="A1", cl_ord_id="none")
                assert (refused["t"], refused["code"]) == ("err", "UNKNOWN_ORDER")
                refused = await client.ask("get", what="explain", account="A1")
                assert (refused["code"], refused["path"]) == ("BAD_FIELD", "cl_ord_id")
            async with Gateway(
                world.ws_url, key="A1", secret=world.secret("A1"), account="A1", session="asks"
            ) as gw:  # fmt: skip
                found = await gw.explain("stop")
                assert found.evidence is not None and found.evidence.px == Decimal(58990)
                with pytest.raises(Refused, match="UNKNOWN_ORDER"):
                    await gw.explain("none")
            async with RestClient(world.http_url, key="A1", secret=world.secret("A1")) as rest:
                path = "/v1/accounts/A1/orders/stop/explain"
                answer = await rest.ask("GET", path)
                check("GET", path, rest.status, answer)
                is_the_story(answer)
                with pytest.raises(RestRefused, match="UNKNOWN_ORDER"):
                    await rest.ask("GET", "/v1/accounts/A1/orders/none/explain")
            asked = ("--url", world.ws_url, "--key", "A1", "--data-dir", str(world.data_dir), "--account", "A1")
            status, answer = await command("stop", *asked)
            assert status == 0
            is_the_story(answer)
            assert (await command("none", *asked))[0] == 1
            await world.stop_gateway()
            await world.start_gateway()
            await audit(world)
        folder = str(world.data_dir / "journal")
        status, answer = await command("stop", "--dir", folder, "--account", "A1")
        assert status == 0
        is_the_story(answer)
        status, answer = await command("stop", "--dir", folder, "--account", "A2")
        assert (status, answer["error"]) == (1, "UNKNOWN_ORDER")
        status, answer = await command("stop", "--dir", str(tmp_path), "--account", "A1")
        assert (status, answer["error"]) == (1, "NO_JOURNAL")

    asyncio.run(scenario())
