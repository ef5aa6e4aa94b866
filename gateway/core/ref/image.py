"""Twin of gateway.core.image: a state as bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.msgpack import decode as unpack
from msgspec.msgpack import encode as pack

from gateway.errors import ConfigError
from risk.halts import HaltBook

if TYPE_CHECKING:
    from gateway.core.ref.state import State

PARTS = 9


def image_of(state: State) -> list[bytes | memoryview]:
    """The parts of the canonical bytes; two states are equal when these are."""
    instruments = [
        (at.symbol, at.tick_e9, at.lot_e9, at.min_qty_e9, at.max_age_ns, at.outside_bps_e9, at.asset_class, at.is_open,
         at.is_halted, at.is_restricted)
        for at in state.quotes.rows
    ]  # fmt: skip
    head = pack(
        (state.shard, state.epoch, state.history, state.seq, state.last_wall_ns, state.events, state.account_names,
         state.halts.to_dict(), sorted(state.limit_versions.items()), list(state.suspects))
    )  # fmt: skip
    seqs = b"".join(seq.to_bytes(8, "little") for seq in state.acct_seqs[: len(state.account_names)])
    extremes = [
        (order, state.stops.extreme_of(order))
        for order, row in enumerate(state.orders.rows)
        if row.is_trailing and row.is_held and state.stops.extreme_of(order)
    ]
    answered = pack((list(state.revisions.items()), list(state.batches.items()), extremes))
    return [head, pack(instruments), seqs, answered, state.gate.dump_py(), *state.orders.parts()]


def fill(state: State, data: bytes) -> None:
    """Fill an empty state from canonical bytes; ValueError when they do not fit, ConfigError for another shard's."""
    parts = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    if len(parts) != PARTS or at != len(data):
        raise ValueError("snapshot content has the wrong shape")
    head = unpack(parts[0])
    shard, state.epoch, history, state.seq, state.last_wall_ns, state.events, names, halts, versions, suspects = head
    if shard != state.shard:
        raise ConfigError([f"gateway.shard: the journal is of shard {shard}, not {state.shard}"])
    state.name_history(history)
    for symbol, *facts, is_open, is_halted, is_restricted in unpack(parts[1]):
        row = state.list_instrument(symbol, *facts)
        state.set_session(row, bool(is_open), bool(is_halted), bool(is_restricted))
    for row, name in enumerate(names):
        state.open_account(row, name.encode())
        state.acct_seqs[row] = int.from_bytes(parts[2][8 * row : 8 * row + 8], "little")
    state.halts = HaltBook.from_dict(halts)
    state.limit_versions.update(versions)
    state.suspects.update(dict.fromkeys(suspects))
    revisions, batches, extremes = unpack(parts[3])
    reached = dict(extremes)
    state.revisions.update((tuple(key), tuple(value)) for key, value in revisions)
    state.batches.update((tuple(key), value) for key, value in batches)
    state.gate.load_py(parts[4])
    state.orders.load(b"".join(parts[5:]))
    for order, one in enumerate(state.orders.rows):
        if not one.is_done:
            state.open_rows[one.account].append(order)
        state.all_rows[one.account].append(order)
        state.links.tie(order)
        state.doubts += one.is_doubted
        state.held[one.terms.instrument] += one.is_watched
        state.tighten(one.terms, int(one.is_held))
        state.watch(order, one, extreme_px_e9=reached.get(order, 0))
