"""Ask one question for all who ask the same in one turn of the loop.

When thousands come back at once, hundreds are answered in the same turn, and go on to ask about another key
each: one question about all of these costs little more than one about each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

KindT = TypeVar("KindT", bound=Hashable)
KeyT = TypeVar("KeyT", bound=Hashable)
FoundT = TypeVar("FoundT")


class _Asking(Generic[KeyT, FoundT]):
    """A question that is about to be asked."""

    __slots__ = ("answered", "keys")

    def __init__(self, key: KeyT) -> None:
        self.keys: dict[KeyT, None] = {key: None}
        self.answered: asyncio.Future[Mapping[KeyT, FoundT] | None] = (
            asyncio.get_running_loop().create_future()
        )
        """What was found; None: who has asked for all was cancelled."""


class Together(Generic[KindT, KeyT, FoundT]):
    """Asks about several keys at once, those of the same kind together: who comes first asks for all."""

    def __init__(
        self, ask: Callable[[KindT, list[KeyT]], Awaitable[Mapping[KeyT, FoundT]]], most: int
    ) -> None:
        """Take what asks, about so many keys at most."""
        self._ask = ask
        self._most = most
        self._gathering: dict[KindT, _Asking[KeyT, FoundT]] = {}

    async def find(self, kind: KindT, key: KeyT) -> FoundT | None:
        """Find what there is of a key; None: nothing. Raises what asking raises."""
        asking = self._gathering.get(kind)
        if asking is not None:
            asking.keys[key] = None
            if len(asking.keys) >= self._most:
                del self._gathering[kind]
            found = await asyncio.shield(asking.answered)
            return (await self._ask(kind, [key]) if found is None else found).get(key)
        asking = self._gathering[kind] = _Asking(key)
        try:
            await asyncio.sleep(0)
            self._close(kind, asking)
            found = await self._ask(kind, list(asking.keys))
            asking.answered.set_result(found)
        except Exception as error:
            asking.answered.set_exception(error)
            asking.answered.exception()  # there may be nobody else whom it would be told
            raise
        finally:
            self._close(kind, asking)
            if not asking.answered.done():
                asking.answered.set_result(None)
        return found.get(key)

    def _close(self, kind: KindT, asking: _Asking[KeyT, FoundT]) -> None:
        """Let nobody join a question any more."""
        if self._gathering.get(kind) is asking:
            del self._gathering[kind]
