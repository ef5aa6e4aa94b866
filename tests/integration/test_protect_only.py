"""The disk fails under a running gateway: nothing new is admitted, stops still fire, a restart tells the truth."""

import asyncio
import resource
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backstay import Gateway, Order, Refused, Stop, Unanswered
from gateway.commands.rest_client import RestClient, RestRefused
from gateway.demo.deployment import Deployment, Plan
from gateway.demo.verdict import VenueLedger

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process need Linux"),
]
ACCOUNT = "A1"
WAIT_S = 20


def client(deployment: Deployment) -> Gateway:
    return Gateway(
        deployment.ws_url, key=ACCOUNT, secret=deployment.secret(ACCOUNT), account=ACCOUNT, session="disk"
    )  # fmt: skip


async def protected(gateway: Gateway) -> Order:
    """A position and its stop."""
    entry = await gateway.buy("BTCUSDT", "0.1")
    filled = await entry.done(timeout=WAIT_S)
    assert filled.avg_px is not None
    px = (filled.avg_px * Decimal("0.98")).quantize(Decimal("0.1"))
    return await gateway.sell("BTCUSDT", "0.1", trigger=Stop(str(px), source="bid"), reduce_only=True, tif="gtc")


def break_disk(pid: int) -> None:
    """From here on no file of that process may grow past its first page: each write to the journal fails."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))


async def until_stopped(rest: RestClient) -> dict[str, Any]:
    """What `/readyz` says once the journal has stopped."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await rest.probe("/readyz")
            except RestRefused as refused:
                if refused.failure.get("journal") == "stopped":
                    return refused.failure


async def until_taken(ledger: Path, count: int) -> VenueLedger:
    """The venue's ledger once it has so many orders."""
    async with asyncio.timeout(WAIT_S):
        while len((found := VenueLedger(ledger)).orders) < count:
            await asyncio.to_thread(ledger.stat)
        return found


async def refused_code(rest: RestClient, path: str, body: dict[str, Any]) -> str:
    try:
        await rest.ask("POST", path, body)
    except RestRefused as refused:
        return f"{refused.status} {refused.failure['code']}"
    return "accepted"


async def run(folder: Path) -> None:
    async with Deployment(folder, Plan(accounts=[ACCOUNT])) as deployment:
        await deployment.settled()
        async with RestClient(deployment.http_url, key="ops-1", secret=deployment.secret("ops-1")) as rest:
            await rest.login()
            gateway = client(deployment)
            await gateway.open()
            stop = await protected(gateway)
            break_disk(deployment.gateway_pid)
            with pytest.raises((Unanswered, Refused)):
                await gateway.buy("BTCUSDT", "0.2", px="61000", tif="gtc", cl_ord_id="lost", timeout=3)
            told = await until_stopped(rest)
            assert told["ready"] is False
            assert "journal" in told["waiting_for"][0]
            metrics = await rest.text("/metrics")
            assert "backstay_journal_failed 1.0" in metrics
            halt = {"scope": "global", "level": "no_new", "reason": "x"}
            assert await refused_code(rest, "/v1/halts", halt) == "accepted"  # a kill needs no disk
            assert await refused_code(rest, f"/v1/accounts/{ACCOUNT}/cancel_all", {}) == "503 JOURNAL_STOPPED"
            async with deployment.control() as control:
                stop_px = stop.state.order.trigger.stop_px  # type: ignore[union-attr]
                assert stop_px is not None
                await control.quote("BTCUSDT", str(stop_px - 1), str(stop_px))
            await until_taken(deployment.ledger, 2)
            with pytest.raises(RestRefused, match="JOURNAL_STOPPED"):
                await rest.ask("GET", f"/v1/accounts/{ACCOUNT}/positions")
            await gateway.close()
        await deployment.kill_gateway()
        await deployment.start_gateway()
        await deployment.settled()
        async with client(deployment) as gateway:
            state = await gateway.order(stop.cl_ord_id).done(timeout=WAIT_S)
            assert (state.ord_status, gateway.positions["BTCUSDT"].pos_qty) == ("filled", 0)
            assert await gateway.settle("lost") is None
    assert set(VenueLedger(deployment.ledger).orders.values()) == {1}


def test_with_the_disk_gone_stops_fire_once_and_nothing_new_is_admitted(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path / "deployment"))
