"""Let clients go: tell presence that a connection has ended, and empty the gateway for its own end."""

import asyncio
import contextlib
import logging
from typing import Final, NamedTuple

from gateway.client.session import Session
from gateway.delivery.barriers import Marks
from gateway.delivery.connections import Live
from tieline import metrics
from tieline.runtime.broker import BrokerAway
from tieline.runtime.message import Message
from tieline.runtime.requests import PATIENCE_S, NoAnswer, Requests
from tieline.wire import internal
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId
from tieline.wire.internal import OPERATIONS, EndSession, Tell
from tieline.wire.subjects import Subjects

ENDING_RETRY_S: Final = 1.0
"""Between attempts to tell presence that a connection has ended; it is tried for as long as this gateway
lives, for as long as it keeps its lease nobody else will."""

TELLING_PATIENCE_S: Final = 2.0
"""For presence to pass on what a client should know: a gateway that stops has 10 s beside its drain."""

LAST_WORDS_S: Final = 2.0
"""For presence to hear of an end while this gateway drains: less than usual, for a process that ends has 10 s
in all beside its drain. What presence has not heard, the lease tells."""

_log = logging.getLogger(__name__)


class Drain(NamedTuple):
    """How a gateway is emptied, in seconds."""

    balancer_s: float
    """For the balancer to see that this gateway is not ready, before anybody is sent away."""
    spread_s: float
    """For the clients to leave by themselves, each at its own moment; who stays is then closed, spread over
    as long again."""


class Departures:
    """Ends what `arrivals` began."""

    def __init__(self, requests: Requests, subjects: Subjects, live: Live, marks: Marks) -> None:
        self._requests = requests
        self._subjects = subjects
        self._live = live
        self._marks = marks
        self._telling = 0
        self._told = asyncio.Event()
        self._told.set()
        self._ended: dict[ConnectionId, CloseCode] = {}
        self.draining = False

    def note_ended(self, connection: ConnectionId, code: CloseCode) -> None:
        """Take note that presence itself has ended a connection."""
        if self._live.is_expected(connection):
            self._ended[connection] = code

    def ended_with(self, session: Session) -> CloseCode | None:
        """Why presence has ended this connection already, or None."""
        return self._ended.get(session.connection)

    async def depart(self, session: Session, close_code: int) -> None:
        """Stop listening, and tell presence, until it has heard."""
        await self._live.stop_listening(session)
        if self._ended.pop(session.connection, None) is CloseCode.REPLACED:
            return  # another connection has the user; otherwise this one may have been registered since
        subject = self._subjects.presence(OPERATIONS[EndSession])
        ask = internal.encode(session.ending(close_code))
        while True:
            try:
                await self._requests.ask(subject, ask, LAST_WORDS_S if self.draining else PATIENCE_S)
            except NoAnswer:
                if self.draining:  # and the lease, not renewed any more, ends what is left
                    _log.warning("session end untold: no answer", extra={"session": session.session})
                    return
                await asyncio.sleep(ENDING_RETRY_S)
            else:
                return

    async def drain(self, how: Drain) -> None:
        """Send everybody away, as gently as time allows: first the word, then the close, spread out.

        Returns when nobody is connected any more.
        """
        self.draining = True
        metrics.DRAINING.set(1)
        await asyncio.sleep(how.balancer_s)
        _log.info("draining", extra={"connections": len(self._live)})
        told = len(self._live)
        spread_ms = int(how.spread_s * 1000)
        for connection in self._live:
            connection.advise_to_reconnect(after_ms=0, jitter_ms=spread_ms)
        await self._told.wait()
        with contextlib.suppress(BrokerAway, NoAnswer):
            await self._marks.passed()  # comes back after what was told just now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(how.spread_s):
                await self._live.emptied()
        staying = list(self._live)
        metrics.DRAINED.labels("left").inc(max(0, told - len(staying)))
        for connection in staying:
            connection.close(CloseCode.SERVICE_RESTART)
            metrics.DRAINED.labels("closed").inc()
            await asyncio.sleep(how.spread_s / len(staying))
        await self._live.emptied()

    def tell(self, session: Session, event: bytes) -> None:
        """See `House.tell`. Only routers and presence may write to users, so presence is asked to.

        If it does not answer, nothing comes to the client at all, and the end comes unwarned.
        """
        self._telling += 1
        self._told.clear()
        ask = internal.encode(Tell(session.user, session.connection, event))
        self._requests.begin(
            self._subjects.presence(OPERATIONS[Tell]), ask, self._has_told, TELLING_PATIENCE_S
        )

    def _has_told(self, _reply: Message | None) -> None:
        self._telling -= 1
        if not self._telling:
            self._told.set()
