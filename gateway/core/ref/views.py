"""Twin of gateway.core.views: what the state says, for people and clients. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.core.ref import shares
from gateway.core.ref.state import CROCKFORD, State
from hotpath.enums import OrdStatus, OrdType, Pending, Rank, Side, Stp, Tif, TriggerKind
from hotpath.ref.fixed import from_e9
from hotpath.ref.orders import HELD, OrderRow
from hotpath.ref.records import Terms

GUARD_ORDERS_MAX = 1500  # bytes of names in one `guard` event
MS_NS = 1_000_000
STATUSES = ("none", "held", "pending_new", "new", "partially_filled", "filled", "canceled", "expired", "rejected")
STAGES = ("", "queued", "sent", "in_doubt")
HOLDS = ("", "trigger", "parent", "open", "review")
PENDINGS = ("null", '"cancel"', '"replace"')
TIF_NAMES = ("day", "gtc", "opg", "ioc", "fok", "", "gtd", "cls")
TRIGGERS = ("", "stop", "touch", "trail", "time")
SOURCE_NAMES = ("last", "bid", "ask", "mid", "mark")


class Views:
    """Questions about a state."""

    def __init__(self, state: State) -> None:
        self.state = state

    def _row(self, order: int) -> OrderRow:
        if order >= self.state.orders.count:
            raise ValueError(f"order row {order} does not exist")
        return self.state.orders.rows[order]

    def order_json(self, order: int) -> bytes:
        """The order as a snapshot states it (`OrderState`): state members and the terms in full."""
        row = self._row(order)
        members = [
            f'"cl_ord_id":"{row.cl_ord_id.decode()}"', f'"order_id":"{_order_id(order)}"', f'"rev":{row.rev}',
            f'"ord_status":"{STATUSES[row.ord_status]}"',
        ]  # fmt: skip
        if row.stage:
            members.append(f'"stage":"{STAGES[row.stage]}"')
        if row.hold:
            members.append(f'"hold":"{HOLDS[row.hold]}"')
        average = f'"{from_e9(row.average_px())}"' if row.cum_qty_e9 > 0 else "null"
        members += [
            f'"pending":{PENDINGS[row.pending]}', f'"cum_qty":"{from_e9(row.cum_qty_e9)}"',
            f'"leaves_qty":"{from_e9(row.leaves_qty_e9)}"', f'"avg_px":{average}', f'"ask_rev":{row.ask_rev}',
            f'"seq":{row.accepted_acct_seq}', f'"ts_ns":{row.accepted_ns}',
        ]  # fmt: skip
        if row.broker_order_id:
            members.append(f'"broker_order_id":{_id_text(row.broker_order_id)}')
        if row.told_stop_px_e9:
            members.append(f'"stop_px":"{from_e9(row.told_stop_px_e9)}"')
        members.append(f'"order":{self._terms(order, row)}')
        return ("{" + ",".join(members) + "}").encode()

    def _terms(self, order: int, row: OrderRow) -> str:
        """The `order` block: the terms in full."""
        t = row.terms
        session, tag, signal, after, oco = self.state.texts_of(order)
        members = [
            f'"symbol":"{self.state.quotes.symbol_of(t.instrument)}"',
            f'"side":"{"buy" if t.side == Side.BUY else "sell"}"',
            f'"ord_type":"{"market" if t.ord_type == OrdType.MARKET else "limit"}"',
            f'"qty":"{from_e9(t.order_qty_e9)}"',
        ]
        if t.px_e9:
            members.append(f'"px":"{from_e9(t.px_e9)}"')
        members.append(f'"tif":"{TIF_NAMES[t.tif]}"')
        if t.expire_ns:
            members.append(f'"expire_ns":{t.expire_ns}')
        members.append(f'"hours":"{"extended" if t.extended else "regular"}"')
        if t.trigger:
            members.append(f'"trigger":{_trigger(t)}')
        if t.collar_bps_e9:
            members.append(f'"collar_bps":"{from_e9(t.collar_bps_e9)}"')
        if t.max_queue_ns >= 0:
            members.append(f'"max_queue_ms":{t.max_queue_ns // MS_NS}')
        members.append(f'"stp":"{"cancel_new" if t.stp == Stp.CANCEL_NEW else "allow"}"')
        members.append(f'"reduce_only":{"true" if t.reduce_only else "false"}')
        for name, text in (("session", session), ("tag", tag), ("signal", signal)):
            if text:
                members.append(f'"{name}":{_text(text)}')
        if after:
            members.append(f'"after":{{"cl_ord_id":{_text(after)},"on":"{"full" if t.when_full else "fill"}"}}')
        if oco:
            members.append(f'"oco":{_text(oco)}')
        members.append(f'"origin":"{"external" if t.origin else "api"}"')
        return "{" + ",".join(members) + "}"

    def order(self, order: int) -> dict[str, Any]:
        """The order's row as plain values, for the engine's slow paths."""
        row = self._row(order)
        terms, texts = row.terms, self.state.orders.texts
        return {
            "order": order, "account": row.account, "instrument": terms.instrument, "cl_ord_id": row.cl_ord_id,
            "ord_status": row.ord_status, "stage": row.stage, "hold": row.hold, "pending": row.pending,
            "rev": row.rev, "ask_rev": row.ask_rev, "broker_rev": row.broker_rev, "side": terms.side,
            "ord_type": terms.ord_type, "tif": terms.tif, "order_qty_e9": terms.order_qty_e9, "px_e9": terms.px_e9,
            "stop_px_e9": terms.stop_px_e9, "told_stop_px_e9": row.told_stop_px_e9,
            "source": terms.source, "cum_qty_e9": row.cum_qty_e9,
            "leaves_qty_e9": row.leaves_qty_e9, "owed_qty_e9": row.owed_qty_e9, "was_sent": bool(row.was_sent),
            "avg_px_e9": row.average_px(), "reserved_qty_e9": row.reserved_qty_e9,
            "reduce_only": bool(terms.reduce_only), "triggered": bool(row.triggered), "expire_ns": terms.expire_ns,
            "max_queue_ns": terms.max_queue_ns, "live_ns": row.live_ns, "accepted_ns": row.accepted_ns,
            "fire_through": bool(terms.fire_through), "accepted_acct_seq": row.accepted_acct_seq,
            "session": texts[row.session], "tag": texts[row.tag], "is_child": terms.parent != 0,
        }  # fmt: skip

    def is_tied(self, order: int) -> bool:
        """Whether the order waits for another one or shares its quantity with others."""
        return self.state.links.touches(order)

    def rivals(self, order: int) -> list[int]:
        """Orders of the other camp of its group that must end before it leaves."""
        return shares.rivals(self.state, order)

    def is_protective(self, account: int, cl_ord_id: bytes) -> bool:
        """Whether the account has an order of this name that is bound to reduce."""
        order = self.state.orders.find_row(account, cl_ord_id)
        return order >= 0 and bool(self.state.orders.rows[order].terms.reduce_only)

    def status(self, order: int) -> tuple[int, int, int]:
        """(ord_status, stage, pending) of an order."""
        row = self.state.orders.rows[order]
        return row.ord_status, row.stage, row.pending

    def rank(self, order: int) -> int:
        """For what its next message leaves: a Rank. A replace counts by the larger of the terms in force and those
        asked."""
        row = self.state.orders.rows[order]
        if row.pending == Pending.PENDING_CANCEL:
            return Rank.CANCELS
        qty_e9, is_smaller = row.terms.order_qty_e9, False
        if row.pending == Pending.PENDING_REPLACE:
            is_smaller = row.ask_qty_e9 < qty_e9
            qty_e9 = max(qty_e9, row.ask_qty_e9)
        pair = self.state.gate.pairs.get((row.account, row.terms.instrument))
        is_covered = pair is not None and qty_e9 - row.cum_qty_e9 <= -pair.signed_pos(row.terms.side)
        if row.terms.reduce_only or (row.triggered and is_covered):
            return Rank.EXITS
        return Rank.REDUCTIONS if is_smaller or is_covered else Rank.ENTRIES

    def is_unfinished(self, order: int) -> bool:
        """Whether its broker should say more of an order soon: fills that it counts and has not told, or the end of one
        that works there and was to be done at once."""
        row = self.state.orders.rows[order]
        if row.owed_qty_e9 > 0:
            return True
        is_at_once = row.terms.ord_type == OrdType.MARKET or row.terms.tif in (Tif.IOC, Tif.FOK)
        return is_at_once and row.ord_status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)

    def accepted(self, order: int) -> tuple[int, int]:
        """(account, number of the event there that lets it out): of its `accepted`, or of what its parent brought."""
        row = self._row(order)
        return row.account, self.state.links.grown.get(order, row.accepted_acct_seq)

    def fired(self, order: int) -> tuple[int, int]:
        """(account, number of its `triggered` event there) of an order; 0 when nothing has fired it."""
        row = self.state.orders.rows[order]
        return row.account, row.fired_acct_seq

    def terms_since(self, order: int) -> tuple[int, int]:
        """(account, number of the event there that brought the last revision asked for) of an order; 0 without one."""
        row = self.state.orders.rows[order]
        return row.account, row.ask_acct_seq

    def cancel_since(self, order: int) -> tuple[int, int]:
        """(account, number of the event there that answered the cancel) of an order; 0 when none was asked for."""
        row = self.state.orders.rows[order]
        return row.account, row.cancel_acct_seq

    def sent_rev(self, order: int) -> int:
        """Revision in force of an order that is at, or on its way to, the broker."""
        return self.state.orders.rows[order].rev

    def open_orders(self, account: int) -> list[int]:
        """Rows of the account's open orders, in order of acceptance."""
        return list(self.state.open_rows[account])

    def select(
        self, account: int, instrument: int, side: int, session: bytes | None, tag: bytes | None, keep_protective: bool
    ) -> list[int]:
        """Open orders that a `cancel_all` with these filters means; -1, 0 and None filter nothing."""
        texts = self.state.orders.texts

        def is_meant(row: OrderRow) -> bool:
            return (
                (instrument < 0 or row.terms.instrument == instrument)
                and (side == 0 or row.terms.side == side)
                and (session is None or texts[row.session] == session)
                and (tag is None or texts[row.tag] == tag)
                and not (keep_protective and row.terms.reduce_only)
                and row.pending != Pending.PENDING_CANCEL
            )

        return [order for order in self.state.open_rows[account] if is_meant(self.state.orders.rows[order])]

    def _open(self) -> Iterator[tuple[int, OrderRow]]:
        """All open orders, account by account."""
        for account in range(len(self.state.account_names)):
            for order in self.state.open_rows[account]:
                yield order, self.state.orders.rows[order]

    def unsettled(self) -> list[int]:
        """Rows of all open orders that are, or may be, at a broker; queued ones included, held ones not."""
        return [order for order, row in self._open() if row.ord_status != HELD]

    def owing(self) -> list[int]:
        """Rows of done orders of which the broker counts more than it has told, or that it may have filled beyond what
        we know: a replace had no answer when they were filled, or a fill of theirs was broken."""
        return [order for order, row in enumerate(self.state.orders.rows) if _is_owing(row)]

    def held(self) -> dict[int, int]:
        """instrument row -> number of orders that rest here for a price."""
        return {row: self.state.held[row] for row in range(self.state.quotes.count) if self.state.held[row]}

    def resting(self, instruments: dict[int, int]) -> dict[tuple[int, int], bytes]:
        """(account, instrument) -> names of its orders that rest there for a price, joined by commas; empty when they
        do not fit one record: all of that instrument.

        instruments: row -> age of its data (ns); orders that fire on data of that age are left out.
        """
        found: dict[tuple[int, int], list[bytes]] = {}
        for _, row in self._open():
            age_ns = instruments.get(row.terms.instrument, 0)
            limit_ns = self.state.quotes.rows[row.terms.instrument].max_age_ns
            if row.is_watched and age_ns > min(limit_ns, row.terms.max_age_ns or limit_ns):
                found.setdefault((row.account, row.terms.instrument), []).append(row.cl_ord_id)
        texts = {key: b",".join(names) for key, names in found.items()}
        return {key: text if len(text) <= GUARD_ORDERS_MAX else b"" for key, text in texts.items()}

    def done_since(self, account: int, most: int, since_ns: int) -> list[int]:
        """Rows of the account's done orders accepted at or after `since_ns`, newest first, at most `most`."""
        found: list[int] = []
        for order in reversed(self.state.all_rows[account]):
            row = self.state.orders.rows[order]
            if len(found) >= most or row.accepted_ns < since_ns:
                break
            if row.is_done:
                found.append(order)
        return found

    def page(self, account: int, start: int, scan: int, most: int) -> tuple[list[int], int]:
        """(rows, next start) of the account's orders from row `start` on: at most `most` of `scan`; -1 = the end."""
        order, count = start, self.state.orders.count
        found: list[int] = []
        while order < min(count, start + scan) and len(found) < most:
            if self.state.orders.rows[order].account == account:
                found.append(order)
            order += 1
        return found, order if order < count else -1

    def counts(self) -> dict[int, int]:
        """Number of records of each kind since the state was built, by `hotpath.records.Kind` value."""
        return {kind: count for kind, count in sorted(self.state.kind_counts.items()) if count}

    def done(self) -> dict[tuple[int, int], int]:
        """Orders that ended since the state was built, by (`OrdStatus`, `Reason`) value."""
        return {how: count for how, count in sorted(self.state.done_counts.items()) if count}

    def in_doubt(self) -> int:
        """Open orders of which it is not known whether the broker has them."""
        return self.state.doubts

    def positions(self, account: int) -> list[tuple[int, int, int, int, int]]:
        """(instrument row, pos_qty_e9, avg_px_e9, realised_e4, mark_px_e9) of the account, in order of first use."""
        return [
            (pair.instrument, pair.pos_qty_e9, pair.avg_px_e9, pair.realised_e4, pair.mark_px_e9)
            for pair in self.state.gate.pairs.values()
            if pair.account == account
        ]

    def account(self, account: int) -> dict[str, Any]:
        """Money, exposure and limits of an account, fixed-point integers."""
        return self.state.gate.account(account)

    def acct_seq(self, account: int) -> int:
        """Number of the account's last event."""
        return self.state.acct_seqs[account]


