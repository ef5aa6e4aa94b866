"""The run itself: positions with stops, traffic, two restarts, a market that falls through every stop, the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backstay import Gateway
from backstay.credentials import load_secret
from gateway.boot import journal_dir, replay_all
from gateway.config import Config
from gateway.demo.control import VenueControl
from gateway.demo.deployment import SYMBOLS, Deployment, Plan
from gateway.demo.trader import Trader
from gateway.demo.verdict import Restart, VenueLedger, Verdict, judge
from gateway.demo.view import View
from gateway.journal.verify import verify

NEAR_BPS = 40  # stops of the first half
FAR_BPS = 110  # and of the second: the first fall of the market must not reach them
STEP_BPS = 2  # between two stops of one symbol
TRAFFIC_PER_S = 8  # orders of one account
FALL_S = 30.0
AGAIN_S = 0.5  # a fall that the market's own next quote overtook is made again
REPLAYED = (("BTCUSDT", "0.01", "0.001"),)  # what the recordings hold


@dataclass(frozen=True, slots=True)
class Options:
    """What `backstay demo` was asked for."""

    accounts: int = 20
    seconds: int = 6
    speed: int = 1
    file: str = ""
    seed: int = 1


def make_plan(options: Options) -> Plan:
    """The deployment of a run."""
    if options.file:
        symbols: Sequence[tuple[str, str, str]] = REPLAYED
        market = f'market = "replay"\nreplay_file = "{Path(options.file).resolve()}"\nspeed_pct = {options.speed * 100}'
    else:
        symbols = SYMBOLS
        market = f"frames_per_s = {500 * options.speed}"
    names = [f"DEMO-{number:02d}" for number in range(1, options.accounts + 1)]
    return Plan(accounts=names, symbols=symbols, venue=f"seed = {options.seed}\n{market}")


class Demo:
    """One run in one folder."""

    def __init__(self, data_dir: Path, options: Options, view: View) -> None:
        self.options = options
        self.view = view
        self.plan = make_plan(options)
        self.deployment = Deployment(data_dir, self.plan)
        self.traders: list[Trader] = []
        self.restarts: list[Restart] = []
        self.done = asyncio.Event()
        self.heard = asyncio.Event()  # set at each word that a client hears

    async def run(self) -> Verdict:
        """All of it. Raises when a step cannot be done at all; what does not hold is in the verdict."""
        self.view.phase("start venue and gateway")
        await self.deployment.start()
        try:
            await self.deployment.settled()
            await self._trade()
            self.view.phase("end the gateway in order, verify the journal")
            last = await self._end("the end")
            self.restarts.append(last)
        finally:
            await self._close()
        report = await asyncio.to_thread(verify, journal_dir(self._config()))
        return judge(self.traders, VenueLedger(self.deployment.ledger), self.restarts, report)

    def _config(self) -> Config:
        return self.deployment.config()

    async def _trade(self) -> None:
        part_s = self.options.seconds / 5
        self.view.phase(f"{self.options.accounts} accounts open positions, each with a protective stop")
        self.traders = [self._trader(number) for number in range(self.options.accounts)]
        async with asyncio.TaskGroup() as group:
            for trader in self.traders:
                group.create_task(self._enter(trader))
        async with asyncio.TaskGroup() as group:
            for trader in self.traders:
                group.create_task(trader.traffic(self.done, 1 / TRAFFIC_PER_S))
            watcher = group.create_task(self._watch())
            await self._pass("orders come and go", part_s)
            await self._restart_in_order()
            await self._pass("clients resume by themselves; orders come and go", part_s)
            half = self.options.accounts // 2
            await self._fall("the market falls through the first half of the stops", self.traders[:half])
            await self._live()
            await self._pass("every client has caught up; orders come and go", part_s)
            await self._restart_by_kill()
            await self._pass("clients resume by themselves; orders come and go", part_s)
            await self._fall("the market falls through the other stops", self.traders[half:])
            await self._pass("orders come and go", part_s)
            await self._live()
            self.done.set()
            watcher.cancel()

    def _trader(self, number: int) -> Trader:
        name = self.plan.accounts[number]
        symbol, tick, _ = self.plan.symbols[number % len(self.plan.symbols)]
        far = number >= self.options.accounts // 2
        step = number // len(self.plan.symbols) % 10 * STEP_BPS
        client = Gateway(
            self.deployment.ws_url, key=name, secret=load_secret(self.deployment.secret(name)), account=name,
            session="demo",
        )  # fmt: skip
        trader = Trader(client, symbol=symbol, tick=tick, stop_bps=(FAR_BPS if far else NEAR_BPS) + step)
        trader.on_word = self.heard.set
        return trader

    async def _enter(self, trader: Trader) -> None:
        await trader.open()
        await trader.enter()

    async def _watch(self) -> None:
        """Counts for the view."""
        while True:
            self.view.counts(
                {
                    "orders": str(sum(trader.accepted() for trader in self.traders)),
                    "fills": str(sum(sum(trader.exec_ids().values()) for trader in self.traders)),
                    "stops fired": f"{sum(trader.fired() for trader in self.traders)} of {len(self.traders)}",
                    "clients live": str(sum(trader.client.is_live for trader in self.traders)),
                }
            )
            await asyncio.sleep(0.25)

    async def _pass(self, text: str, seconds: float) -> None:
        self.view.phase(text)
        await asyncio.sleep(seconds)

    # --- the market --------------------------------------------------------------------------------------------------

    async def _fall(self, text: str, traders: Sequence[Trader]) -> None:
        """Quotes below every stop of these traders, until all of them have fired and are filled."""
        self.view.phase(text)
        async with self.deployment.control() as control, asyncio.timeout(FALL_S):
            while open_stops := [trader for trader in traders if not trader.stop or not trader.stop.is_done]:
                await self._quote_below(control, open_stops)
                self.heard.clear()
                try:
                    async with asyncio.timeout(AGAIN_S):
                        while any(not trader.stop or not trader.stop.is_done for trader in open_stops):
                            await self.heard.wait()
                            self.heard.clear()
                except TimeoutError:
                    continue

    async def _quote_below(self, control: VenueControl, traders: Sequence[Trader]) -> None:
        lowest: dict[str, Trader] = {}
        for trader in traders:
            known = lowest.get(trader.symbol)
            if known is None or trader.stop_px < known.stop_px:
                lowest[trader.symbol] = trader
        for symbol, trader in lowest.items():
            bid = trader.stop_px - trader.tick
            await control.quote(symbol, str(bid), str(bid + trader.tick))

    # --- restarts ----------------------------------------------------------------------------------------------------

    async def _restart_in_order(self) -> None:
        self.view.phase("restart the gateway (SIGTERM)")
        ended = await self._end("SIGTERM")
        ready = await self.deployment.start_gateway()
        after = str(ready["digest"])
        self.restarts.append(Restart(ended.how, ended.before, ended.replayed, after, ended.seq, int(ready["boot_ms"])))
        await self.deployment.settled(FALL_S)

    async def _end(self, how: str) -> Restart:
        """End the gateway in order; its last digest against that of a replay of the whole journal."""
        last = await self.deployment.stop_gateway()
        seq, replayed = await asyncio.to_thread(replay_all, self._config())
        digest = str(last.get("digest", "none told"))
        return Restart(how, digest, replayed, replayed, seq, 0)

    async def _restart_by_kill(self) -> None:
        self.view.phase("restart the gateway (SIGKILL)")
        await self.deployment.kill_gateway()
        seq, replayed = await asyncio.to_thread(replay_all, self._config())
        ready = await self.deployment.start_gateway()
        self.restarts.append(
            Restart("SIGKILL", replayed, replayed, str(ready["digest"]), seq, int(ready["boot_ms"]))
        )  # fmt: skip
        await self.deployment.settled(FALL_S)

    async def _live(self) -> None:
        """Every client has caught up."""
        async with asyncio.timeout(FALL_S):
            while not all(trader.client.is_live for trader in self.traders):
                self.heard.clear()
                await self.heard.wait()

    async def _close(self) -> None:
        await asyncio.gather(*(trader.close() for trader in self.traders), return_exceptions=True)
        await self.deployment.stop()
