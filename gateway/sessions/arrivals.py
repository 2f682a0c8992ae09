"""Let clients in: begin a session with presence, or resume one and replay what it missed."""

import asyncio
import logging
import math
import random
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from nats.errors import Error as NatsError
from websockets.http11 import Response

from gateway.admission.handshake import Admitted
from gateway.client.connection import HANDSHAKE_S, Connection
from gateway.client.deliveries import NOTHING, Missed
from gateway.client.events import welcome
from gateway.client.mail import Had
from gateway.client.session import NO_CLOSE_FRAME, Session
from gateway.client.terms import Terms
from gateway.delivery.connections import Connections
from gateway.limits import prices
from gateway.limits.rates import NO_LIMITS
from gateway.limits.users import Users
from gateway.sessions.arrival_queue import Waiting
from gateway.sessions.arrival_turns import LOOK_S, WAITING_S, ArrivalTurns, HasGone, WaitedTooLong
from gateway.sessions.departures import Departures
from gateway.sessions.presence import Presence
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.one_a_turn import OneATurn
from tieline.runtime.requests import NoAnswer
from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError
from tieline.wire.ids import GatewayId, ResumeToken, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Outdated, Refused, SessionGone
from tieline.wire.internal.sessions import Opened
from tieline.wire.partitions import ONE, Partitions
from tieline.wire.resume_tokens import resume_token, secret_hash
from tieline.wire.subjects import token

OPENING_PATIENCE_S: Final = 4.0
"""For presence to begin a session: what the 5 s of the upgrade leave after the request has been read."""

ANSWERING_S: Final = 0.5
"""What the answer itself needs of the upgrade's time, and the request needed to come."""

ANEW_S: Final = 2.0
"""How long after a client has come its opening may be asked anew, if something newer may have come before it.
A client waits longer than that before it tries elsewhere."""

LEASE_S: Final = 0.25
"""Before presence is asked again which does not know of this gateway's lease: it is about to be renewed."""

Jitter = Callable[[], float]
"""A source of numbers from 0 to below 1, evenly."""

_log = logging.getLogger(__name__)


class _Replaced(Exception):
    """The client wants to resume a session that was replaced by a newer one, which lives."""


class _Banned(Exception):
    """The backend does not let the user connect now."""


class _Unentitled(Exception):
    """Presence does not find good the token that was good here: it may have ended, or be judged otherwise."""


class Delivering(Protocol):
    """What arrivals need of `delivery`."""

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        ...

    async def follow(self, connection: Connection, session: Session, had: Had | None = None) -> int:
        """Have what is stored for a session from now on pushed to its connection, once it is released.

        One that may have missed something has `had` that last. Returns a number behind which all of what is
        pushed is stored.
        """
        ...

    async def missed(self, session: Session, had: Had) -> Missed:
        """Read what was stored before a session was followed, split after what the client has had."""
        ...

    def release(self, session: Session, missed: Missed) -> None:
        """Deliver what a session missed, then what was pushed meanwhile, and go on with what is pushed."""
        ...


