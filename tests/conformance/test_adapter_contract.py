"""The adapter contract: one list of scenarios that every broker's adapter passes, over real sockets.

A later broker adds a factory to BROKERS that gives a `harness.Broker`; the scenarios stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import uvloop

from brokers.ports import (
    RejectReason,
    ReportCanceled,
    ReportCancelRejected,
    ReportExpired,
    ReportNew,
    ReportQueryRejected,
    ReportRejected,
    ReportReplaced,
    ReportReplaceRejected,
    ReportState,
    ReportTrade,
    ReportTradeCanceled,
    ReportTriggered,
    ReportUnknown,
)
from hotpath.enums import OrdStatus, Side, Tif
from hotpath.fixed import to_e9
from hotpath.ticket import Ticket
from tests.conformance.harness import Broker, Desk, Sink, VenueProcess

pytestmark = pytest.mark.e2e
Scenario = Callable[[], Broker]


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    venue = VenueProcess(tmp_path_factory.mktemp("venue"), scenarios=64)
    yield venue.broker
    venue.stop()


BROKERS = ("sim",)


@pytest.fixture(params=BROKERS)
def make_broker(request: pytest.FixtureRequest) -> Scenario:
    factory: Scenario = request.getfixturevalue(request.param)
    return factory


class Stage:
    """An open link, a quiet market of 99 by 101, and a desk that makes tickets."""

    def __init__(self, make_broker: Scenario, **options: int) -> None:
        self.broker = make_broker()
        self.desk = Desk(self.broker.symbol)
        self.sink = Sink()
        self.options = options

    async def __aenter__(self) -> Stage:
        await self.broker.quote("99", "5", "101", "5")
        self.adapter = await self.broker.adapter(self.sink, **self.options)
        await self.sink.link(True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.broker.leave()

    async def working(self, side: Side = Side.BUY, qty: str = "2", px: str = "95", tif: Tif = Tif.GTC) -> Ticket:
        ticket = self.desk.limit(side, qty, px, tif)
        assert self.adapter.submit(ticket)
        await self.sink.next(ReportNew, ticket.order)
        return ticket


def test_an_order_lives_from_new_over_partial_fills_to_filled(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="3", px="100")
            await stage.broker.quote("98", "5", "100", "1")
            first = await stage.sink.next(ReportTrade, ticket.order)
            assert (first.last_qty_e9, first.last_px_e9) == (to_e9("1"), to_e9("100"))
            assert (first.cum_qty_e9, first.leaves_qty_e9, first.rev) == (to_e9("1"), to_e9("2"), 1)
            await stage.broker.trade("99.5", "10")
            last = await stage.sink.next(ReportTrade, ticket.order, count=2)
            assert (last.cum_qty_e9, last.leaves_qty_e9) == (to_e9("3"), 0)
            assert first.exec_id != last.exec_id
            assert last.venue_ns > 0 and last.raw and last.broker_order_id

    uvloop.run(scenario())


def test_a_market_order_takes_the_touch_and_waits_for_more(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = stage.desk.market(Side.SELL, "8")
            assert stage.adapter.submit(ticket)
            first = await stage.sink.next(ReportTrade, ticket.order)
            assert (first.last_qty_e9, first.last_px_e9) == (to_e9("5"), to_e9("99"))
            await stage.broker.quote("97", "9", "101", "5")
            last = await stage.sink.next(ReportTrade, ticket.order, count=2)
            assert (last.last_qty_e9, last.last_px_e9, last.leaves_qty_e9) == (to_e9("3"), to_e9("97"), 0)

    uvloop.run(scenario())


def test_immediate_orders_fill_what_they_can_and_expire(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            kill = stage.desk.limit(Side.BUY, "6", "101", Tif.FOK)
            assert stage.adapter.submit(kill)
            assert (await stage.sink.next(ReportExpired, kill.order)).cum_qty_e9 == 0
            part = stage.desk.limit(Side.BUY, "6", "101", Tif.IOC)
            assert stage.adapter.submit(part)
            assert (await stage.sink.next(ReportExpired, part.order)).cum_qty_e9 == to_e9("5")

    uvloop.run(scenario())


def test_a_dated_order_expires_by_the_brokers_clock(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = stage.desk.limit(Side.BUY, "1", "90", Tif.GTD, expire_ns=time.time_ns() + 300_000_000)
            assert stage.adapter.submit(ticket)
            expired = await stage.sink.next(ReportExpired, ticket.order)
            assert expired.venue_ns >= ticket.expire_ns
            assert stage.sink.of(ReportNew, ticket.order)

    uvloop.run(scenario())


def test_an_unsound_order_is_rejected_with_its_reason(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            unknown = Desk("NOSUCH").limit(Side.BUY, "1", "90")
            assert stage.adapter.submit(unknown)
            rejected = await stage.sink.next(ReportRejected, unknown.order)
            assert rejected.reason == "symbol" and rejected.code and rejected.text

    uvloop.run(scenario())


def test_a_used_id_is_refused_for_good_and_reaches_the_book_once(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working()
            assert stage.adapter.submit(ticket)
            assert (await stage.sink.next(ReportRejected, ticket.order)).reason == "duplicate"
            assert stage.adapter.cancel(ticket)
            await stage.sink.next(ReportCanceled, ticket.order)
            assert stage.adapter.submit(ticket)
            assert (await stage.sink.next(ReportRejected, ticket.order, count=2)).reason == "duplicate"
            assert stage.adapter.query(ticket)
            assert (await stage.sink.next(ReportState, ticket.order)).status == OrdStatus.CANCELED
            assert len(stage.sink.of(ReportNew, ticket.order)) == 1

    uvloop.run(scenario())


def test_a_cancel_ends_the_order_and_a_repeat_is_too_late(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working()
            assert stage.adapter.cancel(ticket) and stage.adapter.cancel(ticket)
            assert (await stage.sink.next(ReportCanceled, ticket.order)).cum_qty_e9 == 0
            assert (await stage.sink.next(ReportCancelRejected, ticket.order)).reason == "too_late"
            never = stage.desk.limit(Side.BUY, "1", "90")
            assert stage.adapter.cancel(never)
            assert (await stage.sink.next(ReportCancelRejected, never.order)).reason == "unknown"

    uvloop.run(scenario())


def test_a_cancel_that_crosses_a_fill_tells_the_filled_quantity(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="4", px="100")
            await stage.broker.quote("98", "5", "100", "1")
            assert stage.adapter.cancel(ticket)
            assert (await stage.sink.next(ReportCanceled, ticket.order)).cum_qty_e9 == to_e9("1")

    uvloop.run(scenario())


def test_a_replace_changes_terms_and_the_reports_carry_the_new_revision(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="4", px="95")
            better = stage.desk.replace(ticket, "3", "100")
            assert stage.adapter.replace(better)
            replaced = await stage.sink.next(ReportReplaced, ticket.order)
            assert (replaced.rev, replaced.order_qty_e9, replaced.px_e9) == (2, to_e9("3"), to_e9("100"))
            await stage.broker.quote("98", "5", "100", "5")
            trade = await stage.sink.next(ReportTrade, ticket.order)
            assert (trade.rev, trade.leaves_qty_e9) == (2, 0)
            assert stage.adapter.query(ticket)  # by the first revision's id
            state = await stage.sink.next(ReportState, ticket.order)
            assert (state.found, state.rev, state.status) == (True, 2, OrdStatus.FILLED)

    uvloop.run(scenario())


def test_a_replace_that_crosses_a_full_fill_is_refused(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="1", px="100")
            await stage.broker.quote("98", "5", "100", "1")
            assert stage.adapter.replace(stage.desk.replace(ticket, "2", "101"))
            refused = await stage.sink.next(ReportReplaceRejected, ticket.order)
            assert (refused.rev, refused.reason) == (2, "too_late")
            below = await stage.working(qty="4", px="100")
            await stage.broker.quote("98", "5", "100", "2")
            await stage.sink.next(ReportTrade, below.order)
            assert stage.adapter.replace(stage.desk.replace(below, "1", "100"))
            assert (await stage.sink.next(ReportReplaceRejected, below.order)).reason == "qty"

    uvloop.run(scenario())


def test_a_query_tells_everything_about_an_order_or_that_there_is_none(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="4", px="100")
            await stage.broker.quote("98", "5", "100", "1")
            await stage.broker.quote("98", "5", "99.5", "2")
            assert stage.adapter.query(ticket)
            state = await stage.sink.next(ReportState, ticket.order)
            assert (state.found, state.status) == (True, OrdStatus.PARTIALLY_FILLED)
            assert (state.cum_qty_e9, state.leaves_qty_e9, state.avg_px_e9) == (to_e9("3"), to_e9("1"), to_e9("100"))
            trades = stage.sink.of(ReportTrade, ticket.order)
            assert [item.exec_id for item in state.executions] == [item.exec_id for item in trades]
            never = stage.desk.limit(Side.BUY, "1", "90")
            assert stage.adapter.query(never)
            assert (await stage.sink.next(ReportState, never.order)).found is False

    uvloop.run(scenario())


def test_an_answer_lost_with_the_link_is_found_by_query_and_never_doubled(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            await stage.broker.fault("quirks", disconnect_ppm=1_000_000)
            ticket = stage.desk.limit(Side.BUY, "2", "101")
            assert stage.adapter.submit(ticket)
            await stage.sink.link(False)
            await stage.broker.fault("quirks", disconnect_ppm=0)
            await stage.sink.link(True, count=2)
            trade = await stage.sink.next(ReportTrade, ticket.order)  # the recovery brings the execution
            assert stage.adapter.query(ticket)
            state = await stage.sink.next(ReportState, ticket.order)
            assert (state.found, state.status) == (True, OrdStatus.FILLED)
            assert [item.exec_id for item in state.executions] == [trade.exec_id]
            assert not stage.sink.of(ReportNew, ticket.order)
            assert stage.broker.received(ticket.broker_cl_ord_id) == 1

    uvloop.run(scenario())


def test_an_order_swallowed_before_it_was_taken_is_proved_absent_and_may_go_again(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            await stage.broker.fault("quirks", swallow_ppm=1_000_000)
            ticket = stage.desk.limit(Side.BUY, "2", "95")
            assert stage.adapter.submit(ticket)
            await stage.sink.link(False)
            await stage.broker.fault("quirks", swallow_ppm=0)
            await stage.sink.link(True, count=2)
            assert stage.adapter.query(ticket)
            assert (await stage.sink.next(ReportState, ticket.order)).found is False
            assert stage.adapter.submit(ticket)
            await stage.sink.next(ReportNew, ticket.order)

    uvloop.run(scenario())


def test_resting_orders_survive_the_link_and_fills_made_meanwhile_arrive_after_it(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="2", px="100")
            await stage.broker.fault("refuse", on=True)
            await stage.broker.fault("reset")
            await stage.sink.link(False)
            assert not stage.adapter.is_up
            assert not stage.adapter.cancel(ticket)
            await stage.broker.quote("98", "5", "100", "5")
            await stage.broker.fault("refuse", on=False)
            await stage.sink.link(True, count=2)
            trade = await stage.sink.next(ReportTrade, ticket.order)
            assert (trade.cum_qty_e9, trade.leaves_qty_e9) == (to_e9("2"), 0)

    uvloop.run(scenario())


def test_a_link_that_is_open_and_mute_is_found_and_replaced(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            await stage.broker.fault("mute")
            ticket = stage.desk.limit(Side.BUY, "1", "95")
            assert stage.adapter.submit(ticket)
            assert "half-open" in await stage.sink.link(False)
            await stage.broker.fault("unmute")
            await stage.sink.link(True, count=2)
            assert stage.adapter.query(ticket)
            assert (await stage.sink.next(ReportState, ticket.order)).status == OrdStatus.NEW

    uvloop.run(scenario())


def test_duplicated_and_reordered_reports_come_through_with_one_id_each(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            faults = {
                "duplicate_ppm": 500_000,
                "delay_ppm": 300_000,
                "delay_ns_max": 5_000_000,
                "fill_first_ppm": 500_000,
            }
            await stage.broker.fault("quirks", **faults)
            tickets = [stage.desk.limit(Side.BUY, "1", "101") for _ in range(20)]
            for ticket in tickets:
                assert stage.adapter.submit(ticket)
            for _ in range(4):
                await stage.broker.quote("99", "5", "101", "5")
            for ticket in tickets:
                trade = await stage.sink.next(ReportTrade, ticket.order)
                await stage.sink.next(ReportNew, ticket.order)
                assert {item.exec_id for item in stage.sink.of(ReportTrade, ticket.order)} == {trade.exec_id}
            await stage.broker.fault("quirks", **dict.fromkeys(faults, 0) | {"delay_ns_max": 20_000_000})
            assert len({item.exec_id for item in stage.sink.of(ReportTrade)}) == 20

    uvloop.run(scenario())


def test_a_lost_execution_report_is_asked_for(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="2", px="100")
            await stage.broker.fault("quirks", lost_ppm=1_000_000)
            await stage.broker.quote("98", "5", "100", "1")
            await stage.broker.fault("quirks", lost_ppm=0)
            assert (await stage.sink.next(ReportTrade, ticket.order)).cum_qty_e9 == to_e9("1")

    uvloop.run(scenario())


def test_an_unknown_word_is_reported_raw_and_changes_nothing(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            await stage.broker.fault("quirks", unknown_word_ppm=1_000_000)
            ticket = await stage.working()
            await stage.broker.fault("quirks", unknown_word_ppm=0)
            unknown = stage.sink.of(ReportUnknown)
            assert unknown and unknown[0].order is None and b"house notice" in unknown[0].raw
            assert stage.adapter.query(ticket)
            assert (await stage.sink.next(ReportState, ticket.order)).status == OrdStatus.NEW

    uvloop.run(scenario())


def test_a_broken_execution_is_reported(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            ticket = await stage.working(qty="2", px="100")
            await stage.broker.quote("98", "5", "100", "1")
            trade = await stage.sink.next(ReportTrade, ticket.order)
            await stage.broker.fault("bust", exec=trade.exec_id.decode())
            broken = await stage.sink.next(ReportTradeCanceled, ticket.order)
            assert (broken.exec_id, broken.cum_qty_e9) == (trade.exec_id, 0)

    uvloop.run(scenario())


def test_a_message_over_the_rate_is_refused_and_may_be_sent_again(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            first, second = (stage.desk.limit(Side.BUY, "1", "95") for _ in range(2))
            await stage.broker.fault("quirks", rate_per_s=1, rate_burst=1)
            assert stage.adapter.submit(first, second) == 2
            refused = await stage.sink.next(ReportRejected, second.order)
            assert refused.reason == RejectReason.THROTTLED
            assert stage.adapter.cancel(first)
            assert (await stage.sink.next(ReportCancelRejected, first.order)).reason == RejectReason.THROTTLED
            assert stage.adapter.replace(stage.desk.replace(first, "2", "95"))
            assert (await stage.sink.next(ReportReplaceRejected, first.order)).reason == RejectReason.THROTTLED
            assert stage.adapter.query(first)
            assert (await stage.sink.next(ReportQueryRejected, first.order)).reason == RejectReason.THROTTLED
            await stage.broker.fault("quirks", rate_per_s=0)
            assert stage.adapter.submit(second) == 1  # its id is unused
            await stage.sink.next(ReportNew, second.order)

    uvloop.run(scenario())


def test_a_stop_is_held_there_replaced_in_one_step_and_told_when_it_fires(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            if stage.adapter.capabilities.native_stops is None:
                pytest.skip("this broker holds no stops")
            await stage.broker.quote("100", "5", "101", "5")
            stop = stage.desk.stop(Side.SELL, "2", "95")
            assert stage.adapter.submit(stop) == 1
            await stage.sink.next(ReportNew, stop.order)
            again = stage.desk.replace(stop, "3", "", stop="98")
            assert stage.adapter.replace(again)
            replaced = await stage.sink.next(ReportReplaced, stop.order)
            assert (replaced.rev, replaced.stop_px_e9, replaced.order_qty_e9) == (2, to_e9("98"), to_e9("3"))
            assert stage.adapter.query(again)
            state = await stage.sink.next(ReportState, stop.order)
            assert (state.status, state.stop_px_e9) == (OrdStatus.NEW, to_e9("98"))
            await stage.broker.quote("98", "5", "99", "5")
            fired = await stage.sink.next(ReportTriggered, stop.order)
            assert (fired.rev, fired.trigger_px_e9) == (2, to_e9("98"))
            assert (await stage.sink.next(ReportTrade, stop.order)).last_px_e9 == to_e9("98")
            reports = [type(report) for report in stage.sink.reports if report.order == stop.order]
            assert reports.index(ReportTriggered) < reports.index(ReportTrade)

    uvloop.run(scenario())


def test_a_trailing_stop_follows_the_market_there(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            stops = stage.adapter.capabilities.native_stops
            if stops is None or not stops.has_trail:
                pytest.skip("this broker holds no trailing stops")
            await stage.broker.quote("100", "5", "101", "5")
            stop = stage.desk.stop(Side.SELL, "2", "97", trail="3")
            assert stage.adapter.submit(stop) == 1
            await stage.sink.next(ReportNew, stop.order)
            await stage.broker.quote("110", "5", "111", "5")
            assert stage.adapter.query(stop)
            assert (await stage.sink.next(ReportState, stop.order)).stop_px_e9 == to_e9("107")
            await stage.broker.quote("107", "5", "108", "5")
            assert (await stage.sink.next(ReportTriggered, stop.order)).trigger_px_e9 == to_e9("107")

    uvloop.run(scenario())


def test_a_held_stop_can_be_canceled_and_survives_the_link(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            if stage.adapter.capabilities.native_stops is None:
                pytest.skip("this broker holds no stops")
            await stage.broker.quote("100", "5", "101", "5")
            stop = stage.desk.stop(Side.BUY, "2", "105", px="106")
            assert stage.adapter.submit(stop) == 1
            await stage.sink.next(ReportNew, stop.order)
            await stage.broker.fault("reset")
            await stage.sink.link(True, count=2)
            assert stage.adapter.query(stop)
            state = await stage.sink.next(ReportState, stop.order)
            assert (state.px_e9, state.stop_px_e9) == (to_e9("106"), to_e9("105"))
            assert stage.adapter.cancel(stop)
            assert (await stage.sink.next(ReportCanceled, stop.order)).cum_qty_e9 == 0

    uvloop.run(scenario())


def test_an_order_of_another_history_is_foreign(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            desk = Desk(stage.broker.symbol)
            desk.id_of = lambda order, rev=1: b"placed-by-hand-1"  # type: ignore[method-assign]
            assert stage.adapter.submit(desk.limit(Side.BUY, "1", "95"))
            await stage.sink.until(lambda: bool(stage.sink.of(ReportNew)))
            report = stage.sink.of(ReportNew)[0]
            assert (report.order, report.broker_cl_ord_id) == (None, b"placed-by-hand-1")

    uvloop.run(scenario())


def test_a_closed_adapter_hands_nothing_over_and_says_so_once(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            await stage.adapter.close()
            await stage.adapter.close()
            assert [up for up, _ in stage.sink.links] == [True, False]
            assert not stage.adapter.submit(stage.desk.limit(Side.BUY, "1", "95"))

    uvloop.run(scenario())


def test_capabilities_are_declared_and_tickets_fit_them(make_broker: Scenario) -> None:
    async def scenario() -> None:
        async with Stage(make_broker) as stage:
            declared = stage.adapter.capabilities
            assert declared.broker and declared.tifs and declared.ord_types
            assert declared.max_broker_id_chars >= len(Desk.id_of(2**32 - 1, 1023))
            budget = declared.budget
            assert budget.messages_per_s == 0 or 0 <= budget.reserved_burst < budget.burst

    uvloop.run(scenario())
