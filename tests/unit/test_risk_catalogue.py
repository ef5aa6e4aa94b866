"""The control catalogue: complete, without dead rows, and the sentence of the order API's example."""

import re
import string
from pathlib import Path

import pytest

from hotpath.checks import Gate
from hotpath.enums import Control, HaltLevel, HaltScope, OrdType, Side
from hotpath.quotes import QuoteTable
from risk.catalogue import CATALOGUE, code_of, explain, retry_of
from risk.limits import DEFAULTS

E9 = 10**9
ROOT = Path(__file__).resolve().parents[2]
# Decided by the core, which knows names and queues, not by the gate.
BY_THE_CORE = {Control.DUP_ID, Control.STALE_QUEUE}


def test_every_control_has_a_row_and_pass_has_none() -> None:
    assert set(CATALOGUE) == set(Control) - {Control.PASS}


def test_codes_and_ids_are_unique_and_well_formed() -> None:
    codes = [row.code for row in CATALOGUE.values()]
    ids = [row.control for row in CATALOGUE.values()]
    assert len(set(codes)) == len(codes) == len(set(ids))
    assert all(re.fullmatch(r"RC(_[A-Z0-9]+)+", code) for code in codes)
    assert all(re.fullmatch(r"[A-Z]+(-[A-Z]+)*", control) for control in ids)
    assert all(row.fix_103 in (0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 15, 16, 18, 99) for row in CATALOGUE.values())


def test_no_row_is_dead() -> None:
    source = "".join((ROOT / "hotpath" / name).read_text() for name in ("rules.pyx", "checks.pyx"))
    raised = set(re.findall(r"(?:refuse|too_fast)\(out, ([A-Z_]+)", source))
    assert raised | {control.name for control in BY_THE_CORE} == {control.name for control in CATALOGUE}


@pytest.mark.parametrize("control", list(CATALOGUE), ids=lambda control: control.name)
def test_every_sentence_renders(control: Control) -> None:
    row = CATALOGUE[control]
    known = {"value", "limit", "account", "symbol", "scope", "passes"}
    assert {name for _, name, _, _ in string.Formatter().parse(row.text + row.hint) if name} <= known
    level = HaltLevel.REDUCE_ONLY if control == Control.KILL_GATE else 7
    decision = {"control": control, "unit": 4, "limit": 5, "value": level, "passes": 6, "passes_unit": 1, "scope": 3}
    code, text, detail = explain(decision, account="A1", symbol="AAPL")
    assert code == code_of(control) == row.code
    assert retry_of(control) == row.retry
    assert "{" not in text
    assert text[:1].islower() or text.startswith("AAPL")
    assert detail["control"] == row.control
    assert detail["scope"] == "account:A1/AAPL"


def gate() -> Gate:
    table = QuoteTable(1)
    table.add(
        "AAPL", tick_e9=E9 // 100, lot_e9=E9, min_qty_e9=E9, max_age_ns=2 * E9, outside_bps_e9=50 * E9, asset_class=0
    )
    table.quote(0, 187_190_000_000, E9, 187_210_000_000, E9, 0, 0, 1_000)
    made = Gate(table, 4)
    assert made.open_account_py(1, 1, 10**10) == 0
    limits = DEFAULTS.to_gate() | {"max_order_notional_e4": 50_000 * 10**4}
    assert made.set_limits_py(1, limits) == 0
    return made


def test_the_example_of_the_order_api_word_for_word() -> None:
    decision = gate().check_py(
        account=1,
        instrument=0,
        side=Side.BUY,
        ord_type=OrdType.LIMIT,
        qty_e9=333 * E9,
        px_e9=187_200_000_000,
        mono_ns=2_000,
    )
    code, text, detail = explain(decision, account="A1", symbol="AAPL")
    assert code == "RC_MAX_NOTIONAL"
    assert text == "order notional 62337.6 is above 50000 for account A1; at this price 267 passes"
    assert detail == {
        "control": "SZ-MAX-NOTIONAL",
        "scope": "account:A1",
        "limit": "50000",
        "value": "62337.6",
        "passes": {"qty": "267"},
    }


def test_a_kill_names_its_scope_and_level() -> None:
    made = gate()
    made.set_halt_py(HaltScope.INSTRUMENT, 0, HaltLevel.CANCEL_ALL)
    decision = made.check_py(account=1, instrument=0, side=Side.BUY, ord_type=OrdType.MARKET, qty_e9=E9, mono_ns=2_000)
    code, text, detail = explain(decision, account="A1", symbol="AAPL")
    assert code == "RC_KILLED"
    assert text == "kill switch cancel_all is in force for instrument:AAPL: only what it allows passes"
    assert detail == {"control": "KILL-GATE", "scope": "instrument:AAPL", "limit": "armed", "value": "cancel_all"}


def test_ages_and_waits_are_said_in_milliseconds() -> None:
    made = gate()
    order = {
        "account": 1,
        "instrument": 0,
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty_e9": E9,
        "px_e9": 187 * E9,
    }
    stale = made.check_py(**order, mono_ns=3 * E9 + 1_000)
    code, text, detail = explain(stale, account="A1", symbol="AAPL")
    assert (code, detail["value"], detail["limit"]) == ("RC_STALE_QUOTE", 3 * E9, 2 * E9)
    assert text == "market data of AAPL is too old to judge by (3000 ms, at most 2000 ms): only orders that reduce pass"
    while (decision := made.check_py(**order, mono_ns=2_000))["control"] == Control.PASS:
        pass
    code, text, detail = explain(decision, account="A1", symbol="AAPL")
    assert text == "more than 20 new orders a second for account A1; again in 50 ms"
    assert detail["passes"] == {"retry_ns": 50_000_000}
