"""Let clients in: begin a session with presence, or resume one and replay what it missed."""

import asyncio
import logging
import secrets
from typing import Final, Protocol

from nats.errors import Error as NatsError
from websockets.http11 import Response

from gateway.admission.handshake import Admitted
from gateway.client.connection import Connection
from gateway.client.deliveries import NOTHING, Missed
from gateway.client.session import NO_CLOSE_FRAME, Session
from gateway.client.terms import Terms
from gateway.delivery.connections import Connections
from gateway.sessions.departures import Departures
from gateway.sessions.presence import Presence
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.wire import internal
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, SecretHash, SessionId
from tieline.wire.internal import EndSession, Opened

OPENING_PATIENCE_S: Final = 4.0
"""For presence to begin a session: what the 5 s of the upgrade leave after the request has been read."""

AT_ONCE: Final = 32
"""Upgrades under way side by side: when thousands come back at once, the others wait, and the
clients that are here keep their share."""

_log = logging.getLogger(__name__)


class _HasGone(Exception):
    """The client has closed its end before it was let in."""


class Delivering(Protocol):
    """What arrivals need of `delivery`."""

    @property
    def suspected_losses(self) -> int:
        """How often something that was pushed may have been lost so far."""
        ...

    async def follow(self, connection: Connection, session: Session) -> None:
        """Have what is stored for a session from now on pushed to its connection, once it is released."""
        ...

    async def missed(self, session: Session, last: str) -> Missed:
        """Read what was stored before a session was followed, split after the last message called `last`."""
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
    ) -> None:
        self._gateway = gateway
        self._terms = terms
        self._presence = presence
        self._connections = connections
        self._delivery = delivery
        self._departures = departures
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.under_way = 0

    async def let_in(self, connection: Connection, response: Response, admitted: Admitted) -> None:
        """Open a session for a connection and welcome it, or deny it."""
        secret = ResumeToken(secrets.token_urlsafe(24))
        session = Session(
            SessionId(secrets.token_hex(12)),
            _connection_id(),
            admitted.claims,
            SecretHash(b"") if admitted.resume is None else internal.secret_hash(secret),
            admitted.acks,
            self._terms,
            batches=admitted.batches,
        )
        self.under_way += 1
        try:
            opened = await self._open_or_deny(connection, session, admitted)
        finally:
            self.under_way -= 1
        if opened is None:
            return
        resumed, missed = opened
        if self._departures.draining or connection.is_closing:
            await self._turn_away(connection, session, admitted, HandshakeError.DRAINING)
            return
        self._connections.add(connection, session)
        metrics.SESSIONS_OPENED.labels(_how(admitted, resumed)).inc()
        token = admitted.resume if resumed and admitted.resume else secret
        connection.welcome(response, session, session.welcome(token, resumed))
        self._delivery.release(session, missed)
        _log.info(
            "session opened",
            extra={"user": session.user, "session": session.session, "resumed": resumed},
        )
        ended = self._departures.ended_with(session)
        if ended is not None:  # replaced before it was welcome: only a close code tells it not to come back
            connection.close(ended)

    async def _open_or_deny(
        self, connection: Connection, session: Session, admitted: Admitted
    ) -> tuple[bool, Missed] | None:
        """Open a session when its turn has come; None: it could not be, and the client is denied or gone."""
        with bug_guard(_log, "session not opened: a bug", user=session.user):
            try:
                async with self._slots:
                    if connection.is_closing:  # it could not wait so long
                        raise _HasGone
                    losses = self._delivery.suspected_losses
                    self._departures.expect(session)
                    opened = await self._open(connection, session, admitted)
                if self._delivery.suspected_losses != losses:
                    raise NoAnswer("something that was pushed in between may not have come")
            except _HasGone:
                connection.abandon()
                await self._departures.forget(session)
                return None
            except (NoAnswer, BrokerAway, NatsError) as error:
                _log.warning("session not opened", extra={"user": session.user, "error": repr(error)})
            else:
                return opened
        await self._turn_away(connection, session, admitted, HandshakeError.BROKER_UNAVAILABLE)
        return None

    async def _turn_away(
        self, connection: Connection, session: Session, admitted: Admitted, error: HandshakeError
    ) -> None:
        """Refuse, and undo an opening. What was to be resumed still can be; what was to begin has not."""
        connection.deny(error)
        await self._undo(session, admitted)

    async def _undo(self, session: Session, admitted: Admitted) -> None:
        code = NO_CLOSE_FRAME if admitted.resume else CloseCode.NORMAL
        await self._departures.depart(session, code)

    async def _open(
        self, connection: Connection, session: Session, admitted: Admitted
    ) -> tuple[bool, Missed]:
        """Make the session what presence says; returns whether it is an older one, and what that missed."""
        if not admitted.resume:
            await self._begin(connection, session)
            return False, NOTHING
        fresh, secret = session.session, session.secret
        reply = await self._ask(connection, session, admitted.resume)
        session.opened(reply, internal.secret_hash(admitted.resume) if reply.resumed else secret)
        await self._delivery.follow(connection, session)
        missed = await self._delivery.missed(session, admitted.last if reply.resumed else "")
        if not reply.resumed:
            return False, missed
        if missed.is_whole:
            metrics.REPLAYED.inc(len(missed.fresh))
            return True, missed
        _log.warning("too much missed to resume", extra={"user": session.user, "session": session.session})
        if connection.is_closing:  # then it may come back to where it is whole
            await self._undo(session, admitted)
            raise _HasGone
        await self._presence.ask(
            EndSession(session.user, session.connection, resumable=False), OPENING_PATIENCE_S
        )
        await self._departures.forget(session)
        session.begin_again(fresh, _connection_id(), secret)
        self._departures.expect(session)
        await self._begin(connection, session)
        return False, NOTHING

    async def _begin(self, connection: Connection, session: Session) -> None:
        """Begin a new session; presence announces it only when it can be reached."""
        await self._delivery.follow(connection, session)
        session.opened(await self._ask(connection, session, None), session.secret)

    async def _ask(self, connection: Connection, session: Session, resume: ResumeToken | None) -> Opened:
        """Ask presence, unless the client has given up: it may be connected elsewhere, and stay that.

        Raises:
            NoAnswer: presence does not answer, or says that another connection has the session by now.
            _HasGone: the client has given up.
        """
        if connection.is_closing:
            raise _HasGone
        reply = await self._presence.ask(session.opening(self._gateway, resume), OPENING_PATIENCE_S)
        if not isinstance(reply, Opened):
            raise NoAnswer(f"presence answered with {type(reply).__name__}")
        return reply


def _connection_id() -> ConnectionId:
    return ConnectionId(secrets.token_hex(6))


def _how(admitted: Admitted, resumed: bool) -> str:
    if resumed:
        return "resumed"
    return "not_resumed" if admitted.resume else "new"
