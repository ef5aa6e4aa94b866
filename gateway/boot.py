"""From what is on disk to a running core: recover the journal, load the snapshot, replay, apply the configuration."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.config import Config
from gateway.core import COMPILED, Core
from gateway.core.state import State
from gateway.core.world import World
from gateway.journal.files import SYSTEM, File, Files
from gateway.journal.recovery import Recovered, recover
from gateway.journal.segment import segment_name, split_position
from gateway.journal.snapshot import Snapshot, SnapshotStore, restore
from gateway.options import AccountOptions, e4, e9
from gateway.options import Config as Options

log = structlog.get_logger("boot")
ASSET_CLASSES = ("equity", "crypto", "future", "fx")
HEAD = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Booted:
    """The state as the journal tells it, and where the journal goes on."""

    state: State
    recovered: Recovered
    replayed: int
    took_ns: int


def journal_dir(config: Config) -> Path:
    """The folder of the segments."""
    return Path(config.gateway.data_dir) / config.journal.dir


def new_state(config: Options, core: Core = COMPILED) -> State:
    """Empty tables of the configured sizes."""
    capacity = config.capacity
    return core.state(
        shard=config.gateway.shard, orders=capacity.orders, accounts=capacity.accounts, instruments=capacity.instruments
    )


def boot(config: Config, clock: Clock, core: Core = COMPILED, files: Files = SYSTEM) -> Booted:
    """Rebuild the state. Raises JournalCorrupt when the journal is damaged before its tail."""
    began = clock.mono_ns()
    folder = journal_dir(config)
    files.make_folder(folder)
    restored = restore(folder, files=files)
    for refused in restored.refused:
        log.warning("snapshot passed over", path=str(refused.path), why=refused.why)
    state, position = state_from(config, restored.snapshot, core)
    replayed = 0
    for block in restored.recovered.blocks(position):
        replayed += state.replay(block.data, block.position)
    recovered = restored.recovered
    if recovered.truncated_bytes:
        log.warning(
            "torn tail of the journal was cut", bytes=recovered.truncated_bytes, lost=recovered.synced_bytes_lost
        )
    return Booted(state, recovered, replayed, clock.mono_ns() - began)


def replay_all(config: Config, files: Files = SYSTEM) -> tuple[int, str]:
    """Sequence and digest of the state that the whole journal gives, snapshots aside; changes nothing on disk."""
    state = new_state(config)
    for block in recover(journal_dir(config), repair=False, files=files).blocks():
        state.replay(block.data, block.position)
    return state.seq, state.digest()


def pack_snapshot(state: State) -> bytes:
    """The state and the positions of its events as a snapshot's content."""
    content = state.dump()
    return HEAD.pack(len(content)) + content + state.positions_dump()


def load_snapshot(state: State, content: bytes) -> None:
    """Fill an empty state from a snapshot's content."""
    (size,) = HEAD.unpack_from(content)
    state.load(content[HEAD.size : HEAD.size + size], content[HEAD.size + size :])


def state_from(config: Config, snapshot: Snapshot | None, core: Core = COMPILED) -> tuple[State, int]:
    """The state that a snapshot holds and the position after it; an empty one and 0 when another version made it.

    A snapshot only saves time: what this version cannot read costs a replay of the whole journal, not the start.
    """
    state = new_state(config, core)
    if snapshot is None:
        return state, 0
    try:
        load_snapshot(state, snapshot.content)
    except ValueError as error:
        log.warning("snapshot passed over; the whole journal is replayed", seq=snapshot.seq, why=str(error))
        return new_state(config, core), 0
    return state, snapshot.position


def write_snapshot(config: Config, state: State, position: int, files: Files = SYSTEM) -> Path:
    """Store the state as of its last record, whose bytes end at `position`."""
    store = SnapshotStore(journal_dir(config), files=files)
    return store.write(Snapshot(state.seq, position, state.history, pack_snapshot(state)))


def configure(
    state: State, config: Config, clock: Clock, core: Core = COMPILED,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes, *, named: bytes = b"",
) -> None:  # fmt: skip
    """Records for what the configuration has and the journal does not: epoch, instruments, accounts, limits.

    named: the history in the journal's first header. A crash can leave it without the record that says the same;
    under another name the next segment would not belong to the first.
    """
    world = core.world(state)
    wall_ns = clock.wall_ns()
    history = state.history if any(state.history) else named or token_bytes(16)
    world.start_epoch(state.epoch + 1, history, wall_ns)
    for item in config.instruments:
        row = state.quotes.row_of(item.symbol)
        if row < 0:
            row = world.list_instrument(
                item.symbol.encode(), tick_e9=e9(item.tick), lot_e9=e9(item.lot), min_qty_e9=e9(item.min_qty),
                max_age_ns=item.max_age_ms * 1_000_000, outside_bps_e9=e9(item.outside_bps),
                asset_class=ASSET_CLASSES.index(item.asset_class), wall_ns=wall_ns,
            )  # fmt: skip
        if item.restricted != bool(state.quotes.snapshot(row)["is_restricted"]):
            world.set_instrument(row, True, False, item.restricted, wall_ns)
    rows = {name: _group_row(state, row) for name, row in state.accounts.items()}
    groups = {_group_of(account): rows[account.name] for account in config.accounts if account.name in rows}
    free = count(max(rows.values(), default=-1) + 1)
    for account in config.accounts:
        _configure_account(state, world, account, groups, free, wall_ns)


def _configure_account(
    state: State, world: World, account: AccountOptions, groups: dict[str, int], free: Iterator[int], wall_ns: int
) -> None:
    row = state.accounts.get(account.name)
    if row is None:
        name = _group_of(account)
        if name not in groups:
            groups[name] = next(free)
        row = world.open_account(account.name.encode(), groups[name], e4(account.cash), wall_ns)
    limits = account.fixed_limits()
    if limits is None:
        return
    wanted = limits.to_gate()
    known = state.gate.account(row)
    if not known["has_limits"] or {name: known["limits"][name] for name in wanted} != wanted:
        world.set_limits(row, wanted, state.limit_versions.get(row, 0) + 1, wall_ns)


def _group_of(account: AccountOptions) -> str:
    """Name of the accounts whose orders must not trade with each other."""
    return account.group or f"account {account.name}"


def _group_row(state: State, row: int) -> int:
    facts: dict[str, Any] = state.gate.account(row)
    return int(facts["group"])


class EventReader:
    """Single frames of the journal by position, for resumes and repeated answers."""

    def __init__(self, folder: Path, files: Files = SYSTEM) -> None:
        self._folder = folder
        self._source = files
        self._files: dict[int, File] = {}

    def read(self, position: int) -> bytes:
        """The whole frame at a position; empty while the writer's thread has not written it yet."""
        number, offset = split_position(position)
        file = self._files.get(number)
        if file is None:
            file = self._files[number] = self._source.open(self._folder / segment_name(number))
        data = file.pread(1024, offset)
        size = int.from_bytes(data[:4], "little")
        if size > len(data):
            data = file.pread(size, offset)
        return data[:size]

    def close(self) -> None:
        """Close the segments."""
        for file in self._files.values():
            file.close()
        self._files.clear()
