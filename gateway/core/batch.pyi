"""Types of gateway.core.batch."""

from typing import Any

from gateway.core.intake import Intake
from gateway.core.state import State

class Batch:
    def __init__(self, state: State, intake: Intake) -> None: ...
    def run(
        self, account: int, items: list[Any], session: bytes, deadline_ns: int, wall_ns: int, mono_ns: int
    ) -> tuple[Any, ...]: ...
