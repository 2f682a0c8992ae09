"""Whole calls: both join, offer, answer, ten candidates each way, hang up, and both leave.

The caller sends its first candidates before the answer exists, as browsers do. Each call is between two users
who have not called each other for a long while: people do not redial ten times a second.
"""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final

from tieline.load.client import LoadClient, Target, arrive_all, leave, within_timeout
from tieline.load.faults import Faults
from tieline.load.figures import CallFigures, call_figures
from tieline.load.messages import answers, candidates, hangups, offers

CANDIDATES: Final = 10
EARLY_CANDIDATES: Final = 5
"""So many of the caller's candidates are sent before the answer exists."""

CALLERS_A_CALL: Final = 16
"""Callers for each call at once, so that a user makes only a few calls during a measurement, as people do."""

_clock = time.perf_counter


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
    """Users who call each other: one callee more than callers, so that each call is between two others."""

    def __init__(self, target: Target, callers: list[LoadClient], callees: list[LoadClient]) -> None:
        self._target = target
        self._callers = deque(callers)
        self._callees = deque(callees)
        self._numbers: Iterator[int] = count()

    async def call(self) -> float:
        """Let two idle users make a call; return the seconds from the first JOIN to the last candidate.

        Raises:
            LoadError: a step was refused or took too long.
        """
        caller, callee = self._callers.popleft(), self._callees.popleft()
        call = Call(self._target, caller, callee, next(self._numbers))
        started = _clock()
        await call.meet()
        await call.negotiate()
        took = _clock() - started
        await call.end()
        self._callers.append(caller)
        self._callees.append(callee)
        return took


async def measure_calls(target: Target, at_once: int, seconds: float) -> tuple[CallFigures, Faults]:
    """Keep `at_once` calls going for `seconds`, each followed by the next.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a step failed.
    """
    assert target.receiver_url is not None
    name = f"call_{uuid.uuid4().hex[:8]}"
    several = at_once * CALLERS_A_CALL
    callers = await arrive_all(target, (f"{name}_{n}_a" for n in range(several)), target.sender_url)
    callees = await arrive_all(target, (f"{name}_{n}_b" for n in range(several + 1)), target.receiver_url)
    pool = UserPool(target, callers, callees)
    set_ups: list[float] = []

    async def keep_calling(deadline: float) -> None:
        while _clock() < deadline:
            set_ups.append(await pool.call())

    for _ in range(at_once):
        await pool.call()  # a warm-up
    started = _clock()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(keep_calling(started + seconds))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    duration = _clock() - started
    return call_figures(set_ups, duration), await leave([*callers, *callees])
