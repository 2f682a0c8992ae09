"""One user's client of a Tieline system: requests with answers, and the events in between.

It connects once and does not come back by itself: `Closed.may_reconnect` says whether its owner should.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeVar, cast

import msgspec

from tieline.client import messages
from tieline.client.connection import Connection
from tieline.client.errors import Closed, Unreachable, Unreadable
from tieline.client.inbox import Inbox
from tieline.client.messages import ErrorEvent, Event, Reply
from tieline.client.requests import REPLY_TIMEOUT_S, Requests
from tieline.wire.envelope import Roster, Welcome

Ack = Literal["relayed", "held"]
"""What became of a message: on its way to the target, or kept until the target has answered."""

_ACKS: Final = frozenset(("relayed", "held"))

DataT = TypeVar("DataT")


class Client:
    """A connected user. Made by `connect`; methods may be used by many tasks at once.

    Every method that sends raises `Closed` once the connection has ended; every one that waits for the
    server also `Refused`, `NoReply` and `Unreadable`.
    """

    def __init__(self, connection: Connection, welcome: Welcome, *, acks: bool, timeout_s: float) -> None:
        self.welcome = welcome
        self._connection = connection
        self._acks = acks
        self._requests = Requests(timeout_s)
        self._inbox = Inbox()
        self._closed: Closed | None = None

    @property
    def closed(self) -> Closed | None:
        """How the connection ended; None while it lives."""
        return self._closed

    def events(self) -> AsyncIterator[Event]:
        """Iterate over what others do and the server says, in order, until the connection closes.

        Events that nobody has read yet are kept, without limit. Every event is handed out once: iterating
        again goes on where the last iteration stopped.
        """
        return self._inbox

    async def join(self, room: str) -> Roster:
        """Become a member of a room; returns its members, oneself included."""
        return _data(await self._ask("JOIN", {"room": room}), Roster)

    async def leave(self, room: str) -> None:
        """Stop being a member of a room, whether one was or not."""
        await self._ask("LEAVE", {"room": room})

    async def members(self, room: str) -> Roster:
        """Ask who is in a room one is a member of."""
        return _data(await self._ask("MEMBERS", {"room": room}), Roster)

    async def ping(self, data: object = None) -> object:
        """Ask for the same data back: the way to the gateway and from it works."""
        return _data(await self._ask("PING", data), object)

    async def call(self, to: str, description: object) -> Ack | None:
        """Offer a voice connection to a user; `description` is any JSON, usually `{type, sdp}`.

        With acks, returns when the message is safe. Without, returns None when it is written, and a
        refusal comes later as an `ErrorEvent`. The same holds for the three methods below.
        """
        return await self._signal("WEBRTC_OFFER", to, description)

    async def answer(self, to: str, description: object) -> Ack | None:
        """Accept a user's offer."""
        return await self._signal("WEBRTC_ANSWER", to, description)

    async def candidate(self, to: str, candidate: object) -> Ack | None:
        """Tell a user one way to reach this client; "held" until that user has answered the offer."""
        return await self._signal("WEBRTC_ICE_CANDIDATE", to, candidate)

    async def hangup(self, to: str, reason: str = "hangup") -> Ack | None:
        """End the negotiation with a user: hangup, decline, busy, cancel, or a word of one's own."""
        return await self._signal("WEBRTC_HANGUP", to, {"reason": reason})

    async def close(self) -> None:
        """End the connection with 1000. Leaving the `async with` of `connect` does the same."""
        await self._connection.close()

    async def receive(self) -> None:
        """Take in frames until the connection ends. `connect` runs this; call it from nowhere else."""
        try:
            while True:
                self._take(messages.decode(await self._connection.receive()))
        except Closed as end:
            self._closed = end
            self._requests.give_up(self._another_closed)
        finally:
            self._inbox.end()

    def _take(self, message: Event | Reply) -> None:
        match message:
            case Reply():
                self._requests.answer(message)
            case ErrorEvent():
                if not self._requests.refuse(message):
                    self._inbox.put(message)
            case _:
                self._inbox.put(message)

    async def _signal(self, cmd: str, to: str, data: object) -> Ack | None:
        body = messages.signal_data(self.welcome.user_id, to, data)
        if not self._acks:
            await self._send(messages.encode(self._requests.next_id(), cmd, body))
            return None
        reply = await self._ask(cmd, body)
        if reply.ack not in _ACKS:
            raise Unreadable(f"{reply.ack!r} is no ack of {cmd}")
        return cast("Ack", reply.ack)

    async def _ask(self, cmd: str, data: object) -> Reply:
        request_id = self._requests.next_id()
        frame = messages.encode(request_id, cmd, data)
        async with self._requests.asking(request_id, cmd) as answered:
            await self._send(frame)
            return await answered

    async def _send(self, frame: bytes) -> None:
        longest = self.welcome.max_message_bytes
        if len(frame) > longest:
            # Said here, because the server's way of saying it is to hang up.
            raise ValueError(f"a message of {len(frame)} bytes is longer than the {longest} that are allowed")
        if self._closed is not None:
            raise self._another_closed()
        await self._connection.send(frame)

    def _another_closed(self) -> Closed:
        """Say again how the connection ended; an exception raised twice would mix up its tracebacks."""
        assert self._closed is not None
        return Closed(self._closed.code, self._closed.reason)


@asynccontextmanager
async def connect(
    url: str, token: str, *, acks: bool = True, reply_timeout_s: float = REPLY_TIMEOUT_S
) -> AsyncIterator[Client]:
    """Connect to a gateway as the user of `token`, for as long as the block runs.

    With `acks` every WEBRTC message is confirmed; see `Client.call`. `reply_timeout_s` is for each answer,
    and for the WELCOME.

    Raises:
        Unreachable: no gateway there, or no WELCOME from it in time.
        Denied: the gateway refused the connection.
        Closed: it took the connection and hung up before the WELCOME.
        ValueError: `token` cannot be a token.
    """
    connection = await Connection.open(url, token, acks=acks)
    failure: Exception | None = None
    try:
        welcome = await _welcome(connection, url.partition("?")[0], reply_timeout_s)
        client = Client(connection, welcome, acks=acks, timeout_s=reply_timeout_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.receive())
            try:
                yield client
            except Exception as error:  # raised again below, without the group around it
                failure = error
            finally:
                await connection.close()
    finally:
        await connection.close()
    if failure is not None:
        raise failure


async def _welcome(connection: Connection, url: str, timeout_s: float) -> Welcome:
    try:
        async with asyncio.timeout(timeout_s):
            first = messages.decode(await connection.receive())
    except TimeoutError as error:
        raise Unreachable(f"no welcome from {url} within {timeout_s:g} s") from error
    if not isinstance(first, Reply) or first.cmd != "WELCOME":
        raise Unreachable(f"who answers at {url} does not begin with a welcome")
    try:
        return _data(first, Welcome)
    except Unreadable as error:
        raise Unreachable(f"the welcome from {url} cannot be read: {error}") from error


def _data(reply: Reply, kind: type[DataT]) -> DataT:
    try:
        return msgspec.json.decode(reply.data, type=kind)
    except msgspec.DecodeError as error:
        raise Unreadable(f"the reply to {reply.cmd} is unreadable: {error}") from error