class Arrivals:
    """Turns an admitted upgrade request into a live connection."""

    def __init__(
        self,
        *,
        gateway: GatewayId,
        terms: Terms,
        presence: Presence,
        connections: Connections,
        delivery: Delivering,
        departures: Departures,
        users: Users | None = None,
        on_welcome: Callable[[Session, Connection], None] = lambda _session, _connection: None,
        jitter: Jitter = random.random,
        waiting_s: float = WAITING_S,
        look_s: float = LOOK_S,
        partitions: Partitions = ONE,
    ) -> None:
        """Take also the budgets of users, None: without limits; and what is told of each who is let in."""
        self._partitions = partitions
        self._users = users or Users(NO_LIMITS)
        self._on_welcome = on_welcome
        self._gateway = gateway
        self._terms = terms
        self._presence = presence
        self._connections = connections
        self._delivery = delivery
        self._departures = departures
        self._jitter = jitter
        self._loop = asyncio.get_running_loop()
        self._turns = ArrivalTurns(departures.expect_others, waiting_s, look_s)
        self._one_a_turn = OneATurn()
        self.under_way = 0

    async def let_in(self, connection: Connection, response: Response, admitted: Admitted) -> None:
        """Open a session for a connection and welcome it, or deny it."""
        user = admitted.claims.user
        asked = self._presence.revision_of(user)
        secret = resume_token(secrets.token_urlsafe(24), asked)
        name = self._name_for(user)
        session = Session(
            name,
            self._departures.names.of(name),
            admitted.claims,
            SecretHash(b"") if admitted.resume is None else secret_hash(secret),
            admitted.acks,
            self._terms,
            self._users.of(user, _now()),
            batches=admitted.batches,
            calls=admitted.calls,
            places=admitted.places,
            token=admitted.token,
        )
        session.asked = asked
        self.under_way += 1
        try:
            opened = await self._open_or_deny(connection, response, session, admitted)
        finally:
            self.under_way -= 1
        if opened is None:
            return
        resumed, missed = opened
        if self._departures.draining or connection.is_closing:
            self._turn_away(connection, session, admitted, HandshakeError.DRAINING)
            return
        self._connections.add(connection, session)
        price = prices.RESUME if resumed else prices.CONNECT + len(session.rooms) * prices.CONNECT_ROOM
        session.budget.charge(price, _now())
        self._on_welcome(session, connection)
        metrics.SESSIONS_OPENED.labels(_how(admitted, resumed)).inc()
        token = admitted.resume if resumed and admitted.resume else secret
        connection.welcome(response, session, welcome(session, token, resumed, missed.place))
        self._delivery.release(session, missed)
        _log.info(
            "session opened",
            extra={
                "user": session.user,
                "address": connection.peer,
                "session": session.session,
                "resumed": resumed,
            },
        )
        ended = self._departures.ended_with(session)
        if ended is not None:  # replaced before it was welcome: only a close code tells it not to come back
            connection.close(ended)

    def _name_for(self, user: UserId) -> SessionId:
        """Make the name of a session, which lies in the partition of its user."""
        return self._partitions.session_for(token(user), _new_name)

    async def _open_or_deny(
        self, connection: Connection, response: Response, session: Session, admitted: Admitted
    ) -> tuple[bool, Missed] | None:
        """Open a session when its turn has come; None: it could not be, and the client is denied or gone."""
        deadline = self._loop.time() + HANDSHAKE_S - ANSWERING_S
        with bug_guard(_log, "session not opened: a bug", user=session.user):
            try:
                async with self._turns.turn(connection, Waiting(session.user, admitted.address)):
                    losses = self._delivery.suspected_losses
                    self._departures.expect(session)
                    opened = await self._open(connection, session, admitted, deadline)
                    await self._one_a_turn.passed()  # of those whose answers come together
                if self._delivery.suspected_losses != losses:
                    raise NoAnswer("something that was pushed in between may not have come")
            except HasGone:
                connection.abandon()
                await self._departures.forget(session)
                return None
            except WaitedTooLong:
                self._deny(connection, HandshakeError.BUSY)
                return None
            except _Replaced:
                connection.refuse(response, CloseCode.REPLACED)
                self._departures.begin_departure(session, NO_CLOSE_FRAME)
                return None
            except _Banned:
                connection.deny(HandshakeError.BANNED)
                self._departures.begin_departure(session, NO_CLOSE_FRAME)
                return None
            except _Unentitled:
                _log.warning("session not opened: presence refuses the token", extra={"user": session.user})
                connection.deny(HandshakeError.UNAUTHORIZED)
                self._departures.begin_departure(session, NO_CLOSE_FRAME)
                return None
            except (NoAnswer, BrokerAway, NatsError) as error:
                _log.warning("session not opened", extra={"user": session.user, "error": repr(error)})
            else:
                return opened
        self._turn_away(connection, session, admitted, HandshakeError.BROKER_UNAVAILABLE)
        return None

    def _deny(self, connection: Connection, error: HandshakeError) -> None:
        """Refuse a client, and ask it to come back at a moment that few others are told, too.

        One that has gone is refused nothing: it is counted nowhere, and expected nowhere.
        """
        if connection.is_closing:
            connection.abandon()
            return
        spread_s = self._turns.spread_s()
        after_s = math.ceil(self._jitter() * spread_s) or 1
        self._turns.asked_back(after_s)
        self._departures.expect_others(spread_s + HANDSHAKE_S)
        connection.deny(error, after_s)

    def _turn_away(
        self, connection: Connection, session: Session, admitted: Admitted, error: HandshakeError
    ) -> None:
        """Refuse, and undo an opening. What was to be resumed still can be; what was to begin has not.

        The client may be back before that is undone, and its next attempt must not wait for it.
        """
        self._deny(connection, error)
        self._departures.begin_departure(session, NO_CLOSE_FRAME if admitted.resume else CloseCode.NORMAL)

    async def _open(
        self, connection: Connection, session: Session, admitted: Admitted, deadline: float
    ) -> tuple[bool, Missed]:
        """Make the session what presence says; returns whether it is an older one, and what that missed."""
        if not admitted.resume:
            position = await self._begin(connection, session, deadline)
            return False, NOTHING._replace(position=position)
        secret = session.secret
        reply = await self._ask(connection, session, admitted.resume, deadline)
        session.opened(reply, secret_hash(admitted.resume) if reply.resumed else secret)
        had = Had(admitted.last, admitted.last_place, reply.lost_at) if reply.resumed else Had()
        await self._delivery.follow(connection, session, had)
        missed = await self._delivery.missed(session, had)
        if not reply.resumed:
            return False, missed
        metrics.REPLAYED.inc(len(missed.fresh))
        return True, missed

    async def _begin(self, connection: Connection, session: Session, deadline: float) -> int:
        """Begin a new session; presence announces it only when it can be reached.

        Returns a number behind which all is stored that it is sent.
        """
        position = await self._delivery.follow(connection, session)
        session.opened(await self._ask(connection, session, None, deadline), session.secret)
        return position

    async def _ask(
        self, connection: Connection, session: Session, resume: ResumeToken | None, deadline: float
    ) -> Opened:
        """Ask presence, unless the client has given up: it may be connected elsewhere, and stay that.

        Once it has given up, presence is not asked again; but what was asked may yet be answered, and undone.

        Raises:
            NoAnswer: presence does not answer, or says that another connection has the session by now.
            HasGone: the client has given up.
            _Replaced: the client's session was replaced by one that lives.
            _Banned: the backend does not let the user in.
            _Unentitled: presence does not take the token.
        """
        anew_until = deadline + ANSWERING_S - HANDSHAKE_S + ANEW_S
        while True:
            if connection.is_closing:
                raise HasGone
            patience_s = max(0.0, min(OPENING_PATIENCE_S, deadline - self._loop.time()))
            opening = session.opening(self._gateway, resume)
            reply = await self._presence.ask(opening, patience_s, _WantedAgain(connection))
            match reply:
                case Opened():
                    if reply.owed_s:
                        session.budget.owe(reply.owed_s, _now())
                    return reply
                case SessionGone(replaced=True) if opening.asked:
                    raise _Replaced
                case Refused(reason=HandshakeError.BANNED.name):
                    raise _Banned
                case Refused(refusal=ErrorCode.BAD_TOKEN):
                    raise _Unentitled
                case Outdated(revision=0) if self._loop.time() < deadline:
                    await asyncio.sleep(LEASE_S)
                case Outdated(revision=revision) if self._loop.time() < anew_until:
                    session.asked = max(revision, self._presence.revision_of(session.user))
                case _:
                    raise NoAnswer(f"presence answered with {type(reply).__name__}")


class _WantedAgain:
    """Says whether a client that was there when presence was asked still is: by a system call."""

    __slots__ = ("_connection", "_is_first")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_first = True

    def __call__(self) -> bool:
        was_first, self._is_first = self._is_first, False
        return was_first or not self._connection.is_closing


def _new_name() -> str:
    return secrets.token_hex(12)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _how(admitted: Admitted, resumed: bool) -> str:
    if resumed:
        return "resumed"
    return "not_resumed" if admitted.resume else "new"
