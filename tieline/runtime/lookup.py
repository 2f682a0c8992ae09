"""Look up names, such as that of a broker, and connect to their addresses.

A resolver whose name server does not answer takes longer than an attempt to connect may. asyncio and uvloop
leave such a lookup behind when the attempt is given up, and report its failure later as a bug of nobody's.
Here it goes on, one at a time for each name, and a later attempt takes what it finds. `nats_client` uses it,
and `webhooks.names`.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

AddressInfo = tuple[Any, ...]
"""What `socket.getaddrinfo` says of one address: family, kind, protocol, name, and what to connect to."""

Resolve = Callable[[str, int], Coroutine[None, None, Sequence[AddressInfo]]]
"""Asks for the addresses of a name, for connections to a port."""

NO_ANSWER: Final = "no name server has answered yet"


class NameUnknown(OSError):
    """A name has no address, as far as is known."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the name {name!r} is not resolved: {why}")
        self.name = name


async def look_up(name: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system's resolver."""
    return await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)


class Names:
    """The lookups of one process. `resolve` is the resolver."""

    def __init__(self, resolve: Resolve = look_up) -> None:
        self._resolve = resolve
        self._lookups: dict[tuple[str, int], asyncio.Task[Sequence[AddressInfo]]] = {}
        """Those under way, and those that have ended since the attempt that waited for them."""

    async def addresses(self, name: str, port: int, timeout_s: float) -> Sequence[AddressInfo]:
        """Return the addresses of a name, waiting so long for a lookup, which goes on if that was too short.

        Raises:
            NameUnknown: there are none, or it is not known yet.
        """
        lookup = self._lookups.get((name, port))
        if lookup is None:
            lookup = self._lookups[name, port] = asyncio.ensure_future(self._resolve(name, port))
            lookup.add_done_callback(_take_note)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(lookup)
        except TimeoutError:
            raise NameUnknown(name, NO_ANSWER) from None
        except (OSError, UnicodeError) as error:  # the latter: it cannot be a name
            raise NameUnknown(name, str(error)) from None
        finally:
            if lookup.done():
                self._lookups.pop((name, port), None)


async def open_first(
    addresses: Sequence[AddressInfo], limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that takes the connection; `limit` is that of the reader.

    Raises:
        OSError: none does; the failure of the last one.
    """
    failure: OSError = ConnectionRefusedError("no address")
    for family, *_, address in addresses:
        scope = f"%{address[3]}" if family == socket.AF_INET6 and address[3] else ""
        try:
            return await asyncio.open_connection(
                f"{address[0]}{scope}", address[1], family=family, limit=limit
            )
        except OSError as error:
            failure = error
    raise failure


def _take_note(lookup: asyncio.Task[Sequence[AddressInfo]]) -> None:
    """Read how a lookup has failed: nobody may wait for it any more, and asyncio would call that a bug."""
    if not lookup.cancelled():
        lookup.exception()
