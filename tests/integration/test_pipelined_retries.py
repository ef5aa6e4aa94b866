"""Retries that come before their first answer is durable: answered in their place, whoever caused the event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import Running
from tests.integration.world import World, audit, make_world

SYMBOL = "PIPEUSDT"


class Pipe(Running):
    """The running deployment, typed as what it is."""

    deployment: World


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    world = make_world(tmp_path_factory.mktemp("pipe"), "P0", symbols=((SYMBOL, "0.01", "1"),))
    found = Pipe(world)

    async def begin() -> None:
        await world.start()
        await world.opened()
        async with world.control() as control:
            await control.do("pause")

    try:
        found.run(begin())
        yield found
        found.run(audit(world))
    finally:
        found.run(world.stop())
        found.close()


def order(name: str, **changes: Any) -> dict[str, Any]:
    terms = {"cl_ord_id": name, "symbol": SYMBOL, "side": "buy", "ord_type": "limit", "qty": "1", "px": "99.00"}
    return {**terms, "tif": "gtc", **changes}


def test_a_repeat_is_answered_behind_what_was_asked_before_it(pipe: Pipe) -> None:
    async def go() -> None:
        async with await pipe.deployment.client("P0", "order") as client:
            for turn in range(20):
                first = client.say("place", **order(f"a{turn}"))
                second = client.say("place", **order(f"b{turn}"))
                again = client.say("place", **order(f"a{turn}"))
                await client.answer(again)
                told = [frame["re"] for frame in client.frames if frame.get("re", 0) >= first]
                assert told == [first, second, again]
                assert (await client.answer(again))["dup"] is True

    pipe.run(go())


def test_the_cancel_of_what_a_cancel_all_cancels_is_answered_on_a_stream_that_nobody_follows(pipe: Pipe) -> None:
    async def go() -> None:
        async with await pipe.deployment.client("P0", "silent") as client:
            for turn in range(20):
                names = [f"c{turn}-{number}" for number in range(20)]
                for name in names:
                    await client.ask("place", **order(name))
                client.say("cancel_all")
                asked = [client.say("cancel", cl_ord_id=name) for name in names]
                for request in asked:
                    answer = await client.answer(request)
                    assert answer["t"] in ("pending_cancel", "canceled") or answer["code"] == "ORDER_DONE", answer

    pipe.run(go())


def test_a_subscription_begins_with_its_sync_behind_answers_under_way(pipe: Pipe) -> None:
    async def go() -> None:
        async with await pipe.deployment.client("P0", "resume") as client:
            client.say("subscribe")
            sync = await client.frame("sync")
            await client.frame("live")
            await client.answer(client.say("unsubscribe"))
            for turn in range(20):
                since = len(client.frames)
                client.say("place", **order(f"d{turn}"))
                asked = client.say("subscribe", after={"history": sync["history"], "seq": 0})
                await client.answer(asked)
                wanted = turn + 2
                await client.until(lambda wanted=wanted: len(client.of("live")) == wanted)  # type: ignore[misc]
                told = [
                    f for f in client.frames[since:] if f["t"] in ("sync", "live") or ("seq" in f and "re" not in f)
                ]
                assert told[0]["t"] == "sync"
                await client.answer(client.say("unsubscribe"))  # an event of before is none of the next

    pipe.run(go())
