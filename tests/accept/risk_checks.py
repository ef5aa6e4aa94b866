"""3.5: every order passes the risk checks before it can leave; each control refuses what it is there for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from backstay import Gateway, Refused, Stop
from gateway.demo.deployment import LIMITS, OPS_KEYS, SYMBOLS, Deployment, Plan
from gateway.demo.verdict import VenueLedger
from tests.accept.clients import client, rest
from tests.accept.scenario import Measure, Scenario

ROOMY = "R1"  # an account with wide limits
MIXED = 400  # orders of the mixed flow
PX = {"BTCUSDT": ("61800", "61000"), "ETHUSDT": ("2650", "2600")}
Act = Callable[[Gateway], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """An order that one control must refuse, and the account whose limits provoke it."""

    control: str
    code: str
    account: str
    act: Act


# Accounts of their own, each with one tight limit.
TIGHT = {
    "L-QTY": ("max_order_qty", '"1"'),
    "L-VALUE": ("max_order_notional", '"1000"'),
    "L-POS": ("max_position_qty", '"0.5"'),
    "L-GROSS": ("max_gross", '"5000"'),
    "L-OPEN": ("max_open_orders", "2"),
    "L-RATE": ("order_burst", "3"),
}


def account_tables() -> str:
    """The accounts beside the roomy one, with their keys, and an instrument nobody may trade and one without quotes."""
    parts = []
    for name, (option, value) in TIGHT.items():
        tight = {option: value} | ({"order_rate_per_s": "1"} if name == "L-RATE" else {})
        lines = [line for line in LIMITS.splitlines() if line.partition(" ")[0] not in tight]
        lines += [f"{key} = {text}" for key, text in tight.items()]
        parts.append(f'[[accounts]]\nname = "{name}"\ncash = "10000000"\n' + "\n".join(lines))
    parts.append(f'[[accounts]]\nname = "L-CASH"\ncash = "100"\n{LIMITS}')
    parts.append('[[accounts]]\nname = "L-NONE"\ncash = "10000000"')
    for name in [*TIGHT, "L-CASH", "L-NONE"]:
        parts.append(
            f'[[keys]]\nname = "{name}"\nkind = "hmac"\nsecret_file = "keys/{name}.secret"\ncreate = true\n'
            f'scopes = ["read", "trade"]\naccounts = ["{name}"]'
        )
    parts.append('[[instruments]]\nsymbol = "BANNED"\nrestricted = true')
    parts.append('[[instruments]]\nsymbol = "QUIET"')
    return "\n".join(parts) + "\n"


async def buy_often(gateway: Gateway, count: int) -> None:
    """Resting orders, one after the other."""
    for _ in range(count):
        await gateway.buy("BTCUSDT", "0.01", px=PX["BTCUSDT"][1], tif="gtc")


async def cross_itself(gateway: Gateway) -> None:
    """A sell that could trade with an own buy."""
    await gateway.buy("ETHUSDT", "0.1", px=PX["ETHUSDT"][1], tif="gtc")
    await gateway.sell("ETHUSDT", "0.1", px=PX["ETHUSDT"][1], tif="gtc")


async def name_twice(gateway: Gateway) -> None:
    """Two different orders of one name."""
    await gateway.buy("BTCUSDT", "0.01", px=PX["BTCUSDT"][1], tif="gtc", cl_ord_id="same")
    await gateway.buy("BTCUSDT", "0.02", px=PX["BTCUSDT"][1], tif="gtc", cl_ord_id="same")


CASES = (
    Case("SZ-MAX-QTY", "RC_MAX_QTY", "L-QTY", lambda gw: gw.buy("XRPUSDT", "2")),
    Case("SZ-MAX-NOTIONAL", "RC_MAX_NOTIONAL", "L-VALUE", lambda gw: gw.buy("BTCUSDT", "1")),
    Case("PX-COLLAR", "RC_PRICE_COLLAR", ROOMY, lambda gw: gw.buy("BTCUSDT", "0.1", px="90000", tif="gtc")),
    Case("CR-POS-QTY", "RC_POS_LIMIT", "L-POS", lambda gw: gw.buy("BTCUSDT", "0.6")),
    Case("CR-OPEN-EXPO", "RC_CREDIT_NET", "L-GROSS", lambda gw: gw.buy("BTCUSDT", "0.1")),
    Case("CR-BUYPOWER", "RC_BUYING_POWER", "L-CASH", lambda gw: gw.buy("BTCUSDT", "1")),
    Case("NO-LIMIT", "RC_NO_LIMIT", "L-NONE", lambda gw: gw.buy("BTCUSDT", "0.01")),
    Case("OPEN-ORDERS", "RC_OPEN_ORDERS", "L-OPEN", lambda gw: buy_often(gw, 3)),
    Case("RATE-ORDER", "RC_ORDER_RATE", "L-RATE", lambda gw: buy_often(gw, 10)),
    Case("SMP", "RC_SELF_MATCH", ROOMY, cross_itself),
    Case("REDUCE-ONLY", "RC_NOT_REDUCING", ROOMY, lambda gw: gw.sell("SOLUSDT", "1", reduce_only=True)),
    Case("RESTRICT-FIRM", "RC_RESTRICTED", ROOMY, lambda gw: gw.buy("BANNED", "1", px="100")),
    Case("PX-STALE", "RC_STALE_QUOTE", ROOMY, lambda gw: gw.buy("QUIET", "1", px="100")),
    Case("DUP-ID", "CL_ORD_ID_CONFLICT", ROOMY, name_twice),
    Case("SYN-TICK", "BAD_TICK", ROOMY, lambda gw: gw.buy("BTCUSDT", "0.1", px="61000.05")),
    Case("SYN-LOT", "BAD_LOT", ROOMY, lambda gw: gw.buy("BTCUSDT", "0.0001")),
    Case("SYN-FIELDS", "BAD_DECIMAL", ROOMY, lambda gw: gw.buy("BTCUSDT", "9999999999999")),
    Case("TRIGGER", "TRIGGER_THROUGH", ROOMY,
         lambda gw: gw.sell("BTCUSDT", "0.01", trigger=Stop("70000", source="bid"), tif="gtc")),
)  # fmt: skip


async def refusal(act: Awaitable[Any]) -> str:
    """The code that an order was refused with; empty when it was not."""
    try:
        await act
    except Refused as refused:
        return refused.code
    return ""


async def run_cases(deployment: Deployment) -> dict[str, tuple[str, str]]:
    """By control: the code that was due, and the one that came."""
    found = {}
    for case in CASES:
        async with client(deployment, case.account) as gateway:
            found[case.control] = (case.code, await refusal(case.act(gateway)))
            await gateway.cancel_all()
    return found


async def run_kill(deployment: Deployment) -> dict[str, tuple[str, str]]:
    """The kill switch: in force for the next order after the call returned, until two keys lifted it."""
    body = {"scope": f"account:{ROOMY}", "level": "no_new", "reason": "acceptance"}

    def order(gateway: Gateway) -> Awaitable[Any]:
        return gateway.buy("BTCUSDT", "0.01", px=PX["BTCUSDT"][1], tif="gtc")

    async with (
        rest(deployment, OPS_KEYS[0]) as first,
        rest(deployment, OPS_KEYS[1]) as second,
        client(deployment, ROOMY) as gateway,
    ):
        halt = await first.ask("POST", "/v1/halts", body)
        during = await refusal(order(gateway))
        await first.ask("DELETE", f"/v1/halts/{halt['halt_id']}")
        asked = await refusal(order(gateway))
        await second.ask("DELETE", f"/v1/halts/{halt['halt_id']}")
        after = await refusal(order(gateway))
        await gateway.cancel_all()
    return {
        "KILL-GATE": ("RC_KILLED", during),
        "KILL-GATE, lifting asked by one key": ("RC_KILLED", asked),
        "KILL-GATE, lifted by two": ("", after),
    }


async def run_mixed(deployment: Deployment) -> tuple[int, int]:
    """A flow of sound and unsound orders: (orders whose outcome was not the one due, sound orders)."""
    rng = Random(5)
    wrong = sound = 0
    async with client(deployment, ROOMY) as gateway:
        for _ in range(MIXED):
            qty, due = rng.choice((("0.01", ""), ("0.02", ""), ("200000", "RC_MAX_QTY"), ("2000", "RC_MAX_NOTIONAL")))
            px, due_px = rng.choice(((PX["BTCUSDT"][1], ""), ("40000", "RC_PRICE_COLLAR")))
            code = await refusal(gateway.buy("BTCUSDT", qty, px=px, tif="gtc"))
            wrong += code not in ({due, due_px} - {""} or {""})
            sound += not due and not due_px
        await gateway.cancel_all()
    return wrong, sound


async def counted(deployment: Deployment) -> tuple[Counter[str], Counter[str]]:
    """Orders by outcome and refusals by code, as `/metrics` tells them."""
    outcomes: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    async with rest(deployment, OPS_KEYS[0]) as api:
        text = await api.text("/metrics")
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "backstay_orders_total":
                outcomes[sample.labels["outcome"]] += int(sample.value)
                if sample.labels["outcome"] == "refused":
                    refused[sample.labels["reason"]] += int(sample.value)
    return outcomes, refused


async def run(folder: Path) -> list[Measure]:
    """One order for each control, then a mixed flow; the venue's ledger shows what got through."""
    quoted = ", ".join(f'"{name}"' for name, _, _ in SYMBOLS)
    plan = Plan(accounts=[ROOMY], extra=account_tables(), venue=f"symbols = [{quoted}]")
    async with Deployment(folder, plan) as deployment:
        await deployment.settled()
        async with asyncio.timeout(120):
            found = {**await run_cases(deployment), **await run_kill(deployment)}
            wrong, sound = await run_mixed(deployment)
        outcomes, refused = await counted(deployment)
    ledger = VenueLedger(deployment.ledger)
    missed = {
        control: f"{came or 'accepted'} for {due or 'accepted'}"
        for control, (due, came) in found.items()
        if due != came
    }
    codes = {due for due, _ in found.values() if due.startswith("RC_")}
    unseen = sorted(code for code in codes if not refused[code])
    at_venue = len(ledger.orders)
    return [
        Measure("controls that refused what they are there for", f"{len(found) - len(missed)} of {len(found)}", "all",
                not missed, {"missed": missed, "cases": {control: due for control, (due, _) in found.items()}}),
        Measure(f"mixed flow of {MIXED} orders, {sound} of them sound", f"{wrong} with another outcome", "0",
                wrong == 0),
        Measure("orders at the venue against orders accepted", f"{at_venue} and {outcomes['accepted']}",
                "no order there that was not accepted", 0 < at_venue <= outcomes["accepted"]),
        Measure("refusals counted by reason", f"{sum(refused.values())}, {len(unseen)} codes missing", "every code",
                not unseen, {"refused": dict(refused), "missing": unseen}),
    ]  # fmt: skip


SCENARIO = Scenario("3.5", "risk checks on each order", run)
