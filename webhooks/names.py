"""Find the addresses of receivers, each name in a thread of its own.

The event loop looks up few names at a time: uvloop two, asyncio some six. So many endpoints whose name
servers do not answer would hold up all the others. A lookup cannot be ended: one that takes longer than a
delivery may goes on, one for each name, and a later delivery takes what it finds (`tieline.runtime.lookup`).
Whether an address is allowed is judged by whoever connects to it (`webhooks.sender`).
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from tieline.runtime.lookup import AddressInfo, Names

LookUp = Callable[[str, int], Sequence[AddressInfo]]
"""Asks for the addresses of a name, and blocks meanwhile; raises what `socket.getaddrinfo` raises."""

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


def ask_system(name: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system's resolver."""
    return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class Resolver(AbstractResolver):
    """Resolves names for aiohttp."""

    def __init__(self, timeout_s: float, look_up: LookUp = ask_system) -> None:
        """Take for how long one delivery waits for a name."""
        self._timeout_s = timeout_s
        self._look_up = look_up
        self._names = Names(self._in_a_thread)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, of a family if that is named.

        Raises:
            OSError: it has none, or that is not known in time.
        """
        return [
            ResolveResult(hostname=host, host=where[0], port=port, family=kind, proto=proto, flags=_NUMERIC)
            for kind, _, proto, _, where in await self._names.addresses(host, port, self._timeout_s)
            if family in (socket.AF_UNSPEC, kind)
        ]

    async def close(self) -> None:
        """Do nothing: threads that still wait end with the process."""

    async def _in_a_thread(self, name: str, port: int) -> Sequence[AddressInfo]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[AddressInfo]] = loop.create_future()

        def tell(found: Sequence[AddressInfo] | OSError | UnicodeError) -> None:
            if answer.cancelled():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look_up() -> None:
            found: Sequence[AddressInfo] | OSError | UnicodeError
            try:
                found = self._look_up(name, port)
            except (OSError, UnicodeError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, found)

        threading.Thread(target=look_up, daemon=True).start()
        return await answer
