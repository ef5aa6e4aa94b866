"""Following accounts: a snapshot or a replay first, then live, without a gap (order-api section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from gateway.contracts import notices
from gateway.contracts import requests as asked
from gateway.plants import PLANTED, is_on, reach
from gateway.stream import answers
from gateway.stream.fanout import Follower

if TYPE_CHECKING:
    from gateway.stream.session import Session

encode = msgspec.json.Encoder().encode
PART_ORDERS = 200  # orders in one part of a snapshot
log = structlog.get_logger("stream")
PUMP_EVENTS = 256  # events read from the journal in one turn
DONE_MAX = 1_000  # done orders in a snapshot, newest first


class Following:
    """The subscriptions of one connection."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.engine = session.engine
        self.followers: dict[int, Follower] = {}

    def subscribe(self, req: asked.Subscribe, in_ns: int) -> None:
        """Follow an account; again is the way to resume, and replaces the old subscription."""
        session, engine = self.session, self.engine
        if session.key is None or not session.key.can_read:
            session.refuse(req.id, "SCOPE_DENIED", in_ns)
            return
        account = session.lane.account(req, in_ns)
        if account < 0:
            return
        self._drop(account)
        engine.flush()
        name = engine.state.account_names[account]
        history = engine.state.history.hex()
        head = engine.views.acct_seq(account)
        after = req.after
        resume = after is not None and after.history == history and after.seq <= head
        start = after.seq if resume and after is not None else head
        follower = Follower(session.outbox, account, start + 1)
        if PLANTED and is_on("skip_seq_on_resume") and resume:
            follower.next_seq += 1
        mode = "replay" if resume else "snapshot"
        sync = notices.Sync(re=req.id, account=name, history=history, mode=mode, seq=start, head=head)  # type: ignore[arg-type]
        self.followers[account] = follower
        engine.fanout.follow(follower)
        if resume:
            text = encode(sync)

            def begin() -> bytes:
                follower.announces = True
                engine.soon(lambda: self.pump(follower))
                return text

            engine.fanout.put_off(session.outbox, begin)  # no event before its sync, no sync before older answers
            return
        self._hold(encode(sync))
        for part in self._snapshot(account, name, head):
            self._hold(part)
        self._hold(encode(notices.Live(account=name, seq=head)))
        follower.live = True

    def _hold(self, text: bytes) -> None:
        """A frame that states what may not be durable yet: it waits for the last record."""
        self.engine.fanout.hold(self.session.outbox, self.engine.state.seq, text)

    def unsubscribe(self, req: asked.Unsubscribe, in_ns: int) -> None:
        """Follow an account no longer."""
        account = self.session.lane.account(req, in_ns)
        if account < 0:
            return
        self._drop(account)
        name = self.engine.state.account_names[account]
        self.session.reply(notices.Res(re=req.id, in_ns=in_ns, what="unsubscribe", account=name))

    def _drop(self, account: int) -> None:
        follower = self.followers.pop(account, None)
        if follower is not None:
            self.engine.fanout.unfollow(follower)

    def end(self) -> None:
        """The connection is gone."""
        for account in list(self.followers):
            self._drop(account)

    # --- replay ------------------------------------------------------------------------------------------------------

    def pump(self, follower: Follower) -> None:
        """Send events from the journal until the follower has caught up with what was let out; a part a turn."""
        session, engine = self.session, self.engine
        if session.is_dead or self.followers.get(follower.account) is not follower or follower.live:
            return
        account = follower.account
        head = engine.fanout.heads[account]
        stop = min(head, follower.next_seq + PUMP_EVENTS - 1)
        room = session.server.limits.outbound_bytes // 4  # before it is asked whether the client keeps up
        is_written = True
        while is_written and room > 0 and follower.next_seq <= stop:
            try:
                text = engine.event_text(account, follower.next_seq)
            except OSError as error:  # else the client would wait for ever for its live
                log.error("an event cannot be read", seq=follower.next_seq, why=str(error))
                session.close(4011, "the journal cannot be read here: reconnect and resume")
                return
            is_written = bool(text)
            if is_written:
                session.outbox.send(text)
                follower.next_seq += 1
                room -= len(text)
        session.outbox.flush()
        if follower.next_seq > head:
            follower.live = True
            if follower.announces:
                follower.announces = False
                session.send(notices.Live(account=engine.state.account_names[account], seq=head))
                session.outbox.flush()
        elif session.outbox.lagging or not is_written:
            reach("follow.waits_for_its_reader")
            engine.later(5_000_000, lambda: self.pump(follower))
        else:
            engine.soon(lambda: self.pump(follower))

    # --- snapshot ----------------------------------------------------------------------------------------------------

    def _snapshot(self, account: int, name: str, seq: int) -> list[bytes]:
        """The account exactly at `seq`, in parts."""
        engine = self.engine
        since = engine.clock.wall_ns() - self.session.server.limits.snapshot_done_ms * 1_000_000
        rows = engine.views.open_orders(account) + engine.views.done_since(account, DONE_MAX, since)
        parts = []
        for start in range(0, max(1, len(rows)), PART_ORDERS):
            chunk = rows[start : start + PART_ORDERS]
            first = start == 0
            part: dict[str, Any] = {
                "t": "snapshot", "account": name, "seq": seq, "part": start // PART_ORDERS + 1,
                "last": start + PART_ORDERS >= len(rows),
                "orders": [msgspec.Raw(engine.views.order_json(row)) for row in chunk],
                "positions": answers.positions(engine, account) if first else [],
                "leases": [],
                "halts": self.session.server.halts(account) if first else [],
            }  # fmt: skip
            parts.append(encode(part))
        return parts
