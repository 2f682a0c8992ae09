"""The connections of this gateway that have a session, by the id that presence knows them by.

A session that is resumed on its own gateway is here twice for a moment, as two connections.
"""

import asyncio
from collections.abc import Iterator

from gateway.client.connection import Connection
from gateway.client.session import Session
from tieline import metrics
from tieline.wire.ids import ConnectionId, SessionId


class Connections:
    """Which clients are here, from their WELCOME until they are gone."""

    def __init__(self) -> None:
        self._by_id: dict[ConnectionId, Connection] = {}
        self._newest: dict[SessionId, Connection] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    def get(self, connection: ConnectionId) -> Connection | None:
        """Find a connection that was added and not removed."""
        return self._by_id.get(connection)

    def of(self, session: SessionId) -> Connection | None:
        """Find the connection of a session, the newer one of two."""
        return self._newest.get(session)

    def add(self, connection: Connection, session: Session) -> None:
        """Count a connection in."""
        self._by_id[session.connection] = self._newest[session.session] = connection
        self._empty.clear()
        metrics.CONNECTIONS.set(len(self._by_id))

    def remove(self, session: Session) -> None:
        """Count a connection out."""
        connection = self._by_id.pop(session.connection, None)
        if connection is not None and self._newest.get(session.session) is connection:
            del self._newest[session.session]
        if not self._by_id:
            self._empty.set()
        metrics.CONNECTIONS.set(len(self._by_id))

    async def emptied(self) -> None:
        """Wait until no connection is here any more."""
        await self._empty.wait()
