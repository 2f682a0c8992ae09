"""How the servers of the tests stop listening."""

import asyncio
from collections.abc import Iterable
from typing import Protocol


class _Socket(Protocol):
    def fileno(self) -> int: ...


class _Listening(Protocol):
    @property
    def sockets(self) -> Iterable[_Socket]: ...


async def stop_accepting(server: _Listening) -> None:
    """Accept no more connections, just before `server` is closed.

    In Python 3.11 a connection that was accepted in the very turn of the loop in which its server is closed
    is forgotten, and stays open: `asyncio.Server._attach` fails then, before the transport is known.
    """
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    await asyncio.sleep(0)
