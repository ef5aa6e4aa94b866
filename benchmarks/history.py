"""A journal as a long day leaves it: made by the core itself, without a gateway, at the core's own speed."""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from pathlib import Path

from gateway import boot
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.contracts.requests import PlaceItem, Trigger
from gateway.core.intake import Intake
from gateway.core.reports import Reports
from gateway.journal.errors import JournalFull
from gateway.journal.segment import FIRST_POSITION
from gateway.journal.writer import JournalWriter
from hotpath.fixed import from_e9, to_e9

E9 = 1_000_000_000
RUN = 1_000  # orders between two hand-overs to the journal
SESSION = b"history"


class History:
    """Writes orders of the first account into the journal of a configuration."""

    def __init__(self, config: Config, bid: str, ask: str) -> None:
        folder = boot.journal_dir(config)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.clock = SystemClock()
        self.state = boot.new_state(config)
        boot.configure(self.state, config, self.clock)
        self.symbol = config.instruments[0].symbol
        self.intake, self.reports = Intake(self.state), Reports(self.state)
        self.writer = JournalWriter(
            str(folder), history_id=self.state.history, position=FIRST_POSITION, last_seq=0, epoch=self.state.epoch,
            segment_bytes=config.journal.segment_bytes, fsync=False,
        )  # fmt: skip
        self.mono_ns = self.clock.mono_ns()
        self.state.quotes.quote(0, to_e9(bid), E9, to_e9(ask), E9, 1, 0, self.mono_ns)
        self.bid, self.ask = bid, ask
        self.named = 0

    def fill(self, count: int, qty: str = "1") -> None:
        """Orders that live their whole life: accepted, sent, confirmed, filled."""
        qty_e9, px_e9 = to_e9(qty), to_e9(self.ask)
        for at in range(count):
            wall_ns = self.clock.wall_ns()
            row = self._place(qty, px=self.ask, side="buy")
            self.reports.sent(row, wall_ns, wall_ns)
            self.reports.new(row, b"V%d" % row, wall_ns, b"", wall_ns)
            self.reports.trade(row, b"X%d" % row, qty_e9, px_e9, qty_e9, 0, 1, wall_ns, b"", wall_ns)
            if at % RUN == RUN - 1:
                self.hand_over()
        self.hand_over()

    def rest(self, stops_e9: Iterable[int]) -> None:
        """Protective stops that wait for the bid."""
        for at, stop_e9 in enumerate(stops_e9):
            trigger = Trigger(kind="stop", stop_px=from_e9(stop_e9), source="bid")
            self._place("1", side="sell", trigger=trigger)
            if at % RUN == RUN - 1:
                self.hand_over()
        self.hand_over()

    def _place(self, qty: str, *, side: str, px: str | None = None, trigger: Trigger | None = None) -> int:
        self.named += 1
        req = PlaceItem(
            cl_ord_id=f"history-{self.named:08d}", symbol=self.symbol, side=side, qty=qty, px=px, tif="gtc",  # type: ignore[arg-type]
            ord_type="market" if px is None else "limit", trigger=trigger, reduce_only=trigger is not None,
        )  # fmt: skip
        answer = self.intake.place(0, req, SESSION, 0, False, self.clock.wall_ns(), self.mono_ns)
        if answer <= 0:
            raise ValueError(f"refused: {answer} {self.intake.path} {self.intake.text} {self.intake.decision}")
        return int(self.intake.order)

    def hand_over(self) -> None:
        """The records so far, to the journal."""
        state = self.state
        while state.has_records():
            last, blob = state.seq, state.peek()
            while True:
                try:
                    position = self.writer.submit(blob, last)
                    break
                except JournalFull:
                    select.select([self.writer.eventfd], [], [])
                    self.writer.take_event()
            state.placed(position)
        state.take_effects(state.seq)

    def close(self) -> int:
        """End the journal; returns its last sequence. Nothing of it is left for the disk to do later."""
        self.hand_over()
        self.writer.close()
        os.sync()
        return int(self.state.seq)
