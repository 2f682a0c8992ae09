"""Tell presence which connections have ended: those of one moment together, and again until it has answered.

A hundred connections are lost at once when a balancer restarts. Told one by one they would be in the way of
those that come back. What an end means for a session is presence's to decide (`presence.rules.session`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from gateway.sessions.presence import Presence
from tieline.runtime.pending import always
from tieline.runtime.requests import NoAnswer
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import EndSession

TOGETHER: Final = 32
"""Ends that are told together: presence reads their records in one go, and answers well within a second."""

AT_ONCE: Final = 2
"""Requests about ends that are under way at a time; what ends meanwhile waits, and then is told together, or
not at all if the client is back. So those who have gone are not in the way of those who come back."""

OLDER_PRESENCE_S: Final = 60.0
"""For so long ends are told one by one, after a presence of an older version has answered: it knows no other
way, and says so by its answer. A rolling upgrade takes minutes."""


class _Untold(NamedTuple):
    """An end that presence has to be told."""

    ending: EndSession
    patience_s: float
    is_due: Callable[[], bool]
    """Whether presence has to be told still."""
    told: asyncio.Future[bool]
    """Whether presence has answered, or needs not be told any more."""


class Endings:
    """The ends that presence has not been told yet. Tasks belong to the given group."""

    def __init__(self, presence: Presence, tasks: asyncio.TaskGroup) -> None:
        self._presence = presence
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._untold: deque[_Untold] = deque()
        self._under_way = 0
        self._is_sending = False
        self._one_by_one_until = 0.0

    async def tell(self, ending: EndSession, patience_s: float, is_due: Callable[[], bool] = always) -> None:
        """Tell presence of one end, with others that come at the same time; nothing if it is not due by then.

        Raises:
            NoAnswer: presence has not answered within `patience_s`.
        """
        told: asyncio.Future[bool] = self._loop.create_future()
        self._untold.append(_Untold(ending, patience_s, is_due, told))
        if not self._is_sending:
            self._is_sending = True
            self._loop.call_soon(self._send)
        if not await told:
            raise NoAnswer("the end of a connection")

    def _send(self) -> None:
        self._is_sending = False
        while self._untold and self._under_way < AT_ONCE:
            most = 1 if self._loop.time() < self._one_by_one_until else TOGETHER
            if some := self._take(most):
                self._under_way += 1
                self._tasks.create_task(self._ask(some))

    def _take(self, most: int) -> list[_Untold]:
        """Take the next ones that are due, and let the others in between be."""
        some: list[_Untold] = []
        while self._untold and len(some) < most:
            one = self._untold.popleft()
            if one.is_due():
                some.append(one)
            else:
                self._settle([one], is_told=True)
        return some

    async def _ask(self, some: list[_Untold]) -> None:
        first, *others = (one.ending for one in some)
        request = msgspec.structs.replace(first, also=tuple(others)) if others else first
        try:
            reply = await self._presence.ask(request, min(one.patience_s for one in some))
        except NoAnswer:
            pass
        else:
            ended = reply.ended if isinstance(reply, Done) else 1
            self._settle(some[:ended], is_told=True)
            if rest := some[ended:]:
                self._one_by_one_until = self._loop.time() + OLDER_PRESENCE_S
                self._untold.extendleft(reversed(rest))
                some = []
        finally:
            self._settle(some, is_told=False)  # those that are left, after a bug: each is told again
            self._under_way -= 1
            self._send()

    def _settle(self, some: list[_Untold], *, is_told: bool) -> None:
        for one in some:
            if not one.told.done():
                one.told.set_result(is_told)
