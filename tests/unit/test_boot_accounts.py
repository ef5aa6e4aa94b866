"""Accounts that a later start adds: who matches with whom is as the configuration says, whatever came before."""

from __future__ import annotations

from gateway import boot
from gateway.clock import SystemClock
from gateway.config import Config, load
from gateway.core.state import State


def config(*accounts: dict[str, str]) -> Config:
    return load(overlay={"accounts": list(accounts), "capacity": {"accounts": 8}})


def groups(state: State) -> dict[str, int]:
    return {name: state.gate.account(row)["group"] for name, row in state.accounts.items()}


def test_an_account_that_a_later_start_adds_joins_its_group_and_no_other() -> None:
    first = config({"name": "a"}, {"name": "b", "group": "house"})
    state = boot.new_state(first)
    boot.configure(state, first, SystemClock())
    later = config({"name": "c"}, {"name": "a"}, {"name": "b", "group": "house"}, {"name": "d", "group": "house"})
    boot.configure(state, later, SystemClock())
    found = groups(state)
    assert found["d"] == found["b"]
    assert len({found["a"], found["b"], found["c"]}) == 3


def test_an_account_that_left_the_configuration_keeps_its_group_to_itself() -> None:
    first = config({"name": "a"}, {"name": "b"})
    state = boot.new_state(first)
    boot.configure(state, first, SystemClock())
    boot.configure(state, config({"name": "c"}), SystemClock())
    assert len(set(groups(state).values())) == 3
