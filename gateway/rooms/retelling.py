"""Have presence tell rooms once more what somebody may have missed who is not here any more.

A push may be lost without a trace, until this gateway looks for what it has not heard (`live_rooms`). A
client that lost its line in between, or had not had the rest yet, says when it comes back that it has had
what is newer; and it may be on any gateway by then. So presence writes what the change was about into the
room's log once more, as it is now. Unless something was lost, nobody is asked for anything.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.runtime.single_flight import SingleFlight
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.rooms import Retell

RETRY_S: Final = 1.0
"""Between attempts: presence or the broker may be away for some seconds."""

TRIES: Final = 30
"""For one user of one room. A presence of an older version, which knows no such request, never answers."""

MOST: Final = 10_000
"""Users of rooms that wait to be told of once more; past it further ones are not."""

STOPPING_S: Final = 0.5
"""For presence to be asked for the rest when this gateway stops: it answers in milliseconds, or is away, and
of the 10 s that a process has to stop the drain leaves one."""

_log = logging.getLogger(__name__)


class Retelling:
    """What one gateway has presence tell once more, one after the other. Tasks belong to the given group."""

    def __init__(
        self,
        ask: Callable[[Retell], Awaitable[object]],
        tasks: asyncio.TaskGroup,
        retry_s: float = RETRY_S,
        most: int = MOST,
    ) -> None:
        self._ask = ask
        self._retry_s = retry_s
        self._most = most
        self._wanted: dict[tuple[RoomId, UserId], int] = {}
        """How often each was tried."""
        self._telling = SingleFlight(tasks, self._tell)
        self._is_stopped = False

    def want(self, room: RoomId, users: Iterable[UserId]) -> None:
        """Have a room told once more what these users are to it."""
        wanted = [(room, user) for user in users]
        if not wanted or self._is_stopped:
            return
        _log.warning("a push was lost, and members who have gone lack it", extra={"users": len(wanted)})
        for one in wanted:
            if len(self._wanted) < self._most:
                self._wanted.setdefault(one, 0)
        self._telling.start()

    async def stop(self, within_s: float = STOPPING_S) -> None:
        """Have the rest told within so many seconds, and nothing more after that."""
        telling = self._telling.start()
        await asyncio.wait((telling,), timeout=within_s)
        self._is_stopped = True
        telling.cancel()

    async def _tell(self) -> None:
        while self._wanted:
            (room, user), tries = next(iter(self._wanted.items()))
            del self._wanted[room, user]
            is_told = False
            with bug_guard(_log, "not told once more: a bug"), contextlib.suppress(NoAnswer, BrokerAway):
                await self._ask(Retell(user, room))
                is_told = True
            if not is_told and tries + 1 < TRIES:
                self._wanted[room, user] = tries + 1
                await asyncio.sleep(self._retry_s)
