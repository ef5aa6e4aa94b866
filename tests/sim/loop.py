"""SimLoop: an event loop on virtual time. Stock tasks and futures run on it; sockets come from the simulated network.

Each simulated process has a loop of its own, as real ones have: a pause stops one of them, a crash drops it whole.
What runs next across processes is the kernel's business: a loop with work asks it for a step at the present virtual
time, and one step is one callback.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from tests.sim.disk import PowerLost
from tests.sim.kernel import Escape, Kernel, NodeClock

if TYPE_CHECKING:
    from tests.sim.net import Network

READY_MAX = 100_000  # callbacks of one process that wait: more is a loop that feeds itself


class SimLoop(asyncio.AbstractEventLoop):
    """The loop of one process.

    Args:
        clock: the process's machine; the loop's time is its monotonic clock, which stands while the machine sleeps.
        order: "fifo" keeps the promise of real loops; "shuffle" runs ready callbacks in any order, an early warning.
        on_unhandled: gets the context of each exception that nobody handled.
    """

    def __init__(
        self, kernel: Kernel, net: Network, name: str, *, clock: NodeClock, order: str,
        on_unhandled: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.net = net
        self.name = name
        self.clock = clock
        self.is_dead = False
        self.is_paused = False
        self.read_bytes_max = 1 << 30  # at once, from one connection; a slow reader takes few, and rests after them
        self.read_gap_ns = 0
        self.steps = 0
        self.tasks: list[asyncio.Task[Any]] = []  # kept: a dropped process must not run its tasks' clean-up
        self._root = Context()
        self._ready: deque[asyncio.Handle] = deque()
        self._is_step_due = False
        self._pick = kernel.rng(f"loop {name}") if order == "shuffle" else None
        self._on_unhandled = on_unhandled

    # --- what the world does to it ------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The process is stopped (SIGSTOP, a long stall): nothing of it runs, its sockets stay."""
        self.is_paused = True

    def resume(self) -> None:
        """It goes on; what became due meanwhile runs now."""
        self.is_paused = False
        self._want_step()

    def kill(self) -> None:
        """The process is gone: not one of its callbacks runs again."""
        self.is_dead = True
        self._ready.clear()
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # killed, not forgotten

    def end_tasks(self) -> None:
        """After the run: what a killed process left unfinished is let go; its clean-up reaches nothing any more."""
        for task in self.tasks:
            if not task.done():
                with suppress(RuntimeError, PowerLost, Escape):
                    task.get_coro().close()
        self.tasks.clear()

    def inside(self, call: Callable[[], Any]) -> Any:
        """Make a call inside this loop, from outside any step (the world starts and asks its processes so)."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            return call()
        finally:
            asyncio._set_running_loop(before)

    def _want_step(self) -> None:
        if self._ready and not (self._is_step_due or self.is_paused or self.is_dead):
            self._is_step_due = True
            self.kernel.after(0, self._step)

    def _step(self) -> None:
        self._is_step_due = False
        if self.is_dead or self.is_paused or not self._ready:
            return
        if self._pick is None:
            handle = self._ready.popleft()
        else:
            at = self._pick.randrange(len(self._ready))
            handle = self._ready[at]
            del self._ready[at]
        if not handle._cancelled:
            self.steps += 1
            asyncio._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio._set_running_loop(None)
        self._want_step()

    # --- callbacks and timers -----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.clock.mono_ns() / 1e9

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """`call_soon` for what comes from outside the process: it inherits nothing from whoever runs just now."""
        self._add(asyncio.Handle(callback, args, self, self._root))

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._add(handle)
        return handle

    def _add(self, handle: asyncio.Handle) -> None:
        if self.is_dead:
            return
        if len(self._ready) >= READY_MAX:
            raise RuntimeError(f"{self.name}: more than {READY_MAX} callbacks are ready")
        self._ready.append(handle)
        self._want_step()

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._timer(self.clock.mono_ns() + round(delay * 1e9), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._timer(round(when * 1e9), callback, args, context)

    def _timer(
        self, when_ns: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when_ns / 1e9, callback, args, self, context)

        def due() -> None:
            left_ns = when_ns - self.clock.mono_ns()
            if left_ns > 0 and not handle._cancelled:  # the machine slept since
                self.kernel.after(left_ns, due)
            elif not handle._cancelled:
                self._add(handle)

        if not self.is_dead:
            self.kernel.after(max(0, when_ns - self.clock.mono_ns()), due)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """The kernel's event finds the handle cancelled and does nothing."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        if len(self.tasks) >= 512:
            self.tasks = [other for other in self.tasks if not other.done()]
        self.tasks.append(task)
        return task

    def is_running(self) -> bool:
        return not self.is_dead

    def is_closed(self) -> bool:
        return self.is_dead

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self._on_unhandled(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # --- the network --------------------------------------------------------------------------------------------------

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        _plain(options)
        return await self.net.connect(self, protocol_factory, (str(host), int(port)))

    async def create_unix_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> tuple[Any, Any]:
        _plain(options)
        return await self.net.connect(self, protocol_factory, (str(path), 0))

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        _plain(options)
        return self.net.listen(self, protocol_factory, (str(host), int(port or 0)))

    async def create_unix_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> Any:
        _plain(options)
        return self.net.listen(self, protocol_factory, (str(path), 0))

    # --- what would leave the simulation ------------------------------------------------------------------------------

    def call_soon_threadsafe(self, *args: Any, **options: Any) -> asyncio.Handle:
        raise Escape("a call from another thread")

    def run_in_executor(self, *args: Any) -> Any:
        raise Escape("a thread")

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        raise Escape(f"a real file descriptor ({fd}) is watched")

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        raise Escape(f"a real file descriptor ({fd}) is watched")

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        raise Escape("a signal handler")

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        raise Escape(f"a question to the name service: {host}")

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> Any:
        raise Escape("a question to the name service")

    async def sock_connect(self, sock: Any, address: Any) -> None:
        raise Escape(f"a real socket to {address}")

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:
        raise Escape("a process")

    async def subprocess_shell(self, *args: Any, **options: Any) -> Any:
        raise Escape("a process")


def _plain(options: dict[str, Any]) -> None:
    """The simulated network has no TLS and takes no socket that is open already."""
    for name in ("ssl", "sock"):
        if options.get(name):
            raise Escape(f"{name} on a simulated connection")
