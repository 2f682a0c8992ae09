"""Gateways on loopback with sessions, mailboxes and remembered answers: enough to test a client that resumes.

A token is the user's name, with or without a dot and a number: "ann.2" is a later token of ann. All gateways
of one `Backend` share their users, as gateways share a broker. There are no rules: every signal is relayed.
The tests of the browser's client use them too. Simpler ones without resuming are in `minimal_gateway`.
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

from tests.unit.client.minimal_gateway import Frame, event, reply, serving, user_of, welcome

REFUSED = 1000
INTERNAL = 500


class StoredSession:
    """One session: what was sent to it, what it was answered, and its connection while it has one."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.secret = f"{user}&{secrets.token_hex(8)}"
        self.rooms: list[str] = []
        self.mailbox: list[str] = []
        self.answers: dict[str, str] = {}
        self.connection: ServerConnection | None = None
        self.lock = asyncio.Lock()
        self.names_places = False
        """Whether the connection that it has is told the place of each message."""

    async def deliver(self, frame: str) -> None:
        """Keep a frame, and send it if there is a connection."""
        async with self.lock:
            self.mailbox.append(frame)
            await self.send(self._placed(len(self.mailbox)))

    async def send(self, frame: str) -> None:
        if self.connection is not None:
            with suppress(ConnectionClosed):
                await self.connection.send(frame)

    def _placed(self, number: int) -> str:
        frame = self.mailbox[number - 1]
        return f'{{"place":"{number}",{frame[1:]}' if self.names_places else frame

    async def replay(self, last: str, place: str) -> None:
        names = [json.loads(frame)["requestId"] for frame in self.mailbox]
        start = len(names) - names[::-1].index(last) if last in names else 0
        if self.names_places and place:
            start = int(place)
        for number in range(start, len(self.mailbox)):
            await self.send(self._placed(number + 1))


