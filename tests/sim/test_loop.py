"""The loop tier's ground: virtual time, the simulated network, and the real libraries on both."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

from tests.sim.kernel import MS, SECOND, Escape, Kernel, NodeClock, sealed
from tests.sim.loop import SimLoop
from tests.sim.net import Habits, Network
from tests.sim.ported import ported


class Bench:
    """Two processes and a network."""

    def __init__(self, seed: int = 1, habits: Habits | None = None, order: str = "fifo") -> None:
        self.kernel = Kernel(seed)
        self.net = Network(self.kernel, habits)
        self.unhandled: list[dict[str, Any]] = []
        self.server = self.process("server", order)
        self.client = self.process("client", order)

    def process(self, name: str, order: str = "fifo") -> SimLoop:
        clock = NodeClock(self.kernel)
        return SimLoop(self.kernel, self.net, name, clock=clock, order=order, on_unhandled=self.unhandled.append)

    def start(self, loop: SimLoop, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return loop.inside(lambda: loop.create_task(work))

    def run(self, is_done: Callable[[], bool], until_s: int = 60) -> None:
        """Step until it is done; a run that ends first is a failure."""
        with sealed(), ported(self.kernel, lambda text: self.unhandled.append({"logged": text})):
            while not is_done() and self.kernel.now_ns < until_s * SECOND and self.kernel.step():
                pass
        assert not self.unhandled
        assert is_done(), list(self.kernel.ring)


class Echo(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


class Hears(WSListener):
    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.frames: list[bytes] = []
        self.all = asyncio.get_running_loop().create_future()
        self.gone = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.frames.append(frame.get_payload_as_bytes())
        if len(self.frames) == self.wanted:
            self.all.set_result(None)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set_result(None)


def talk(bench: Bench, count: int = 20) -> list[bytes]:
    """The real WebSocket library at both ends: `count` frames there and back, then a close."""
    sent = [b"%d " % n + b"x" * (n * 37 % 3000) for n in range(count)]

    async def serve() -> None:
        await ws_create_server(lambda request: Echo(), "gateway", 7000)

    async def ask() -> list[bytes]:
        transport, heard = await ws_connect(lambda: Hears(count), "ws://gateway:7000/")
        for frame in sent:
            transport.send(WSMsgType.TEXT, frame)
        await heard.all
        transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        await heard.gone
        assert heard.frames == sent
        return heard.frames

    bench.start(bench.server, serve())
    task = bench.start(bench.client, ask())
    bench.run(task.done)
    return list(task.result())


ROUGH = Habits(delay_ns=(1 * MS, 80 * MS), split_ppm=300_000, trickle_ppm=200_000, window_bytes=900)


@pytest.mark.parametrize("habits", [Habits(), ROUGH], ids=["smooth", "rough"])
@pytest.mark.parametrize("order", ["fifo", "shuffle"])
def test_the_real_websocket_library_runs_on_the_simulated_network(habits: Habits, order: str) -> None:
    assert len(talk(Bench(3, habits, order))) == 20


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    traces = []
    for seed in (5, 5, 6):
        bench = Bench(seed, ROUGH)
        talk(bench)
        traces.append((bench.kernel.digest(), bench.kernel.now_ns))
    assert traces[0] == traces[1] != traces[2]


def test_virtual_time_moves_only_when_nothing_is_ready() -> None:
    bench = Bench()
    times: list[int] = []

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await asyncio.sleep(0)
            times.append(bench.kernel.now_ns)
        try:
            async with asyncio.timeout(3600):
                await loop.create_future()
        except TimeoutError:
            times.append(bench.kernel.now_ns)

    bench.run(bench.start(bench.client, wait()).done, until_s=4000)
    assert times == [0, 0, 0, 3600 * SECOND]


def test_a_sleeping_machine_does_not_count_down_its_timers() -> None:
    bench = Bench()
    fired: list[int] = []
    bench.client.call_later(10, lambda: fired.append(bench.kernel.now_ns))
    bench.kernel.after(5 * SECOND, lambda: bench.client.clock.suspend(is_asleep=True))
    bench.kernel.after(25 * SECOND, lambda: bench.client.clock.suspend(is_asleep=False))
    bench.run(lambda: bool(fired))
    assert fired == [30 * SECOND]


def test_a_paused_process_does_nothing_and_goes_on_where_it_was() -> None:
    bench = Bench()
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(bench.kernel.now_ns // SECOND)
        bench.client.call_later(1, tick)

    bench.client.call_later(1, tick)
    bench.kernel.after(int(2.5 * SECOND), bench.client.pause)
    bench.kernel.after(int(7.5 * SECOND), bench.client.resume)
    bench.run(lambda: len(ticks) == 4)
    assert ticks == [1, 2, 7, 8]


class Raw(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = bytearray()
        self.lost: list[str] = []
        self.pauses = self.resumes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(type(error).__name__)

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.resumes += 1


def pair(bench: Bench) -> tuple[Raw, Raw]:
    near, far = Raw(), Raw()
    bench.start(bench.server, bench.server.create_server(lambda: far, "venue", 7100))
    bench.start(bench.client, bench.client.create_connection(lambda: near, "venue", 7100))
    bench.run(lambda: hasattr(near, "transport") and hasattr(far, "transport"))
    return near, far


def test_a_peer_that_reads_nothing_stops_the_writer_until_it_reads_again() -> None:
    bench = Bench(habits=Habits(window_bytes=1000))
    near, far = pair(bench)
    near.transport.set_write_buffer_limits(high=2000)
    far.transport.pause_reading()
    bench.client.inside(lambda: near.transport.write(b"x" * 10_000))
    bench.run(lambda: bench.net.is_quiet())
    assert (near.pauses, near.transport.get_write_buffer_size(), far.got) == (1, 9000, b"")
    far.transport.resume_reading()
    bench.run(lambda: len(far.got) == 10_000)
    bench.run(lambda: near.resumes == 1)


def test_a_dead_process_is_noticed_and_a_dead_host_is_not() -> None:
    for with_host in (False, True):
        bench = Bench()
        near, far = pair(bench)
        bench.server.kill()
        bench.net.process_died(bench.server, with_host=with_host)
        bench.kernel.at(5 * SECOND, lambda: None)
        bench.run(lambda bench=bench: bench.kernel.now_ns == 5 * SECOND)
        assert near.lost == ([] if with_host else ["NoneType"])
        assert far.lost == []  # nobody is there to hear it


def test_a_silent_link_tells_nobody_before_it_heals() -> None:
    bench = Bench()
    near, far = pair(bench)
    link = bench.net.link("client", ("venue", 7100))
    link.go_silent()
    bench.client.inside(lambda: near.transport.write(b"lost"))
    bench.kernel.at(9 * SECOND, link.heal)
    bench.run(lambda: bool(near.lost and far.lost))
    assert bench.kernel.now_ns >= 9 * SECOND and far.got == b""


def test_a_stall_one_way_holds_bytes_and_loses_none() -> None:
    bench = Bench()
    near, far = pair(bench)
    link = bench.net.link("client", ("venue", 7100))
    link.stall(0)
    bench.client.inside(lambda: near.transport.write(b"late"))
    bench.server.inside(lambda: far.transport.write(b"fine"))
    bench.run(lambda: near.got == b"fine")
    assert far.got == b""
    bench.kernel.after(3 * SECOND, link.heal)
    bench.run(lambda: far.got == b"late")


def test_the_real_http_server_answers_on_the_simulated_network() -> None:
    bench = Bench()

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.get("/healthz", answer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "gateway", 7080).start()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    raw = Raw()

    async def ask() -> None:
        transport, _ = await bench.client.create_connection(lambda: raw, "gateway", 7080)
        transport.write(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")

    started = bench.start(bench.server, serve())
    bench.run(started.done)
    bench.start(bench.client, ask())
    bench.run(lambda: bool(raw.lost))
    assert raw.got.startswith(b"HTTP/1.1 200") and raw.got.endswith(b'{"ok": true}')


@pytest.mark.parametrize(
    "reach",
    [
        lambda loop: loop.run_in_executor(None, len, ""),
        lambda loop: loop.add_reader(3, len),
        lambda loop: loop.call_soon_threadsafe(len, ""),
    ],
    ids=["thread", "descriptor", "other thread"],
)
def test_what_would_leave_the_simulation_escapes(reach: Callable[[SimLoop], object]) -> None:
    with pytest.raises(Escape):
        reach(Bench().client)
