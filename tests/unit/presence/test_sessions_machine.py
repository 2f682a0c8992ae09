"""Any order of anything that happens to sessions and rooms, with processes that die, and what holds at rest.

Connections come, are lost, resumed, replaced and closed; rooms are joined and left; calls are made; gateways
die, or seem to; timers fire; requests come late and twice, and several at once. What gateways of version 0.1
ask comes some seconds late; what says where it stands, after any time. What is stored is in one partition or
in four, each with revisions of its own.
"""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from typing import Final, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from presence.call_endings import ENDED_AT_ONCE
from tests.support.examples import scaled
from tests.unit.presence.acts import Gateways
from tests.unit.presence.cluster import CELLAR, HALL, PROCESSES, ROOMS, USERS, Act, Cluster
from tests.unit.presence.consistency import Consistency
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.sessions import OpenSession
from tieline.wire.internal.signals import Check
from tieline.wire.partitions import Partitions

KINDS: Final = (
    "connect",
    "connect",
    "resume",
    "resume",
    "lose",
    "end",
    "join",
    "join",
    "leave",
    "leave",
    "regrant",
    "status",
    "offer",
    "offer",
    "answer",
    "hang up",
    "again",
    "again",
)
Kind = str

MAX_UNTOUCHED_S: Final = 50.0
"""How long something may be pending before everything is touched: gateways know a frame again for 60 s."""


# Shrinking what it finds takes its time. How long a soak may take its command says.
pytestmark = [] if scaled(1) > 1 else [pytest.mark.timeout(600)]


class Wish(NamedTuple):
    """What may happen, if it makes sense then."""

    kind: Kind
    user: UserId
    other: UserId
    rooms: tuple[RoomId, ...]
    is_sure: bool
    back: int
    is_next: bool
    """It comes after the wish before it, not beside it."""


wishes: Final = st.builds(
    Wish,
    st.sampled_from(KINDS),
    st.sampled_from(USERS),
    st.sampled_from(USERS),
    st.sampled_from(((CELLAR,), (HALL,), (CELLAR,), ROOMS, ())),
    st.booleans(),
    st.integers(0, 5),
    st.booleans(),
)
some_deaths: Final = st.tuples(*[st.sampled_from((None, None, 1, 2, 3, 4, 5, 6, 8, 11))] * PROCESSES)
some_persistence: Final = st.sampled_from(("at once", "at once", "later", "never"))
Persistence = Literal["at once", "later", "never"]


