"""Connections that are closed together are closed in the order in which they came, not in that of memory addresses."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from gateway.stream.session import Session
from tests.property.resume_world import Node, Pipe

STRANGERS = 20  # connections without a login


class Tolled(Pipe):
    """A transport that notes its close in a list that all of them share."""

    def __init__(self, number: int, closed: list[int]) -> None:
        super().__init__()
        self.number = number
        self.closed = closed

    def send_close(self, code: int, reason: bytes) -> None:
        super().send_close(code, reason)
        self.closed.append(self.number)


def journal_stops(node: Node) -> None:
    node.rig.engine.on_journal_stopped()


def node_restarts(node: Node) -> None:
    node.server.close_sessions()


@pytest.mark.parametrize("ends", [journal_stops, node_restarts])
def test_who_has_not_logged_in_is_closed_in_order_of_arrival(ends: Callable[[Node], None]) -> None:
    node, closed = Node(), list[int]()
    sessions = [node.server.admit("backstay.v1.json") for _ in range(STRANGERS)]
    Random(1).shuffle(sessions)  # so that an order by address is not by chance that of arrival
    for number, session in enumerate(sessions):
        assert isinstance(session, Session)
        session.on_ws_connected(Tolled(number, closed))  # type: ignore[arg-type]
    ends(node)
    assert closed == list(range(STRANGERS))
