"""How many bytes of answers one process asks its broker for at once.

NATS hangs up on a client for which more than 64 MiB wait, and everything that is under way is lost then. So
what is asked for is estimated by the kinds of keys, and who would ask for too much waits, in order. Only
`presence.bucket` uses it, and `presence.records`, which asks for much in parts.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from typing import Final

MAX_BYTES: Final = 32 * 1024 * 1024
"""Half of what NATS lets wait for a client: the rest is for requests, and for estimates that are too low."""

LARGE_BYTES: Final = 1024 * 1024
"""Who asks for more waits for others who do: the lease of a gateway, or a signal, must not wait for all that
is read of a hundred rooms."""

LARGE_SHARE: Final = 4
"""One in so many of all bytes is what those have together. None of them asks for more at once (`parts`)."""

_MOST_KEYS: Final = 512
"""Keys asked for at once; the server refuses to answer with more than 1,024."""

_ROSTER: Final = 256 * 1024
"""A pattern: the default limit of a room is 1,000 members, at 100 to 250 bytes each."""

_KINDS: Final = {"pair": 64 * 1024, "user": 16 * 1024, "standing": 16 * 1024, "held": 2048}
"""A key of this kind. A pair has less, but for users with very long ids; 128 held frames have 128 KiB. A
user has so much in 100 rooms with the longest names, and many such users may be listed at once."""

_OTHER: Final = 512


def estimated(keys: Iterable[str]) -> int:
    """Estimate how many bytes these keys and patterns hold, rather too high."""
    return sum([_ROSTER if "*" in key else _KINDS.get(key.partition(".")[0], _OTHER) for key in keys])


def estimated_each(keys: Iterable[str]) -> int:
    """Estimate how many bytes the largest holds of all that these keys and patterns match."""
    return max(_KINDS.get(key.partition(".")[0], _OTHER) for key in keys)


def parts(keys: Sequence[str], beside: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Divide keys and patterns into parts that are each asked for at once, together with what is `beside`."""
    if (len(keys) + len(beside)) * _ROSTER <= MAX_BYTES // LARGE_SHARE:  # as nearly always
        if keys:
            yield tuple(keys)
        return
    start, size = 0, estimated(beside)
    most = _MOST_KEYS - len(beside)
    for end, key in enumerate(keys):
        more = estimated((key,))
        if end > start and (size + more > MAX_BYTES // LARGE_SHARE or end - start == most):
            yield tuple(keys[start:end])
            start, size = end, estimated(beside)
        size += more
    if keys[start:]:
        yield tuple(keys[start:])


class ReadBudget:
    """Bytes that may be asked for at once. Those who ask for much have a share of their own."""

    def __init__(self, most: int = MAX_BYTES, large: int = LARGE_BYTES) -> None:
        self._large = large
        self._of_large = _Share(most // LARGE_SHARE)
        self._of_others = _Share(most - most // LARGE_SHARE)

    @property
    def taken(self) -> int:
        """How many bytes are asked for now."""
        return self._of_large.taken + self._of_others.taken

    def of(self, size: int) -> contextlib.AbstractAsyncContextManager[None]:
        """Ask for so many bytes, now or when others have got theirs; for more than all, alone."""
        return (self._of_large if size > self._large else self._of_others).of(size)


class _Share:
    """Bytes that may be asked for at once, in the order in which they are wanted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        """How many bytes are asked for now."""
        return self._most - self._free

    @contextlib.asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Ask for so many bytes, now or when others have got theirs; for more than all, alone."""
        size = min(size, self._most)
        if self._waiting or size > self._free:
            await self._turn(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._next()

    async def _turn(self, size: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came in the same moment
                self._free += size
            self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
                continue
            if size > self._free:
                return
            self._waiting.popleft()
            self._free -= size
            turn.set_result(None)
