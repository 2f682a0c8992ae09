"""Users of whom calls of an older session may be left: who connects anew does not wait until hundreds end.

Until such a call has ended, whatever the user's newer session says or hears in it ends it first
(`presence.rules.signals`). That calls may be left is in the user's record, and a timer runs: if this process
dies, another one goes on (`presence.timers`). How they are ended is in `presence.changes`.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from presence.side_by_side import side_by_side
from presence.store import StoreUnavailable
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.wire.ids import UserId

AT_ONCE: Final = 2
"""Users of whom calls are ended side by side, some dozens of each: nobody waits for it, and others must keep
their share of the store."""

MAX_WAITING: Final = 1024
"""Users who wait for their turn; of more the timers take care."""

_log = logging.getLogger(__name__)


class OldCalls:
    """Whose older calls this process has yet to end."""

    def __init__(self) -> None:
        self._waiting: dict[UserId, None] = {}
        self._is_any = asyncio.Event()

    def note(self, user: UserId) -> None:
        """Have the calls of an older session of a user ended, soon."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[user] = None
            self._is_any.set()

    async def run(self, end: Callable[[UserId], Awaitable[None]]) -> None:
        """End them, for as long as the process lives. What cannot be ended now the timers do."""

        async def try_to_end(user: UserId) -> None:
            with bug_guard(_log, "calls of an older session not ended: a bug"):
                try:
                    await end(user)
                except (StoreUnavailable, BrokerAway) as error:
                    _log.warning("calls of an older session not ended", extra={"error": repr(error)})

        while True:
            await self._is_any.wait()
            some = list(itertools.islice(self._waiting, AT_ONCE))
            for user in some:
                del self._waiting[user]
            if not self._waiting:
                self._is_any.clear()
            await side_by_side(*(try_to_end(user) for user in some))
