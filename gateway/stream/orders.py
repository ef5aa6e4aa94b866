"""Requests about orders: who may ask, the core's decision, and the answer (order-api section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from gateway.contracts import notices
from gateway.contracts import requests as asked
from gateway.contracts.messages import BATCH_ITEMS_MAX
from gateway.core.terms import Refusal
from gateway.stream import answers, explaining
from hotpath.enums import Reason
from risk.catalogue import explain, retry_of

if TYPE_CHECKING:
    from gateway.stream.session import Session

log = structlog.get_logger("orders")
SIDES = {None: 0, "buy": 1, "sell": 2}
DONE_MAX = 1_000  # done orders in one answer


class OrderRequests:
    """Replace, cancel, cancel_all, batch and get of one connection; of a place what follows the core's word."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.engine = session.engine
        self.lane = session.lane

    def _pay_batch(self, req: asked.Batch, account: int, in_ns: int) -> bool:
        """Each item from its own bucket, all of them or none."""
        key = self.session.key
        protective = sum(self._is_protective(account, item) for item in req.items)
        if not self.lane.pay(req, in_ns, self.session.last_rx_ns, key.protective, protective):  # type: ignore[union-attr]
            return False
        if self.lane.pay(req, in_ns, self.session.last_rx_ns, key.place, len(req.items) - protective):  # type: ignore[union-attr]
            return True
        key.protective.give_back(protective)  # type: ignore[union-attr]
        return False

    def _is_protective(self, account: int, item: Any) -> bool:
        """Whether the item places or replaces an order that is bound to reduce."""
        if type(item) is asked.PlaceItem:
            return item.reduce_only
        if type(item) is asked.ReplaceItem:
            return self.engine.views.is_protective(account, item.cl_ord_id.encode())
        return False

    def _may_change(self, account: int, item: asked.ReplaceItem) -> bool:
        """Whether the key may trade what the order is for; an order that is not there is refused later."""
        engine, key = self.engine, self.session.key
        if key.any_symbol:  # type: ignore[union-attr]
            return True
        row = engine.state.orders.find_row(account, item.cl_ord_id.encode())
        return row < 0 or key.may_trade(engine.state.quotes.symbol_of(engine.views.order(row)["instrument"]))  # type: ignore[union-attr]

    # --- requests ----------------------------------------------------------------------------------------------------

    def accepted(self, order: int, req: asked.PlaceItem) -> None:
        """What a new order asks of the clock and of the present price."""
        if req.tif == "day" or req.tif == "gtd":
            self.engine.note_expiry(order)
        if req.trigger is not None and req.trigger.if_through == "fire":
            self.engine.sweep(self.engine.views.order(order)["instrument"])

    def _replaced(self, order: int, req: asked.ReplaceItem) -> None:
        if req.tif is not None or req.expire_ns is not None:
            self.engine.note_expiry(order)
        if req.trigger is not None and (row := self.engine.views.order(order))["fire_through"]:
            self.engine.sweep(row["instrument"])

    def cancel(self, req: asked.Cancel, in_ns: int) -> None:
        """The end of an order."""
        session, key = self.session, self.session.key
        if (account := self.lane.admit(req, in_ns, session.last_rx_ns, key.can_cancel, key.cancel)) < 0:  # type: ignore[union-attr]
            return
        answer = self.engine.intake.cancel(account, req.cl_ord_id, req.deadline_ns or 0, in_ns)
        self._answer(req, account, answer, in_ns)

    def replace(self, req: asked.Replace, in_ns: int) -> None:
        """New terms."""
        session, key = self.session, self.session.key
        if (account := self.lane.admit(req, in_ns, session.last_rx_ns, key.can_trade, None)) < 0:  # type: ignore[union-attr]
            return
        if not self._may_change(account, req):
            session.refuse(req.id, "SYMBOL_DENIED", in_ns, path="cl_ord_id")
            return
        is_protective = self.engine.views.is_protective(account, req.cl_ord_id.encode())
        if not self.lane.pay(req, in_ns, self.session.last_rx_ns, key.protective if is_protective else key.place):  # type: ignore[union-attr]
            return
        mono_ns = self.engine.clock.mono_ns()
        answer = self.engine.intake.replace(account, req, req.deadline_ns or 0, in_ns, mono_ns)
        order = self.engine.intake.order
        self._answer(req, account, answer, in_ns)
        if answer > 0:
            self._replaced(order, req)

    def cancel_all(self, req: asked.CancelAll, in_ns: int) -> None:
        """Everything that the filters leave."""
        key = self.session.key
        if (account := self.lane.admit(req, in_ns, self.session.last_rx_ns, key.can_cancel, key.cancel)) < 0:  # type: ignore[union-attr]
            return
        instrument = -1
        if req.symbol is not None:
            instrument = self.engine.state.quotes.row_of(req.symbol)
            if instrument < 0:
                self.session.refuse(req.id, "UNKNOWN_SYMBOL", in_ns, path="symbol", left=self.lane.left)
                return
        session = None if req.session is None else req.session.encode()
        tag = None if req.tag is None else req.tag.encode()
        keep = req.keep == "protective"
        rows = self.engine.views.select(account, instrument, SIDES[req.side], session, tag, keep)
        answer = self.engine.intake.cancel_all(
            account, rows, SIDES[req.side], (req.symbol or "").encode(), session or b"", tag or b"", keep,
            Reason.REQUEST, in_ns,
        )  # fmt: skip
        self._answer(req, account, answer, in_ns)

    def batch(self, req: asked.Batch, in_ns: int) -> None:
        """All of the items or none."""
        session, engine = self.session, self.engine
        key = session.key
        count = len(req.items)
        if not 1 <= count <= BATCH_ITEMS_MAX:
            session.refuse(req.id, "TOO_LARGE", in_ns, f"a batch has 1 to {BATCH_ITEMS_MAX} items", path="items")
            return
        if (account := self.lane.admit(req, in_ns, session.last_rx_ns, key.can_trade, None)) < 0:  # type: ignore[union-attr]
            return
        if not self._pay_batch(req, account, in_ns):
            return
        for at, item in enumerate(req.items):
            if type(item) is asked.PlaceItem and not key.may_trade(item.symbol):  # type: ignore[union-attr]
                session.refuse(req.id, "SYMBOL_DENIED", in_ns, path=f"items[{at}].symbol", detail={"item": at})
                return
            if type(item) is asked.ReplaceItem and not self._may_change(account, item):
                session.refuse(req.id, "SYMBOL_DENIED", in_ns, path=f"items[{at}].cl_ord_id", detail={"item": at})
                return
        answer, at = engine.batch.run(
            account, req.items, self.lane.name, req.deadline_ns or 0, in_ns, engine.clock.mono_ns()
        )
        if answer > 0:
            engine.fanout.ask(answer, session.outbox, req.id, in_ns, self.lane.left)
            for item in req.items:
                order = engine.state.orders.find_row(account, item.cl_ord_id.encode())
                if type(item) is asked.PlaceItem:
                    self.accepted(order, item)
                elif type(item) is asked.ReplaceItem:
                    self._replaced(order, item)
            return
        self.other(req, account, answer, in_ns, item=at)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, req: Any, account: int, answer: int, in_ns: int) -> None:
        if answer > 0:
            self.engine.fanout.ask(answer, self.session.outbox, req.id, in_ns, self.lane.left)
        else:
            self.other(req, account, answer, in_ns)

    def other(self, req: Any, account: int, answer: int, in_ns: int, item: int = -1) -> None:
        """Everything but a new record: a repetition, a dry run, a refusal."""
        session, engine = self.session, self.engine
        intake = engine.intake
        if answer == 0:
            self._repeat(req, account, intake.dup_seq, in_ns)
        elif answer == Refusal.DRY_PASSED:
            limits = answers.headroom(engine, account)
            session.reply(notices.Res(re=req.id, in_ns=in_ns, left=self.lane.left, what="dry", limits=limits))
        elif answer == Refusal.CONTROL:
            code, text, detail = self._control(account, req, item)
            retry = retry_of(intake.decision["control"])
            session.refuse(req.id, code, in_ns, text, detail=detail, left=self.lane.left, retry=retry)
        else:
            code = Refusal(answer).name
            known = answers.refusal_detail(engine, code, intake, in_ns)
            text = intake.text
            if code in ("BAD_TICK", "BAD_LOT"):
                known, text = {"nearest": text}, f"{intake.path} is not on the grid; the nearest allowed is {text}"
            path = intake.path or None
            if item >= 0:
                known, path = {**(known or {}), "item": item}, f"items[{item}].{path}" if path else f"items[{item}]"
            session.refuse(req.id, code, in_ns, text, path=path, detail=known, left=self.lane.left)

    def _control(self, account: int, req: Any, item: int) -> tuple[str, str, dict[str, Any]]:
        decision = self.engine.intake.decision
        symbol = getattr(req.items[item] if item >= 0 else req, "symbol", None)
        name = self.engine.state.account_names[account]
        if symbol is None:  # a replace
            row = self.engine.intake.order
            symbol = self.engine.state.quotes.symbol_of(self.engine.views.order(row)["instrument"]) if row >= 0 else ""
        code, text, detail = explain(decision, account=name, symbol=symbol)
        if item >= 0:
            detail["item"] = item
        return code, text, detail

    def _repeat(self, req: Any, account: int, acct_seq: int, in_ns: int) -> None:
        """The answer that was given before: from the line if it still waits there, else from the journal."""
        engine, outbox = self.engine, self.session.outbox
        left = self.lane.left

        def render() -> bytes:
            try:
                event = engine.event_text(account, acct_seq)
            except OSError as error:  # among the answers of others that are let out: it must not stand in their way
                log.error("an answer cannot be read", seq=acct_seq, why=str(error))
                return self.session.refusal(req.id, "BUSY", in_ns, "the answer cannot be read here: ask again")
            if not event:
                return self.session.refusal(req.id, "BUSY", in_ns, "the answer is being written: ask again")
            return engine.fanout.repeat(event[:-1], req.id, in_ns, left, engine.clock.wall_ns())

        engine.flush()
        if acct_seq > engine.fanout.heads[account]:  # it waits for the disk, and so does this
            engine.fanout.put_off(outbox, render)
        else:
            engine.reply(outbox, render())

    def get(self, req: asked.Get, in_ns: int) -> None:
        """A question about the state at the head."""
        session = self.session
        key = session.key
        if not key.can_read:  # type: ignore[union-attr]
            session.refuse(req.id, "SCOPE_DENIED", in_ns)
            return
        if (account := self.lane.account(req, in_ns)) < 0:
            return
        self.lane.left = key.get.take(self.engine.clock.mono_ns())  # type: ignore[union-attr]
        if self.lane.left < 0:
            session.refuse(req.id, "RATE_LIMITED", in_ns, retry_ns=key.get.wait_ns(), left=0)  # type: ignore[union-attr]
            return
        if req.what == "explain":
            explaining.begin(session, account, req, in_ns, self.lane.left)
            return
        found = answers.lookup(self.engine, account, req, in_ns, self.lane.left)
        if isinstance(found, str):
            session.refuse(req.id, found, in_ns, left=self.lane.left)
        else:
            self.engine.reply(session.outbox, found)
