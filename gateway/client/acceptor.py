"""The door: takes the sockets of newcomers out of the system's queue, a few in each iteration of the loop.

An event loop's own server accepts all that are there. A thousand who knock at once would then keep everybody
else waiting, for a tenth of a second; here they wait in the system's queue, as what clients send does
(`turns`). Who may stay is the business of `gateway/admission/entrance.py`.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from tieline.runtime.guard import bug_guard

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: a gateway's worth of clients that come back at once."""

AT_ONCE: Final = 4
"""Accepted in one iteration of the loop, in about half a millisecond with all that is set up for them. Where
nobody else is served meanwhile that is thousands a second."""

NO_ROOM_S: Final = 1.0
"""Until the next attempt when the system has no descriptor or memory left: trying again at once would only
use up time."""

_NO_ROOM: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

_NAMES: Final = (
    "EPERM", "EPROTO", "ENOPROTOOPT", "EOPNOTSUPP",
    "ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "ENONET",
)  # fmt: skip
_LOST: Final = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
"""What accept(2) says of the connection that it takes, which is gone then, not of the socket that listens."""

_log = logging.getLogger(__name__)


class Acceptor:
    """Accepts clients from `start` on. Tasks belong to the given group."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: list[socket.socket],
        client: Callable[[], asyncio.BaseProtocol],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Take sockets that listen, and what makes the protocol of one client."""
        self._loop = loop
        self._sockets = sockets
        self._client = client
        self._tasks = tasks
        self._pauses: set[asyncio.TimerHandle] = set()

    def start(self) -> None:
        """Accept from now on."""
        for listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Accept nobody any more; who waits to be accepted is cut."""
        for pause in self._pauses:
            pause.cancel()
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        """Accept some of those who wait; called again in the next iteration if there are more."""
        for _ in range(AT_ONCE):
            try:
                accepted, _peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                if problem.errno in _LOST:
                    return
                if problem.errno not in _NO_ROOM:
                    raise
                self._pause(listening, problem)
                return
            accepted.setblocking(False)
            self._tasks.create_task(self._begin(accepted))

    def _pause(self, listening: socket.socket, problem: OSError) -> None:
        """Accept nobody for a while: the system has no room for one more."""
        _log.error("clients cannot be accepted", extra={"error": str(problem)})
        self._loop.remove_reader(listening)

        def go_on() -> None:
            self._pauses.discard(pause)
            self._loop.add_reader(listening, self._accept, listening)

        pause = self._loop.call_later(NO_ROOM_S, go_on)
        self._pauses.add(pause)

    async def _begin(self, accepted: socket.socket) -> None:
        """Give a socket to the loop, which reads it from then on."""
        with bug_guard(_log, "client not accepted: a bug", accepted.close), contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._client, accepted)


async def listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on a port of each address that a host has; an empty host stands for all of this machine.

    Raises:
        OSError: one of them cannot be had.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _name, address in dict.fromkeys(found):
            try:
                listening = socket.socket(family, kind, protocol)
            except OSError:  # a family that this machine has not
                continue
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
