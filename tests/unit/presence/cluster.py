"""Several presence processes over one store, which carry out what they are asked, alone or at once.

A process may die in the middle of anything; another one takes its place. What it was asked is asked again, at
once or later, or never; and what was answered may arrive once more.
"""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from presence.call_endings import ENDED_AT_ONCE
from presence.rules import room as room_rules
from presence.rules.change import Change, Step
from presence.rules.user import User, share_a_room
from tests.unit.presence.lifetime import Died, uneven
from tests.unit.presence.observers import Observers
from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, RoomMembers
from tieline.wire.internal.sessions import Regrant
from tieline.wire.internal.signals import Check
from tieline.wire.partitions import ONE, Partitions
from tieline.wire.subjects import users_of_pair

ALICE, BOB, CAROL = USERS = (UserId("alice"), UserId("bob"), UserId("carol"))
HALL, CELLAR = ROOMS = (RoomId("hall"), RoomId("cellar"))

PROCESSES: Final = 2


class Act(NamedTuple):
    """One request, or one timer that fires."""

    users: frozenset[UserId]
    """Whose records and negotiations it is about."""
    ask: Callable[[PresenceProcess], Awaitable[object]]
    answered: Callable[[object], None] = lambda _reply: None
    """What the answer means to the process that asked."""
    request: PresenceRequest | None = None
    """It is this request, and no timer."""
    is_repeated: bool = False
    """It is asked again until it is answered."""
    is_copy: bool = False
    """It arrives once more, and no gateway waits for the answer."""


class Result(NamedTuple):
    """What came of an act."""

    act: Act
    is_answered: bool
    reply: object = None


