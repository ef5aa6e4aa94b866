"""Client histories against a sequential model of each `cl_ord_id`: a request without an answer may have happened.

The first acknowledged place makes the order. Whoever asks again under its name gets that answer and no other; whoever
asks about it later never hears that it is unknown; and it is what was asked for (I1, I2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.history import Asked, Heard
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

TERMS = ("symbol", "side", "qty", "ord_type")


class Names:
    """One model order for each name of each account."""

    id = "I2"

    def __init__(self, judge: Judge) -> None:
        self.asked: dict[tuple[str, int, int], Asked] = {}
        self.terms: dict[tuple[str, str], list[dict[str, object]]] = {}  # all that was asked for under the name
        self.answers: dict[tuple[str, str], tuple[int, int]] = {}  # (event, when it was heard) of the acknowledgement

    def on_asked(self, item: Asked) -> None:
        self.asked[item.client, item.link, item.id] = item
        if item.kind == "place" and item.request not in self.terms.setdefault((item.account, item.cl_ord_id), []):
            self.terms[item.account, item.cl_ord_id].append(item.request)

    def on_heard(self, item: Heard) -> None:
        asked = self.asked.get((item.client, item.link, item.message.get("re", -1)))
        if asked is None or not asked.cl_ord_id:
            return
        name, message = (asked.account, asked.cl_ord_id), item.message
        if item.kind == "accepted":
            known, _ = self.answers.setdefault(name, (message["seq"], item.at_ns))
            if known != message["seq"]:
                raise Broken("I2", f"{asked.cl_ord_id} was accepted twice: events {known} and {message['seq']}")
            if any(asked.request[term] != message["order"][term] for term in TERMS):
                raise Broken("I1", f"{asked.cl_ord_id} was accepted with other terms than were asked for")
        elif item.kind == "err":
            code = message["code"]
            if code == "UNKNOWN_ORDER" and name in self.answers and self.answers[name][1] < asked.at_ns:
                raise Broken("I1", f"{asked.cl_ord_id} was acknowledged and is unknown now")
            if code == "CL_ORD_ID_CONFLICT" and len(self.terms.get(name, ())) < 2:
                raise Broken("I2", f"{asked.cl_ord_id} conflicts with itself: nobody asked for it with other terms")
