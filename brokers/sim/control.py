"""The venue's control channel: tests and drills script market, links and faults through it (docs/venue.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from brokers.sim import messages as m
from brokers.sim.market import next_seq, quote_frame, trade_frame
from brokers.sim.quirks import Quirks
from hotpath.fixed import from_e9, to_e9

if TYPE_CHECKING:
    from brokers.sim.server import Venue


class Control:
    """Runs admin messages against one venue; each has taken effect when its answer is made."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._seqs: dict[str, int] = {}
        self._actions: dict[str, Callable[[m.Admin, int], None]] = {
            "quote": self._quote,
            "trade": self._trade,
            "frame": self._frame,
            "pause": lambda admin, now_ns: venue.pump.pause(),
            "resume": lambda admin, now_ns: venue.pump.resume(),
            "disconnect": self._disconnect,
            "refuse": self._refuse,
            "feed": lambda admin, now_ns: venue.feed.set_line(admin.key, admin.mode),
            "drop_feeds": lambda admin, now_ns: venue.feed.drop_all(),
            "quirks": self._quirks,
            "bust": self._bust,
            "end_day": lambda admin, now_ns: venue.emit(venue.exchange.end_day(now_ns), now_ns),
            "stats": lambda admin, now_ns: None,
        }

    def on_admin(self, request: m.Request, now_ns: int) -> m.Message:
        """Do it, and answer."""
        if not isinstance(request, m.Admin):
            return m.Error("NOT_ALLOWED", "an admin session takes admin messages only")
        action = self._actions.get(request.do)
        if action is None:
            return m.Error("BAD_ADMIN", f"no such action: {request.do}")
        try:
            action(request, now_ns)
        except (ValueError, KeyError) as error:
            return m.Error("BAD_ADMIN", f"{request.do}: {error}")
        return m.AdminOk(request.do, self._venue.stats() if request.do == "stats" else {})

    def _next_seq(self, sym: str, time_ms: int) -> int:
        seq = self._seqs[sym] = next_seq(self._seqs.get(sym, 0), time_ms)
        return seq

    def _quote(self, admin: m.Admin, now_ns: int) -> None:
        venue, time_ms = self._venue, now_ns // 1_000_000
        bid, bid_qty, ask, ask_qty = (to_e9(text) for text in (admin.bid, admin.bid_qty, admin.ask, admin.ask_qty))
        out = venue.exchange.on_quote(
            admin.sym, bid_px_e9=bid, bid_qty_e9=bid_qty, ask_px_e9=ask, ask_qty_e9=ask_qty, now_ns=now_ns
        )
        venue.emit(out, now_ns)
        texts = from_e9(bid), from_e9(bid_qty), from_e9(ask), from_e9(ask_qty)
        frame = quote_frame(admin.sym, *texts, self._next_seq(admin.sym, time_ms), time_ms)
        venue.feed.publish(f"{admin.sym.lower()}@bookTicker", frame)

    def _trade(self, admin: m.Admin, now_ns: int) -> None:
        venue, time_ms = self._venue, now_ns // 1_000_000
        px, qty = to_e9(admin.px), to_e9(admin.qty)
        venue.emit(venue.exchange.on_trade(admin.sym, px_e9=px, qty_e9=qty, now_ns=now_ns), now_ns)
        seq = self._next_seq(admin.sym, time_ms)
        frame = trade_frame(admin.sym, from_e9(px), from_e9(qty), seq, time_ms, is_buyer_maker=False)
        venue.feed.publish(f"{admin.sym.lower()}@trade", frame)

    def _frame(self, admin: m.Admin, now_ns: int) -> None:
        self._venue.feed.publish("", admin.text.encode("utf-8", "surrogatepass"))

    def _disconnect(self, admin: m.Admin, now_ns: int) -> None:
        if admin.mode in ("mute", "unmute"):
            self._venue.mute(admin.key, is_muted=admin.mode == "mute")
            return
        if admin.mode != "reset":
            raise ValueError(f"no such mode: {admin.mode}")
        session = self._venue.trader(admin.key)
        if session is None:
            raise KeyError(admin.key)
        session.reset()
        self._venue.remove_session(session)

    def _refuse(self, admin: m.Admin, now_ns: int) -> None:
        self._venue.is_refusing = admin.on

    def _quirks(self, admin: m.Admin, now_ns: int) -> None:
        known = msgspec.structs.asdict(self._venue.exchange.quirks)
        changes = msgspec.json.decode(admin.set, type=dict[str, int | bool])
        self._venue.exchange.set_quirks(msgspec.convert({**known, **changes}, Quirks))

    def _bust(self, admin: m.Admin, now_ns: int) -> None:
        self._venue.emit(self._venue.exchange.bust(admin.exec, now_ns), now_ns)
