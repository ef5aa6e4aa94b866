"""Why an order did what it did: its own events in the journal, told in order (order-api section 8, "Evidence").

The journal is the only source: the same telling serves a running gateway, which reads single events by their number,
and a folder of segments that no gateway runs on.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.contracts.events import Evidence
from gateway.contracts.notices import Explained, Step
from gateway.plants import reach
from hotpath.records import Kind, release_check
from risk.catalogue import explain as explain_decision

if TYPE_CHECKING:
    from gateway.engine import Engine

EVENT = struct.Struct("<28xH10x12xI")  # of a framed order event: record kind, order row
ORDER_KINDS = range(Kind.ACCEPTED, Kind.CANCEL_ALL_EV)
TURN_EVENTS = 32  # read from the journal in one turn
READERS_MAX = 8  # explanations under way: who asks for one more is told to ask again
SCAN_MAX = 100_000  # events of the account looked through for those of one order
STEPS_MAX = 1_000
DONE = ("filled", "canceled", "expired", "rejected")
Event = dict[str, Any]
Told = tuple[Event, dict[str, int]]  # an event, and what the control that refused its release had in hand


class Trace:
    """The events of one order, looked up in the journal of a running gateway, a part at a time.

    Two stretches of the account's events are read: from the order's acceptance on, and from what fired it on, each to
    the order's end, or to its bound. What was let out before counts, so ask once the present is durable.
    """

    def __init__(self, engine: Engine, order: int) -> None:
        self.engine = engine
        self.order = order
        self.account, first = engine.views.accepted(order)
        fired = engine.views.fired(order)[1]
        self.told: list[Told] = []
        self.is_whole = True
        self._head = engine.fanout.heads[self.account]
        self._ends = [fired, self._head + 1] if fired else [self._head + 1]
        self._at, self._left = first, SCAN_MAX
        self._last = msgspec.json.decode(engine.views.order_json(order))

    def step(self) -> bool:
        """Read on; True when nothing is left to read. Raises OSError when the journal cannot be read."""
        for _ in range(TURN_EVENTS):
            if self._at >= self._ends[0] or self._left == 0 or self._is_told():
                self.is_whole &= self._at >= self._ends[0] or self._is_told()
                if len(self._ends) == 1 or self._is_told():
                    return True
                self._at, self._left = self._ends.pop(0), SCAN_MAX
            frame = self.engine.read_frame(self.engine.state.position_of(self.account, self._at))
            if not frame:  # the writer has not written it yet: only where durability is off
                self.is_whole = False
                return True
            if is_of(frame, self.order):
                self.told.append(tell(frame, self.engine.state.names.render_frame))
            self._at += 1
            self._left -= 1
        return len(self.told) >= STEPS_MAX

    def _is_told(self) -> bool:
        """Whether the order is done, and the last event that was read says all that is true of it."""
        if not self.told or self._last["ord_status"] not in DONE:
            return False
        event = self.told[-1][0]
        return all(event.get(name) == self._last[name] for name in ("ord_status", "cum_qty", "rev", "pending"))

    def explained(self) -> Explained:
        """What was read, told."""
        return explained(self.told, is_whole=self.is_whole and len(self.told) < STEPS_MAX)


class Readers:
    """Traces that are being read: one part of one of them in a turn of the loop, whoever asked, however many."""

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        """soon: the loop's next turn."""
        self.soon = soon
        self.waiting: deque[tuple[Trace, Callable[[OSError | None], None]]] = deque()

    def read(self, trace: Trace, done: Callable[[OSError | None], None]) -> bool:
        """Read all of it, then call `done` with what went wrong; False, and nothing done, when too many wait."""
        if len(self.waiting) >= READERS_MAX:
            reach("explain.too_many")
            return False
        self.waiting.append((trace, done))
        if len(self.waiting) == 1:
            self.soon(self._step)
        return True

    def _step(self) -> None:
        trace, done = self.waiting[0]
        error = None
        try:
            is_read = trace.step()
        except OSError as failure:
            is_read, error = True, failure
        self.waiting.popleft()
        if not is_read:
            self.waiting.append((trace, done))
        if self.waiting:
            self.soon(self._step)
        if is_read:
            done(error)


def is_of(frame: bytes, order: int) -> bool:
    """Whether a whole framed record is an event of the order."""
    kind, of = EVENT.unpack_from(frame)
    return kind in ORDER_KINDS and of == order


def tell(frame: bytes, render: Callable[[bytes], bytes]) -> Told:
    """An event and the check of its release."""
    return msgspec.json.decode(render(frame)), release_check(frame)


def explained(told: list[Told], *, is_whole: bool) -> Explained:
    """The chain of one order's events, at least one; `is_whole` False: there may be more than were found."""
    last = told[-1][0]
    steps: list[Step] = []
    fired: Event | None = None
    terms: Mapping[str, Any] = {}
    for event, check in told:
        terms = event.get("order", terms)
        if event["t"] == "triggered":
            fired = event
            steps += _firing(event, terms, check)
        else:
            steps.append(_step(event, event["t"], _text(event), _detail(event)))
    return Explained(
        account=last["account"],
        cl_ord_id=last["cl_ord_id"],
        order_id=last["order_id"],
        ord_status=last["ord_status"],
        cum_qty=last["cum_qty"],
        leaves_qty=last["leaves_qty"],
        is_whole=is_whole,
        chain=steps,
        evidence=None if fired is None else msgspec.convert(fired["evidence"], Evidence),
        gap_bps=None if fired is None else fired["gap_bps"],
        missed=None if fired is None else fired["missed"],
        since_tick_ns=None if fired is None else _since_tick(fired, [event for event, _ in told]),
    )


