"""Limits at the edge: every problem at once, exact round trips, and the most restrictive of several."""

from dataclasses import replace

import pytest

from hotpath.checks import Gate
from hotpath.quotes import QuoteTable
from risk.limits import DEFAULTS, EDGES, AccountLimits, LimitsInvalid, most_restrictive


def test_defaults_are_taken_by_the_gate_and_are_never_unlimited() -> None:
    gate = Gate(QuoteTable(1), 2)
    gate.open_account_py(0, 0, 0)
    assert gate.set_limits_py(0, DEFAULTS.to_gate()) == 0
    assert gate.account(0)["limits"] == DEFAULTS.to_gate()


def test_wire_form_round_trips() -> None:
    wire = DEFAULTS.to_wire()
    assert wire["max_order_notional"] == "100000"
    assert wire["leverage_bps"] == "10000"
    assert wire["collar_bps"] == "500"
    assert wire["max_open_orders"] == 500
    assert AccountLimits.parse(wire) == DEFAULTS
    assert set(wire) == set(EDGES)


def test_missing_members_come_from_the_base() -> None:
    base = AccountLimits.parse({"max_gross": "5000.5", "leverage_bps": "25000"})
    assert base.max_gross_e4 == 50_005_000
    assert base.leverage_bps_e9 == 25_000 * 10**9
    assert AccountLimits.parse({"max_open_orders": 3}, base) == replace(base, max_open_orders=3)


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(LimitsInvalid) as caught:
        AccountLimits.parse(
            {
                "max_order_qty": 5,
                "max_order_notional": "-1",
                "max_gross": "1.23456",
                "leverage_bps": "1000001",
                "max_open_orders": True,
                "order_burst": 0,
                "max_ordr_qty": "1",
            }
        )
    problems = caught.value.problems
    assert [problem.split(":")[0] for problem in problems] == [
        "max_ordr_qty",
        "max_order_qty",
        "max_order_notional",
        "max_gross",
        "leverage_bps",
        "max_open_orders",
        "order_burst",
    ]
    assert problems[4] == "leverage_bps: must be from 0 to 1000000, not 1000001"
    assert str(caught.value).count("; ") >= len(problems) - 1


@pytest.mark.parametrize("name", list(EDGES))
def test_the_largest_value_is_taken_by_the_gate(name: str) -> None:
    edge = EDGES[name]
    limits = AccountLimits.parse({name: edge.render(edge.most)})
    gate = Gate(QuoteTable(1), 1)
    gate.open_account_py(0, 0, 0)
    assert gate.set_limits_py(0, limits.to_gate()) == 0


def test_a_narrower_scope_can_only_tighten() -> None:
    account = AccountLimits.parse({"max_order_qty": "100", "max_gross": "1000"})
    key = AccountLimits.parse({"max_order_qty": "500", "max_gross": "10"})
    both = most_restrictive(account, key)
    assert both == replace(account, max_gross_e4=key.max_gross_e4)
    assert most_restrictive(key, account) == both
    assert most_restrictive(account) == account
