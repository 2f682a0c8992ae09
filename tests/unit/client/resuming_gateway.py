"""Gateways on loopback that keep sessions, mailboxes and answers: enough to try a client that resumes.

A token is the user's name and whatever follows a dot: "ann.2" is a later token of ann. All gateways of one
`Exchange` share their users, as gateways share a broker. There are no rules: whoever is written to gets it.
"""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.unit.client.small_gateway import Frame, event, reply, serving, user_of, welcome

REFUSED = 1000
INTERNAL = 500


class Seat:
    """One session: what was sent to it, what it was answered, and its connection while it has one."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.secret = f"{user}&{secrets.token_hex(8)}"
        self.rooms: list[str] = []
        self.mailbox: list[str] = []
        self.answers: dict[str, str] = {}
        self.connection: ServerConnection | None = None
        self.lock = asyncio.Lock()

    async def deliver(self, frame: str) -> None:
        """Keep a frame, and send it if somebody is there."""
        async with self.lock:
            self.mailbox.append(frame)
            await self.send(frame)

    async def send(self, frame: str) -> None:
        if self.connection is not None:
            with suppress(ConnectionClosed):
                await self.connection.send(frame)

    async def replay(self, last: str) -> None:
        names = [json.loads(frame)["requestId"] for frame in self.mailbox]
        start = len(names) - names[::-1].index(last) if last in names else 0
        for frame in self.mailbox[start:]:
            await self.send(frame)


class Exchange:
    """The users of all its gateways, and how they are to be treated."""

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self.queries: list[dict[str, str]] = []
        """Of each connection that was let in."""
        self.tokens: list[str] = []
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        """Every frame as it came, by user."""
        self.closed: list[int | None] = []
        """With which codes clients ended connections, or confirmed the end; None: without a word."""
        self.deaf: set[str] = set()
        """Commands that are not carried out and not answered: they were lost on the way."""
        self.mute: set[str] = set()
        """Commands that are carried out and not answered: the answer was lost on the way."""
        self.refusals: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        """By command: what to answer first, before carrying it out."""
        self.before_welcome: Callable[[Seat], Awaitable[None]] | None = None
        """What happens between the taking up of a session and the first frame about it."""
        self._changed = asyncio.Condition()

    async def until(self, so: Callable[[], object]) -> None:
        """Wait until something is so; looks whenever a frame or a connection has come or gone."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(so)

    async def heard(self, user: str, count: int) -> None:
        """Wait until so many frames of a user have come."""
        await self.until(lambda: len(self.received[user]) >= count)

    async def let_in(self, count: int) -> None:
        """Wait until so many connections have been let in."""
        await self.until(lambda: len(self.queries) >= count)

    async def say(self, user: str, cmd: str, data: object, request_id: str) -> None:
        """Send a user an event."""
        await self.seats[user].deliver(event(cmd, data, request_id))

    async def write(self, sender: str, to: str, *candidates: object) -> None:
        """Send a user candidates of another who is not here."""
        for candidate in candidates:
            data = {"from": sender, "to": to, "data": candidate}
            await self.seats[to].deliver(event("WEBRTC_ICE_CANDIDATE", data, f"{sender}-{candidate}"))

    def cut(self, user: str) -> None:
        """Break a connection without a close frame."""
        connection = self._take_connection(user)
        connection.transport.abort()

    async def close(self, user: str, code: int) -> None:
        """Close a connection."""
        await self._take_connection(user).close(code)

    def _take_connection(self, user: str) -> ServerConnection:
        connection, self.seats[user].connection = self.seats[user].connection, None
        assert connection is not None
        return connection

    def forget(self, user: str) -> None:
        """End a user's session, as when its time has passed."""
        self.seats[user].secret = "none"

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        token = user_of(connection)
        user = token.partition(".")[0]
        asked = parse_qs(urlsplit(connection.request.path).query, keep_blank_values=True)
        query = {name: values[0] for name, values in asked.items()}
        seat = self.seats.get(user)
        resumed = seat is not None and query.get("resume") == seat.secret
        if seat is None or not resumed:
            seat = self.seats[user] = Seat(user)
        await self._seat(seat, connection, query, resumed)
        self.queries.append(query)
        self.tokens.append(token)
        await self._notify()
        try:
            async for text in connection:
                assert isinstance(text, str)
                self.received[user].append(text)
                await self._act(seat, connection, text)
                await self._notify()
        except ConnectionClosed:
            pass
        finally:
            if seat.connection is connection:
                seat.connection = None
            goodbye = connection.protocol.close_rcvd
            self.closed.append(goodbye.code if goodbye else None)
            await self._notify()

    async def _seat(self, seat: Seat, connection: ServerConnection, query: Frame, resumed: bool) -> None:
        async with seat.lock:
            old, seat.connection = seat.connection, connection
            if old is not None:
                await old.close(4500)
            if self.before_welcome is not None:
                await self.before_welcome(seat)
            state = {"resumeToken": seat.secret, "resumed": resumed, "rooms": seat.rooms}
            await seat.send(welcome(seat.user, sessionId=seat.secret[-4:], **state))
            if resumed:
                await seat.replay(query.get("last", ""))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _act(self, seat: Seat, connection: ServerConnection, text: str) -> None:
        frame = json.loads(text)
        cmd = frame["cmd"]
        if cmd in self.deaf:
            return
        if self.refusals[cmd]:
            code, reason = self.refusals[cmd].pop(0)
            answer = reply(frame, None, code=code, msg="no", reason=reason)
        else:
            answer = seat.answers.get(text) or await self._carry_out(seat, frame, text)
        if cmd not in self.mute:
            await connection.send(answer)

    async def _carry_out(self, seat: Seat, frame: Frame, text: str) -> str:
        cmd, data = frame["cmd"], frame["data"]
        match cmd:
            case "JOIN" | "MEMBERS" | "LEAVE":
                room = data["room"]
                others = [name for name in seat.rooms if name != room]
                seat.rooms = others if cmd == "LEAVE" else [*others, room]
                return reply(frame, {"room": room} if cmd == "LEAVE" else self._roster(room))
            case "PING":
                return reply({**frame, "cmd": "PONG"}, data)
        await self.seats[data["to"]].deliver(text)
        seat.answers[text] = reply(frame, None, ack="relayed")
        return seat.answers[text]

    def _roster(self, room: str) -> Frame:
        members = [seat.user for seat in self.seats.values() if room in seat.rooms]
        return {
            "room": room,
            "members": [{"userId": m, "status": "online", "voice": True, "joinedAt": 1} for m in members],
        }