def _step(event: Event, step: str, text: str, detail: dict[str, Any] | None = None) -> Step:
    return Step(seq=event["seq"], ts_ns=event["ts_ns"], step=step, text=text, detail=detail or None)


# --- a firing: judged, checked, cut ----------------------------------------------------------------------------------


def _firing(event: Event, terms: Mapping[str, Any], check: dict[str, int]) -> Iterator[Step]:
    evidence, trigger = event["evidence"], terms.get("trigger", {})
    px = f"{evidence['source']} {evidence['px']}" if evidence["source"] != "clock" else "the clock"
    what = _condition(trigger)
    gap = f", {event['gap_bps']} bps through it" if event["gap_bps"] != "0" else ""
    missed = "; it was true while nobody watched" if event["missed"] else ""
    yield _step(event, "judged", f"{px} fires {what}{gap}{missed}")
    if check:
        code, text, detail = explain_decision(check, account=event["account"], symbol=terms.get("symbol", ""))
        yield _step(event, "checked", f"refused at its release: {text}", {"code": code, **detail})
    elif terms.get("reduce_only"):
        yield _step(event, "checked", "passes: it reduces, so no limit stands in its way")
    else:
        yield _step(event, "checked", "passes every control of a release")
    wanted, leaves = terms.get("qty"), event["leaves_qty"]
    if wanted is not None and wanted != leaves:
        text = f"{leaves} of {wanted} go out: what the position leaves to reduce"
        yield _step(event, "cut", text, {"qty": wanted, "send_qty": leaves})


def _condition(trigger: Mapping[str, Any]) -> str:
    kind, px = trigger.get("kind", "trigger"), trigger.get("stop_px")
    if "at_ns" in trigger:
        return f"the time {trigger['at_ns']}"
    if "after_ms" in trigger:
        return f"the time {trigger['after_ms']} ms after it was armed"
    return f"the {kind}" if px is None else f"the {kind} at {px}"


def _since_tick(fired: Event, events: list[Event]) -> dict[str, int]:
    """Nanoseconds from the receipt of the tick to each stage; clocks are the gateway's own."""
    received_ns = fired["evidence"]["recv_ns"]
    stages = {"judged": fired["ts_ns"] - received_ns}
    after = {"new": "working", "trade": "filled", "rejected": "ended", "canceled": "ended", "expired": "ended"}
    for event in events:
        if event["seq"] < fired["seq"]:
            continue
        if event["t"] == "sent":
            spent = event.get("lat_ns", {})
            for stage in ("risk", "wire"):
                if stage in spent:
                    stages.setdefault({"risk": "checked"}.get(stage, stage), stages["judged"] + spent[stage])
        elif event["t"] in after:
            stages.setdefault(after[event["t"]], event["ts_ns"] - received_ns)
    return {name: max(0, spent) for name, spent in stages.items()}


# --- all other events ------------------------------------------------------------------------------------------------


def _text(event: Event) -> str:
    """One sentence about an event, in the words of order-api section 7."""
    kind = event["t"]
    sentence = _SENTENCES.get(kind)
    text = kind.replace("_", " ") if sentence is None else sentence(event)
    if event.get("reason"):
        text += f", reason {event['reason']}"
    return text + (", with a duplicate" if event.get("dup") else "")


def _accepted(event: Event) -> str:
    terms = event["order"]
    px = f" at {terms['px']}" if "px" in terms else ""
    text = f"{terms['side']} {terms['qty']} {terms['symbol']}, {terms['ord_type']}{px}, {terms['tif']}"
    trigger = terms.get("trigger")
    if trigger is None:
        return text
    return f"{text}; held for {_condition(trigger)} on {trigger.get('source', 'the clock')}"


def _refused(event: Event) -> str:
    words = [str(event[name]) for name in ("broker_code", "broker_text") if event.get(name)]
    return f"{event['code']}{': ' if words else ''}{' '.join(words)}"


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "accepted": _accepted,
    "released": lambda event: "what held it has ended",
    "sent": lambda event: f"handed to the broker as {event['broker_cl_ord_id']}",
    "new": lambda event: f"works at the broker as {event['broker_order_id']}",
    "trade": lambda event: f"{event['last_qty']} at {event['last_px']}, {event['leaves_qty']} left",
    "trailed": lambda event: f"its stop moved to {event['stop_px']}, the extreme is {event['extreme_px']}",
    "pending_replace": lambda event: f"revision {event['ask_rev']} is asked of the broker",
    "replaced": lambda event: f"revision {event['ask_rev']} is in force: qty {event['order']['qty']}",
    "replace_rejected": lambda event: f"revision {event['ask_rev']} was refused: {_refused(event)}",
    "pending_cancel": lambda event: "its cancel is asked of the broker",
    "cancel_rejected": lambda event: f"its cancel was refused: {_refused(event)}",
    "rejected": lambda event: f"refused: {_refused(event)}",
    "in_doubt": lambda event: f"whether the broker has it is not known: {event['cause']}",
    "requeued": lambda event: "the broker has proved that it is not there: it may go again",
    "restated": lambda event: f"the broker's truth was adopted: {event['ord_status']}, {event['cum_qty']} filled",
}


def _detail(event: Event) -> dict[str, Any]:
    """The members that are the event's own, not the order's condition."""
    common = ("t", "account", "seq", "ts_ns", "cl_ord_id", "order_id", "rev", "ord_status", "stage", "hold", "pending")
    done = ("cum_qty", "leaves_qty", "avg_px", "order", "reason")
    return {name: value for name, value in event.items() if name not in common and name not in done}
