"""Find out whether the other end of a socket is closed, while nothing is read from it."""

import asyncio
import select
import socket
import sys
from typing import Final

_HUNG_UP: Final = select.POLLRDHUP if sys.platform == "linux" else 0
"""poll() flag for a peer that closed its sending side; errors and hang-ups are always reported."""


def has_hung_up(transport: asyncio.Transport) -> bool:
    """Whether the other end is closed: while nothing is read, only the operating system knows."""
    descriptor = transport.get_extra_info("socket")
    return descriptor is not None and has_socket_hung_up(descriptor)


def has_socket_hung_up(descriptor: socket.socket) -> bool:
    """Whether the other end of a socket is closed, which need not belong to an event loop."""
    poll = select.poll()
    poll.register(descriptor.fileno(), _HUNG_UP)
    return bool(poll.poll(0))
