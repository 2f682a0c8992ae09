"""Have records forget a moment later what is carried out, unless they are written anew by then.

That write is needed only so that nobody carries the same out once more (`presence.rules.effects`): the next
change of the record drops it as well, and who has just joined a room or left it often does the next thing at
once. It is no harm if it comes late, or not at all: what is repeated is recognized.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

LATER_S: Final = 1.0
"""How long the next change of a record is waited for. Another process that changes it within that time
carries out once more what is pending."""

IN_A_ROW: Final = 8
"""So many are settled in one iteration of the event loop: when hundreds have come at one moment, nobody waits
for all of them."""

Settle = Callable[[], Awaitable[None]]


class Settling:
    """What is to be settled, by key, what comes first in front."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, later_s: float = LATER_S) -> None:
        self._monotonic = monotonic
        self._later_s = later_s
        self._waiting: dict[str, tuple[float, int, Settle]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: str, revision: int, settle: Settle) -> None:
        """Settle the record of this revision later; asked again, no later than that."""
        waiting = self._waiting.get(key)
        if waiting is None or waiting[1] != revision:
            self.drop(key)
            self._waiting[key] = self._monotonic() + self._later_s, revision, settle

    def drop(self, key: str) -> None:
        """Leave a record alone: it is another one now."""
        self._waiting.pop(key, None)

    def forget(self) -> None:
        """Settle nothing of all that: it may not be carried out."""
        self._waiting.clear()

    async def settle_due(self) -> None:
        """Settle what has waited for long enough."""
        await self._settle_until(self._monotonic())

    async def settle_all(self) -> None:
        """Settle everything: this process ends."""
        await self._settle_until(self._monotonic() + self._later_s)

    async def _settle_until(self, until: float) -> None:
        due = [key for key, waiting in self._waiting.items() if waiting[0] <= until]
        for number, key in enumerate(due, 1):
            if number % IN_A_ROW == 0:
                await asyncio.sleep(0)
            waiting = self._waiting.pop(key, None)
            if waiting is not None:  # else it was written anew meanwhile
                await waiting[2]()

    async def run(self) -> None:
        """Settle what is due, again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._later_s / 4)
            await self.settle_due()
