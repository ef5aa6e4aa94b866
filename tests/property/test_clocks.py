"""The clocks of time orders against a list: the earliest of what may come due, whatever is kept, lifted and shut."""

import random

import pytest

from gateway.core.clocks import Clocks
from gateway.core.ref.clocks import Clocks as ReadableClocks

INSTRUMENTS, ORDERS, STEPS = 3, 40, 20_000


@pytest.mark.parametrize("make", [Clocks, ReadableClocks], ids=["compiled", "readable"])
def test_the_earliest_of_what_may_come_due_is_next(make: type[Clocks] | type[ReadableClocks]) -> None:
    draw, clocks = random.Random(7), make(INSTRUMENTS)
    hours: dict[int, int] = {}
    is_shut = [False] * INSTRUMENTS
    for _ in range(STEPS):
        roll, order = draw.random(), draw.randrange(ORDERS)
        if roll < 0.6:
            due_ns = draw.choice((0, draw.randint(1, 60)))  # often the same for many
            clocks.keep(order, order % INSTRUMENTS, due_ns)
            hours.pop(order, None)
            if due_ns:
                hours[order] = due_ns
        elif roll < 0.7:
            row = draw.randrange(INSTRUMENTS)
            is_shut[row] = draw.random() < 0.5
            clocks.let(row, not is_shut[row])
        wall_ns = draw.randint(0, 60)
        due = [(at, one) for one, at in hours.items() if at <= wall_ns and not is_shut[one % INSTRUMENTS]]
        assert clocks.next_due(wall_ns) == (min(due)[1] if due else -1)
        assert clocks.count == len(hours)
