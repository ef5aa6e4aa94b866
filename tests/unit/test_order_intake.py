"""What clients ask for, case by case: refusals leave nothing behind, and every limit counts an order once."""

import msgspec
import pytest

from gateway.contracts.requests import Confirm, PlaceItem, ReplaceItem, Trail, Trigger
from gateway.core.terms import Refusal
from gateway.core.world import World
from hotpath.enums import PriceSource
from tests.property.order_world import E9, LIMITS, Pair

LIMIT = PlaceItem(
    cl_ord_id="a", symbol="S0", side="buy", ord_type="limit", qty="10", px="100.00", tif="gtc", stp="allow"
)
STOP = PlaceItem(
    cl_ord_id="s",
    symbol="S0",
    side="sell",
    ord_type="market",
    qty="10",
    tif="gtc",
    stp="allow",
    trigger=Trigger(kind="stop", stop_px="90.00", source="bid"),
)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def ask(pair: Pair, req: PlaceItem | ReplaceItem) -> int:
    """The answer of the intake alone; a refusal must leave no trace."""
    before = pair.live.state.dump()
    if isinstance(req, PlaceItem):
        answer = pair.live.intake.place(0, req, b"s", 0, False, pair.wall_ns, pair.mono_ns)
    else:
        answer = pair.live.intake.replace(0, req, 0, pair.wall_ns, pair.mono_ns)
    if answer < 0:
        assert pair.live.state.dump() == before
    return answer


@pytest.mark.parametrize(
    ("changes", "refusal", "path"),
    [
        ({"cl_ord_id": "a b"}, Refusal.BAD_FIELD, "cl_ord_id"),
        ({"cl_ord_id": "é"}, Refusal.BAD_FIELD, "cl_ord_id"),
        ({"symbol": "NOPE"}, Refusal.UNKNOWN_SYMBOL, "symbol"),
        ({"qty": "0"}, Refusal.BAD_FIELD, "qty"),
        ({"qty": "-1"}, Refusal.BAD_FIELD, "qty"),
        ({"qty": "1e3"}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "+1"}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "01"}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "1.0000000001"}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "9200000000"}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "9" * 400}, Refusal.BAD_DECIMAL, "qty"),
        ({"qty": "1.5"}, Refusal.BAD_LOT, "qty"),
        ({"px": "100.001"}, Refusal.BAD_TICK, "px"),
        ({"px": None}, Refusal.BAD_COMBINATION, "px"),
        ({"ord_type": "market"}, Refusal.BAD_COMBINATION, "px"),
        ({"tif": "gtd"}, Refusal.BAD_COMBINATION, "expire_ns"),
        ({"expire_ns": 5}, Refusal.BAD_COMBINATION, "expire_ns"),
        ({"tif": "gtd", "expire_ns": 5}, Refusal.BAD_FIELD, "expire_ns"),
        ({"tif": "opg"}, Refusal.UNSUPPORTED, "tif"),
        ({"oco": "a b"}, Refusal.BAD_FIELD, "oco"),
        ({"post_only": True}, Refusal.UNSUPPORTED, "post_only"),
        ({"display_qty": "1"}, Refusal.UNSUPPORTED, "display_qty"),
        ({"stp": "decrement"}, Refusal.UNSUPPORTED, "stp"),
        ({"collar_bps": "5"}, Refusal.BAD_COMBINATION, "collar_bps"),
        ({"tag": "é" * 40}, Refusal.BAD_FIELD, "tag"),
        ({"max_queue_ms": 2**53 - 1}, Refusal.BAD_FIELD, "max_queue_ms"),
        ({"qty": "9000000000"}, Refusal.CONTROL, ""),
    ],
)
def test_bad_order_is_refused_with_its_member(
    pair: Pair, changes: dict[str, object], refusal: Refusal, path: str
) -> None:
    assert ask(pair, msgspec.structs.replace(LIMIT, **changes)) == refusal
    assert pair.live.intake.path == path


