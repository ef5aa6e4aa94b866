"""What one order costs the core, from the decoded request to the framed record, and what a restart costs.

Run with `pytest benchmarks/test_bench_core.py --benchmark-only`. The journal is a buffer that is thrown away.
"""

from typing import Any

import msgspec
import pytest

from gateway.contracts.requests import PlaceItem
from gateway.core.intake import Intake
from gateway.core.reports import Reports
from gateway.core.state import State
from gateway.core.world import World
from hotpath.enums import Reason

E9 = 10**9
ORDERS = 400_000
WALL_NS = 1_764_000_000_000_000_000
MONO_NS = 10**9
LIMITS = {
    "max_order_qty_e9": 10**6 * E9,
    "max_order_notional_e4": 10**13,
    "max_position_qty_e9": 9 * 10**9 * E9,
    "max_gross_e4": 10**17,
    "leverage_bps_e9": 10**6 * E9,
    "collar_bps_e9": 9000 * E9,
    "max_open_orders": 10**7,
    "order_rate_per_s": E9,
    "order_burst": 10**8,
    "msg_rate_per_s": E9,
    "msg_burst": 10**8,
}
REQUEST = (
    b'{"t":"place","cl_ord_id":"trend-%07d","symbol":"AAPL","side":"buy","ord_type":"limit","qty":"1","px":"100.00",'
    b'"tif":"gtc"}'
)


class Core:
    """A state with one account and one instrument, and the parts around it."""

    def __init__(self) -> None:
        self.state = State(shard=1, orders=ORDERS, accounts=1, instruments=1)
        self.intake = Intake(self.state)
        self.reports = Reports(self.state)
        self.decoder = msgspec.json.Decoder(PlaceItem)
        self.blocks: list[bytes] = []
        self.placed = 0
        world = World(self.state)
        world.start_epoch(1, bytes(16), WALL_NS)
        world.list_instrument(
            b"AAPL",
            tick_e9=E9 // 100,
            lot_e9=E9,
            min_qty_e9=E9,
            max_age_ns=E9,
            outside_bps_e9=E9,
            asset_class=0,
            wall_ns=WALL_NS,
        )
        world.open_account(b"A1", 1, 9 * 10**15, WALL_NS)
        world.set_limits(0, LIMITS, 1, WALL_NS)
        self.state.quotes.quote(0, 100 * E9, E9, 100 * E9 + E9 // 100, E9, 1, 0, MONO_NS)

    def request(self) -> PlaceItem:
        self.placed += 1
        return self.decoder.decode(REQUEST % self.placed)

    def place(self, req: PlaceItem) -> None:
        assert self.intake.place(0, req, b"bench", 0, False, WALL_NS, MONO_NS + self.placed) > 0

    def hand_over(self, *, keep: bool = False) -> None:
        """What the engine does once a turn: the journal takes the records."""
        if keep:
            self.blocks.append(bytes(self.state.peek()))
        self.state.placed(0)
        self.state.take_effects(self.state.seq)

    def fill_up(self, count: int, *, keep: bool = False) -> None:
        for _ in range(count):
            self.place(self.request())
        self.hand_over(keep=keep)


@pytest.fixture
def core() -> Core:
    return Core()


def measure(benchmark: Any, work: Any, setup: Any) -> None:
    """Each round 1000 calls, on fresh arguments; the figure is one call."""
    benchmark.pedantic(work, setup=setup, rounds=30, warmup_rounds=3)
    benchmark.extra_info["ns_per_call"] = round(benchmark.stats.stats.min * 1e6)


def test_place_decoded_request_to_record(benchmark: Any, core: Core) -> None:
    def setup() -> tuple[tuple[list[PlaceItem]], dict[str, Any]]:
        core.hand_over()
        return ([core.request() for _ in range(1000)],), {}

    def work(requests: list[PlaceItem]) -> None:
        place = core.intake.place
        for req in requests:
            place(0, req, b"bench", 0, False, WALL_NS, MONO_NS)

    measure(benchmark, work, setup)
    assert core.state.orders.count == core.placed


def test_place_with_decoding(benchmark: Any, core: Core) -> None:
    def setup() -> tuple[tuple[list[bytes]], dict[str, Any]]:
        core.hand_over()
        core.placed += 1000
        return ([REQUEST % (core.placed + at) for at in range(1000)],), {}

    def work(frames: list[bytes]) -> None:
        place, decode = core.intake.place, core.decoder.decode
        for data in frames:
            place(0, decode(data), b"bench", 0, False, WALL_NS, MONO_NS)

    measure(benchmark, work, setup)


def test_cancel_of_a_queued_order(benchmark: Any, core: Core) -> None:
    def setup() -> tuple[tuple[list[str]], dict[str, Any]]:
        first = core.placed + 1
        core.fill_up(1000)
        return ([f"trend-{at:07d}" for at in range(first, first + 1000)],), {}

    def work(names: list[str]) -> None:
        for name in names:
            core.intake.cancel(0, name, 0, WALL_NS)

    measure(benchmark, work, setup)


def test_trade(benchmark: Any, core: Core) -> None:
    def setup() -> tuple[tuple[range, list[bytes]], dict[str, Any]]:
        rows = range(core.placed, core.placed + 1000)
        core.fill_up(1000)
        for row in rows:
            core.reports.sent(row, WALL_NS, WALL_NS)
            core.reports.new(row, b"v", 1, b"", WALL_NS)
        core.hand_over()
        return (rows, [b"x%d" % row for row in rows]), {}

    def work(rows: range, exec_ids: list[bytes]) -> None:
        trade = core.reports.trade
        for row, exec_id in zip(rows, exec_ids, strict=True):
            trade(row, exec_id, E9, 100 * E9, E9, 0, 1, 1, b"", WALL_NS)

    measure(benchmark, work, setup)


def test_replay(benchmark: Any, core: Core) -> None:
    """Records a second: a third each of acceptances, hand-overs and ends."""
    core.hand_over(keep=True)
    for _ in range(50):
        first = core.placed
        core.fill_up(1000, keep=True)
        for row in range(first, core.placed):
            core.reports.sent(row, WALL_NS, WALL_NS)
            core.reports.canceled(row, 0, b"", WALL_NS)
        core.hand_over(keep=True)
    block = memoryview(b"".join(core.blocks))

    def setup() -> tuple[tuple[State], dict[str, Any]]:
        return (State(shard=1, orders=ORDERS, accounts=1, instruments=1),), {}

    benchmark.pedantic(lambda state: state.replay(block, 0), setup=setup, rounds=5)
    benchmark.extra_info["records_per_s"] = round(core.state.seq / benchmark.stats.stats.min)


def test_digest_of_100k_open_orders(benchmark: Any, core: Core) -> None:
    core.fill_up(100_000)
    assert len(benchmark.pedantic(core.state.digest, rounds=5)) == 64


def test_cancel_all_of_1000_orders(benchmark: Any, core: Core) -> None:
    def setup() -> tuple[tuple[list[int]], dict[str, Any]]:
        first = core.placed
        core.fill_up(1000)
        return (list(range(first, core.placed)),), {}

    def work(rows: list[int]) -> None:
        core.intake.cancel_all(0, rows, 0, b"", b"", b"", False, Reason.REQUEST, WALL_NS)

    measure(benchmark, work, setup)
