"""Let clients wait for their turn to be let in, and have it, until they are in or have gone.

Whose turn it is, is decided in `arrival_queue`; what is done for a client that has its turn, in `arrivals`.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple

from gateway.client.connection import Connection
from gateway.sessions.arrival_pace import ArrivalPace
from gateway.sessions.arrival_queue import ArrivalQueue, Waiting

WAITING_S: Final = 3.0
"""For a client's turn to come: what is left of the upgrade's time then must be enough to let it in, and one
that is refused can still read why, and when to come back."""

LONGER_S: Final = 1.0
"""For which a client waits on, if by the pace of the last seconds all that wait are let in within that: to
come back would take it longer. What is left of the upgrade's time is enough at such a pace."""

IN_ORDER_S: Final = 1.5
"""While all that wait are let in within that by the pace of the last seconds, the oldest is next: it still
has its turn in time, however many come."""

LOOK_S: Final = 0.25
"""Between two looks at whether the clients that have their turn are still there: the place of one that has
gone is another one's."""


class HasGone(Exception):
    """The client has closed its end before it was let in."""


class WaitedTooLong(Exception):
    """Too many clients come at once: this one's turn has not come in time."""


class _Turn(NamedTuple):
    """A client that waits for its turn, or has it."""

    connection: Connection
    has_come: asyncio.Future[bool]
    """Whether it may be let in; False: too many wait."""


class Turn:
    """One client's turn, for an `async with`: to enter is `ArrivalTurns.come`, and to leave is `go`."""

    __slots__ = ("_arrival", "_connection", "_turns")

    def __init__(self, turns: "ArrivalTurns", connection: Connection, arrival: Waiting) -> None:
        self._turns = turns
        self._connection = connection
        self._arrival = arrival

    async def __aenter__(self) -> None:
        try:
            await self._turns.come(self._connection, self._arrival)
        except BaseException:  # whatever it is, a cancellation too: nobody calls `__aexit__` then
            self._turns.go(self._arrival)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._turns.was_let_in()
        self._turns.go(self._arrival)


class ArrivalTurns:
    """The clients of one gateway that wait, and those that have their turn."""

    def __init__(
        self, expect_others: Callable[[float], None], waiting_s: float = WAITING_S, look_s: float = LOOK_S
    ) -> None:
        """Take also what is told within how many seconds those may be back who are not let in now."""
        self._expect_others = expect_others
        self._waiting_s = waiting_s
        self._look_s = look_s
        self._loop = asyncio.get_running_loop()
        self._queue = ArrivalQueue()
        self._pace = ArrivalPace()
        self._waiting: dict[Waiting, _Turn] = {}
        self._having_turn: dict[Waiting, Connection] = {}
        self._looking: asyncio.TimerHandle | None = None

    def spread_s(self) -> int:
        """Return over how many seconds those who are refused now should come back."""
        return self._pace.spread_s(self._loop.time(), len(self._queue) + self._queue.under_way)

    def asked_back(self, after_s: float) -> None:
        """Take note that a client was refused, and asked to come back after so many seconds."""
        self._pace.asked_back(self._loop.time(), after_s)

    def was_let_in(self) -> None:
        """Take note that a client had its turn, and is in: that is the pace by which others are told."""
        self._pace.let_in(self._loop.time())

    def turn(self, connection: Connection, arrival: Waiting) -> "Turn":
        """Make what waits for a client's turn, and has it until it is let in, or has gone."""
        return Turn(self, connection, arrival)

    async def come(self, connection: Connection, arrival: Waiting) -> None:
        """Wait for a client's turn; it has it until `go`.

        Raises:
            HasGone: it has gone while it waited.
            WaitedTooLong: it is to be refused.
        """
        turn = self._waiting[arrival] = _Turn(connection, self._loop.create_future())
        pushed_out = self._queue.add(arrival)
        if pushed_out is not None:
            self._waiting.pop(pushed_out).has_come.set_result(False)
        self._give_turns(arrival)
        if not turn.has_come.done():
            self._expect_others(self._waiting_s)
            await asyncio.wait((turn.has_come,), timeout=self._waiting_s)
            if not turn.has_come.done() and len(self._queue) <= self._let_in_within(LONGER_S):
                self._expect_others(LONGER_S)
                await asyncio.wait((turn.has_come,), timeout=LONGER_S)
        if not turn.has_come.done() or not turn.has_come.result():
            raise WaitedTooLong
        if connection.is_closing:
            raise HasGone

    def go(self, arrival: Waiting) -> None:
        """Take note that a client waits no more, or needs its turn no more."""
        if self._waiting.pop(arrival, None) is not None:
            self._queue.remove(arrival)
        self._release(arrival)

    def _give_turns(self, newest: Waiting | None = None) -> None:
        """Let the next ones in, as many as there is room for; the newest is looked after by itself."""
        in_order = self._let_in_within(IN_ORDER_S)
        while (arrival := self._queue.next(in_order)) is not None:
            turn = self._waiting.pop(arrival)
            self._having_turn[arrival] = turn.connection
            turn.has_come.set_result(True)
            if arrival is not newest and turn.connection.is_closing:  # it could not wait so long
                self._having_turn.pop(arrival)
                self._queue.done(arrival)
        if self._having_turn and self._looking is None:
            self._looking = self._loop.call_later(self._look_s, self._look)

    def _let_in_within(self, seconds: float) -> float:
        """Return how many are let in within that, by the pace of the last seconds."""
        return seconds * self._pace.a_second(self._loop.time())

    def _release(self, arrival: Waiting) -> None:
        """Give a client's place to another one."""
        if self._having_turn.pop(arrival, None) is not None:
            self._queue.done(arrival)
            self._give_turns()

    def _look(self) -> None:
        """Give the places of clients that have gone to others, although presence is still at them."""
        self._looking = None
        for arrival, connection in list(self._having_turn.items()):
            if connection.is_closing:
                self._release(arrival)
        if self._having_turn and self._looking is None:
            self._looking = self._loop.call_later(self._look_s, self._look)
