"""What gateways, clients and timers ask of a cluster of presence processes, about which connections."""

import functools
from collections.abc import Awaitable
from typing import Final

from presence.rules.user import User
from tests.unit.presence.cluster import USERS, Act, Cluster
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.directions import PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
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
from tieline.wire.subjects import Keys, identifier

LATE_S: Final = 6.0
"""How late a request may arrive once more: gateways ask for 5 s."""


class Connection:
    """One connection of a client, as its gateway knows it."""

    def __init__(self, ask: OpenSession, secret: str) -> None:
        self.ask = ask
        self.session: SessionId = ask.session
        """The one it asked for, or the one it has resumed."""
        self.secret = secret
        """By which its session may be resumed; empty: it may not."""
        self.is_open = False
        """The client knows that it has a session, and its gateway of no end."""
        self.is_over = False

    def end(self) -> None:
        """Let the connection be over, whatever presence says of it from now on."""
        self.is_open, self.is_over = False, True

    def has_answer(self, reply: object) -> None:
        """Let the gateway have the answer to the connection's beginning."""
        match reply:
            case Opened(session=session) if not self.is_over:
                self.session, self.is_open = session, True
            case SessionGone():
                self.end()


class Gateways:
    """The gateways, and what they ask of presence."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._living = cluster.witness.living_gateways
        self.names = ["g1", "g2"]
        self._living |= {GatewayId(name) for name in self.names}
        self.orphaned: list[GatewayId] = []
        """Gateways that died, and whose lease has yet to run out."""
        self.silent: set[GatewayId] = set()
        """Gateways that live, though presence does not know."""
        self.connections: list[Connection] = []
        self._asked: list[tuple[float, PresenceRequest]] = []
        """When what was asked."""

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
        self._asked.append((self._cluster.clock.seconds(), request))
        return Act(frozenset(users), lambda process: process.ask(request), request=request)

    def connect(self, user: UserId, gateway: str, rooms: tuple[RoomId, ...], *, resumable: bool) -> Act:
        """Begin a connection with a session of its own."""
        number = len(self.connections) + 1
        secret = f"secret {number}" if resumable else ""
        return self._begin(opening(user, *rooms, number=number, gateway=gateway, secret=secret), secret)

    def resume(self, user: UserId, gateway: str, granted: tuple[RoomId, ...] | None) -> Act | None:
        """Begin a connection that goes on with the session of an earlier one."""
        earlier = [one for one in self.connections if one.ask.user == user and one.secret]
        if not earlier:
            return None
        number, secret = len(self.connections) + 1, earlier[-1].secret
        ask = opening(user, number=number, gateway=gateway, secret=secret, resume=secret, granted=granted)
        return self._begin(ask, secret)

    def _begin(self, ask: OpenSession, secret: str) -> Act:
        connection = Connection(ask, secret)
        self.connections.append(connection)
        return self._act(ask, ask.user)._replace(answered=connection.has_answer)

    def end(self, connection: Connection, *, resumable: bool) -> Act:
        """Let a connection be closed, or lost."""
        connection.end()
        ask = connection.ask
        return self._act(EndSession(ask.user, ask.connection, resumable), ask.user)

    def join(self, connection: Connection, room: RoomId) -> Act:
        """Join a room."""
        user = connection.ask.user
        return self._act(JoinRoom(user, connection.session, room), user)

    def leave(self, connection: Connection, room: RoomId) -> Act:
        """Leave a room."""
        user = connection.ask.user
        return self._act(LeaveRoom(user, connection.session, room), user)

    def regrant(self, connection: Connection, granted: tuple[RoomId, ...] | None, *, voice: bool) -> Act:
        """Let a session have a newer token."""
        user = connection.ask.user
        return self._act(Regrant(user, connection.session, voice, granted, ()), user)

    def register(self, connection: Connection, known: User | None) -> Act:
        """Say again that a session lives here, with the rooms in which it was last."""
        ask = connection.ask
        rooms = {} if known is None else {room: member.since for room, member in known.rooms.items()}
        request = Register(
            ask.user, connection.session, ask.gateway, ask.connection, ask.voice, rooms, ask.secret
        )
        act = self._act(request, ask.user)
        return act._replace(answered=connection.has_answer, is_repeated=True)

    def signal(self, connection: Connection, to: UserId, cmd: str) -> Act:
        """Let a client send a WEBRTC message."""
        body = f"{cmd} {len(self._asked)}".encode()
        held = body if cmd == "ICE_CANDIDATE" else b""
        user = connection.ask.user
        ask = Check(user, connection.session, to, f"WEBRTC_{cmd}", digest(body), held)
        if cmd == "OFFER":
            self._cluster.observers.offers(ask)
        act = self._act(ask, user, to)
        return act._replace(answered=functools.partial(self._cluster.observers.relayed, ask))

    def again(self, back: int) -> Act | None:
        """Let a request arrive once more, whose answer only a router still needs."""
        now = self._cluster.clock.seconds()
        late = [request for at, request in self._asked if now - at < LATE_S and not self._is_of_dead(request)]
        if not late:
            return None
        request = late[-1 - back % len(late)]
        assert not isinstance(request, FindReplaced | KeepLease)  # these are never asked here
        users = (request.user, request.to) if isinstance(request, Check) else (request.user,)
        act = Act(frozenset(users), lambda process: process.ask(request), request=request)
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
        before = await self._cluster.store.put(Keys.lease_timer(gateway), b"", 600)

        def run_out(process: PresenceProcess) -> Awaitable[object]:
            return process.gateways.lease_ran_out(gateway, before)

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
