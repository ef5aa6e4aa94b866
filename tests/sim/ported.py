"""Ports for the libraries that have none: what they draw and read comes from the kernel while a run is under way.

picows draws its handshake key from the system and its masks from the C library, and would open its own sockets past the
loop where aiofastnet is installed; aiohttp stamps answers with the wall clock. Only these modules are given other
sources: our own code that reaches for the same still escapes. An exception that a library catches and logs is not lost
either: it is what the run is told. What a library keeps for as long as its process lives goes with the run, in which
processes end: aiohttp keeps each handler that it wrapped, and with it a whole gateway and its world.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp.helpers
import aiohttp.web_app
import picows.api
import picows.picows

from tests.sim.kernel import WALL_START_NS, Kernel

_libc = ctypes.CDLL(None)


@contextmanager
def ported(kernel: Kernel, on_error: Callable[[str], None]) -> Iterator[None]:
    """While it is entered, picows and aiohttp take chance and time from the kernel; `on_error` hears what they log."""
    keys = kernel.rng("picows")

    def log(self: logging.Logger, level: int, message: object, args: Any, exc_info: Any = None, **_: object) -> None:
        if level >= logging.ERROR:
            on_error(f"{self.name}: {str(message) % args if args else message}: {exc_info!r}")

    wall = SimpleNamespace(time=lambda: (WALL_START_NS + kernel.now_ns) // 10**9, gmtime=time.gmtime)
    changes: list[tuple[Any, str, object]] = [
        (picows.picows, "os", SimpleNamespace(urandom=keys.randbytes)),
        (picows.api, "_HAS_AIOFASTNET", False),
        (aiohttp.helpers, "time", wall),
        (logging.Logger, "_log", log),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    _libc.srand(keys.getrandbits(31))
    try:
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)
        aiohttp.web_app._cached_build_middleware.cache_clear()
