"""The venue's lines to normalised reports. Pure: a line in, a report or a session message out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from brokers import ports
from brokers.ids import decode_broker_id
from brokers.sim import messages as m
from hotpath.enums import OrdStatus
from hotpath.fixed import to_e4, to_e9

STATUS = {
    "new": OrdStatus.NEW,
    "held": OrdStatus.NEW,
    "partially_filled": OrdStatus.PARTIALLY_FILLED,
    "filled": OrdStatus.FILLED,
    "canceled": OrdStatus.CANCELED,
    "expired": OrdStatus.EXPIRED,
    "rejected": OrdStatus.REJECTED,
}
_decoder = msgspec.json.Decoder(m.Answer)


def _reason(word: str) -> ports.RejectReason:
    try:
        return ports.RejectReason(word)
    except ValueError:
        return ports.RejectReason.OTHER


class ReportReader:
    """Reads lines for one shard and history: ids of any other are foreign orders."""

    def __init__(self, shard: int, history: bytes, note_exec_seq: Callable[[int], None]) -> None:
        self._shard = shard
        self._history = history
        self._note_exec_seq = note_exec_seq
        self._makers: dict[type[m.Message], Callable[[Any, dict[str, Any]], ports.Report]] = {
            m.Fill: self._trade,
            m.Triggered: lambda message, head: ports.ReportTriggered(trigger_px_e9=to_e9(message.px), **head),
            m.Canceled: lambda message, head: ports.ReportCanceled(cum_qty_e9=to_e9(message.cum), **head),
            m.Expired: lambda message, head: ports.ReportExpired(cum_qty_e9=to_e9(message.cum), **head),
            m.Rejected: lambda message, head: ports.ReportRejected(**_refusal(message), **head),
            m.Replaced: _replaced,
            m.ReplaceRejected: lambda message, head: ports.ReportReplaceRejected(**_refusal(message), **head),
            m.CancelRejected: lambda message, head: ports.ReportCancelRejected(**_refusal(message), **head),
            m.QueryRejected: lambda message, head: ports.ReportQueryRejected(**_refusal(message), **head),
            m.Busted: _busted,
            m.State: _state,
        }

    def read(self, line: bytes) -> ports.Report | m.Message:
        """A report, or the session message that the line is. What cannot be read is a ReportUnknown."""
        try:
            message: m.Message = _decoder.decode(line)
            if type(message) is m.Ack:  # one for each order: straight, without a table
                return self._new(message, line)
            make = self._makers.get(type(message))
            if make is None:
                return message
            return make(message, self._head(message, line))
        except (ValueError, RecursionError) as error:
            return ports.ReportUnknown(order=None, rev=0, venue_ns=0, raw=line, text=str(error)[:200])

    def _new(self, ack: m.Ack, line: bytes) -> ports.Report:
        id = ack.id.encode()
        order, rev = self._ours(id)
        return ports.ReportNew(
            order=order, rev=rev, venue_ns=ack.ts, raw=line, broker_cl_ord_id=id, broker_order_id=ack.oid.encode()
        )

    def _ours(self, id: bytes) -> tuple[int | None, int]:
        """Row and revision that an id names; (None, 0) for an order of another shard or history, or of nobody's."""
        parts = decode_broker_id(id)
        if parts is None or parts[0] != self._shard or parts[1] != self._history:
            return None, 0
        return parts[2], parts[3]

    def _head(self, message: Any, line: bytes) -> dict[str, Any]:
        id = message.id.encode()
        order, rev = self._ours(id)
        return {
            "order": order,
            "rev": rev,
            "venue_ns": message.ts,
            "raw": line,
            "broker_cl_ord_id": id,
            "broker_order_id": getattr(message, "oid", "").encode(),
        }

    def _trade(self, fill: m.Fill, head: dict[str, Any]) -> ports.Report:
        self._note_exec_seq(fill.n)
        return ports.ReportTrade(
            exec_id=fill.exec.encode(), last_qty_e9=to_e9(fill.qty), last_px_e9=to_e9(fill.px),
            cum_qty_e9=to_e9(fill.cum), leaves_qty_e9=to_e9(fill.leaves),
            fee_e4=to_e4(fill.fee), liquidity=fill.liq.encode(), **head,
        )  # fmt: skip


def _refusal(message: m.Rejected | m.ReplaceRejected | m.CancelRejected | m.QueryRejected) -> dict[str, Any]:
    return {"reason": _reason(message.reason), "code": message.code, "text": message.text}


def _replaced(replaced: m.Replaced, head: dict[str, Any]) -> ports.Report:
    return ports.ReportReplaced(
        order_qty_e9=to_e9(replaced.qty), px_e9=to_e9(replaced.px), stop_px_e9=to_e9(replaced.stop),
        cum_qty_e9=to_e9(replaced.cum), leaves_qty_e9=to_e9(replaced.leaves), **head,
    )  # fmt: skip


def _busted(busted: m.Busted, head: dict[str, Any]) -> ports.Report:
    return ports.ReportTradeCanceled(exec_id=busted.exec.encode(), cum_qty_e9=to_e9(busted.cum), **head)


def _state(state: m.State, head: dict[str, Any]) -> ports.Report:
    executions = tuple(
        ports.Execution(
            exec_id=item.exec.encode(), last_qty_e9=to_e9(item.qty), last_px_e9=to_e9(item.px), fee_e4=to_e4(item.fee),
            liquidity=item.liq.encode(), venue_ns=item.ts,
        )
        for item in state.execs
    )  # fmt: skip
    return ports.ReportState(
        found=state.found, status=STATUS.get(state.status, OrdStatus.NONE), order_qty_e9=to_e9(state.qty),
        px_e9=to_e9(state.px), stop_px_e9=to_e9(state.stop), cum_qty_e9=to_e9(state.cum),
        leaves_qty_e9=to_e9(state.leaves), avg_px_e9=to_e9(state.avg), executions=executions, **head,
    )  # fmt: skip
