"""Busy polling: spins while there is work, ends after the last of it, begins again at the next look."""

from __future__ import annotations

import asyncio

from gateway.spin import Spinner


class Loop:
    """The part of a loop that a spinner uses; the test turns it by hand."""

    def __init__(self) -> None:
        self.ready: list[object] = []

    def call_soon(self, call: object) -> None:
        self.ready.append(call)


def test_spins_until_nothing_happened_for_its_time() -> None:
    loop, now, work = Loop(), [0], [0]
    spinner = Spinner(loop, 100, lambda: now[0], lambda: work[0])  # type: ignore[arg-type]
    spinner.look()
    turns = 0
    while loop.ready:
        now[0] += 30
        turns += 1
        if turns == 2:
            work[0] += 1  # work under way: the time starts again
        loop.ready.pop()()  # type: ignore[operator]
    assert turns == 6  # two turns, then four of 30 ns until 100 ns have passed
    spinner.look()
    assert not loop.ready  # nothing new: stays asleep
    work[0] += 1
    spinner.look()
    assert len(loop.ready) == 1


def test_runs_on_a_real_loop() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        calls = [0]

        def mono_ns() -> int:
            calls[0] += 1
            return calls[0]

        spinner = Spinner(loop, 50, mono_ns, lambda: 0)
        spinner.look()
        done = loop.create_future()
        loop.call_later(0.01, done.set_result, None)
        await done
        return calls[0]

    assert asyncio.run(main()) == 51
