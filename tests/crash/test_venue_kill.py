"""A killed venue comes back with its book, and the link that finds it again hears what it missed."""

from __future__ import annotations

from pathlib import Path

import uvloop

from brokers.ports import RejectReason, ReportNew, ReportRejected, ReportReplaced, ReportState, ReportTrade
from hotpath.enums import OrdStatus, Side
from hotpath.fixed import to_e9
from tests.conformance.harness import DEADLINE_S, Desk, Sink, VenueProcess


def test_a_killed_venue_keeps_orders_ids_and_executions(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = VenueProcess(tmp_path, scenarios=2)
        first.broker()  # the second one comes by the Unix socket, whose path outlives the process
        broker, sink = first.broker(), Sink()
        desk = Desk(broker.symbol)
        await broker.quote("99", "5", "101", "5")
        adapter = await broker.adapter(sink)
        await sink.link(True)
        ticket = desk.limit(Side.BUY, "5", "100")
        assert adapter.submit(ticket)
        await sink.next(ReportNew, ticket.order)
        await broker.quote("98", "5", "100", "2")
        trade = await sink.next(ReportTrade, ticket.order)
        larger = desk.replace(ticket, "6", "100")
        assert adapter.replace(larger)
        await sink.next(ReportReplaced, ticket.order)
        first.process.kill()
        first.process.wait(DEADLINE_S)
        with first.ledger.open("ab") as ledger:
            ledger.write(b'{"dir":"in","ts":1,"ke')  # what a kill may leave

        second = VenueProcess(tmp_path, scenarios=2)
        second.broker()
        control = second.broker()
        await sink.link(True, count=2)
        assert adapter.query(larger)
        state = await sink.next(ReportState, ticket.order)
        assert (state.status, state.cum_qty_e9, state.order_qty_e9) == (
            OrdStatus.PARTIALLY_FILLED, to_e9("2"), to_e9("6"),
        )  # fmt: skip
        assert [item.exec_id for item in state.executions] == [trade.exec_id]
        assert adapter.submit(ticket)
        refused = await sink.next(ReportRejected, ticket.order)
        assert refused.reason == RejectReason.DUPLICATE
        await control.quote("98", "5", "100", "9")
        rest = await sink.next(ReportTrade, ticket.order, count=2)
        assert (rest.last_qty_e9, rest.cum_qty_e9) == (to_e9("4"), to_e9("6"))
        assert rest.exec_id != trade.exec_id
        await broker.leave()
        await control.leave()
        second.stop()

    uvloop.run(scenario())
