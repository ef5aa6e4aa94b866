"""I8: the journal on disk is what was written, record by record. (`Judge` sees gaps and repeats of `seq`.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import boot
from gateway.journal.recovery import recover
from tests.sim.history import History
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Sequence:
    """The bytes of the simulated disk against the records as they were handed over."""

    id = "I8"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def at_rest(self) -> None:
        world, on_disk = self.judge.world, History()
        files = world.disk.files()
        for block in recover(boot.journal_dir(world.config), repair=False, files=files).blocks():
            on_disk.note_run(0, 0, block.data)
        written = {record.seq: record for record in self.judge.journal.records}
        for record in on_disk.records:
            known = written.get(record.seq)
            if known is None or (known.kind, known.payload) != (record.kind, record.payload):
                raise Broken("I8", f"record {record.seq} on disk is not the one that was written")
