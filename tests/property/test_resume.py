"""Resume by sequence at any moment: no gap, no repeat, and a snapshot that is the fold of its events (I13, I14).

The real stream server, sessions and core; disk, connection and client are stepped. The client may lose its connection
or read nothing at any moment, the process may die and lose what is not durable, and the client comes back with the
number it has, an earlier, a foreign or a future one, or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from gateway.stream.follow import Following
from tests.property.order_world import E9
from tests.property.resume_world import OUT_BYTES, Client, Node, fold

EXAMPLES = max(20, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // 100)
RUNS = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
FOREIGN = "ff" * 16
TURNS_MAX = 200  # after which a healed world that has not caught up never will

where = st.sampled_from(("last", "last", "last", "none", "earlier", "first", "future", "foreign"))


class Resume(RuleBasedStateMachine):
    """One client of one account, and everything that can come between it and its events."""

    @initialize()
    def open(self) -> None:
        self.node = Node()
        self.client = Client()
        self.names = 0
        self.node.rig.up()

    # --- the account lives --------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 6), size=st.sampled_from((1, 36)))
    def orders(self, count: int, size: int) -> None:
        """New orders; their events are recorded, not durable yet."""
        for _ in range(count):
            self.names += 1
            self.node.rig.place(f"o{self.names}".ljust(size, "-"), qty="1", px="90")
        self.node.rig.engine.flush()

    @rule(other=st.booleans())
    def ends(self, other: bool) -> None:
        """The broker takes, fills or ends what is open."""
        rig = self.node.rig
        for row in rig.engine.views.open_orders(0)[:4]:
            rig.engine.reports.new(row, b"b", 0, b"", rig.clock.wall)
            if other:
                rig.engine.reports.trade(row, b"x%d" % row, E9, 90 * E9, 0, 0, 0, 0, b"", rig.clock.wall)
            else:
                rig.engine.reports.canceled(row, 0, b"", rig.clock.wall)
        rig.engine.flush()

    @rule()
    def sync(self) -> None:
        """The disk has caught up."""
        self.node.rig.sync()

    @rule(back=st.integers(0, 8))
    def sync_in_part(self, back: int) -> None:
        """The disk is some records behind."""
        journal = self.node.rig.journal
        journal.durable_seq = max(journal.durable_seq, journal.last_seq - back)
        self.node.rig.engine.on_durable()

    @rule()
    def turn(self) -> None:
        """The loop goes round once, its timers with it."""
        self._turn()

    def _turn(self) -> None:
        rig = self.node.rig
        due, rig.later[:] = list(rig.later), []
        for delay_ns, call in due:
            if delay_ns <= 10_000_000:  # a pump waits for its client; logins and lingering are no matter here
                call()
        rig.turn()

    @rule()
    def die(self) -> None:
        """The process is killed: what is not durable is lost, every connection ends."""
        self.client.lose()
        self.node = Node(self.node)
        self.node.rig.up()

    # --- the client ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.client.is_connected)
    @rule(at=where, back=st.integers(1, 5))
    def come(self, at: str, back: int) -> None:
        self.client.lose()
        self.client.connect(self.node)
        self._subscribe(at, back)

    @precondition(lambda self: self.client.is_connected)
    @rule(at=where, back=st.integers(1, 5))
    def ask_again(self, at: str, back: int) -> None:
        """On the same connection, whatever is still under way."""
        self._subscribe(at, back)

    def _subscribe(self, at: str, back: int) -> None:
        client, last = self.client, max(0, self.client.next_seq - 1)
        seq = {"last": last, "earlier": max(0, last - back), "first": 0, "future": last + 1000, "foreign": last}
        history = FOREIGN if at == "foreign" else client.history or self.node.rig.state.history.hex()
        client.subscribe(self.node, None if at == "none" else (history, seq[at]))

    @precondition(lambda self: self.client.pipe is not None)
    @rule(size=st.sampled_from((50, 500, 2_000, OUT_BYTES * 20)))
    def read(self, size: int) -> None:
        self.client.read(size, self.node.truth())

    @rule()
    def cut(self) -> None:
        self.client.lose()

    # --- the end: everything heals, and the client has everything -----------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "node"):
            return
        for _ in range(TURNS_MAX):
            self.node.rig.sync()
            self._turn()
            if not self.client.is_connected:
                self.come("last", 0)
            self.client.read(1 << 30, self.node.truth())
            if self._is_level():
                break
        truth = self.node.truth()
        assert self._is_level(), ("never caught up", self.client.next_seq, len(truth))
        assert self.client.book == fold(truth, len(truth))

    def _is_level(self) -> bool:
        client, rig = self.client, self.node.rig
        return (
            client.is_connected and client.is_live and not client.asked and not rig.turns
            and client.next_seq == rig.engine.fanout.heads[0] + 1
        )  # fmt: skip


TestResume = Resume.TestCase
TestResume.settings = RUNS


def skips_one_on_resume(real: Callable[..., None]) -> Callable[..., None]:
    def pump(self: Following, follower: Any) -> None:
        if follower.announces and follower.next_seq < self.engine.fanout.heads[follower.account]:
            follower.next_seq += 1
        real(self, follower)

    return pump


def repeats_one_on_resume(real: Callable[..., None]) -> Callable[..., None]:
    def pump(self: Following, follower: Any) -> None:
        if follower.announces and follower.next_seq > 1:
            follower.next_seq -= 1
        real(self, follower)

    return pump


@pytest.mark.parametrize("plant", [skips_one_on_resume, repeats_one_on_resume], ids=lambda plant: plant.__name__)
def test_planted_fault_is_found(plant: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Following, "pump", plant(Following.pump))
    with pytest.raises(AssertionError, match=r"is due|live away"):
        run_state_machine_as_test(
            Resume, settings=settings(RUNS, max_examples=300, phases=[Phase.generate], print_blob=False)
        )