def _order_id(order: int) -> str:
    """`O` and the order's row in Crockford base32, at least four characters."""
    count = max(4, -(-order.bit_length() // 5))
    return "O" + "".join(CROCKFORD[order >> 5 * place & 31] for place in reversed(range(count)))


def _text(text: bytes) -> str:
    """A JSON string; control characters, quotes and backslashes are escaped (RFC 8259 section 7)."""
    return '"' + "".join(_escaped(char) for char in text.decode()) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return f"\\u{ord(char):04x}" if char < " " else char


def _id_text(text: bytes) -> str:
    """A broker's id as a JSON string: bytes, whatever they are, stand for the characters of the same numbers."""
    plain = (chr(byte) if 32 <= byte <= 126 and byte not in b'"\\' else f"\\u{byte:04x}" for byte in text)
    return '"' + "".join(plain) + '"'


def _trigger(t: Terms) -> str:
    if t.trigger == TriggerKind.TIME:
        when = f'"at_ns":{t.at_ns}' if t.at_ns else f'"after_ms":{t.after_ns // MS_NS}'
        through = "fire" if t.fire_through else "reject"
        return f'{{"kind":"time",{when},"if_through":"{through}","placement":"gateway"}}'
    members = [f'"kind":"{TRIGGERS[t.trigger]}"']
    if t.stop_px_e9:
        members.append(f'"stop_px":"{from_e9(t.stop_px_e9)}"')
    members.append(f'"source":"{SOURCE_NAMES[t.source]}"')
    if t.trail_e9:
        members.append(f'"trail":{{"{"bps" if t.trail_unit else "amount"}":"{from_e9(t.trail_e9)}"}}')
    if t.has_limit_offset:
        members.append(f'"limit_offset":"{from_e9(t.limit_offset_e9)}"')
    members.append(f'"if_through":"{"fire" if t.fire_through else "reject"}"')
    members.append(f'"on_missed":"{"rearm" if t.rearm_missed else "fire"}"')
    if t.confirm_ticks:
        members.append(f'"confirm":{{"ticks":{t.confirm_ticks}}}')
    elif t.confirm_ns:
        members.append(f'"confirm":{{"ms":{t.confirm_ns // MS_NS}}}')
    if t.max_age_ns:
        members.append(f'"max_age_ms":{t.max_age_ns // MS_NS}')
    members.append('"placement":"gateway"')
    return "{" + ",".join(members) + "}"


def _is_owing(row: OrderRow) -> bool:
    if row.ord_status == OrdStatus.FILLED and (row.open_asks or row.cum_qty_e9 < row.terms.order_qty_e9):
        return True
    return row.is_done and row.owed_qty_e9 > 0
