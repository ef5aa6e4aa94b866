"""The real machine: its clocks, its chance, its journal threads, its cores and its heap."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
from collections.abc import Callable
from random import Random
from typing import Literal

from gateway import boot
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.core.state import State
from gateway.errors import CannotStart
from gateway.journal.files import SYSTEM, Files
from gateway.journal.recovery import Recovered
from gateway.journal.writer import JournalWriter


class SystemMachine:
    """`gateway.ports.Machine` on this host."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.files: Files = SYSTEM

    def rng(self) -> Random:
        return Random()

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def open_journal(self, config: Config, state: State, recovered: Recovered) -> JournalWriter:
        """With `pin_cpu` the loop gets that core and the journal's threads keep off it."""
        pin = config.gateway.pin_cpu
        cores = os.sched_getaffinity(0)
        if pin >= 0 and cores - {pin}:
            os.sched_setaffinity(0, cores - {pin})  # threads inherit it
        journal = JournalWriter(
            str(boot.journal_dir(config)), history_id=state.history, position=recovered.next_position,
            last_seq=recovered.last_seq, epoch=state.epoch, segment_bytes=config.journal.segment_bytes,
            fsync=config.journal.durability == "disk", gap_ns_max=config.journal.commit_gap_us_max * 1_000,
        )  # fmt: skip
        if pin >= 0:
            try:
                os.sched_setaffinity(0, {pin})
            except OSError as error:
                raise CannotStart(f"gateway.pin_cpu: may not run on CPU {pin}: {error.strerror}") from error
        return journal

    def watch(self, journal: JournalWriter, call: Callable[[], None] | None) -> None:
        loop = asyncio.get_running_loop()
        if call is None:
            loop.remove_reader(journal.eventfd)
        else:
            loop.add_reader(journal.eventfd, _take, journal, call)

    def mind_heap(self, moment: Literal["start", "idle", "end"]) -> None:
        """The start-up heap is frozen; after that only the young are collected, when nothing is under way."""
        if moment == "start":
            gc.collect()
            gc.freeze()
            gc.disable()
        elif moment == "idle":
            gc.collect(1)
        else:
            gc.enable()


def _take(journal: JournalWriter, call: Callable[[], None]) -> None:
    journal.take_event()
    call()
