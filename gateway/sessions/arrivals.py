"""Let clients in: begin a session with presence, or resume one and replay what it missed."""

import asyncio
import logging
import secrets
from typing import Final

from nats.errors import Error as NatsError
from websockets.http11 import Response

from gateway.admission.handshake import Admitted
from gateway.client.connection import Connection
from gateway.client.keepalive import Pace
from gateway.client.session import NO_WORD, Session, Terms
from gateway.delivery.barriers import Marks
from gateway.delivery.connections import Live
from gateway.delivery.mailbox import Mailbox, Missed
from gateway.sessions.departures import Departures
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import internal, replies
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, SecretHash, SessionId
from tieline.wire.internal import OPERATIONS, EndSession, Opened, OpenSession
from tieline.wire.replies import Welcome
from tieline.wire.subjects import Subjects

OPENING_PATIENCE_S: Final = 4.0
"""For presence to begin a session: what the 5 s of the upgrade leave after the request has been read."""

AT_ONCE: Final = 32
"""Upgrades under way side by side: when thousands come back at once, the others wait their turn, and those
who are talking keep their share."""

_NOTHING: Final = Missed([], [], is_whole=True)

_log = logging.getLogger(__name__)


class _HasGone(Exception):
    """The client has closed its end before it was let in."""


class Arrivals:
    """Turns an admitted upgrade request into a live connection."""

    def __init__(
        self,
        requests: Requests,
        subjects: Subjects,
        gateway: GatewayId,
        live: Live,
        mailbox: Mailbox,
        marks: Marks,
        departures: Departures,
        pace: Pace,
        resume_window_s: float,
        terms: Terms,
    ) -> None:
        self._terms = terms
        self._requests = requests
        self._opening = subjects.presence(OPERATIONS[OpenSession])
        self._ending = subjects.presence(OPERATIONS[EndSession])
        self._gateway = gateway
        self._live = live
        self._departures = departures
        self._mailbox = mailbox
        self._marks = marks
        self._pace = pace
        self._resume_window_s = resume_window_s
        self._turns = asyncio.Semaphore(AT_ONCE)
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
        )
        self.under_way += 1
        try:
            async with self._turns:
                if connection.is_closing:  # it could not wait for its turn
                    raise _HasGone
                disturbances = self._live.disturbances
                self._live.expect(session)
                resumed, missed = await self._open(connection, session, admitted)
            if self._live.disturbances != disturbances:
                raise NoAnswer("something that was pushed in between may not have come")
        except _HasGone:
            connection.abandon()
            await self._live.stop_listening(session)
            return
        except (NoAnswer, BrokerAway, NatsError) as error:
            _log.warning("session not opened", extra={"user": session.user, "error": repr(error)})
            await self._turn_away(connection, session, admitted, HandshakeError.BROKER_UNAVAILABLE)
            return
        except Exception:  # a bug met by one client must not end the gateway, and all other clients
            _log.exception("session not opened: a bug", extra={"user": session.user})
            await self._turn_away(connection, session, admitted, HandshakeError.BROKER_UNAVAILABLE)
            return
        finally:
            self.under_way -= 1
        if self._departures.draining or connection.is_closing:
            await self._turn_away(connection, session, admitted, HandshakeError.DRAINING)
            return
        self._live.add(connection, session)
        metrics.SESSIONS_OPENED.labels(_how(admitted, resumed)).inc()
        token = admitted.resume if resumed and admitted.resume else secret
        connection.welcome(response, session, self._welcome(session, token, resumed), missed)
        self._live.has_read(session, missed.newest)
        _log.info(
            "session opened",
            extra={"user": session.user, "session": session.session, "resumed": resumed},
        )
        ended = self._departures.ended_with(session)
        if ended is not None:  # replaced before it was welcome: only a close code tells it not to come back
            connection.close(ended)

    async def _turn_away(
        self, connection: Connection, session: Session, admitted: Admitted, denial: HandshakeError
    ) -> None:
        """Refuse, and undo an opening. What was to be resumed still can be; what was to begin has not."""
        connection.deny(denial)
        await self._undo(session, admitted)

    async def _undo(self, session: Session, admitted: Admitted) -> None:
        code = NO_WORD if admitted.resume else CloseCode.NORMAL
        await self._departures.depart(session, code)

    async def _open(
        self, connection: Connection, session: Session, admitted: Admitted
    ) -> tuple[bool, Missed]:
        """Make the session what presence says; says whether it is an older one, and what that missed."""
        if not admitted.resume:
            await self._begin(connection, session)
            return False, _NOTHING
        fresh, secret = session.session, session.secret
        reply = await self._ask(connection, session, admitted.resume)
        session.opened(reply, internal.secret_hash(admitted.resume) if reply.resumed else secret)
        await self._live.listen(connection, session)
        mark = await self._marks.passed()
        last = admitted.last if reply.resumed else ""
        missed = await self._mailbox.missed(session.user, session.session, last, mark)
        if not reply.resumed:
            return False, missed
        if missed.is_whole:
            metrics.REPLAYED.inc(len(missed.fresh))
            return True, missed
        _log.warning("too much missed to resume", extra={"user": session.user, "session": session.session})
        if connection.is_closing:  # then it may come back to where it is whole
            await self._undo(session, admitted)
            raise _HasGone
        over = internal.encode(EndSession(session.user, session.connection, resumable=False))
        await self._requests.ask(self._ending, over, OPENING_PATIENCE_S)
        await self._live.stop_listening(session)
        connection.deliveries.forget_early()
        session.begin_again(fresh, _connection_id(), secret)
        self._live.expect(session)
        await self._begin(connection, session)
        return False, _NOTHING

    async def _begin(self, connection: Connection, session: Session) -> None:
        """Begin a new session; nobody hears of it before it can be reached."""
        await self._live.listen(connection, session)
        await self._marks.passed()
        session.opened(await self._ask(connection, session, None), session.secret)

    async def _ask(self, connection: Connection, session: Session, resume: ResumeToken | None) -> Opened:
        """Ask presence, unless the client has given up: it may be connected elsewhere, and stay that.

        Raises:
            NoAnswer: presence does not answer, or says that another connection has the session by now.
            _HasGone: the client has.
        """
        if connection.is_closing:
            raise _HasGone
        ask = internal.encode(session.opening(self._gateway, resume))
        answer = await self._requests.ask(self._opening, ask, OPENING_PATIENCE_S)
        reply = internal.decode_presence_reply(answer)
        if not isinstance(reply, Opened):
            raise NoAnswer(f"presence answered with {type(reply).__name__}")
        return reply

    def _welcome(self, session: Session, token: ResumeToken, resumed: bool) -> bytes:
        data = Welcome(
            session.user,
            session.session,
            token,
            resumed=resumed,
            rooms=tuple(session.rooms),
            resume_window=_number(self._resume_window_s),
            ping_interval=_number(self._pace.ping_interval_s),
            max_message_bytes=MAX_MESSAGE_BYTES,
        )
        return replies.success("", "WELCOME", data)


def _connection_id() -> ConnectionId:
    return ConnectionId(secrets.token_hex(6))


def _how(admitted: Admitted, resumed: bool) -> str:
    if resumed:
        return "resumed"
    return "not_resumed" if admitted.resume else "new"


def _number(seconds: float) -> int | float:
    """Show whole seconds without a fraction."""
    return int(seconds) if seconds == int(seconds) else seconds
