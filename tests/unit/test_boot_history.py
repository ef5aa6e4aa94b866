"""The journal's first header and its first record give one history, also when a crash comes between the two."""

from __future__ import annotations

from pathlib import Path

from gateway import boot
from gateway.clock import SystemClock
from gateway.config import load
from gateway.journal.recovery import Recovered, recover
from tests.sim.world import World
from tests.unit.journal_files import HISTORY, SMALL, writing


def test_a_journal_of_a_header_alone_keeps_the_name_that_the_header_gives(tmp_path: Path) -> None:
    config = load(overlay={"gateway": {"data_dir": str(tmp_path)}})
    folder = boot.journal_dir(config)
    folder.mkdir(parents=True)
    with writing(folder, **SMALL):
        pass  # the first life ends before its first record
    assert recover(folder, repair=False).history_id == HISTORY
    booted = boot.boot(config, SystemClock())
    boot.configure(booted.state, config, SystemClock(), named=booted.recovered.history_id)
    assert booted.state.history == HISTORY


def test_a_gateway_that_died_before_its_first_record_goes_on_with_the_history_of_its_header() -> None:
    world = World(1, faults={})

    def on_disk() -> Recovered:
        return recover(boot.journal_dir(world.config), repair=False, files=world.disk.files())

    world.node.boot()
    while not on_disk().history_id:
        assert world.kernel.step()
    assert on_disk().last_seq == 0
    world.node.down("crash")
    while world.node.shard is None:
        assert world.kernel.step()
    assert world.node.shard.state.history == on_disk().history_id
