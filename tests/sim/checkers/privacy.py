"""I20: no event of one account reaches another account's client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.history import Heard
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Privacy:
    """Each frame against the account of the key that its client logged in with."""

    id = "I20"

    def __init__(self, judge: Judge) -> None:
        self.own = {client.name: client.account for client in judge.world.clients}

    def on_heard(self, item: Heard) -> None:
        account = item.message.get("account")
        if account is not None and account != self.own[item.client]:
            raise Broken("I20", f"{item.client} of {self.own[item.client]} heard of {account}")
