"""The floor: a plain echo server of the same WebSocket library on the same loop, in a process of its own.

`/` answers each frame with a send of its own, as any echo server does; `/joined` sends the answers to one read at once.
Run as `python -m benchmarks.echo CPU`; its first line on standard output is JSON with the port.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

JOINED = b"/joined"
SHORT, LONG = 126, 65536


class Echo(WSListener):
    """Says what it hears."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


class JoinedEcho(WSListener):
    """The same, with one write for all frames of one read."""

    def __init__(self) -> None:
        self.out: list[bytes] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.out += (server_header(frame.payload_size), frame.get_payload_as_bytes())
            if frame.last_in_buffer:
                transport.underlying_transport.write(b"".join(self.out))
                self.out.clear()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


def server_header(size: int) -> bytes:
    """Header of one unmasked text frame (RFC 6455, section 5.2)."""
    if size < SHORT:
        return bytes((0x81, size))
    if size < LONG:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


def accept(request: WSUpgradeRequest) -> WSListener:
    """A listener by path."""
    make: Callable[[], WSListener] = JoinedEcho if request.path == JOINED else Echo
    return make()


async def serve() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await ws_create_server(accept, "127.0.0.1", 0)
    print(f'{{"port":{server.sockets[0].getsockname()[1]}}}', flush=True)
    gc.collect()
    gc.freeze()
    gc.disable()
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(serve())
