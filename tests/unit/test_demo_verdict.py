"""The demo's judge: it holds for a sound run, and each planted fault breaks the one promise it should."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstay import Event, Gateway, HmacSecret, Order
from brokers.ids import encode_broker_id
from gateway.demo.trader import Trader
from gateway.demo.verdict import Restart, VenueLedger, judge

ENTRY, STOP = "B0000000001", "B0000000101"
STATE = {
    "account": "A", "ts_ns": 1, "order_id": "O1", "rev": 1, "pending": None, "leaves_qty": "0", "avg_px": None,
    "ord_status": "filled", "cum_qty": "1",
}  # fmt: skip
TERMS = {
    "symbol": "X", "side": "buy", "ord_type": "market", "qty": "1", "tif": "day", "reduce_only": False, "origin": "api"
}  # fmt: skip
EVIDENCE = {"source": "bid", "px": "99", "recv_ns": 1_000_000}
SOUND: tuple[dict[str, Any], ...] = (
    {"t": "accepted", "cl_ord_id": "e", "order": TERMS, "re": 1, "in_ns": 0, "out_ns": 9_000},
    {"t": "sent", "cl_ord_id": "e", "broker_cl_ord_id": ENTRY},
    {"t": "trade", "cl_ord_id": "e", "exec_id": "X1", "last_qty": "1", "last_px": "100", "pos_qty": "1"},
    {"t": "accepted", "cl_ord_id": "s", "order": {**TERMS, "side": "sell"}, "re": 2, "in_ns": 0, "out_ns": 9_000},
    {"t": "triggered", "cl_ord_id": "s", "evidence": EVIDENCE},
    {"t": "sent", "cl_ord_id": "s", "broker_cl_ord_id": STOP, "lat_ns": {"wire": 70_000}},
    {"t": "trade", "cl_ord_id": "s", "exec_id": "X2", "last_qty": "1", "last_px": "99", "pos_qty": "0"},
)
LEDGER: tuple[dict[str, Any], ...] = (
    {"dir": "in", "ts": 5, "msg": {"t": "new", "id": ENTRY, "sym": "X", "side": "buy"}},
    {"dir": "out", "ts": 6, "msg": {"t": "fill", "id": ENTRY, "exec": "X1", "qty": "1"}},
    {"dir": "in", "ts": 1_200_000, "msg": {"t": "new", "id": STOP, "sym": "X", "side": "sell"}},
    {"dir": "out", "ts": 1_200_001, "msg": {"t": "fill", "id": STOP, "exec": "X2", "qty": "1"}},
)

RESTART = Restart("SIGTERM", "aa", "aa", "aa", 9, 1)


@dataclass
class Journal:
    """The report of a sound journal."""

    frames: int = 9
    epoch: int = 1
    is_sound: bool = True
    is_clean: bool = True


def event(seq: int, members: dict[str, Any]) -> Event:
    from backstay._wire import ServerFrame

    found = msgspec.json.decode(json.dumps({**STATE, "seq": seq, **members}), type=ServerFrame)
    assert isinstance(found, Event)
    return found


def broken(
    tmp_path: Path,
    *,
    events: tuple[dict[str, Any], ...] = SOUND,
    ledger: tuple[dict[str, Any], ...] = LEDGER,
    restart: Restart = RESTART,
    journal: Journal | None = None,
    first_seq: int = 1,
) -> list[str]:
    """Names of the promises that did not hold."""
    client = Gateway("ws://127.0.0.1:1/v1/ws", key="A", secret=HmacSecret(b"0" * 32), account="A", session="t")
    trader = Trader(client, symbol="X", tick="1", stop_bps=1)
    trader.events = [event(seq, members) for seq, members in enumerate(events, first_seq)]
    trader.round_trips_ns = [20_000]
    trader.stop = Order(client, "s", event(4, SOUND[3]))  # type: ignore[arg-type]
    path = tmp_path / "ledger"
    path.write_text("".join(json.dumps(line) + "\n" for line in ledger))
    verdict = judge([trader], VenueLedger(path), [restart], journal or Journal())
    names = [check.name for check in verdict.checks if not check.holds]
    assert verdict.holds is not bool(names)
    return names


def without(lines: tuple[dict[str, Any], ...], at: int) -> tuple[dict[str, Any], ...]:
    return lines[:at] + lines[at + 1 :]


def test_a_sound_run_holds(tmp_path: Path) -> None:
    assert broken(tmp_path) == []


def test_an_order_that_reached_the_venue_twice_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, ledger=(*LEDGER, LEDGER[0])) == ["orders at the venue"]


def test_an_order_at_the_venue_that_nobody_was_told_of_is_found(tmp_path: Path) -> None:
    stray = {"dir": "in", "ts": 7, "msg": {"t": "new", "id": "B9", "sym": "X", "side": "buy"}}
    assert broken(tmp_path, ledger=(*LEDGER, stray)) == ["orders at the venue that were told"]


def test_a_fill_that_was_not_told_is_found(tmp_path: Path) -> None:
    lost = {"dir": "out", "ts": 8, "msg": {"t": "fill", "id": ENTRY, "exec": "X3", "qty": "1"}}
    assert broken(tmp_path, ledger=(*LEDGER, lost)) == ["fills", "positions"]


def test_a_fill_that_was_told_twice_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, events=(*SOUND, SOUND[6])) == ["fills"]


def test_a_stop_that_fired_twice_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, events=(*SOUND, SOUND[4])) == ["stops fired"]


def test_a_stop_that_never_fired_is_found(tmp_path: Path) -> None:
    assert "stops fired" in broken(tmp_path, events=SOUND[:4], ledger=LEDGER[:2])


def test_a_position_left_open_is_found(tmp_path: Path) -> None:
    open_end = {**SOUND[6], "pos_qty": "0.5"}
    assert broken(tmp_path, events=(*SOUND[:6], open_end)) == ["positions"]


def test_a_stop_that_fired_and_was_not_filled_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, events=(*SOUND[:6], {**SOUND[6], "ord_status": "canceled"})) == ["stops fired"]


def test_a_gap_in_a_stream_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, first_seq=2) == ["orders accepted"]


@pytest.mark.parametrize("late_ns", [600_000_000])
def test_a_stop_past_its_budget_is_found(tmp_path: Path, late_ns: int) -> None:
    slow = {**SOUND[5], "lat_ns": {"wire": late_ns}}
    assert broken(tmp_path, events=(*SOUND[:5], slow, SOUND[6])) == ["tick to wire"]
    late = {**LEDGER[2], "ts": late_ns}
    assert broken(tmp_path, ledger=(*LEDGER[:2], late, LEDGER[3])) == ["tick to venue, by its ledger"]


def test_a_state_that_differs_after_a_restart_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, restart=Restart("SIGKILL", "aa", "aa", "bb", 9, 1)) == ["state after SIGKILL"]


def test_a_journal_that_is_not_sound_is_found(tmp_path: Path) -> None:
    assert broken(tmp_path, journal=Journal(is_sound=False)) == ["journal verified"]


def test_an_order_handed_over_just_before_a_kill_is_known_by_its_acceptance(tmp_path: Path) -> None:
    def under(name: str) -> tuple[dict[str, Any], ...]:
        taken, filled = ({**line, "msg": {**line["msg"], "id": name}} for line in LEDGER[:2])
        return (taken, filled, *LEDGER[2:])

    last, strange = (encode_broker_id(0, b"00000", row, 1).decode() for row in (1, 7))  # O1 is the order in row 1
    assert broken(tmp_path, events=without(SOUND, 1), ledger=under(last)) == []
    assert broken(tmp_path, events=without(SOUND, 1), ledger=under(strange)) == ["orders at the venue that were told"]
