"""What gateways, clients and timers ask of a cluster of presence processes, about which connections.

Gateways say in which order they ask, and what they sent again, or gave up, may arrive after any time; or they
are of version 0.1, do not say, and what they ask arrives a few seconds late at most.
"""

import functools
import itertools
from typing import Final, TypeVar

import msgspec

from presence.rules.user import User
from presence.service import OfNoUser
from tests.unit.presence.cluster import ROOMS, USERS, Act, Cluster
from tests.unit.presence.connections import Asked, Connection
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, UserId
from tieline.wire.internal.answers import Done, Outdated, SessionGone
from tieline.wire.internal.directions import PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, RoomMembers
from tieline.wire.internal.sessions import (
    EndSession,
    FindReplaced,
    KeepLease,
    Opened,
    OpenSession,
    Register,
    Regrant,
)
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Keys, identifier, token

AskT = TypeVar("AskT", OpenSession, Register)

LEASE_S: Final = 1e9
"""For how long gateways have their leases: they run out when the test says so."""


class Gateways:
    """The gateways, and what they ask of presence."""

    def __init__(self, cluster: Cluster, *, in_order: bool = False) -> None:
        self._cluster = cluster
        self.in_order = in_order
        """They say in which order they ask."""
        self.send_again = False
        """What they ask next they send twice before it is answered."""
        self.follow_ups: list[Act] = []
        """What they ask because of the answers that came."""
        self._living = cluster.witness.living_gateways
        self.names = ["g1", "g2"]
        self._living |= {GatewayId(name) for name in self.names}
        self.orphaned: list[GatewayId] = []
        """Gateways that died, and whose lease has yet to run out."""
        self.silent: set[GatewayId] = set()
        """Gateways that live, though presence does not know."""
        self.connections: list[Connection] = []
        self._asked: list[Asked] = []

    def of(self, user: UserId) -> Connection | None:
        """Find the newest connection of a user that its client believes to have."""
        mine = [connection for connection in self.open() if connection.ask.user == user]
        return mine[-1] if mine else None

    def reachable(self, place: int) -> str | None:
        """Choose one of the gateways that reach presence."""
        names = [name for name in self.names if name not in self.silent]
        return names[place % len(names)] if names else None

    def open(self) -> list[Connection]:
        """List the connections whose clients believe to have a session, and whose gateways reach presence."""
        return [
            connection
            for connection in self.connections
            if connection.is_open
            and connection.ask.connection not in self._cluster.observers.closed
            and connection.ask.gateway in self._living
        ]

    def _act(self, request: PresenceRequest, *users: UserId) -> Act:
        asked = Asked(
            request,
            self._cluster.clock.seconds(),
            is_ordered=self.in_order,
            is_sent_again=self.send_again,
        )
        self._asked.append(asked)

        def has_answer(_: object) -> None:
            asked.is_answered = True

        return Act(frozenset(users), asked.ask, has_answer, request=request)

    def _numbered(
        self, connection: Connection, request: JoinRoom | LeaveRoom | Regrant | Register, *rooms: RoomId
    ) -> Act:
        """Ask for a connection, in its order, something that may change in which rooms it is."""
        change = connection.doubts(*rooms)
        if isinstance(request, Regrant) and request.in_call is not None:
            connection.in_call = None
        if not self.in_order:
            return self._act(request, request.user)
        number = connection.numbering.next()
        in_order = msgspec.structs.replace(request, connection=connection.ask.connection, number=number)
        act = self._act(in_order, request.user)
        asked = self._asked[-1]

        def has_answer(reply: object) -> None:
            act.answered(reply)
            connection.numbering.answered(number, asked.attempts)
            match request, reply:
                case JoinRoom(room=room), RoomMembers():
                    connection.knows(change, room, is_in=True)
                case LeaveRoom(room=room), Done():
                    connection.knows(change, room, is_in=False)
                case Regrant(in_call=bool() as in_call), Done():
                    connection.shows(change, in_call=in_call)
                case Register(), SessionGone():
                    connection.end()
                    self._tell_end(connection)
                case Register(), Outdated() if connection.is_open:
                    self.follow_ups.append(self._numbered(connection, self._as_of_now(request), *rooms))

        return act._replace(answered=has_answer)

    def _revision(self, user: UserId) -> int:
        """Say which revision of a user's partition gateways know of: there is one from their leases on."""
        partitions = self._cluster.store.partitions
        return self._cluster.store.newest(partitions.of(token(user)))

    def _as_of_now(self, request: AskT) -> AskT:
        """Say as of when something is asked, if gateways say that."""
        if not self.in_order:
            return request
        return msgspec.structs.replace(request, asked=self._revision(request.user))

    async def take_leases(self) -> None:
        """Let each gateway that reaches presence have its lease."""
        for name, at in itertools.product(self.names, self._cluster.store.partitions):
            key = Keys.lease_timer(GatewayId(name), at)
            found = await self._cluster.store.read(key)
            if GatewayId(name) not in self.silent and (key not in found or not found[key].value):
                await self._cluster.store.put(key, b"run", LEASE_S)

    def connect(self, user: UserId, gateway: str, rooms: tuple[RoomId, ...], *, resumable: bool) -> Act:
        """Begin a connection with a session of its own."""
        number = len(self.connections) + 1
        secret = f"secret {number}" if resumable else ""
        ask = self._placed(opening(user, *rooms, number=number, gateway=gateway, secret=secret))
        return self._begin(self._in_order(ask), secret)

    def resume(self, user: UserId, gateway: str, granted: tuple[RoomId, ...] | None) -> Act | None:
        """Begin a connection that goes on with the session of an earlier one."""
        earlier = [one for one in self.connections if one.ask.user == user and one.secret]
        if not earlier:
            return None
        number, secret = len(self.connections) + 1, earlier[-1].secret
        ask = self._placed(
            opening(user, number=number, gateway=gateway, secret=secret, resume=secret, granted=granted)
        )
        began = earlier[-1].began
        if self.in_order:
            ask = msgspec.structs.replace(ask, resume_asked=began)
        act = self._begin(self._in_order(ask), secret)
        self.connections[-1].began = began
        return act

    def _placed(self, ask: OpenSession) -> OpenSession:
        """Name the session so that it lies in the partition of its user, where there are several."""
        names = itertools.chain((ask.session,), (f"{ask.session}-{number}" for number in itertools.count()))
        session = self._cluster.store.partitions.session_for(token(ask.user), lambda: next(names))
        return msgspec.structs.replace(ask, session=session, hears=self._cluster.hears_logs)

    def _in_order(self, ask: OpenSession) -> OpenSession:
        return self._as_of_now(msgspec.structs.replace(ask, names_connection=self.in_order))

    def _begin(self, ask: OpenSession, secret: str) -> Act:
        connection = Connection(ask, secret)
        self.connections.append(connection)
        return self._opening(connection, ask, is_anew=False)

    def _opening(self, connection: Connection, ask: OpenSession, *, is_anew: bool) -> Act:
        act = self._act(ask, ask.user)

        def has_answer(reply: object) -> None:
            act.answered(reply)
            was_over = connection.is_over
            connection.has_answer(reply)
            match reply:
                case Opened(resumed=resumed, revision=revision) if was_over and self.in_order:
                    ending = EndSession(ask.user, ask.connection, resumed, asked=revision)
                    self.follow_ups.append(self._act(ending, ask.user))
                case Outdated() if not (was_over or is_anew):
                    anew = self._as_of_now(ask)
                    self.follow_ups.append(self._opening(connection, anew, is_anew=True))
                case Outdated() | SessionGone() if not was_over:
                    connection.end()
                    self._tell_end(connection)

        return act._replace(answered=has_answer)

    def give_up(self, act: Act) -> Act | None:
        """Let a gateway wait no more for a connection to begin; returns what it tells presence of that."""
        ask = act.request
        if act.is_copy or not (self.in_order and isinstance(ask, OpenSession) and ask.gateway in self.names):
            return None
        (connection,) = (one for one in self.connections if one.ask.connection == ask.connection)
        connection.end()
        ending = EndSession(ask.user, ask.connection, bool(ask.resume), asked=ask.asked)
        return self._act(ending, ask.user)._replace(is_repeated=True)

    def _tell_end(self, connection: Connection) -> None:
        """Let presence be told of a connection that it has refused, in case a copy begins it."""
        if self.in_order:
            self.follow_ups.append(self.end(connection, resumable=bool(connection.ask.resume)))

    def end(self, connection: Connection, *, resumable: bool) -> Act:
        """Let a connection be closed, or lost."""
        connection.end()
        ask = connection.ask
        ending = EndSession(ask.user, ask.connection, resumable, asked=ask.asked)
        return self._act(ending, ask.user)._replace(is_repeated=self.in_order)

    def join(self, connection: Connection, room: RoomId) -> Act:
        """Join a room."""
        return self._numbered(connection, JoinRoom(connection.ask.user, connection.session, room), room)

    def leave(self, connection: Connection, room: RoomId) -> Act:
        """Leave a room."""
        return self._numbered(connection, LeaveRoom(connection.ask.user, connection.session, room), room)

    def regrant(self, connection: Connection, granted: tuple[RoomId, ...] | None, *, voice: bool) -> Act:
        """Let a session have a newer token."""
        ask = Regrant(connection.ask.user, connection.session, voice, granted, ())
        return self._numbered(connection, ask, *ROOMS)

    def status(self, connection: Connection, *, in_call: bool) -> Act:
        """Let a client say whether it is in a call."""
        ask = Regrant(connection.ask.user, connection.session, True, None, (), in_call=in_call)
        return self._numbered(connection, ask)

    def register(self, connection: Connection, known: User | None) -> Act:
        """Say again that a session lives here, with the rooms in which it was last."""
        ask = connection.ask
        rooms = {} if known is None else {room: member.since for room, member in known.rooms.items()}
        request = Register(
            ask.user,
            connection.session,
            ask.gateway,
            ask.connection,
            ask.voice,
            rooms,
            ask.secret,
            names_connection=self.in_order,
            in_call=bool(connection.in_call),
            hears=self._cluster.hears_logs,
        )
        act = self._numbered(connection, self._as_of_now(request), *ROOMS)
        if self.in_order:
            return act._replace(is_repeated=True)
        return act._replace(answered=connection.has_answer, is_repeated=True)

    def signal(self, connection: Connection, to: UserId, cmd: str) -> Act:
        """Let a client send a WEBRTC message."""
        body = f"{cmd} {len(self._asked)}".encode()
        held = body if cmd == "ICE_CANDIDATE" else b""
        user = connection.ask.user
        ask = Check(user, connection.session, to, f"WEBRTC_{cmd}", digest(body), held)
        if self.in_order:
            ask = msgspec.structs.replace(ask, connection=connection.ask.connection)
        if cmd == "OFFER":
            self._cluster.observers.offers(ask)
        act = self._act(ask, user, to)
        return act._replace(answered=functools.partial(self._cluster.observers.relayed, ask))

    def late(self) -> list[Asked]:
        """List the requests of which a copy may be under way, the oldest first."""
        now = self._cluster.clock.seconds()
        return [
            asked
            for asked in self._asked
            if asked.may_arrive_late(now) and not (self._is_of_dead(asked.request) and not asked.is_ordered)
        ]

    def again(self, back: int) -> Act | None:
        """Let a request arrive once more, whose answer only a router still needs."""
        late = self.late()
        if not late:
            return None
        request = late[-1 - back % len(late)].request
        assert not isinstance(request, FindReplaced | KeepLease | OfNoUser)  # these are never asked here
        users = (request.user, request.to) if isinstance(request, Check) else (request.user,)
        act = Act(frozenset(users), lambda process: process.ask(request), request=request, is_copy=True)
        if isinstance(request, Check):
            return act._replace(answered=functools.partial(self._cluster.observers.relayed, request))
        return act

    def _is_of_dead(self, request: PresenceRequest) -> bool:
        return isinstance(request, OpenSession | Register) and request.gateway not in self.names

    def die(self, gateway: str) -> None:
        """Let a gateway die with all its connections; another one takes its place."""
        for connection in self.connections:
            if connection.ask.gateway == gateway:
                connection.end()
        self._living.discard(GatewayId(gateway))
        self.silent.discard(GatewayId(gateway))
        self.orphaned.append(GatewayId(gateway))
        number = 1 + max(int(name.removeprefix("g")) for name in [*self.names, *self.orphaned])
        self.names[self.names.index(gateway)] = f"g{number}"
        self._living.add(GatewayId(f"g{number}"))

    def cut_off(self, gateway: str) -> None:
        """Let presence not reach a gateway, and the gateway not presence."""
        self._living.discard(GatewayId(gateway))
        self.silent.add(GatewayId(gateway))

    def come_back(self, gateway: GatewayId) -> None:
        """Let a gateway be reached again."""
        self.silent.discard(gateway)
        self._living.add(gateway)

    async def lease_runs_out(self, gateway: GatewayId) -> Act:
        """Let a gateway not have kept its lease."""
        store = self._cluster.store
        before = {at: await store.put(Keys.lease_timer(gateway, at), b"", 600) for at in store.partitions}

        async def run_out(process: PresenceProcess) -> None:
            for at, revision in before.items():
                await process.gateways.lease_ran_out(gateway, revision, at)

        return Act(frozenset(USERS), run_out, is_repeated=True)

    def timers(self, within_s: float) -> list[Act]:
        """List the timers that fire within so many seconds."""
        store = self._cluster.store
        due = [
            key
            for key in store.contents()
            if key.startswith("timer.") and store.time_to_live(key) <= within_s
        ]
        return [_firing(*key.split(".")[1:]) for key in due if not key.startswith("timer.lease.")]


def _firing(kind: str, *names: str) -> Act:
    """Let a timer fire, as `presence.timers` does."""
    user = UserId(identifier(names[0]))
    if kind == "away":
        connection = ConnectionId(names[1])
        return Act(frozenset((user,)), lambda process: process.give_up(user, connection), is_repeated=True)
    assert kind == "offer"
    target, generation = UserId(identifier(names[1])), names[2]
    expire = functools.partial(PresenceProcess.expire, offerer=user, target=target, generation=generation)
    return Act(frozenset((user, target)), expire, is_repeated=True)
