"""NautilusTrader in process: its submit through risk and execution, and its order emulator, with a client that accepts.

Imported only where the optional dependency is there. Everything is put together as its own live node does it, without
the network, the queues and the logging; strategies, bus, cache, risk and execution engines are its own.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from nautilus_trader.accounting.factory import AccountFactory
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import LiveClock, MessageBus
from nautilus_trader.config import RiskEngineConfig
from nautilus_trader.data.engine import DataEngine
from nautilus_trader.execution.client import ExecutionClient
from nautilus_trader.execution.emulator import OrderEmulator
from nautilus_trader.execution.engine import ExecutionEngine
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, TriggerType
from nautilus_trader.model.identifiers import AccountId, ClientId, TraderId, Venue, VenueOrderId
from nautilus_trader.model.objects import AccountBalance, Money, Price, Quantity
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.engine import RiskEngine
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

VENUE = "BINANCE"
RICH = 9_000_000


class _Client(ExecutionClient):  # type: ignore[misc]  # the package has no types
    """A broker that accepts at once."""

    count = 0

    def submit_order(self, command: Any) -> None:
        self.count += 1
        order = command.order
        self.generate_order_submitted(order.strategy_id, order.instrument_id, order.client_order_id, 0)
        venue_id = VenueOrderId(f"V{self.count}")
        self.generate_order_accepted(order.strategy_id, order.instrument_id, order.client_order_id, venue_id, 0)


class Nautilus:
    """One trader, one cash account, one instrument. With `calculated` it keeps the account's balances itself."""

    def __init__(self, *, calculated: bool) -> None:
        if calculated:
            AccountFactory.register_calculated_account(VENUE)
        clock, trader = LiveClock(), TraderId("BENCH-000")
        bus, self.cache = MessageBus(trader, clock), Cache(database=None)
        portfolio = Portfolio(bus, self.cache, clock)
        execution = ExecutionEngine(bus, self.cache, clock)
        rate = RiskEngineConfig(max_order_submit_rate="100000000/00:00:01")
        risk = RiskEngine(portfolio, bus, self.cache, clock, rate)
        data = DataEngine(bus, self.cache, clock)
        self.emulator = OrderEmulator(portfolio, bus, self.cache, clock)
        self.instrument = TestInstrumentProvider.btcusdt_binance()
        self.cache.add_instrument(self.instrument)
        self.client = _Client(
            ClientId(VENUE), Venue(VENUE), OmsType.NETTING, AccountType.CASH, None, bus, self.cache, clock
        )
        execution.register_client(self.client)
        self.client._set_account_id(AccountId(f"{VENUE}-001"))
        balances = [
            AccountBalance(Money(RICH, coin), Money(0, coin), Money(RICH, coin)) for coin in (USDT, BTC)
        ]  # fmt: skip
        self.client.generate_account_state(balances=balances, margins=[], reported=True, ts_event=0)
        self.strategy = Strategy()
        self.strategy.register(trader, portfolio, bus, self.cache, clock)
        for part in (execution, risk, self.emulator, data, self.strategy):
            part.start()
        self.cache.add_quote_tick(self._quote(20_000.0))
        self.resting = 0

    def _quote(self, bid: float) -> Any:
        size = Quantity(10, 6)
        return QuoteTick(self.instrument.id, Price(bid, 2), Price(bid + 0.01, 2), size, size, 0, 0)

    def submit(self, count: int) -> list[int]:
        """Place limit orders; nanoseconds of each, the making of the order not counted."""
        factory, spent = self.strategy.order_factory, []
        for _ in range(count):
            order = factory.limit(self.instrument.id, OrderSide.BUY, Quantity(0.01, 6), Price(10_000, 2))
            begin = perf_counter_ns()
            self.strategy.submit_order(order)
            spent.append(perf_counter_ns() - begin)
        return spent

    @property
    def open_orders(self) -> int:
        return int(self.cache.orders_open_count())

    def arm(self, count: int) -> list[int]:
        """Place stops for the emulator, each a step lower; nanoseconds of each."""
        factory, spent = self.strategy.order_factory, []
        for _ in range(count):
            self.resting += 1
            order = factory.stop_market(
                self.instrument.id, OrderSide.SELL, Quantity(0.01, 6), Price(19_999 - self.resting * 0.01, 2),
                trigger_type=TriggerType.BID_ASK, emulation_trigger=TriggerType.BID_ASK,
            )  # fmt: skip
            begin = perf_counter_ns()
            self.strategy.submit_order(order)
            spent.append(perf_counter_ns() - begin)
        return spent

    def tick(self, count: int) -> list[int]:
        """Ticks that fire nothing."""
        quote, handle, spent = self._quote(20_000.0), self.emulator.on_quote_tick, []
        for _ in range(count):
            begin = perf_counter_ns()
            handle(quote)
            spent.append(perf_counter_ns() - begin)
        return spent

    def fire_highest(self) -> int:
        """A tick that fires exactly one stop: nanoseconds until the client has it."""
        highest = max(float(order.trigger_price) for order in self.cache.orders_emulated())
        quote, before = self._quote(highest), self.client.count
        begin = perf_counter_ns()
        self.emulator.on_quote_tick(quote)
        spent = perf_counter_ns() - begin
        if self.client.count != before + 1:
            raise ValueError(f"{self.client.count - before} stops fired")
        return spent
