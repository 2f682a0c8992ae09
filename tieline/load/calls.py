"""Whole calls: both join, offer, answer, ten candidates each way, hang up, and both leave.

The caller sends its first candidates before the answer exists, as browsers do. Calls are between users who
have never called each other, or between those who have done so a moment ago. Where they share a room before
the first call, as colleagues do, a call is without JOIN and LEAVE.
"""

import asyncio
import itertools
import math
import uuid
from collections import deque
from typing import Final, NamedTuple

from tieline.load.client import ARRIVALS_AT_ONCE, LoadClient, Target, arrive_all, leave, within_timeout
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.messages import answers, candidates, hangups, offers
from tieline.load.side_by_side import side_by_side

CANDIDATES: Final = 10
EARLY_CANDIDATES: Final = 5
"""So many of the caller's candidates are sent before the answer exists."""

CALLERS_A_CALL: Final = 16
"""Callers for each call at once, so that a user makes only a few calls during a measurement, as people do."""

MOST_CALLS_PER_S: Final = 2000
"""More than any system here sets up: there are as many pairs that have never called as that takes."""

CALLS_PER_COST: Final = 1000
"""CPU seconds are given for so many set-ups."""

CALLS_A_ROOM: Final = 8
"""Calls at once between members of one room, where rooms are shared; more have a second room."""

MOST_CALLERS_A_ROOM: Final = 240
"""Who with as many callees stay below 500 members, half of what a room may have by default."""

TOLD_S: Final = 1.0
"""After all have joined: until members have been told of each other, which belongs to no call."""


class PoolSize(NamedTuple):
    """The users who call each other."""

    at_once: int
    callers: int
    """There are as many callees, or one more."""


class Kind(NamedTuple):
    """Which calls a measurement makes."""

    at_once: int
    redial: bool = False
    """Each caller always calls the same callee."""
    in_a_room: bool = False
    """Both share a room before the first call, and stay there: no call has JOIN or LEAVE."""

    @property
    def name(self) -> str:
        """Name the measurement."""
        pairs = "pairs that redial" if self.redial else "new pairs"
        return f"{self.at_once} at once, {pairs}{', in a room already' if self.in_a_room else ''}"

    @property
    def asked(self) -> dict[str, float | str]:
        """What figures say that was asked for."""
        pairs, room = "redial" if self.redial else "new", "shared" if self.in_a_room else "own"
        return {"at once": self.at_once, "pairs": pairs, "room": room}

    def pools(self, seconds: float) -> list[PoolSize]:
        """Say which users are connected: one pool, or one for each room that is shared."""
        if not self.in_a_room:
            return [PoolSize(self.at_once, callers_for(self.at_once, seconds, redial=self.redial))]
        shares = [min(CALLS_A_ROOM, self.at_once - first) for first in range(0, self.at_once, CALLS_A_ROOM)]
        return [
            PoolSize(share, min(MOST_CALLERS_A_ROOM, callers_for(share, seconds, redial=self.redial)))
            for share in shares
        ]


class Call:
    """The n-th call, between two connected users who are in no other. Each step may raise `LoadError`.

    In a room of their own, which both join before and leave after it, or in one where they are already.
    """

    def __init__(
        self, target: Target, caller: LoadClient, callee: LoadClient, number: int, *, in_a_room: bool = False
    ) -> None:
        self._is_checked = target.secret is not None
        self._is_met = in_a_room or not self._is_checked
        self._caller = caller
        self._callee = callee
        self._number = number
        self._room = f"{caller.user}_{number}"

    async def meet(self) -> None:
        """Both join a room of their own, unless they share one."""
        if not self._is_met:
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
        """Hang up, and both leave the room that they have joined for it."""
        hangup = hangups(self._caller.user, self._callee.user).write(self._number)
        self._callee.expect(hangup)
        self._caller.connection.send(hangup)
        await self._callee.until_arrived(self._callee.arrived + 1, self._caller)
        if not self._is_met:
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
    `in_a_room`: all are in one.
    """

    def __init__(
        self,
        target: Target,
        callers: list[LoadClient],
        callees: list[LoadClient],
        *,
        redial: bool = False,
        in_a_room: bool = False,
    ) -> None:
        self._target = target
        self._is_in_a_room = in_a_room
        self._callers = deque(callers)
        self._callees = deque(callees)
        self._redials = redial
        self.clients = [*callers, *callees]
        self._numbers = itertools.count()
        self._left = math.inf if redial else len(callers) * len(callees)

    @property
    def is_used_up(self) -> bool:
        """Whether every pair has called, where none may call twice."""
        return self._left <= 0

    async def call(self) -> tuple[float, float]:
        """Let two idle users make a call; return the moments of its first and after its last message.

        Raises:
            LoadError: a step was refused or took too long.
        """
        self._left -= 1
        caller, callee = self._callers.popleft(), self._callees.popleft()
        number = next(self._numbers)
        call = Call(self._target, caller, callee, number, in_a_room=self._is_in_a_room)
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
    target: Target,
    at_once: int,
    seconds: float,
    measured: Measurement,
    *,
    redial: bool = False,
    in_a_room: bool = False,
) -> None:
    """Keep `at_once` calls going for `seconds`, each followed by the next, of the kind that `Kind` describes.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a step failed.
        FileNotFoundError: one of the processes has ended.
    """
    assert target.receiver_url is not None
    kind = Kind(at_once, redial, in_a_room)
    measured.describe(Subject("setup", kind.asked, "set-ups", CALLS_PER_COST))
    sizes = kind.pools(seconds)
    pools = [await _pool(target, size, kind, measured) for size in sizes]
    if in_a_room and target.secret is not None:
        await asyncio.sleep(TOLD_S)

    async def keep_calling(pool: UserPool, deadline: float) -> None:
        while clock() < deadline and not pool.is_used_up:
            began, done = await pool.call()
            measured.latencies.add(began, done - began)

    slots = [pool for pool, size in zip(pools, sizes, strict=True) for _ in range(size.at_once)]
    warm_up = math.ceil(max(size.callers / size.at_once for size in sizes)) if redial else 1
    for number in range(warm_up):  # of pairs that redial, each calls once before
        await side_by_side(pool.call() for pool in slots)
        measured.step("first calls", number, warm_up)
    measured.start(seconds)
    deadline = measured.began + seconds
    await side_by_side(keep_calling(pool, deadline) for pool in slots)
    measured.stop()
    measured.faults += await leave([client for pool in pools for client in pool.clients])


async def _pool(target: Target, size: PoolSize, kind: Kind, measured: Measurement) -> UserPool:
    """Connect users who will call each other, and let them join their room if they share one."""
    name, several = f"call_{uuid.uuid4().hex[:8]}", size.callers
    callers, callees = [
        await arrive_all(
            target,
            [f"{name}_{number}_{side}" for number in range(count)],
            urls,
            lambda done: measured.step("connect users", done, several),
        )
        for side, count, urls in (
            ("a", several, [target.of_pair(number)[0] for number in range(len(target.urls))]),
            (
                "b",
                several + (not kind.redial),
                [target.of_pair(number)[1] for number in range(len(target.urls))],
            ),
        )
    ]
    if kind.in_a_room and target.secret is not None:
        waiting = iter([*callers, *callees])

        async def keep_joining() -> None:
            for client in waiting:
                await client.ask("JOIN", name)

        await side_by_side(keep_joining() for _ in range(ARRIVALS_AT_ONCE))
    return UserPool(target, callers, callees, redial=kind.redial, in_a_room=kind.in_a_room)
