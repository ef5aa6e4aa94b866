"""A whole deployment for tests: venue and gateway as processes on free ports, in a folder of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from gateway.demo.deployment import Deployment, Plan

T = TypeVar("T")
TIMEOUT_S = 60


class Running:
    """A deployment, and a loop in a thread of its own that all tests of a module share."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="deployment", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the loop, to the end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Accounts A1 to A3 with a key each (same names), and the keys ops-1 and ops-2."""
    found = Running(Deployment(tmp_path_factory.mktemp("deployment"), Plan(accounts=["A1", "A2", "A3"])))
    try:
        found.run(found.deployment.start())
        found.run(found.deployment.settled())
        yield found
    finally:
        found.run(found.deployment.stop())
        found.close()