class Door:
    """What one gateway answers to those who knock, before the upgrade."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.knocks: list[float] = []
        """When somebody came, in seconds of the loop."""
        self.denials: list[Response] = []
        """For those who come next, one each."""
        self.url = ""
        self._knock = asyncio.Event()

    def answer(self, _connection: ServerConnection, _request: Request) -> Response | None:
        self.knocks.append(asyncio.get_running_loop().time())
        self._knock.set()
        return self.denials.pop(0) if self.denials else None

    async def knocked(self, times: int) -> None:
        """Wait until somebody came so many times."""
        async with asyncio.timeout(20):
            while len(self.knocks) < times:
                self._knock.clear()
                await self._knock.wait()

    @asynccontextmanager
    async def open(self, exchange: Exchange) -> AsyncIterator[str]:
        """Serve while the block runs, on its port or any."""
        async with serving(exchange.handle, self.answer, self._port) as self.url:
            yield self.url


class Dice:
    """The jitter of a client: always the same number, and told how often it was asked for."""

    def __init__(self, number: float = 0.0) -> None:
        self.number = number
        self._rolls = 0
        self._rolled = asyncio.Event()

    def __call__(self) -> float:
        self._rolls += 1
        self._rolled.set()
        return self.number

    async def rolled(self, times: int) -> None:
        """Wait until it was asked for so many times more."""
        until = self._rolls + times
        async with asyncio.timeout(20):
            while self._rolls < until:
                self._rolled.clear()
                await self._rolled.wait()


def denied(status: int, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = "0"
    return Response(status, HTTPStatus(status).phrase, fields, b"")
