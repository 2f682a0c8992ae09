"""The connections of this gateway that have a session, and what each of them listens to.

The mailbox pushes a session's frames in their order, each with its own sequence and that of the one before
it. Where these do not meet something was pushed and did not come: the connection then gets nothing more
until what is missing has been read (`catch_up`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from nats.errors import Error as NatsError

from gateway.client.connection import Connection
from gateway.client.session import Session
from tieline import metrics
from tieline.runtime.broker import Broker, Subscription
from tieline.runtime.message import Message
from tieline.wire.ids import ConnectionId
from tieline.wire.subjects import Subjects


class Ear:
    """What one connection listens to, and how far it has heard."""

    __slots__ = ("_amiss", "_waiting", "connection", "heard", "kept", "subscription")

    subscription: Subscription

    def __init__(self, connection: Connection, kept: str, amiss: Callable[[], None]) -> None:
        self.connection = connection
        self.kept = kept
        """The subject under which the mailbox keeps what it pushes."""
        self.heard = 0
        """The sequence of the last frame that the client was sent, nothing before it missing."""
        self._amiss = amiss
        self._waiting: list[tuple[int, int]] = []
        """Of what is held back: the sequences of the frame before each, and of each."""

    def hear(self, message: Message) -> None:
        """Take a frame off the broker."""
        previous, sequence = _position(message.headers)
        connection = self.connection
        if previous > self.heard and not connection.deliveries.is_held:
            self._amiss()
        if connection.deliveries.is_held:
            self._waiting.append((previous, sequence))
        else:
            self.heard = sequence
        connection.deliveries.deliver(message.data)

    def has_read(self, newest: int) -> None:
        """Take note that the client has been sent everything up to `newest`, and then what was held back."""
        self.heard = newest
        waiting, self._waiting = self._waiting, []
        for previous, sequence in waiting:
            if sequence <= self.heard:
                continue
            if previous > self.heard:
                self._amiss()
                return
            self.heard = sequence


class Live:
    """Who is here. A session that is resumed on its own gateway is here twice for a moment."""

    def __init__(self, broker: Broker, subjects: Subjects) -> None:
        self._broker = broker
        self._subjects = subjects
        self._connections: dict[ConnectionId, Connection] = {}
        self._ears: dict[ConnectionId, Ear] = {}
        self._expected: set[ConnectionId] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self.disturbances = 0
        """How often pushes may have been lost so far: the broker was away, it lost some, or it may have."""
        self._when_disturbed: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    def get(self, connection: ConnectionId) -> Connection | None:
        """Find a connection that was added and not removed."""
        return self._connections.get(connection)

    def ears(self) -> list[Ear]:
        """List what the connections that were added and not removed listen to."""
        return [ear for name, ear in self._ears.items() if name in self._connections]

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

    def expect(self, session: Session) -> None:
        """Take note that a connection is about to get a session: from now on it may lose that again."""
        self._expected.add(session.connection)

    def is_expected(self, connection: ConnectionId) -> bool:
        """Whether a connection is arriving, here, or leaving."""
        return connection in self._expected

    async def listen(self, connection: Connection, session: Session) -> None:
        """Deliver what is pushed to a session from now on; call again when it has become another."""
        ear = Ear(connection, self._subjects.user(session.user, session.session), self.disturbed)
        earlier = self._ears.get(session.connection)
        pushed = self._subjects.live(session.user, session.session)
        ear.subscription = await self._broker.subscribe(pushed, ear.hear)
        self._ears[session.connection] = ear
        if earlier is not None:
            await earlier.subscription.unsubscribe()

    async def stop_listening(self, session: Session) -> None:
        """Deliver nothing more, and expect nothing."""
        self._expected.discard(session.connection)
        ear = self._ears.pop(session.connection, None)
        if ear is not None:
            with contextlib.suppress(NatsError):  # without a broker there is nothing to unsubscribe from
                await ear.subscription.unsubscribe()

    def has_read(self, session: Session, newest: int) -> None:
        """Take note that a connection has been sent what was kept for it up to `newest`."""
        ear = self._ears.get(session.connection)
        if ear is not None:
            ear.has_read(newest)

    # When something may be missing ------------------------------------------------------------------

    def when_disturbed(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time pushes may have been lost; everybody is held then."""
        self._when_disturbed.append(listener)

    def disturbed(self) -> None:
        """Hold everybody: nothing newer may come before what may be missing."""
        self.disturbances += 1
        for connection in self._connections.values():
            connection.deliveries.hold()
        for listener in self._when_disturbed:
            listener()


_SEQUENCE: Final = b"\r\nNats-Sequence: "
_PREVIOUS: Final = b"\r\nNats-Last-Sequence: "


def _position(headers: bytes) -> tuple[int, int]:
    """Read what JetStream puts on each message that it pushes on; the shape is tested on a real one.

    Returns the sequence of the message before it for the same session (0: none is kept), and its own.
    """
    start = headers.index(_SEQUENCE) + len(_SEQUENCE)
    end = headers.index(b"\r", start)
    previous = headers.index(_PREVIOUS, end) + len(_PREVIOUS)
    return int(headers[previous : headers.index(b"\r", previous)]), int(headers[start:end])