@pytest.mark.parametrize(
    ("trigger", "refusal"),
    [
        (Trigger(kind="trail"), Refusal.BAD_COMBINATION),
        (Trigger(kind="trail", trail=Trail()), Refusal.BAD_COMBINATION),
        (Trigger(kind="trail", trail=Trail(bps="5", pct="1")), Refusal.BAD_COMBINATION),
        (Trigger(kind="trail", trail=Trail(amount="0")), Refusal.BAD_FIELD),
        (Trigger(kind="trail", trail=Trail(bps="10000")), Refusal.BAD_FIELD),
        (Trigger(kind="trail", trail=Trail(pct="100")), Refusal.BAD_FIELD),
        (Trigger(kind="trail", trail=Trail(bps="5"), limit_offset="0.5"), Refusal.BAD_COMBINATION),
        (Trigger(kind="trail", trail=Trail(bps="5"), stop_px="90.001"), Refusal.BAD_TICK),
        (Trigger(kind="time", at_ns=5), Refusal.UNSUPPORTED),
        (Trigger(kind="stop"), Refusal.BAD_COMBINATION),
        (Trigger(kind="stop", stop_px="90", trail=Trail(bps="5")), Refusal.BAD_COMBINATION),
        (Trigger(kind="stop", stop_px="90", confirm=Confirm(ticks=0)), Refusal.BAD_FIELD),
        (Trigger(kind="stop", stop_px="90", placement="both"), Refusal.UNSUPPORTED),
        (Trigger(kind="stop", stop_px="90", source="mark"), Refusal.UNSUPPORTED),
        (Trigger(kind="stop", stop_px="90", max_age_ms=2 * 10**12), Refusal.UNSUPPORTED),
        (Trigger(kind="stop", stop_px="90", max_age_ms=2**53 - 1), Refusal.BAD_FIELD),
        (Trigger(kind="stop", stop_px="90.001"), Refusal.BAD_TICK),
        (Trigger(kind="stop", stop_px="110.00", source="bid"), Refusal.TRIGGER_THROUGH),
    ],
)
def test_trigger_that_cannot_be_kept_is_refused(pair: Pair, trigger: Trigger, refusal: Refusal) -> None:
    assert ask(pair, msgspec.structs.replace(STOP, trigger=trigger)) == refusal


@pytest.mark.parametrize(
    "trigger",
    [
        Trigger(kind="touch", stop_px="91.00"),
        Trigger(kind="stop", stop_px="91.00", source="ask"),
        Trigger(kind="trail", trail=Trail(bps="5")),
        Trigger(kind="stop", stop_px="91.00", if_through="fire"),
    ],
)
def test_replace_that_would_change_more_than_the_stop_is_refused(pair: Pair, trigger: Trigger) -> None:
    pair.place(0, STOP)
    assert ask(pair, ReplaceItem(cl_ord_id="s", rev=2, trigger=trigger)) == Refusal.UNSUPPORTED
    assert ask(pair, ReplaceItem(cl_ord_id="s", rev=2, trigger=Trigger(kind="stop", stop_px="91.00"))) > 0


def limit(pair: Pair, **changes: int) -> None:
    World(pair.live.state).set_limits(0, {**LIMITS, **changes}, 2, pair.wall_ns)
    pair.compare_events()


def test_order_that_waited_does_not_stand_in_its_own_way(pair: Pair) -> None:
    limit(pair, max_position_qty_e9=15 * E9)
    pair.place(0, LIMIT)
    assert pair.live.intake.recheck(0, pair.wall_ns, pair.mono_ns) == 0


def test_replace_of_a_held_order_opens_no_further_order(pair: Pair) -> None:
    limit(pair, max_open_orders=1)
    pair.place(0, STOP)
    assert ask(pair, ReplaceItem(cl_ord_id="s", rev=2, qty="12")) > 0


def test_dry_run_passes_and_leaves_nothing(pair: Pair) -> None:
    before = pair.live.state.dump()
    answer = pair.live.intake.place(0, LIMIT, b"s", 0, True, pair.wall_ns, pair.mono_ns)
    assert (answer, pair.live.state.dump()) == (Refusal.DRY_PASSED, before)


def test_order_that_may_not_wait_is_refused_while_the_link_is_down(pair: Pair) -> None:
    pair.live.intake.link_up = False
    assert ask(pair, msgspec.structs.replace(LIMIT, max_queue_ms=0)) == Refusal.LINK_DOWN
    assert ask(pair, LIMIT) > 0


def test_batch_larger_than_the_free_rows_is_refused_whole(pair: Pair) -> None:
    for at in range(998):
        assert ask(pair, msgspec.structs.replace(LIMIT, cl_ord_id=f"f{at}")) > 0
    items = [msgspec.structs.replace(LIMIT, cl_ord_id=f"b{at}") for at in range(3)]
    before = pair.live.state.dump()
    assert pair.live.batch.run(0, items, b"s", 0, pair.wall_ns, pair.mono_ns) == (Refusal.BUSY, 2)
    assert pair.live.state.dump() == before


def test_a_trigger_watches_what_its_instrument_says_unless_it_says_itself(pair: Pair) -> None:
    silent = Trigger(kind="stop", stop_px="90.00")

    def source(name: str, side: str, trigger: Trigger, symbol: str = "S0") -> int:
        req = msgspec.structs.replace(STOP, cl_ord_id=name, side=side, symbol=symbol, trigger=trigger)
        if side == "buy":
            req = msgspec.structs.replace(req, trigger=msgspec.structs.replace(trigger, stop_px="110.00"))
        assert ask(pair, req) > 0
        return int(pair.live.views.order(pair.live.intake.order)["source"])

    assert source("a", "sell", silent) == PriceSource.LAST  # S0 and S1 are equities
    pair.live.intake.set_source(0, "mid")
    assert source("b", "sell", silent) == PriceSource.MID
    assert source("c", "sell", Trigger(kind="stop", stop_px="90.00", source="bid")) == PriceSource.BID
    assert source("d", "sell", silent, "S1") == PriceSource.LAST
    pair.live.intake.set_source(0, "")
    assert source("e", "sell", silent) == PriceSource.LAST
