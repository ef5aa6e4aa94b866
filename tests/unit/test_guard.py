"""Feed loss: who is told that nobody watches a stop, since when, and when it is watched again."""

from typing import Any

import msgspec
import pytest

from gateway.contracts.requests import PlaceItem, Trigger
from gateway.core.state import State
from gateway.core.world import World
from gateway.guard import CHECK_NS, Guard
from gateway.options import PolicyOptions
from hotpath import frame
from tests.property.order_world import E9, LIMITS, Live, new_state

AGE_NS = 1_000_000_000
WALL_NS = 10**18


class Desk:
    """Two accounts, two instruments, and the clock that moves both."""

    def __init__(self, state: State | None = None) -> None:
        self.live = Live.over(state or new_state())
        self.guard = Guard(self.live.state, self.live.watch, self.live.views, World(self.live.state), self._close)
        self.closed: list[tuple[int, int, str]] = []
        self.now_ns = 0
        if state is None:
            self._open()
        self.guard.start(WALL_NS, self.now_ns, self.live.state.last_wall_ns)
        self.seen = 0

    def _close(self, account: int, row: int, name: str) -> str:
        self.closed.append((account, row, name))
        return "flatten: as told"

    def _open(self) -> None:
        world = World(self.live.state)
        world.start_epoch(1, bytes(range(16)), WALL_NS)
        for row in range(2):
            world.list_instrument(
                f"S{row}".encode(), tick_e9=E9 // 100, lot_e9=E9, min_qty_e9=E9, max_age_ns=AGE_NS,
                outside_bps_e9=10**6 * E9, asset_class=0, wall_ns=WALL_NS,
            )  # fmt: skip
        for row in range(2):
            world.open_account(f"A{row}".encode(), row, 10**15, WALL_NS)
            world.set_limits(row, LIMITS, 1, WALL_NS)

    def quote(self, row: int) -> None:
        self.live.state.quotes.quote(row, 100 * E9, E9, 101 * E9, E9, 0, 0, self.now_ns)

    def stop(self, account: int, name: str, symbol: str = "S0") -> None:
        req = PlaceItem(
            cl_ord_id=name, symbol=symbol, side="sell", ord_type="market", qty="5", tif="gtc", reduce_only=True,
            trigger=Trigger(kind="stop", stop_px="90", source="bid"),
        )  # fmt: skip
        assert self.live.intake.place(account, req, b"s", 0, False, WALL_NS + self.now_ns, self.now_ns) > 0

    def after(self, ns: int) -> list[dict[str, Any]]:
        """Guard events that the time brings."""
        self.now_ns += ns
        self.guard.on_timer(WALL_NS + self.now_ns, self.now_ns)
        return self.told()

    def told(self) -> list[dict[str, Any]]:
        data, at, found = bytes(self.live.state.peek()), self.seen, []
        while at < len(data):
            one = frame.unpack_frame(data, at)
            text = self.live.state.names.render_frame(data[at : at + one.space])
            found += [msgspec.json.decode(text)] if text else []
            at += one.space
        self.seen = at
        return [event for event in found if event["t"] == "guard"]


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.now_ns = 10 * AGE_NS
    for row in range(2):
        found.quote(row)
    return found


def brief(events: list[dict[str, Any]]) -> list[tuple[str, str, str, list[str], int]]:
    return [(e["account"], e["state"], e["symbol"], e["orders"], e["since_ns"] - WALL_NS) for e in events]


