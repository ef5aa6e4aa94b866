"""Requests about orders: who may ask, the core's decision, and the answer (order-api section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.contracts import notices
from gateway.contracts import requests as asked
from gateway.contracts.messages import BATCH_ITEMS_MAX
from gateway.core.intake import Refusal
from gateway.stream import answers
from gateway.stream.bucket import Bucket
from hotpath.enums import Reason
from hotpath.fixed import from_e9
from risk.catalogue import explain, retry_of

if TYPE_CHECKING:
    from gateway.stream.session import Session

SIDES = {None: 0, "buy": 1, "sell": 2}
CANCEL_BACKLOG_BYTES = 1 << 20  # records that may wait for a full journal before a cancel is put off as well
DONE_MAX = 1_000  # done orders in one answer


class OrderRequests:
    """Place, replace, cancel, cancel_all, batch and get of one connection."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.engine = session.engine
        self.left = 0

    # --- gates before the core ---------------------------------------------------------------------------------------

    def _account(self, req: Any, in_ns: int) -> int:
        """Row of the account that the request means; -1 when it was refused."""
        session = self.session
        row = session.rows.get(req.account)
        if row is not None:
            return row
        text = "name the account: the key has several" if req.account is None else ""
        session.refuse(req.id, "ACCOUNT_DENIED", in_ns, text, path="account")
        return -1

    def _admit(self, req: Any, in_ns: int, allowed: bool, bucket: Bucket | None) -> int:
        """Row of the account when scope, journal and rate let the request through, else -1. No bucket: paid later."""
        session = self.session
        if not allowed:
            session.refuse(req.id, "SCOPE_DENIED", in_ns)
            return -1
        account = self._account(req, in_ns)
        if account < 0:
            return -1
        if not self.engine.is_admitting:
            session.refuse(req.id, "JOURNAL_STOPPED", in_ns)
            return -1
        is_cancel = bucket is session.key.cancel  # type: ignore[union-attr]
        if self.engine.is_backed_up and self.engine.backlog_bytes > (CANCEL_BACKLOG_BYTES if is_cancel else 0):
            session.refuse(req.id, "BUSY", in_ns, "the disk is behind: ask again in a moment")
            return -1
        if not is_cancel and self.engine.journal.is_low:
            session.refuse(req.id, "JOURNAL_STOPPED", in_ns, "the disk is full: the rest is for cancels and fills")
            return -1
        if session.server.is_draining:
            session.refuse(req.id, "DRAINING", in_ns)
            return -1
        return account if bucket is None or self._pay(req, in_ns, bucket) else -1

    def _pay(self, req: Any, in_ns: int, bucket: Bucket, count: int = 1) -> bool:
        """Take the request's tokens, or refuse it."""
        self.left = bucket.take(self.session.last_rx_ns, count)
        if self.left < 0:
            self.session.refuse(req.id, "RATE_LIMITED", in_ns, retry_ns=bucket.wait_ns(), left=0)
            return False
        return True

    def _pay_batch(self, req: asked.Batch, account: int, in_ns: int) -> bool:
        """Each item from its own bucket, all of them or none."""
        key = self.session.key
        protective = sum(self._is_protective(account, item) for item in req.items)
        if not self._pay(req, in_ns, key.protective, protective):  # type: ignore[union-attr]
            return False
        if self._pay(req, in_ns, key.place, len(req.items) - protective):  # type: ignore[union-attr]
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

    def place(self, req: asked.Place, in_ns: int) -> None:
        """A new order."""
        session, engine = self.session, self.engine
        key = session.key
        bucket = key.protective if req.reduce_only else key.place  # type: ignore[union-attr]
        if (account := self._admit(req, in_ns, key.can_trade, bucket)) < 0:  # type: ignore[union-attr]
            return
        if not key.may_trade(req.symbol):  # type: ignore[union-attr]
            session.refuse(req.id, "SYMBOL_DENIED", in_ns, path="symbol", left=self.left)
            return
        mono_ns = engine.clock.mono_ns()
        answer = engine.intake.place(account, req, session.name_bytes, req.deadline_ns or 0, req.dry, in_ns, mono_ns)
        if answer > 0:
            decided_ns = engine.clock.mono_ns()
            engine.stages.check.record(decided_ns - mono_ns)
            engine.stages.decide.record(decided_ns - session.last_rx_ns)
            engine.fanout.ask(answer, session.outbox, req.id, in_ns, self.left)
            self._accepted(engine.intake.order, req)
        else:
            self._other(req, account, answer, in_ns)

    def _accepted(self, order: int, req: asked.PlaceItem) -> None:
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
        key = self.session.key
        if (account := self._admit(req, in_ns, key.can_cancel, key.cancel)) < 0:  # type: ignore[union-attr]
            return
        answer = self.engine.intake.cancel(account, req.cl_ord_id, req.deadline_ns or 0, in_ns)
        self._answer(req, account, answer, in_ns)

    def replace(self, req: asked.Replace, in_ns: int) -> None:
        """New terms."""
        session, key = self.session, self.session.key
        if (account := self._admit(req, in_ns, key.can_trade, None)) < 0:  # type: ignore[union-attr]
            return
        if not self._may_change(account, req):
            session.refuse(req.id, "SYMBOL_DENIED", in_ns, path="cl_ord_id")
            return
        is_protective = self.engine.views.is_protective(account, req.cl_ord_id.encode())
        if not self._pay(req, in_ns, key.protective if is_protective else key.place):  # type: ignore[union-attr]
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
        if (account := self._admit(req, in_ns, key.can_cancel, key.cancel)) < 0:  # type: ignore[union-attr]
            return
        instrument = -1
        if req.symbol is not None:
            instrument = self.engine.state.quotes.row_of(req.symbol)
            if instrument < 0:
                self.session.refuse(req.id, "UNKNOWN_SYMBOL", in_ns, path="symbol", left=self.left)
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
        if (account := self._admit(req, in_ns, key.can_trade, None)) < 0:  # type: ignore[union-attr]
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
            account, req.items, session.name_bytes, req.deadline_ns or 0, in_ns, engine.clock.mono_ns()
        )
        if answer > 0:
            engine.fanout.ask(answer, session.outbox, req.id, in_ns, self.left)
            for item in req.items:
                order = engine.state.orders.find_row(account, item.cl_ord_id.encode())
                if type(item) is asked.PlaceItem:
                    self._accepted(order, item)
                elif type(item) is asked.ReplaceItem:
                    self._replaced(order, item)
            return
        self._other(req, account, answer, in_ns, item=at)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answer(self, req: Any, account: int, answer: int, in_ns: int) -> None:
        if answer > 0:
            self.engine.fanout.ask(answer, self.session.outbox, req.id, in_ns, self.left)
        else:
            self._other(req, account, answer, in_ns)

    def _other(self, req: Any, account: int, answer: int, in_ns: int, item: int = -1) -> None:
        """Everything but a new record: a repetition, a dry run, a refusal."""
        session, engine = self.session, self.engine
        intake = engine.intake
        if answer == 0:
            self._repeat(req, account, intake.dup_seq, in_ns)
        elif answer == Refusal.DRY_PASSED:
            limits = answers.headroom(engine, account)
            session.reply(notices.Res(re=req.id, in_ns=in_ns, left=self.left, what="dry", limits=limits))
        elif answer == Refusal.CONTROL:
            code, text, detail = self._control(account, req, item)
            retry = retry_of(intake.decision["control"])
            session.refuse(req.id, code, in_ns, text, detail=detail, left=self.left, retry=retry)
        else:
            code = Refusal(answer).name
            known = answers.refusal_detail(engine, code, intake, in_ns)
            text = intake.text
            if code in ("BAD_TICK", "BAD_LOT"):
                known, text = {"nearest": text}, f"{intake.path} is not on the grid; the nearest allowed is {text}"
            path = intake.path or None
            if item >= 0:
                known, path = {**(known or {}), "item": item}, f"items[{item}].{path}" if path else f"items[{item}]"
            session.refuse(req.id, code, in_ns, text, path=path, detail=known, left=self.left)

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
        left = self.left

        def render() -> bytes:
            event = engine.event_text(account, acct_seq)
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
        if (account := self._account(req, in_ns)) < 0:
            return
        self.left = key.get.take(self.engine.clock.mono_ns())  # type: ignore[union-attr]
        if self.left < 0:
            session.refuse(req.id, "RATE_LIMITED", in_ns, retry_ns=key.get.wait_ns(), left=0)  # type: ignore[union-attr]
            return
        found = answers.lookup(self.engine, account, req, in_ns, self.left)
        if isinstance(found, str):
            session.refuse(req.id, found, in_ns, left=self.left)
        else:
            self.engine.reply(session.outbox, found)


def decimal(value_e9: int) -> str:
    """A quantity or price as the wire has it."""
    return from_e9(value_e9)
