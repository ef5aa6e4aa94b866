"""Types of gateway.core.intake."""

from typing import Any

from gateway.core.terms import TermsReader

class Intake(TermsReader):
    def place(
        self, account: int, req: Any, session: bytes, deadline_ns: int, dry: bool, wall_ns: int, mono_ns: int
    ) -> int: ...
    def recheck_revision(self, order: int, mono_ns: int) -> int: ...
    def recheck(self, order: int, wall_ns: int, mono_ns: int) -> int: ...
    def cancel(self, account: int, cl_ord_id: str, deadline_ns: int, wall_ns: int) -> int: ...
    def cancel_order(self, order: int, reason: int, wall_ns: int) -> int: ...
    def cancel_all(
        self,
        account: int,
        rows: list[Any],
        side: int,
        symbol: bytes | None,
        session: bytes | None,
        tag: bytes | None,
        keep_protective: bool,
        reason: int,
        wall_ns: int,
    ) -> int: ...
    def replace(self, account: int, req: Any, deadline_ns: int, wall_ns: int, mono_ns: int) -> int: ...
    @property
    def decision(self) -> dict[Any, Any]: ...
    dup_seq: int
    @property
    def order(self) -> int: ...
    link_up: bool
