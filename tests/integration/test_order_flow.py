"""Retries, revisions, batches and dry runs over a real socket, also across a restart of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.integration.conftest import Running
from tests.integration.raw_client import RawClient
from tests.integration.world import World, audit, make_world

SYMBOL = "FLOWUSDT"
LIMITS = """[accounts.limits]
max_order_qty = "100"
max_order_notional = "20000"
max_position_qty = "250"
max_gross = "1000000"
leverage_bps = "100000"
collar_bps = "500"
order_rate_per_s = 2000
order_burst = 4000
msg_rate_per_s = 4000
msg_burst = 8000
"""


class Flow(Running):
    """The running deployment, typed as what it is."""

    deployment: World


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    world = make_world(
        tmp_path_factory.mktemp("flow"), "F0", "F1", "F2", symbols=((SYMBOL, "0.01", "1"),), limits=LIMITS
    )
    found = Flow(world)

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
    return {name: value for name, value in {**terms, "tif": "gtc", **changes}.items() if value is not None}


def item(name: str, **changes: Any) -> dict[str, Any]:
    return {"t": "place", **order(name, **changes)}


async def follow(world: World, account: str) -> RawClient:
    async with world.control() as control:
        await control.quote(SYMBOL, "100.00", "100.02")
    client = await world.client(account, "flow")
    client.say("subscribe")
    await client.frame("live")
    client.frames.clear()
    return client


def test_a_batch_is_all_or_nothing_and_limits_hold_across_its_items(flow: Flow) -> None:
    async def scenario() -> None:
        world = flow.deployment
        async with await follow(world, "F0") as client:
            before = await world.last_seq()
            for items, at in (
                ([item("b-0"), item("b-1", px="99.001")], 1),
                ([item("b-0"), item("b-1", symbol="NOPE")], 1),
                ([item("b-0"), item("b-0")], 1),
                ([item("b-0"), {"t": "cancel", "cl_ord_id": "never"}], 1),
                ([item(f"b-{n}", qty="100") for n in range(3)], 2),  # each passes alone, together they are too much
            ):
                refused = await client.ask("batch", items=items)
                assert (refused["t"], refused["detail"]["item"]) == ("err", at), refused
            assert (await client.ask("batch", items=[]))["code"] == "TOO_LARGE"
            assert (await client.ask("batch", items=[item(f"b-{n}") for n in range(101)]))["code"] == "TOO_LARGE"
            assert await world.last_seq() == before
            sound = [item("b-0", qty="100"), item("b-1", qty="100"), item("b-2", qty="50")]
            answer = await client.ask("batch", items=sound)
            assert (answer["t"], answer["count"]) == ("batch", 3)
            for n in range(3):
                accepted = await client.frame("accepted", cl_ord_id=f"b-{n}")
                assert accepted["seq"] == answer["seq"] + 1 + n
            again = await client.ask("batch", items=sound)
            assert (again["seq"], again["dup"]) == (answer["seq"], True)
            await client.frame("new", cl_ord_id="b-2")
            await client.ask("cancel_all")
            await client.until(lambda: len(client.of("canceled")) == 3)

    flow.run(scenario())


def test_revisions_apply_once_and_a_cancel_closes_the_door(flow: Flow) -> None:
    async def scenario() -> None:
        world = flow.deployment
        async with await follow(world, "F1") as client:
            await client.ask("place", **order("r-0"))
            await client.frame("new", cl_ord_id="r-0")
            asked = [client.say("replace", cl_ord_id="r-0", rev=rev, px=f"98.{rev:02d}") for rev in (2, 3, 3, 5, 4)]
            answers = [await client.answer(request) for request in asked]
            assert [a["t"] for a in answers] == [
                "pending_replace",
                "pending_replace",
                "pending_replace",
                "err",
                "pending_replace",
            ]
            assert answers[2]["dup"] is True
            assert answers[2]["seq"] == answers[1]["seq"]
            assert answers[3]["code"] == "REV_CONFLICT"
            await client.frame("replaced", cl_ord_id="r-0", rev=4)
            other = await client.ask("replace", cl_ord_id="r-0", rev=4, px="97.00")
            assert other["code"] == "REV_CONFLICT"
            async with world.control() as control:  # the venue takes its time, so that the cancel is still under way
                await control.do("quirks", set=msgspec.Raw(b'{"latency_ns":300000000}'))
            cancel, late, again = (
                client.say("cancel", cl_ord_id="r-0"),
                client.say("replace", cl_ord_id="r-0", rev=5, px="97.00"),
                client.say("cancel", cl_ord_id="r-0"),
            )
            first = await client.answer(cancel)
            assert first["t"] == "pending_cancel"
            assert (await client.answer(late))["code"] == "ORDER_CLOSING"
            repeated = await client.answer(again)
            assert (repeated["seq"], repeated["dup"]) == (first["seq"], True)
            await client.frame("canceled", cl_ord_id="r-0")
            async with world.control() as control:
                await control.do("quirks", set=msgspec.Raw(b'{"latency_ns":0}'))
            assert (await client.ask("cancel", cl_ord_id="r-0"))["code"] == "ORDER_DONE"

    flow.run(scenario())


def test_a_dry_run_changes_nothing_and_is_refused_as_the_order_would_be(flow: Flow) -> None:
    async def scenario() -> None:
        world = flow.deployment
        async with await follow(world, "F1") as client:
            before = await world.last_seq()
            passed = await client.ask("place", **order("d-0"), dry=True)
            assert (passed["t"], passed["what"]) == ("res", "dry")
            assert (await client.ask("place", **order("d-0", qty="101"), dry=True))["code"] == "RC_MAX_QTY"
            assert (await client.ask("get", what="order", cl_ord_id="d-0"))["code"] == "UNKNOWN_ORDER"
            assert await world.last_seq() == before

    flow.run(scenario())


def test_a_stop_that_is_through_already_goes_out_once_its_acceptance_is_durable(flow: Flow) -> None:
    async def scenario() -> None:
        world = flow.deployment
        async with await follow(world, "F1") as client:
            trigger = {"kind": "stop", "stop_px": "99.00", "source": "bid", "if_through": "fire"}
            stop = order("t-0", ord_type="market", px=None, trigger=trigger)
            accepted = await client.ask("place", **stop)
            assert accepted["ord_status"] == "held"
            await client.frame("trade", cl_ord_id="t-0")
            kinds = [frame["t"] for frame in client.frames if frame.get("cl_ord_id") == "t-0"]
            assert kinds[:3] == ["accepted", "triggered", "sent"]

    flow.run(scenario())


def test_answers_are_the_same_after_a_restart(flow: Flow) -> None:
    async def scenario() -> None:
        world = flow.deployment
        async with await follow(world, "F2") as client:
            first = await client.ask("place", **order("a-0", tag='x \u00fc "quoted" \\'))
            await client.frame("new", cl_ord_id="a-0")
            revised = await client.ask("replace", cl_ord_id="a-0", rev=2, px="98.00")
            await client.frame("replaced", cl_ord_id="a-0")
            packed = await client.ask("batch", items=[item("a-1"), item("a-2")])
            await client.frame("new", cl_ord_id="a-2")
        last = await world.stop_gateway()
        ready = await world.start_gateway()
        assert ready["digest"] == last["digest"]
        async with world.control() as control:
            await control.do("resume")
        await world.opened()
        async with world.control() as control:
            await control.do("pause")
        async with await follow(world, "F2") as client:
            again = await client.ask("place", **order("a-0", tag='x \u00fc "quoted" \\', px="99.0"))
            assert again.pop("dup") is True
            for name in ("re", "in_ns", "out_ns", "left"):
                again.pop(name)
                first.pop(name)
            assert again == first
            assert (await client.ask("place", **order("a-0")))["code"] == "CL_ORD_ID_CONFLICT"
            assert (await client.ask("replace", cl_ord_id="a-0", rev=2, px="98.00"))["seq"] == revised["seq"]
            assert (await client.ask("batch", items=[item("a-1"), item("a-2")]))["seq"] == packed["seq"]
            late = await client.ask("place", **order("a-0", tag='x \u00fc "quoted" \\'), deadline_ns=1)
            assert late["dup"] is True  # the name is looked up first
            assert (await client.ask("place", **order("a-9"), deadline_ns=1))["code"] == "DEADLINE_PASSED"

    flow.run(scenario())
