"""A delivery that reaches no mailbox: it has what a test says, and keeps what it is told."""

import asyncio
from collections.abc import Callable

from gateway.client.connection import Connection
from gateway.client.deliveries import NOTHING, Missed
from gateway.client.mail import Had
from gateway.client.session import Session
from tieline.wire.ids import ConnectionId, SessionId


class FakeDelivery:
    """What arrivals and departures need of `gateway.delivery.delivery.Delivery`."""

    def __init__(self) -> None:
        self.suspected_losses = 0
        self.number = 700
        """Behind which all is stored that a session is sent which is followed now."""
        self.mailbox = NOTHING
        """What every session has missed."""
        self.problem: Exception | None = None
        """Raised instead of following a session, and instead of settling."""
        self.on_follow: Callable[[], None] = lambda: None
        """Called when a session is followed."""
        self.release_problem: Exception | None = None
        """Raised instead of sending what was missed."""
        self.followed: list[SessionId] = []
        self.asked_after: list[Had] = []
        """What each session has had last that asked what it had missed."""
        self.released: list[tuple[ConnectionId, Missed]] = []
        self.dropped: list[ConnectionId] = []
        self.times_settled = 0
        self._connections: dict[ConnectionId, Connection] = {}

    async def follow(self, connection: Connection, session: Session, _had: Had | None = None) -> int:
        """Keep a connection until it is dropped."""
        if self.problem is not None:
            raise self.problem
        self.on_follow()
        self.followed.append(session.session)
        self._connections[session.connection] = connection
        return self.number

    async def missed(self, _session: Session, had: Had) -> Missed:
        """Return what the test says."""
        self.asked_after.append(had)
        return self.mailbox

    def release(self, session: Session, missed: Missed) -> None:
        """Send what was missed."""
        if self.release_problem is not None:
            raise self.release_problem
        assert session.connection in self._connections
        self.released.append((session.connection, missed))
        for frame in missed.fresh:
            self._connections[session.connection].say(frame)

    async def settled(self) -> None:
        """Count how often this was asked."""
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        self.times_settled += 1

    async def drop(self, session: Session) -> None:
        """Forget a connection."""
        self._connections.pop(session.connection, None)
        self.dropped.append(session.connection)
