"""The simulator's own ground: order, clocks, streams, digest, guard, and the fault catalogue."""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
import uuid

import pytest

from gateway.clock import SystemClock
from tests.sim.faults import CATALOGUE, FaultError, Faults
from tests.sim.kernel import RING, SECOND, WALL_START_NS, Escape, Kernel, NodeClock, sealed


def run_out(kernel: Kernel) -> None:
    while kernel.step():
        continue


def test_calls_come_in_order_of_time_then_of_scheduling() -> None:
    kernel, seen = Kernel(1), []
    kernel.at(20, lambda: seen.append("late"))
    kernel.at(10, lambda: (seen.append("first"), kernel.after(0, lambda: seen.append("behind"))))
    kernel.at(10, lambda: seen.append("second"))
    run_out(kernel)
    assert seen == ["first", "second", "behind", "late"]
    assert (kernel.now_ns, kernel.events, kernel.next_ns()) == (20, 4, -1)


def test_time_never_goes_back() -> None:
    kernel, seen = Kernel(1), []
    kernel.at(100, lambda: kernel.at(5, lambda: seen.append(kernel.now_ns)))
    run_out(kernel)
    assert seen == [100]


def test_streams_are_apart_and_repeat() -> None:
    one, two = Kernel(7), Kernel(7)
    drawn = [one.rng("a").random() for _ in range(3)]
    two.rng("b").random()
    assert [two.rng("a").random() for _ in range(3)] == drawn
    assert Kernel(8).rng("a").random() != drawn[0]


def test_the_digest_tells_every_line_and_the_ring_keeps_the_last() -> None:
    one, two = Kernel(1), Kernel(1)
    for number in range(RING + 50):
        one.trace(f"event {number}")
        two.trace(f"event {number}")
    assert one.digest() == two.digest() and len(one.ring) == RING and one.ring[-1] == f"0 event {RING + 49}"
    two.trace("more")
    assert one.digest() != two.digest()


def test_clocks_have_their_faults_and_keep_their_laws() -> None:
    kernel = Kernel(1)
    clock = NodeClock(kernel)
    assert clock.wall_ns() == WALL_START_NS and clock.mono_ns() == SECOND
    clock.jump(-SECOND)
    clock.freeze(is_frozen=True)
    kernel.now_ns = 5 * SECOND
    assert clock.wall_ns() == WALL_START_NS - SECOND and clock.mono_ns() == 6 * SECOND
    clock.suspend(is_asleep=True)
    kernel.now_ns = 9 * SECOND
    assert clock.mono_ns() == 6 * SECOND
    clock.heal()
    assert clock.wall_ns() == WALL_START_NS + 8 * SECOND and clock.mono_ns() == 6 * SECOND
    kernel.now_ns = 10 * SECOND
    assert clock.mono_ns() == 7 * SECOND


@pytest.mark.parametrize(
    ("owner", "name", "arguments"),
    [
        (time, "time_ns", ()), (time, "monotonic", ()), (time, "sleep", (1,)), (os, "urandom", (4,)),
        (secrets, "token_bytes", (4,)), (uuid, "uuid4", ()), (random, "random", ()), (random, "shuffle", ([1, 2],)),
        (threading.Thread(target=print), "start", ()), (socket, "socket", ()), (SystemClock(), "wall_ns", ()),
        (SystemClock(), "mono_ns", ()),
    ],
)  # fmt: skip
def test_the_real_world_is_out_of_reach(owner: object, name: str, arguments: tuple[object, ...]) -> None:
    with sealed(), pytest.raises(Escape, match="in a simulation"):
        getattr(owner, name)(*arguments)
    assert time.time_ns() > 0 and len(os.urandom(2)) == 2 and SystemClock().mono_ns() > 0


def test_a_seed_draws_its_own_faults() -> None:
    drawn = [Faults(Kernel(seed)).strengths for seed in range(200)]
    assert drawn[3] == Faults(Kernel(3)).strengths
    for name, fault in CATALOGUE.items():
        on = sum(name in strengths for strengths in drawn)
        assert 0 < on < 200 and abs(on / 200 - fault.share) < 0.15, name
        assert all(strengths.get(name, 0) <= fault.most for strengths in drawn)


def test_faults_strike_by_their_strength_and_are_counted() -> None:
    faults = Faults(Kernel(1), {"link.delay": 0.5, "venue.reject": False})
    hits = sum(faults.hit("link.delay") for _ in range(1_000))
    assert 400 < hits < 600 and faults.injected["link.delay"] == hits
    assert not any(faults.hit("venue.reject") or faults.hit("link.outage") for _ in range(1_000))
    faults.are_on = False
    assert not any(faults.hit("link.delay") for _ in range(100)) and faults.strength("link.delay") == 0


def test_a_fault_that_is_not_there_or_too_strong_is_refused_plainly() -> None:
    with pytest.raises(FaultError, match=r"no such fault: link\.dropp; there are: "):
        Faults(Kernel(1), {"link.dropp": 0.1})
    with pytest.raises(FaultError, match=r"link\.outage: 0\.5 per message is out of range 0 to 0\.1"):
        Faults(Kernel(1), {"link.outage": 0.5})
    with pytest.raises(FaultError, match=r"-1\.0 per crash is out of range"):
        Faults(Kernel(1), {"disk.lose": -1.0})
