"""A WebSocket's way to a server on this host: never to itself.

A dial to a local port where nobody listens may be given that port as its own, and TCP then connects it to itself. The
handshake fails at once, yet the port stays taken for a minute, and the server could not come back on it.
"""

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Coroutine
from typing import Any

from picows.url import WSParsedURL

RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # nothing is left behind that holds the port


def local_socket(url: WSParsedURL) -> Coroutine[Any, Any, socket.socket] | None:
    """A connected socket for an address of this host; None for any other, and for names: the library makes one.

    Awaiting it raises ConnectionRefusedError where it reached itself.
    """
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:  # a name
        return None
    if not address.is_loopback:
        return None
    return _connect(socket.AF_INET if address.version == 4 else socket.AF_INET6, str(address), int(url.port))


async def _connect(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    own = socket.socket(family)
    is_sound = False
    try:
        own.setblocking(False)
        await asyncio.get_running_loop().sock_connect(own, (host, port))
        if own.getsockname() == own.getpeername():
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"reached itself: nobody listens on port {port}")
        is_sound = True
    finally:
        if not is_sound:
            own.close()
    return own
