"""Where the messages of users wait who have much done for them, so that they are not in the others' way.

Of these so many are under way at once, and the next one goes when one of them is answered. When routers and
presence are slow, there are fewer a second of them, and what waits waits here instead of before those of
everybody else. Users who have asked for little of late do not come here. What a user may ask for in all is up
to its budget (`gateway/limits/user_budget.py`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 16
"""Messages under way: thousands a second, as long as nobody is pressed."""

PLACE_S: Final = 0.25
"""For which a message that is not answered keeps its place: when nobody answers, the others still have to
learn that."""

Answered = Callable[..., None]


class HeavyLane:
    """The messages of heavy users of one gateway, first come, first served; each user has one at a time."""

    def __init__(self, at_once: int = AT_ONCE, place_s: float = PLACE_S) -> None:
        self._free = at_once
        self._place_s = place_s
        self._waiting: deque[tuple[Callable[[Answered], None], Answered]] = deque()

    def pass_on(self, ask: Callable[[Answered], None], answered: Answered) -> None:
        """Call `ask` with what is to be called with the answer, now or when there is a place."""
        if self._free:
            self._go(ask, answered)
        else:
            self._waiting.append((ask, answered))

    def _go(self, ask: Callable[[Answered], None], answered: Answered) -> None:
        self._free -= 1
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._place_s, self._leave)

        def on_answer(*answer: object) -> None:
            if not timer.cancelled() and timer.when() > loop.time():
                timer.cancel()
                self._leave()
            answered(*answer)

        ask(on_answer)

    def _leave(self) -> None:
        self._free += 1
        if self._waiting:
            self._go(*self._waiting.popleft())
