"""Number what the backend orders: each order has a place among all, whoever carries it out, and when.

A number grows with each order, in all presence processes together: it is written before it is given, by
compare-and-set. It is a time, too, microseconds by the broker's clock, so that it goes on growing where that
record is lost; where the clock goes back it grows by one (docs/decisions/0132-an-order-has-its-place.md).
"""

import asyncio
import contextlib
from collections.abc import Callable

from presence.rules.standing import NUMBERS_KEPT_MS
from presence.store import MAX_TRIES, Conflict, Store, lost_rounds, read_one
from tieline import metrics
from tieline.wire.subjects import Keys


class Numbers:
    """Gives numbers to orders. Raises what `Store` raises; a number that nobody uses does no harm."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """Take also the clock of all processes, in Unix milliseconds."""
        self._store = store
        self._clock = clock
        self._turn = asyncio.Lock()
        self._last = self._revision = 0

    async def next(self) -> int:
        """Give a number that is higher than all that were given before."""
        key = Keys.last_number()
        async with self._turn:
            for _ in range(MAX_TRIES):
                number = max(self._last + 1, self._clock() * 1000)
                try:
                    self._revision = await self._store.write(
                        key, str(number).encode(), self._revision, NUMBERS_KEPT_MS / 1000
                    )
                except Conflict:
                    metrics.CAS_CONFLICTS.inc()
                    record = await read_one(self._store, key)
                    self._revision = record.revision
                    with contextlib.suppress(ValueError):  # nothing, or none: the clock has gone on since
                        self._last = max(self._last, int(record.value))
                else:
                    self._last = number
                    return number
        raise lost_rounds(key)
