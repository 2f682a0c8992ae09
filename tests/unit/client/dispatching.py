"""A dispatcher with a writer that records what is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.waiting import within
from tieline.client import ClientError, Closed, Event, Stats, Welcome
from tieline.client.dispatcher import Dispatcher
from tieline.client.pending import PendingRequest, PendingRequests
from tieline.wire import replies
from tieline.wire.ids import RoomId, SessionId, UserId

A, B = RoomId("a"), RoomId("b")

ANN, BOB, CAT, DAN = (UserId(name) for name in ("ann", "bob", "cat", "dan"))

LOST = Closed(1006, "connection lost")


def welcome(*rooms: RoomId, resumed: bool = False) -> Welcome:
    return Welcome(ANN, SessionId("s"), "secret", resumed, rooms, 30, 25, 65_536)


def joined(request_id: str, user: UserId = BOB) -> bytes:
    return replies.success(request_id, "MEMBER_JOINED", replies.MemberJoined(A, user))


class RecordingWriter:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        self.written.put_nowait(json.loads(frame))

    async def next(self) -> dict[str, Any]:
        return await within(self.written.get())


class Harness:
    """A dispatcher, the requests that it answers, and the connection on which those are written."""

    def __init__(
        self, *rooms: RoomId, resume: bool = True, rejoin: bool = True, timeout_s: float = 10
    ) -> None:
        self.stats = Stats()
        self.pending = PendingRequests(timeout_s, self.stats)
        self.dispatcher = Dispatcher(welcome(*rooms), self.pending, self.stats, resume=resume, rejoin=rejoin)
        self.writer = RecordingWriter()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Write requests while the block runs."""
        self.pending.connected()
        async with self.writing():
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.pending.write_to(self.writer))
            yield
            task.cancel()

    async def ask(self, cmd: str = "JOIN", request_id: str = "r") -> object:
        """Send a request; returns the answer, or how it failed."""
        try:
            return await self.pending.ask(PendingRequest(request_id, cmd, b"{}"))
        except ClientError as failure:
            return failure

    async def events(self) -> list[Event]:
        """End, and return every event that came before."""
        self.dispatcher.connection_ended(Closed(1000, ""))
        return [event async for event in self.dispatcher.inbox]


def changed(number: int, *, joined: tuple[UserId, ...] = (), left: tuple[UserId, ...] = ()) -> bytes:
    """Make a batch of changes, as a gateway does."""
    gone = [replies.Left(user, "left") for user in left]
    data = replies.RoomChanged(A, number, [member(user) for user in joined], gone, [])
    return replies.success(f"room-{number}", "ROOM_CHANGED", data)


def member(user: UserId) -> replies.Member:
    return replies.Member(user, "online", voice=True, joined_at=1)