class Sessions(RuleBasedStateMachine):
    """What may happen; see `acts` for what it does, and `consistency` for what must hold."""

    @initialize(
        max_members=st.sampled_from((1000, 1000, 2)),
        most_waited_for=st.sampled_from((ENDED_AT_ONCE, 0)),
        resumable=st.booleans(),
        in_order=st.sampled_from((True, True, False)),
        calls=st.sets(st.sampled_from(USERS)),
        partitions=st.sampled_from((1, 1, 4)),
    )
    def begin(
        self,
        max_members: int,
        most_waited_for: int,
        resumable: bool,
        in_order: bool,
        calls: set[UserId],
        partitions: int = 1,
    ) -> None:
        """Let everybody connect, and some of them call others."""
        self._runner = asyncio.Runner()
        self.cluster = Cluster(max_members, most_waited_for, Partitions(partitions))
        self.gateways = Gateways(self.cluster, in_order=in_order)
        self._run(self.gateways.take_leases())
        self.consistency = Consistency(self.cluster, self.gateways)
        self.unanswered: list[Act] = []
        self.untouched_s = 0.0
        for user, gateway, rooms in zip(USERS, ("g1", "g2", "g1"), ((HALL,), ROOMS, ROOMS), strict=True):
            self._carry_out([[self.gateways.connect(user, gateway, rooms, resumable=resumable)]])
        for user, other in zip(USERS, (*USERS[1:], USERS[0]), strict=True):
            connection = self.gateways.of(user)
            if user in calls and connection is not None:
                self._carry_out([[self.gateways.signal(connection, other, "OFFER")]])

    def _run(self, what: Coroutine[object, object, object]) -> object:
        return self._runner.run(what)

    def _carry_out(
        self,
        threads: Sequence[Sequence[Act]],
        deaths: Sequence[int | None] = (None,) * PROCESSES,
        seed: int | None = None,
        persistence: Persistence = "at once",
    ) -> None:
        """Carry out acts at once; ask again for what was not answered, or do not."""
        acts = [act for thread in threads for act in thread]
        chance = None if seed is None else random.Random(seed)
        unanswered = self._runner.run(self.cluster.carry_out(threads, deaths, chance))
        self.consistency.is_disturbed |= len(acts) > 1 or bool(unanswered)
        self.consistency.late_offers |= {act.users for act in unanswered if isinstance(act.request, Check)}
        self._run(self.consistency.note_down())
        for act in unanswered:
            # A beginning that has replaced the roster entry of another one at the same moment must go on.
            is_needed = act.is_repeated or (isinstance(act.request, OpenSession) and len(acts) > 1)
            if persistence == "at once":
                self._carry_out([[act]])
            elif persistence == "later" or is_needed:
                self.unanswered.append(act._replace(is_repeated=is_needed))
            elif (ending := self.gateways.give_up(act)) is not None:
                self.unanswered.append(ending)
        follow_ups, self.gateways.follow_ups = self.gateways.follow_ups, []
        for act in follow_ups:
            self._carry_out([[act]])

    def _act(self, wish: Wish) -> Act | None:
        """Turn a wish into what makes sense now."""
        gateways, user = self.gateways, wish.user
        gateway = gateways.reachable(wish.is_sure)
        if gateway is None:
            return None
        gateways.send_again = wish.back % 2 == 1
        connection = gateways.of(user)
        granted = wish.rooms if wish.back else None
        if wish.kind == "again":
            return gateways.again(wish.back)
        if wish.kind == "resume":
            return gateways.resume(user, gateway, granted)
        if wish.kind == "connect" or connection is None:
            return gateways.connect(user, gateway, wish.rooms, resumable=wish.back > 1)
        match wish.kind:
            case "lose" | "end":
                return gateways.end(connection, resumable=wish.kind == "lose")
            case "join":
                return gateways.join(connection, wish.rooms[0] if wish.rooms else ROOMS[0])
            case "leave":
                return gateways.leave(connection, wish.rooms[0] if wish.rooms else ROOMS[0])
            case "regrant":
                return gateways.regrant(connection, granted, voice=wish.is_sure)
            case "status":
                return gateways.status(connection, in_call=wish.is_sure)
            case _ if wish.other != user:
                cmd = {"offer": "OFFER", "answer": "ANSWER"}.get(wish.kind, "HANGUP")
                return gateways.signal(connection, wish.other, cmd)
        return None

    @rule(wish=wishes, deaths=some_deaths, persistence=some_persistence)
    def happens(self, wish: Wish, deaths: tuple[int | None, ...], persistence: Persistence) -> None:
        """Let one thing happen."""
        act = self._act(wish)
        if act is not None:
            self._carry_out([[act]], deaths, persistence=persistence)

    @rule(
        several=st.lists(wishes, min_size=2, max_size=4),
        deaths=some_deaths,
        seed=st.integers(0, 1000),
        persistence=some_persistence,
    )
    def happens_at_once(
        self, several: list[Wish], deaths: tuple[int | None, ...], seed: int, persistence: Persistence
    ) -> None:
        """Let several things happen at once."""
        threads: list[list[Act]] = []
        for wish in several:
            act = self._act(wish)
            if act is None:
                continue
            if wish.is_next and threads:
                threads[-1].append(act)
            else:
                threads.append([act])
        if threads:
            self._carry_out(threads, deaths, seed, persistence)

    @precondition(lambda self: self.gateways.in_order and self.gateways.late())
    @rule(data=st.data(), deaths=some_deaths)
    def arrives_late(self, data: st.DataObject, deaths: tuple[int | None, ...]) -> None:
        """Let a copy of what was sent again, or given up, arrive after any time, and look at once."""
        late = self.gateways.late()
        back = data.draw(st.integers(0, len(late) - 1))
        act = self.gateways.again(back)
        assert act is not None
        self.comes_to_rest()
        before = self.gateways.open()
        self._carry_out([[act]], deaths, persistence="never")
        self.comes_to_rest()
        if late[-1 - back].is_answered:
            assert self.gateways.open() == before, "what was answered long ago has closed a connection"

    @precondition(lambda self: self.unanswered)
    @rule(deaths=some_deaths, persistence=some_persistence)
    def asks_again(self, deaths: tuple[int | None, ...], persistence: Persistence) -> None:
        """Ask again for what was not answered a while ago."""
        self._carry_out([[self.unanswered.pop(0)]], deaths, persistence=persistence)

    @rule(
        seconds=st.sampled_from((1.0, 4.0, 7.0, 12.0, 31.0, 61.0)),
        deaths=some_deaths,
        persistence=some_persistence,
    )
    def waits(self, seconds: float, deaths: tuple[int | None, ...], persistence: Persistence) -> None:
        """Let time pass, and timers fire."""
        if self.untouched_s + seconds > MAX_UNTOUCHED_S:
            self.comes_to_rest()
        self.untouched_s += seconds
        firing = self.gateways.timers(seconds)
        self.cluster.clock.pass_s(seconds)
        for act in firing:
            self._carry_out([[act]], deaths, persistence=persistence)

    @precondition(lambda self: not self.gateways.orphaned and not self.gateways.silent)
    @rule(place=st.integers(0, 1), is_dead=st.booleans())
    def a_gateway_is_not_reached(self, place: int, is_dead: bool) -> None:
        """Let a gateway die, or only seem to."""
        name = self.gateways.names[place]
        if is_dead:
            self.gateways.die(name)
            self._run(self.gateways.take_leases())
        else:
            self.gateways.cut_off(name)

    @precondition(lambda self: self.gateways.orphaned or self.gateways.silent)
    @rule(deaths=some_deaths, persistence=some_persistence, data=st.data())
    def a_lease_runs_out(
        self, deaths: tuple[int | None, ...], persistence: Persistence, data: st.DataObject
    ) -> None:
        """Look after the sessions of a gateway that is silent."""
        gateway = data.draw(st.sampled_from(sorted({*self.gateways.orphaned, *self.gateways.silent})))
        if gateway in self.gateways.orphaned:
            self.gateways.orphaned.remove(gateway)
        for act in list(self.unanswered):  # which no gateway asks for as long as its lease lasts
            if isinstance(act.request, OpenSession) and act.request.gateway == gateway:
                self.unanswered.remove(act)
                self._carry_out([[act]])
        act = self._runner.run(self.gateways.lease_runs_out(gateway))
        self._carry_out([[act]], deaths, persistence=persistence)

    @precondition(lambda self: self.gateways.silent)
    @rule(deaths=some_deaths)
    def a_gateway_comes_back(self, deaths: tuple[int | None, ...]) -> None:
        """Let a gateway that was cut off say again which sessions it has."""
        self._come_back(min(self.gateways.silent), deaths)

    def _come_back(self, gateway: GatewayId, deaths: Sequence[int | None]) -> None:
        self.gateways.come_back(gateway)
        self._run(self.gateways.take_leases())
        for connection in self.gateways.open():
            if connection.ask.gateway == gateway:
                known = self._runner.run(self.cluster.witness.user(connection.ask.user))
                self._carry_out([[self.gateways.register(connection, known)]], deaths)

    @rule()
    def comes_to_rest(self) -> None:
        """Let everything that is pending be found, and see that all is well."""
        unanswered, self.unanswered = self.unanswered, []
        for act in unanswered:
            if act.is_repeated:
                self._carry_out([[act]])
        for gateway in sorted(self.gateways.silent):
            self._come_back(gateway, (None,) * PROCESSES)
        self._run(self.cluster.touch_everything())
        self._run(self.consistency.check())
        self.untouched_s = 0.0

    def teardown(self) -> None:
        """Let everything come to its end."""
        if hasattr(self, "cluster"):
            try:
                self.comes_to_rest()
            finally:
                self._runner.close()


def test_no_gateway_gives_up_when_a_copy_is_not_answered() -> None:
    sessions = Sessions()
    sessions.begin(max_members=2, most_waited_for=0, resumable=True, in_order=True, calls=set())
    wish = Wish("connect", USERS[0], USERS[1], (HALL,), is_sure=True, back=1, is_next=True)
    sessions.happens(wish, (None,) * PROCESSES, "at once")
    open_before = sessions.gateways.open()
    copy = sessions.gateways.again(0)
    assert copy is not None
    assert isinstance(copy.request, OpenSession)
    assert sessions.gateways.give_up(copy) is None
    assert sessions.gateways.open() == open_before
    sessions.teardown()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=scaled(120),
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