def test_each_account_is_told_once_and_again_when_data_is_back(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.stop(0, "b")
    desk.stop(1, "c")
    quoted_ns = desk.now_ns
    assert desk.after(AGE_NS) == []
    lost = desk.after(CHECK_NS)
    assert brief(lost) == [
        ("A0", "blind", "S0", ["a", "b"], quoted_ns),
        ("A1", "blind", "S0", ["c"], quoted_ns),
    ]
    assert lost[0]["cause"] == "feed silent"
    assert desk.guard.blind == [0]
    assert desk.after(AGE_NS) == []
    desk.quote(0)
    assert brief(desk.after(CHECK_NS)) == [
        ("A0", "armed", "S0", ["a", "b"], quoted_ns),
        ("A1", "armed", "S0", ["c"], quoted_ns),
    ]
    assert desk.guard.blind == []
    assert desk.guard.unguarded_ns == desk.now_ns - quoted_ns


def test_an_instrument_without_stops_may_be_silent(desk: Desk) -> None:
    assert desk.after(10 * AGE_NS) == []
    desk.stop(0, "a")
    assert [event["state"] for event in desk.after(CHECK_NS)] == ["blind"]
    desk.live.intake.cancel(0, "a", 0, WALL_NS)
    desk.after(CHECK_NS)
    assert desk.guard.blind == [], "nothing is left to guard"


def test_who_arms_a_stop_on_a_blind_instrument_is_told_too(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.after(2 * AGE_NS)
    desk.stop(0, "b")
    desk.stop(1, "c")
    assert [event["account"] for event in desk.after(CHECK_NS)] == ["A1"]


def test_a_closed_market_is_not_blind(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.live.state.quotes.set_state(0, False, False, False)
    assert desk.after(10 * AGE_NS) == []


def test_a_new_connection_forgets_data_but_not_its_age(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.after(CHECK_NS)
    desk.live.state.quotes.restart_feed(0)
    assert desk.after(AGE_NS // 2) == []
    assert len(desk.after(AGE_NS)) == 1


def test_orders_beyond_one_record_are_all_that_rest_there(desk: Desk) -> None:
    for at in range(100):
        desk.stop(0, f"a-long-name-of-an-order-{at:04d}")
    (event,) = desk.after(2 * AGE_NS)
    assert (event["orders"], event["symbol"]) == ([], "S0")


def test_a_restart_says_since_when_nobody_watched(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.stop(1, "b", "S1")
    last_ns = desk.live.state.last_wall_ns
    loaded = new_state()
    loaded.replay(desk.live.state.peek(), 0)
    assert loaded.digest() == desk.live.state.digest()
    again = Desk(loaded)
    assert brief(again.told()) == [
        ("A0", "unguarded", "S0", ["a"], last_ns - WALL_NS),
        ("A1", "unguarded", "S1", ["b"], last_ns - WALL_NS),
    ]
    again.now_ns = 7
    again.quote(0)
    assert brief(again.after(CHECK_NS)) == [("A0", "armed", "S0", ["a"], last_ns - WALL_NS)]
    assert brief(again.after(2 * AGE_NS)) == [
        ("A0", "blind", "S0", ["a"], 7),
        ("A1", "blind", "S1", ["b"], last_ns - WALL_NS),
    ]


def flatten_for(desk: Desk, *accounts: int, after_ms: int = 2_000) -> None:
    policy = PolicyOptions(on_feed_loss="flatten", flatten_after_ms=after_ms)
    desk.guard.policies = dict.fromkeys(accounts, policy)


def test_the_policy_flatten_closes_once_after_its_time_and_says_so(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.stop(1, "b")
    flatten_for(desk, 1)
    since_ns = WALL_NS + desk.now_ns
    assert len(desk.after(AGE_NS + CHECK_NS)) == 2
    assert desk.after(2 * E9 - CHECK_NS) == []
    assert desk.closed == []
    (event,) = desk.after(CHECK_NS)
    assert (event["account"], event["state"], event["cause"]) == ("A1", "blind", "flatten: as told")
    assert desk.closed == [(1, 0, f"guard-0-{since_ns}")]
    assert desk.after(10 * E9) == []
    desk.quote(0)
    desk.after(CHECK_NS)
    desk.after(5 * E9)
    desk.after(5 * E9)
    assert len(desk.closed) == 2, "a new blindness is a new reason"


def test_nothing_is_flattened_when_data_comes_back_in_time_or_the_stops_have_gone(desk: Desk) -> None:
    flatten_for(desk, 0, 1)
    desk.stop(0, "a")
    desk.stop(1, "b")
    desk.after(AGE_NS + CHECK_NS)
    desk.live.intake.cancel(0, "a", 0, WALL_NS)
    desk.after(E9)
    desk.quote(0)
    desk.after(CHECK_NS)
    desk.after(AGE_NS + CHECK_NS)
    desk.after(2 * E9)
    assert [account for account, *_ in desk.closed] == [1]


def test_stops_that_a_restart_found_are_flattened_only_after_the_time_from_now(desk: Desk) -> None:
    desk.stop(0, "a")
    loaded = new_state()
    loaded.replay(desk.live.state.peek(), 0)
    again = Desk(loaded)
    flatten_for(again, 0)
    again.after(AGE_NS + CHECK_NS)
    again.after(2 * E9 - CHECK_NS)
    assert again.closed == []
    again.after(CHECK_NS)
    assert len(again.closed) == 1


def test_data_that_came_between_two_looks_and_went_with_its_connection_has_been_seen(desk: Desk) -> None:
    desk.stop(0, "a")
    desk.after(CHECK_NS)
    desk.now_ns += AGE_NS
    desk.quote(0)
    desk.live.state.quotes.restart_feed(0)
    assert desk.after(CHECK_NS) == []
    assert len(desk.after(AGE_NS)) == 1
