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

from gateway.client.hang_up import has_socket_hung_up
from tieline.runtime.guard import bug_guard

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: a gateway's worth of clients that come back at once."""

AT_ONCE: Final = 4
"""Accepted in one iteration of the loop, in about half a millisecond with all that is set up for them. Where
nobody else is served meanwhile that is thousands a second."""

MOST_GONE: Final = 32
"""Closed at most beside those in one iteration: they hung up while they waited, as do those who give up while
thousands wait. Each takes some 10 us here, and would take a hundred times that to be judged in vain."""

MOST_UNREAD: Final = 64
"""Newcomers whose requests wait to be read; with more nobody is accepted. A very busy gateway reads some 100
a second, and whoever is accepted has 5 s to be let in, which must not pass before its request is read. Who
waits in the system's queue has time."""

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
        unread: Callable[[], int] = lambda: 0,
    ) -> None:
        """Take sockets that listen, what makes the protocol of a client, and what counts unread requests."""
        self._loop = loop
        self._sockets = sockets
        self._client = client
        self._tasks = tasks
        self._unread = unread
        self._is_crowded = False
        """Whether more knocked last time than were accepted, as far as is known."""
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
        if self._unread() >= MOST_UNREAD:  # this is called again and again meanwhile, beside their turns
            return
        gone_left = MOST_GONE if self._is_crowded else 0
        accepted_left = AT_ONCE
        self._is_crowded = True
        while accepted_left:
            accepted = self._next(listening)
            if accepted is None:
                self._is_crowded = False
                return
            if gone_left and has_socket_hung_up(accepted):
                gone_left -= 1
                accepted.close()
                continue
            accepted_left -= 1
            accepted.setblocking(False)
            self._tasks.create_task(self._begin(accepted))

    def _next(self, listening: socket.socket) -> socket.socket | None:
        """Accept the next one; None: nobody more, for now."""
        try:
            accepted, _peer = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        except OSError as problem:
            if problem.errno in _NO_ROOM:
                self._pause(listening, problem)
            elif problem.errno not in _LOST:
                raise
            return None
        return accepted

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
