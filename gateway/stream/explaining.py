"""`get` with `what: explain` on a connection: the journal is read a part a turn, then the answer is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from gateway.contracts import notices
from gateway.contracts.requests import Get
from gateway.explain import Trace

if TYPE_CHECKING:
    from gateway.stream.session import Session

encode = msgspec.json.Encoder().encode
log = structlog.get_logger("stream")


def begin(session: Session, account: int, req: Get, in_ns: int, left: int) -> None:
    """Answer when all that is true now is durable and the order's events have been read; refuse what is no order."""
    engine = session.engine
    if req.cl_ord_id is None:
        session.refuse(req.id, "BAD_FIELD", in_ns, "name the order to explain", path="cl_ord_id", left=left)
        return
    order = engine.state.orders.find_row(account, req.cl_ord_id.encode())
    if order < 0:
        session.refuse(req.id, "UNKNOWN_ORDER", in_ns, left=left)
        return

    def read() -> None:
        trace = Trace(engine, order)
        if session.is_dead:
            return
        if not engine.explaining.read(trace, lambda error: _answer(session, trace, req, in_ns, left, error)):
            session.refuse(req.id, "BUSY", in_ns, "others are being explained: ask again", left=left)
            session.outbox.flush()

    engine.once_durable(read)


def _answer(session: Session, trace: Trace, req: Get, in_ns: int, left: int, error: OSError | None) -> None:
    engine = session.engine
    if session.is_dead:
        return
    if error is not None:
        log.error("an event cannot be read", why=str(error))
    if error is not None or not trace.told:
        why = "the journal cannot be read here: ask again" if error else "its events are being written: ask again"
        session.refuse(req.id, "BUSY", in_ns, why, left=left)
        session.outbox.flush()
        return
    name = engine.state.account_names[trace.account]
    answer = notices.Res(
        re=req.id, in_ns=in_ns, left=left, what="explain", account=name, head=engine.views.acct_seq(trace.account),
        ts_ns=engine.clock.wall_ns(), explain=trace.explained(),
    )  # fmt: skip
    engine.reply(session.outbox, encode(answer))
    session.outbox.flush()
