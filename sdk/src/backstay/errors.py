"""The two exceptions of the SDK: it did not happen, or it is not known yet."""

from typing import Any

from backstay._wire.notices import Err


class Refused(Exception):
    """Nothing happened. ``code`` is the only thing to branch on; ``retry`` is ``never``, ``fix`` or ``later``.

    Codes that the SDK itself gives: ``AUD_MISMATCH`` (another gateway answered than the one meant), ``TAKEN_OVER`` (a
    newer connection of this session), ``PROTOCOL`` (the gateway closed with 4002) and ``CLOSED``.
    """

    def __init__(self, code: str, retry: str, text: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.retry = retry
        self.text = text
        self.detail = detail or {}

    @classmethod
    def from_err(cls, err: Err) -> "Refused":
        """The exception that an ``err`` frame stands for."""
        text = err.text if err.path is None else f"{err.text} ({err.path})"
        return cls(err.code, err.retry, text, err.detail)


class Unanswered(Exception):
    """The connection or the time ran out first. ``await gw.settle(cl_ord_id)`` ends in certainty."""

    def __init__(self, cl_ord_id: str | None, text: str) -> None:
        super().__init__(text if cl_ord_id is None else f"{cl_ord_id}: {text}")
        self.cl_ord_id = cl_ord_id
