"""Quotes: kernel and twin agree on flags, prices, counters and whole state over long random market histories."""

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hotpath.quotes import QuoteTable as Kernel
from hotpath.ref.quotes import QuoteTable as Twin

# One example runs STEPS steps; BACKSTAY_PROPERTY_STEPS is the total, spread over the examples.
STEPS = 500
EXAMPLES = max(20, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "10000")) // STEPS)
MAX_E9 = 9_200_000_000 * 10**9 - 1
INSTRUMENTS = 3
MARKETS = [[0], [0, 0], [0, 1], [0, 0, 1], [1, 0, 1, 0]]  # of the feeds of a history


def build(draw: random.Random, table: Kernel | Twin) -> None:
    for row in range(INSTRUMENTS):
        table.add(f"S{row}", tick_e9=10, lot_e9=1, min_qty_e9=1, max_age_ns=draw.choice((5, 50)),
                  outside_bps_e9=draw.choice((0, 50 * 10**9, 300 * 10**9)), asset_class=row,
                  dense_quotes=bool(row & 1), dense_trades=bool(row & 2))  # fmt: skip


def price(draw: random.Random, center: int) -> int:
    if draw.random() < 0.03:
        return draw.choice((0, -1, 1, MAX_E9, MAX_E9 + 1, 2**63 - 1, -(2**63)))
    return center + draw.randint(-4, 4) * 10


def size(draw: random.Random) -> int:
    return draw.choice((1, 7, MAX_E9)) if draw.random() < 0.97 else draw.choice((0, -1, MAX_E9 + 1))


def step(draw: random.Random, kernel: Kernel, twin: Twin, seqs: list[int], mono_ns: int) -> None:
    row = draw.randrange(INSTRUMENTS)
    feed = draw.randrange(kernel.feed_count)
    center = draw.choice((1_000, 1_000, 1_040, 10**12))
    seqs[row] += draw.choice((1, 1, 1, 1, 0, -1, 3))
    seq = 0 if draw.random() < 0.1 else max(seqs[row], 0)
    venue_ns = draw.choice((0, mono_ns, mono_ns, mono_ns - draw.randint(0, 3), mono_ns - 61 * 10**9))
    kind = draw.random()
    if kind < 0.45:
        bid = (0, 0) if draw.random() < 0.05 else (price(draw, center), size(draw))
        ask = (0, 0) if draw.random() < 0.05 else (price(draw, center + 20), size(draw))
        quote = (row, *bid, *ask, seq, venue_ns, mono_ns, feed)
        assert kernel.quote(*quote) == twin.quote(*quote), quote
    elif kind < 0.95:
        trade = (row, price(draw, center), size(draw), seq, venue_ns, mono_ns, feed)
        assert kernel.trade(*trade) == twin.trade(*trade), trade
    elif kind < 0.98:
        state = [draw.choice((None, True, True, False)), draw.choice((None, False, False, True)), None]
        kernel.set_state(row, *state)
        twin.set_state(row, *state)
    elif kind < 0.985:
        kernel.restart_feed(row, feed)
        twin.restart_feed(row, feed)
    elif kind < 0.995:
        up = draw.random() < 0.6
        assert kernel.set_up(feed, up, mono_ns) == twin.set_up(feed, up, mono_ns)
    else:
        rows = draw.sample(range(INSTRUMENTS), draw.randint(1, INSTRUMENTS))
        kernel.set_priced(feed, rows)
        twin.set_priced(feed, rows)
    assert kernel.relieve(mono_ns) == twin.relieve(mono_ns)
    for source in range(5):
        assert kernel.trigger(row, source, mono_ns) == twin.trigger(row, source, mono_ns), source
    max_age_ns = draw.choice((0, 3, 100))
    assert kernel.reference(row, mono_ns, max_age_ns) == twin.reference(row, mono_ns, max_age_ns)
    assert kernel.fresh(row, mono_ns) == twin.fresh(row, mono_ns)
    assert kernel.snapshot(row) == twin.snapshot(row)
    assert kernel.line(row, feed) == twin.line(row, feed)
    assert kernel.leaders() == twin.leaders()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_kernel_equals_twin_over_random_histories(seed: int) -> None:
    draw = random.Random(seed)
    kernel, twin = Kernel(INSTRUMENTS), Twin(INSTRUMENTS)
    again = draw.getstate()
    build(draw, kernel)
    draw.setstate(again)
    build(draw, twin)
    markets = draw.choice(MARKETS)
    kernel.set_feeds(markets)
    twin.set_feeds(markets)
    seqs, mono_ns = [100] * INSTRUMENTS, 62 * 10**9
    for _ in range(STEPS):
        mono_ns += draw.choice((0, 1, 2, 20))
        step(draw, kernel, twin, seqs, mono_ns)
    for row in range(INSTRUMENTS):
        assert kernel.counters_of(row) == twin.counters_of(row)
        for feed in range(len(markets)):
            assert kernel.counters_of(row, feed) == twin.counters_of(row, feed)
