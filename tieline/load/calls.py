"""Whole calls: both join, offer, answer, ten candidates each way, hang up, and both leave.

The caller sends its first candidates before the answer exists, as browsers do. Calls are between users who
have never called each other, or between those who have done so a moment ago.
"""

import asyncio
import itertools
import math
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

from tieline.load.client import LoadClient, Target, arrive_all, leave, within_timeout
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.messages import answers, candidates, hangups, offers

CANDIDATES: Final = 10
EARLY_CANDIDATES: Final = 5
"""So many of the caller's candidates are sent before the answer exists."""

CALLERS_A_CALL: Final = 16
"""Callers for each call at once, so that a user makes only a few calls during a measurement, as people do."""

MOST_CALLS_PER_S: Final = 2000
"""More than any system here sets up: there are as many pairs that have never called as that takes."""

CALLS_PER_COST: Final = 1000
"""CPU seconds are given for so many set-ups."""


class Call:
    """The n-th call, between two connected users who are in no other. Each step may raise `LoadError`."""

    def __init__(self, target: Target, caller: LoadClient, callee: LoadClient, number: int) -> None:
        self._is_checked = target.secret is not None
        self._caller = caller
        self._callee = callee
        self._number = number
        self._room = f"{caller.user}_{number}"

    async def meet(self) -> None:
        """Both join a room of their own."""
        if self._is_checked:
            await self._caller.ask("JOIN", self._room)
            joined = self._caller.notice("MEMBER_JOINED")
            await self._callee.ask("JOIN", self._room)
            await within_timeout(joined, f"MEMBER_JOINED at {self._caller.user}")

    async def negotiate(self) -> None:
        """Offer, answer, and all candidates, until both have what the other sent."""
        caller, callee, number = self._caller, self._callee, self._number
        caller_had, callee_had = caller.arrived, callee.arrived
        offer = offers(caller.user, callee.user).write(number)
        answer = answers(callee.user, caller.user).write(number)
        there = self._candidates(caller, callee)
        back = self._candidates(callee, caller)
        early, late = there[:EARLY_CANDIDATES], there[EARLY_CANDIDATES:]
        callee.expect(offer)
        if not self._is_checked:  # this server holds no candidates back
            callee.expect(*early)
        for message in (offer, *early):
            caller.connection.send(message)
        await callee.until_arrived(callee_had + 1, caller)
        if self._is_checked:  # none may have arrived yet: they are due from now on
            callee.expect(*early)
        caller.expect(answer, *back)
        for message in (answer, *back):
            callee.connection.send(message)
        await caller.until_arrived(caller_had + 1, callee)
        callee.expect(*late)
        for message in late:
            caller.connection.send(message)
        await callee.until_arrived(callee_had + 1 + CANDIDATES, caller)
        await caller.until_arrived(caller_had + 1 + CANDIDATES, callee)

    async def end(self) -> None:
        """Hang up, and both leave."""
        hangup = hangups(self._caller.user, self._callee.user).write(self._number)
        self._callee.expect(hangup)
        self._caller.connection.send(hangup)
        await self._callee.until_arrived(self._callee.arrived + 1, self._caller)
        if self._is_checked:
            await self._callee.ask("LEAVE", self._room)
            await self._caller.ask("LEAVE", self._room)

    def _candidates(self, sender: LoadClient, receiver: LoadClient) -> list[bytes]:
        series = candidates(sender.user, receiver.user)
        first = self._number * CANDIDATES
        return [series.write(number) for number in range(first, first + CANDIDATES)]


class UserPool:
    """Users who call each other.

    With one callee more than callers, the next who is idle calls the next who is idle, and each call is
    between two others, until there are no more. `redial`: each caller always calls the same callee.
    """

    def __init__(
        self, target: Target, callers: list[LoadClient], callees: list[LoadClient], *, redial: bool = False
    ) -> None:
        self._target = target
        self._callers = deque(callers)
        self._callees = deque(callees)
        self._redials = redial
        self._numbers = itertools.count()
        self._left = math.inf if redial else len(callers) * len(callees)

    @property
    def is_used_up(self) -> bool:
        """Whether every pair has called, where none may call twice."""
        return self._left <= 0

    async def call(self) -> tuple[float, float]:
        """Let two idle users make a call; return the moments of the first JOIN and after the last candidate.

        Raises:
            LoadError: a step was refused or took too long.
        """
        self._left -= 1
        caller, callee = self._callers.popleft(), self._callees.popleft()
        call = Call(self._target, caller, callee, next(self._numbers))
        began = clock()
        await call.meet()
        await call.negotiate()
        done = clock()
        await call.end()
        self._callers.append(caller)
        self._callees.append(callee)
        return began, done


def callers_for(at_once: int, seconds: float, *, redial: bool) -> int:
    """Say how many callers a measurement connects, and as many callees, or one more."""
    several = at_once * CALLERS_A_CALL
    return several if redial else max(several, math.ceil(math.sqrt(seconds * MOST_CALLS_PER_S)))


async def measure_calls(
    target: Target, at_once: int, seconds: float, measured: Measurement, *, redial: bool = False
) -> None:
    """Keep `at_once` calls going for `seconds`, each followed by the next.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a step failed.
        FileNotFoundError: one of the processes has ended.
    """
    assert target.receiver_url is not None
    asked: dict[str, float | str] = {"at once": at_once, "pairs": "redial" if redial else "new"}
    measured.describe(Subject("setup", asked, "set-ups", CALLS_PER_COST))
    name = f"call_{uuid.uuid4().hex[:8]}"
    several = callers_for(at_once, seconds, redial=redial)
    callers, callees = [
        await arrive_all(
            target,
            [f"{name}_{number}_{side}" for number in range(count)],
            urls,
            lambda done: measured.step("connect users", done, several),
        )
        for side, count, urls in (
            ("a", several, [target.of_pair(number)[0] for number in range(len(target.urls))]),
            ("b", several + (not redial), [target.of_pair(number)[1] for number in range(len(target.urls))]),
        )
    ]
    pool = UserPool(target, callers, callees, redial=redial)

    async def keep_calling(deadline: float) -> None:
        while clock() < deadline and not pool.is_used_up:
            began, done = await pool.call()
            measured.latencies.add(began, done - began)

    warm_up = several if redial else at_once
    for number in range(0, warm_up, at_once):  # of pairs that redial, each calls once before
        await _side_by_side(at_once, pool.call)
        measured.step("first calls", number, warm_up)
    measured.start(seconds)
    deadline = measured.began + seconds
    await _side_by_side(at_once, lambda: keep_calling(deadline))
    measured.stop()
    measured.faults += await leave([*callers, *callees])


async def _side_by_side(count: int, make: Callable[[], Coroutine[None, None, object]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(make())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
