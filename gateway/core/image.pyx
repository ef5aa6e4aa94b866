"""A state as bytes and back: the content of a snapshot, and what the state digest covers."""
from msgspec.msgpack import decode as unpack
from msgspec.msgpack import encode as pack

from libc.stdint cimport uint32_t
from hotpath.orders cimport OrderRow, is_done
from gateway.core.state cimport State, is_doubted, is_held, is_watched

from gateway.errors import ConfigError
from risk.halts import HaltBook


def image_of(State s not None) -> list:
    """The parts of the canonical bytes; two states are equal when these are. Large ones are views: use them at once."""
    cdef Py_ssize_t accounts = len(s.account_names)
    instruments = []
    for row, symbol in enumerate(s.quotes.symbols[: s.quotes.count]):
        r = s.quotes.rows[<uint32_t>row]
        instruments.append((symbol, r.tick_e9, r.lot_e9, r.min_qty_e9, r.max_age_ns, r.outside_bps_e9, r.asset_class,
                            r.is_open, r.is_halted, r.is_restricted))
    head = pack((s.shard, s.epoch, s.history, s.seq, s.last_wall_ns, s.events, s.account_names, s.halts.to_dict(),
                 sorted(s.limit_versions.items()), list(s.suspects)))
    seqs = (<const char*>s.acct_seqs)[: accounts * 8] if accounts else b""
    answered = pack((list(s.revisions.items()), list(s.batches.items()), _extremes(s)))
    return [head, pack(instruments), seqs, answered, s.gate.dump(), *s.orders.parts()]


def _extremes(State s) -> list:
    """(order, extreme) of each trailing stop that has started: where the stop is, it is by these."""
    cdef uint32_t row
    found = []
    for row in range(s.orders.count):
        if s.orders.rows[row].is_trailing and is_held(&s.orders.rows[row]) and s.stops.extreme_px(row):
            found.append((row, s.stops.extreme_px(row)))
    return found


def fill(State s not None, bytes data not None) -> None:
    """Fill an empty state from its canonical bytes; ValueError when they do not fit, ConfigError for another shard's."""
    cdef uint32_t row
    cdef OrderRow* order
    cdef bytes part
    parts = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    if len(parts) != 9 or at != len(data):
        raise ValueError("snapshot content has the wrong shape")
    shard, s.epoch, history, s.seq, s.last_wall_ns, s.events, names, halts, versions, suspects = unpack(parts[0])
    if shard != s.shard:
        raise ConfigError([f"gateway.shard: the journal is of shard {shard}, not {s.shard}"])
    s._name_history(history)
    for instrument in unpack(parts[1]):
        _list_again(s, *instrument)
    for row, name in enumerate(names):
        s._open(row, name.encode())
        s.acct_seqs[row] = int.from_bytes(parts[2][8 * row : 8 * row + 8], "little")
    s.halts = HaltBook.from_dict(halts)
    s.limit_versions.update(versions)
    s.suspects.update(dict.fromkeys(suspects))
    revisions, batches, extremes = unpack(parts[3])
    reached = dict(extremes)
    s.revisions.update((tuple(key), tuple(value)) for key, value in revisions)
    s.batches.update((tuple(key), value) for key, value in batches)
    part = parts[4]
    s.gate.load(part, len(part))
    s.orders.load(b"".join(parts[5:]))
    for row in range(s.orders.count):
        order = &s.orders.rows[row]
        if not is_done(order.ord_status):
            s._link(row, order.account)
        s._chain(row, order.account)
        s.links.tie(row)
        s.doubts += is_doubted(order)
        s.held[order.terms.instrument] += is_watched(order)
        if order.terms.max_age_ns and is_held(order):
            s._tighten(&order.terms, 1)
        s._watch(row, order, False, reached.get(row, 0))


def _list_again(State s, symbol, tick, lot, min_qty, max_age, outside, asset_class, is_open, is_halted, is_restricted):
    row = s.quotes.add(symbol, tick_e9=tick, lot_e9=lot, min_qty_e9=min_qty, max_age_ns=max_age,
                       outside_bps_e9=outside, asset_class=asset_class)
    s.names.name_symbol(row, symbol.encode())
    s.stops.set_tick(row, tick)
    s._set_session(row, is_open, is_halted, is_restricted)
