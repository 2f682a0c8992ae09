"""The connections of this gateway that have a session, and what each of them listens to."""

import asyncio
import contextlib
from collections.abc import Iterator

from nats.errors import Error as NatsError

from gateway.connection import Connection
from gateway.session import Session
from tieline.runtime import metrics
from tieline.runtime.broker import Broker, Message, Subscription
from tieline.wire.ids import ConnectionId, SessionId
from tieline.wire.subjects import Subjects


class Live:
    """Who is here. A session that is resumed on its own gateway is here twice for a moment."""

    def __init__(self, broker: Broker, subjects: Subjects) -> None:
        self._broker = broker
        self._subjects = subjects
        self._connections: dict[ConnectionId, Connection] = {}
        self._subscriptions: dict[ConnectionId, Subscription] = {}
        self._nobody = asyncio.Event()
        self._nobody.set()

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def get(self, connection: ConnectionId) -> Connection | None:
        """Find a connection that was added and not removed."""
        return self._connections.get(connection)

    def by_session(self) -> dict[SessionId, Connection]:
        """Index the connections by the session each has."""
        return {
            connection.session.session: connection
            for connection in self._connections.values()
            if connection.session is not None
        }

    def add(self, connection: Connection, session: Session) -> None:
        """Count a connection in."""
        self._connections[session.connection] = connection
        self._nobody.clear()
        metrics.CONNECTIONS.set(len(self._connections))

    def remove(self, session: Session) -> None:
        """Count a connection out."""
        self._connections.pop(session.connection, None)
        if not self._connections:
            self._nobody.set()
        metrics.CONNECTIONS.set(len(self._connections))

    async def emptied(self) -> None:
        """Wait until nobody is here any more."""
        await self._nobody.wait()

    def is_listening(self, connection: ConnectionId) -> bool:
        """Whether a connection is here, arriving or leaving."""
        return connection in self._subscriptions

    async def listen(self, connection: Connection, session: Session) -> None:
        """Deliver what is published for a session from now on; call again when it has become another."""

        def deliver(message: Message) -> None:
            connection.deliver(message.data)

        subject = self._subjects.user(session.user, session.session)
        earlier = self._subscriptions.get(session.connection)
        self._subscriptions[session.connection] = await self._broker.subscribe(subject, deliver)
        if earlier is not None:
            await earlier.unsubscribe()

    async def stop_listening(self, session: Session) -> None:
        """Deliver nothing more."""
        subscription = self._subscriptions.pop(session.connection, None)
        if subscription is not None:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await subscription.unsubscribe()