class Backend:
    """The users of all its gateways, and what is to go wrong for them."""

    def __init__(self) -> None:
        self.sessions: dict[str, StoredSession] = {}
        self.queries: list[dict[str, str]] = []
        """Of each connection that was let in."""
        self.tokens: list[str] = []
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        """Every frame as it came, by user."""
        self.closed: list[int | None] = []
        """The close codes that clients sent; None for a connection that broke."""
        self.ignored: set[str] = set()
        """Commands that are neither carried out nor answered, as if the message were lost."""
        self.unanswered: set[str] = set()
        """Commands that are carried out and not answered, as if the answer were lost."""
        self.refusals: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        """By command: what to answer first, before carrying it out."""
        self.lists: list[Frame] = []
        """What to answer to the next JOIN and MEMBERS, one each, instead of who is there."""
        self.names_places = False
        """Whether it names places to who asks; servers of version 0.1 do not."""
        self.welcoming: Frame = {}
        """What each WELCOME says beside the usual."""
        self.before_welcome: Callable[[StoredSession], Awaitable[None]] | None = None
        """What happens between the taking up of a session and the first frame about it."""
        self._changed = asyncio.Condition()

    async def until(self, so: Callable[[], object]) -> None:
        """Wait until a condition holds; looks whenever a frame or a connection has come or gone."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(so)

    async def received_from(self, user: str, count: int) -> None:
        """Wait until so many frames of a user have come."""
        await self.until(lambda: len(self.received[user]) >= count)

    async def let_in(self, count: int) -> None:
        """Wait until so many connections have been let in."""
        await self.until(lambda: len(self.queries) >= count)

    async def say(self, user: str, cmd: str, data: object, request_id: str) -> None:
        """Send a user an event."""
        await self.sessions[user].deliver(event(cmd, data, request_id))

    async def answer(self, user: str, data: object) -> None:
        """Answer a user's last message, whose command is among the ignored."""
        await self.sessions[user].send(reply(json.loads(self.received[user][-1]), data))

    async def write(self, sender: str, to: str, *candidates: object) -> None:
        """Send a user candidates of another, who need not be connected."""
        for candidate in candidates:
            data = {"from": sender, "to": to, "data": candidate}
            await self.sessions[to].deliver(event("WEBRTC_ICE_CANDIDATE", data, f"{sender}-{candidate}"))

    def cut(self, user: str) -> None:
        """Break a connection without a close frame."""
        connection = self._take_connection(user)
        connection.transport.abort()

    async def break_off(self, session: StoredSession) -> None:
        """Break a connection instead of its WELCOME. It is for `before_welcome`, and happens once."""
        self.before_welcome = None
        assert session.connection is not None
        session.connection.transport.abort()

    async def close(self, user: str, code: int) -> None:
        """Close a connection."""
        await self._take_connection(user).close(code)

    def _take_connection(self, user: str) -> ServerConnection:
        connection, self.sessions[user].connection = self.sessions[user].connection, None
        assert connection is not None
        return connection

    def forget(self, user: str) -> None:
        """End a user's session, as when its time has passed."""
        self.sessions[user].secret = "none"

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        token = user_of(connection)
        user = token.partition(".")[0]
        asked = parse_qs(urlsplit(connection.request.path).query, keep_blank_values=True)
        query = {name: values[0] for name, values in asked.items()}
        session = self.sessions.get(user)
        resumed = session is not None and query.get("resume") == session.secret
        if session is None or not resumed:
            session = self.sessions[user] = StoredSession(user)
        await self._take_up(session, connection, query, resumed)
        self.queries.append(query)
        self.tokens.append(token)
        await self._notify()
        try:
            async for text in connection:
                assert isinstance(text, str)
                self.received[user].append(text)
                await self._act(session, connection, text)
                await self._notify()
        except ConnectionClosed:
            pass
        finally:
            if session.connection is connection:
                session.connection = None
            goodbye = connection.protocol.close_rcvd
            self.closed.append(goodbye.code if goodbye else None)
            await self._notify()

    async def _take_up(
        self, session: StoredSession, connection: ServerConnection, query: Frame, resumed: bool
    ) -> None:
        async with session.lock:
            old, session.connection = session.connection, connection
            if old is not None:
                await old.close(4500)
            if self.before_welcome is not None:
                await self.before_welcome(session)
            state = {"resumeToken": session.secret, "resumed": resumed, "rooms": session.rooms}
            state |= self.welcoming
            first = welcome(session.user, sessionId=session.secret[-4:], **state)
            session.names_places = self.names_places and query.get("place") == "1"
            place = query.get("lastPlace", "")
            if session.names_places:
                first = f'{{"place":"{place or 0}",{first[1:]}'
            await session.send(first)
            if resumed:
                await session.replay(query.get("last", ""), place)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _act(self, session: StoredSession, connection: ServerConnection, text: str) -> None:
        frame = json.loads(text)
        cmd = frame["cmd"]
        if cmd in self.ignored:
            return
        if self.refusals[cmd]:
            code, reason = self.refusals[cmd].pop(0)
            answer = reply(frame, None, code=code, msg="no", reason=reason)
        else:
            answer = session.answers.get(text) or await self._carry_out(session, frame, text)
        if cmd not in self.unanswered:
            await connection.send(answer)

    async def _carry_out(self, session: StoredSession, frame: Frame, text: str) -> str:
        cmd, data = frame["cmd"], frame["data"]
        match cmd:
            case "JOIN" | "MEMBERS" | "LEAVE":
                room = data["room"]
                others = [name for name in session.rooms if name != room]
                session.rooms = others if cmd == "LEAVE" else [*others, room]
                if cmd == "LEAVE":
                    return reply(frame, {"room": room})
                return reply(frame, self.lists.pop(0) if self.lists else self._roster(room))
            case "PING":
                return reply({**frame, "cmd": "PONG"}, data)
        await self.sessions[data["to"]].deliver(text)
        session.answers[text] = reply(frame, None, ack="relayed")
        return session.answers[text]

    def _roster(self, room: str) -> Frame:
        members = [session.user for session in self.sessions.values() if room in session.rooms]
        return {
            "room": room,
            "members": [{"userId": m, "status": "online", "voice": True, "joinedAt": 1} for m in members],
        }


class Gateway:
    """One gateway of a backend: where it listens, and what it answers before the upgrade."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.attempts: list[float] = []
        """When each client tried to connect, in seconds of the event loop."""
        self.http_refusals: list[Response] = []
        """For the next attempts, one each."""
        self.url = ""
        self._attempt = asyncio.Event()

    def answer(self, _connection: ServerConnection, _request: Request) -> Response | None:
        self.attempts.append(asyncio.get_running_loop().time())
        self._attempt.set()
        return self.http_refusals.pop(0) if self.http_refusals else None

    async def attempted(self, times: int) -> None:
        """Wait until clients have tried to connect so many times."""
        async with asyncio.timeout(20):
            while len(self.attempts) < times:
                self._attempt.clear()
                await self._attempt.wait()

    @asynccontextmanager
    async def open(self, backend: Backend) -> AsyncIterator[str]:
        """Serve while the block runs, on its port or any."""
        async with serving(backend.handle, self.answer, self._port) as self.url:
            yield self.url


class FixedJitter:
    """The jitter of a client: always the same number. Counts how often it is asked for."""

    def __init__(self, number: float = 0.0) -> None:
        self.number = number
        self._count = 0
        self._asked = asyncio.Event()

    def __call__(self) -> float:
        self._count += 1
        self._asked.set()
        return self.number

    async def asked(self, times: int) -> None:
        """Wait until it was asked for so many times more."""
        until = self._count + times
        async with asyncio.timeout(20):
            while self._count < until:
                self._asked.clear()
                await self._asked.wait()


def denied(status: int, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = "0"
    return Response(status, HTTPStatus(status).phrase, fields, b"")
