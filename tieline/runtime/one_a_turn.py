"""Let tasks that become ready together go on one after the other, one in each iteration of the event loop.

What a hundred wait for together, such as one answer of the broker, would otherwise have all of them go on in
one iteration, for which everybody else waits.
"""

import asyncio
from collections import deque


class OneATurn:
    """Those who go on one after the other."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False
        self._loop = asyncio.get_running_loop()

    async def passed(self) -> None:
        """Return when nobody else has gone on in this iteration of the event loop."""
        if not self._is_taken:
            self._is_taken = True
            self._loop.call_soon(self._next)
            return
        turn = self._loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else who waited was cancelled
                turn.set_result(None)
                self._loop.call_soon(self._next)
                return
        self._is_taken = False