class Cluster:
    """The processes, and what the clients of the system know."""

    def __init__(
        self, max_members: int, most_waited_for: int = ENDED_AT_ONCE, partitions: Partitions = ONE
    ) -> None:
        self.max_members = max_members
        self.most_waited_for = most_waited_for
        self.witness = PresenceProcess(max_members=max_members, partitions=partitions)
        """A process that is only looked through, and never dies."""
        self.clock = self.witness.clock
        self.store = self.witness.store
        self.observers = Observers(self.witness.recorder.sent, self.clock)
        self.hears_logs = partitions.number > 1
        """Gateways hear the logs of rooms, and clients are not told of changes one by one. Those of version
        0.1, which do not, know no partitions."""
        self.processes = [self.another() for _ in range(PROCESSES)]
        self._signals: set[Check] = set()
        """Those that were tried before."""

    def another(self) -> PresenceProcess:
        """Start a process beside the others."""
        process = PresenceProcess(
            max_members=self.max_members,
            beside=self.witness,
            most_waited_for=self.most_waited_for,
            watches=True,
            settles_later=True,
        )
        process.do_all_hear = self.hears_logs
        return process

    async def carry_out(
        self,
        threads: Sequence[Sequence[Act]],
        deaths: Sequence[int | None] = (None,) * PROCESSES,
        chance: random.Random | None = None,
    ) -> list[Act]:
        """Carry out several threads of acts at once; returns the acts that were not answered.

        The processes take the threads in turn, and die after so many effects. With `chance` their operations
        wait for each other, what they hear of changes comes late, and some of what nobody waits for is lost.
        A process remembers what it knew before, and sometimes its watch has to begin anew, or all that it
        has carried out has waited for long enough to be settled.
        """
        for process, dies_after in zip(self.processes, deaths, strict=True):
            process.life.begin(dies_after)
            assert process.watch is not None
            if chance is not None:
                process.store.lingers = uneven(chance)
                process.store.loses = functools.partial(_is_lost, chance)
                process.watch.lags = functools.partial(_lags, chance)
        carried = await asyncio.gather(
            *(_carry_out(self.processes[place % PROCESSES], thread) for place, thread in enumerate(threads))
        )
        results = [result for thread in carried for result in thread]
        for place, process in enumerate(self.processes):
            is_dead = process.life.effects >= process.life.last
            process.life.begin(None)
            process.store.lingers = process.store.loses = None
            assert process.watch is not None
            process.watch.lags = None
            process.watch.catch_up()
            if is_dead:
                process.watch.end()
                self.processes[place] = self.another()
            elif chance is not None and _is_lost(chance):
                process.watch.begin()
            elif chance is None or _is_lost(chance):
                await process.settling.settle_all()
        await self._tell(results)
        return [result.act for result in results if not result.is_answered]

    async def _tell(self, results: list[Result]) -> None:
        """Let the answers come, then the frames that were sent meanwhile."""
        about = [user for result in results for user in result.act.users]
        is_alone = len(about) == len(set(about))
        for result in results:
            if result.is_answered:
                result.act.answered(result.reply)
                if is_alone and isinstance(result.reply, RoomMembers):
                    await self._learn(result.act.request, result.reply)
        self.observers.read()
        live = await self.live()
        kicked = {act.request.user for act, *_ in results if is_alone and isinstance(act.request, Regrant)}
        for user in self.observers.forget(live) - kicked:
            for peer in USERS:  # who leaves a room is not told which of its calls are over by that
                await self._look_at_call(live, user, peer)
        for user, record in live.items():
            for room in record.rooms:
                if not self.observers.knows(record, room):
                    self.observers.learn(user, record, room, await self.roster(room))
        for act, is_answered, _ in results:
            if not isinstance(act.request, Check):
                continue
            # A retry delivers what has ended since, which its receiver was told of before.
            is_retry = act.request in self._signals
            self._signals.add(act.request)
            if is_retry or not (is_alone and is_answered):
                await self._look_at_call(live, act.request.user, act.request.to)
                await self._look_at_call(live, act.request.to, act.request.user)

    async def _look_at_call(self, live: Mapping[UserId, User], user: UserId, peer: UserId) -> None:
        """Let a user know whether it is in a call, where nobody can say what it must have been told last."""
        if user not in live:
            return
        is_apart = peer not in live or not share_a_room(live[user], live[peer])
        if is_apart or not (await self.witness.pair(user, peer)).is_active:
            self.observers.calls.discard((live[user].session.id, peer))

    async def _learn(self, joins: PresenceRequest | None, members: RoomMembers) -> None:
        assert isinstance(joins, JoinRoom)
        record = (await self.live()).get(joins.user)
        if record is not None and record.has_live(joins.session) and joins.room in record.rooms:
            self.observers.learn(joins.user, record, joins.room, members)

    async def live(self) -> dict[UserId, User]:
        """Read the records of the users whose session lives."""
        records = await self.witness.records.users(USERS)
        return {user: record for user, record in records.items() if record.is_reachable}

    async def roster(self, room: RoomId) -> RoomMembers:
        """List the members of a room as a process does that is asked; carry out nothing that is pending."""
        entries = await self.witness.rosters.read(room, {})
        users = await self.witness.records.users(stored.user for stored in entries)
        return room_rules.roster(room, entries, users)

    async def touch_everything(self) -> None:
        """Ask one process about every user and every negotiation, but change nothing.

        What is left of an older session's calls ends, as when its timer passes, and what is carried out is
        settled.
        """

        def look(user: User | None, _beside: object, _facts: object) -> Step[User]:
            return Change(Done())

        process = self.another()
        for user in USERS:
            await process.changes.user(user, look)
            await process.changes.end_old_calls(user)
        for key in list(self.store.contents()):
            if key.startswith("pair."):
                one, other = users_of_pair(key)
                await process.expire(one, other, "an offer of another time")
        await process.settling.settle_all()
        assert process.watch is not None
        process.watch.end()
        self.observers.read()


async def _carry_out(process: PresenceProcess, thread: Sequence[Act]) -> list[Result]:
    results = []
    for act in thread:
        try:
            reply = await act.ask(process)
        except Died:
            results.append(Result(act, is_answered=False))
        except ExceptionGroup as group:
            if group.split(Died)[1] is not None:
                raise
            results.append(Result(act, is_answered=False))
        else:
            results.append(Result(act, is_answered=True, reply=reply))
    return results


def _lags(chance: random.Random) -> bool:
    return chance.random() < 0.7


def _is_lost(chance: random.Random) -> bool:
    return chance.random() < 0.1
