"""A presence process that stands still at one of the awaits of an order, and goes on when it is told to."""

import asyncio
from collections.abc import Mapping

from presence.store import NOTHING_KNOWN, Dated, ListedStore, Record
from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.ids import GatewayId
from tieline.wire.internal.directions import OrderedChange, PresenceReply, PresenceRequest


class Standstill:
    """Where a process stands still: at the so-manieth point that it comes to. It has come to so many."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.count = 0
        self.stands = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def point(self) -> None:
        """Stand still here, if it is here."""
        self.count += 1
        if self.count == self._at:
            self.stands.set()
            await self.goes_on.wait()


class _Store:
    """A store before and behind each operation of which a process may stand still."""

    def __init__(self, store: ListedStore, standstill: Standstill) -> None:
        self._store = store
        self._still = standstill

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        await self._still.point()
        found = await self._store.read(*keys, confirmed=confirmed, known=known)
        await self._still.point()
        return found

    async def read_dated(self, *keys: str) -> Dated:
        await self._still.point()
        return await self._store.read_dated(*keys)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        await self._still.point()
        return await self._store.read_few(most, *keys)

    async def keys(self, *patterns: str) -> list[str]:
        found = await self._store.keys(*patterns)
        await self._still.point()
        return found

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        await self._still.point()
        written = await self._store.write(key, value, revision, ttl_s, confirm=confirm)
        await self._still.point()
        return written

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        await self._still.point()
        return await self._store.put(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        await self._still.point()
        await self._store.delete(key, revision)
        await self._still.point()


class StandingStill(PresenceProcess):
    """A process beside another one that stands still at one point."""

    def __init__(self, beside: PresenceProcess, at: int) -> None:
        self.still = Standstill(at)
        self.answer: PresenceReply | None = None
        super().__init__(beside=beside)
        self.over(_Store(self.store, self.still))

    async def _ask_gateway(self, gateway: GatewayId, what: str, order: bytes, patience_s: float) -> bytes:
        await self.still.point()
        answer = await super()._ask_gateway(gateway, what, order, patience_s)
        await self.still.point()
        return answer

    async def is_at_it(self, request: PresenceRequest) -> "asyncio.Task[PresenceReply] | None":
        """Have it begin with a request, until it stands still; None: it has finished, and did not."""
        assert not isinstance(request, OrderedChange) or request.number
        asked = asyncio.get_running_loop().create_task(self.ask(request))
        stands = asyncio.get_running_loop().create_task(self.still.stands.wait())
        await asyncio.wait((asked, stands), return_when=asyncio.FIRST_COMPLETED)
        stands.cancel()
        await asyncio.wait((stands,))
        if asked.done():
            self.answer = asked.result()
            return None
        return asked
