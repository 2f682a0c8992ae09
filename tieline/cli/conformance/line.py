"""One connection of a client to a scripted server: what the client sends is looked at, and answered.

What every client may say at any time (PING, ICE_SERVERS, STATUS, its candidates and words of a call) is
answered here; those words, and all else, wait for the scenario.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tieline.cli.conformance.news import News
from tieline.cli.conformance.promises import Broken
from tieline.wire import envelope, replies
from tieline.wire.codes import CLOSE_REASONS, CloseCode, ErrorCode
from tieline.wire.envelope import ClientMessage, Malformed
from tieline.wire.ids import RoomId, SessionId, UserId

USER: Final = "me"
"""Who the client is."""

CUT: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455)."""

OFFER_TIMEOUT_S: Final = 60
"""How long an offer waits, where a scenario says nothing else."""

_PONG_S: Final = 8.0
"""docs/protocol.md#5-errors, 4001."""


class Frame(msgspec.Struct, frozen=True):
    """What a client has sent, as it came and as a server reads it."""

    raw: bytes
    message: ClientMessage

    @property
    def cmd(self) -> str:
        """Its command."""
        return envelope.command_of(self.message)


class Sent:
    """What a client has sent over all its connections: a requestId is used for one frame only."""

    def __init__(self) -> None:
        self._by_id: dict[str, bytes] = {}

    def check(self, frame: Frame) -> None:
        """Raise `Broken` if another frame had this requestId."""
        if self._by_id.setdefault(frame.message.request_id, frame.raw) != frame.raw:
            raise Broken("fresh-ids", f"{frame.message.request_id!r} is that of two messages that differ")


class Line:
    """One connection. `on_broken` is called when a frame breaks a promise, whatever is waited for."""

    def __init__(
        self,
        socket: ServerConnection,
        sent: Sent,
        on_broken: Callable[[Broken], None],
        next_place: Callable[[], str],
        news: News,
    ) -> None:
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query, keep_blank_values=True)
        self.options = {name: values[0] for name, values in query.items()}
        """What stands in the URL."""
        self.token = _token(socket, self.options)
        self._socket = socket
        self._sent = sent
        self._on_broken = on_broken
        self._next_place = next_place
        self._news = news
        self._frames: deque[Frame] = deque()
        self._is_over = False
        self._is_older = False
        self._events = 0
        self.ended = asyncio.Event()

    def has(self, option: str) -> bool:
        """Whether the client has said an option that is 1."""
        return self.options.get(option) == "1"

    @property
    def has_places(self) -> bool:
        """Whether what the client is sent has places."""
        return self.has("place") and not self._is_older

    @property
    def names_calls(self) -> bool:
        """Whether calls have names on it."""
        return self.has("calls") and not self._is_older

    @property
    def can_resume(self) -> bool:
        """Whether the client says that it can."""
        return "resume" in self.options

    @property
    def code(self) -> int:
        """How the connection ended, once it has."""
        return self._socket.close_code or CUT

    async def read(self) -> None:
        """Look at what comes, until the connection ends."""
        with suppress(ConnectionClosed):
            async for raw in self._socket:
                try:
                    await self._take(raw)
                except Broken as broken:
                    self._on_broken(broken)
                    self._is_over = True  # the scenario waits for nothing more
                self._news.tell()
        self.ended.set()
        self._is_over = True
        self._news.tell()

    async def _take(self, raw: str | bytes) -> None:
        if isinstance(raw, bytes):
            raise Broken("text-frames", f"a binary frame of {len(raw)} bytes")
        encoded = raw.encode(errors="surrogatepass")
        message = envelope.decode(encoded)
        if isinstance(message, Malformed):
            raise Broken("well-formed", f"a server refuses this with {message.refusal.reason}: {raw[:200]}")
        frame = Frame(encoded, message)
        self._sent.check(frame)
        if isinstance(message, envelope.Signal) and message.data.sender != USER:
            raise Broken(
                "own-name", f"{frame.cmd} has the `from` {message.data.sender!r}, and the user is {USER!r}"
            )
        match message:
            case envelope.Ping(data=data):
                await self.reply(frame, data)
            case envelope.IceServers():
                await self.reply(frame, replies.IceServerList(ice_servers=(), ttl=3600))
            case envelope.Status(data=body):
                await self.reply(frame, replies.StatusSet(in_call=body.in_call))
            case envelope.Candidate():
                await self.acknowledge(frame)
            case envelope.Info():
                await self.acknowledge(frame)
                self._frames.append(frame)
            case _:
                self._frames.append(frame)

    async def next(
        self, patience_s: float, *cmds: str, unless: Callable[[], bool] = lambda: False
    ) -> Frame | None:
        """Wait for the next frame of one of these commands, leaving out what comes before.

        None: none comes in time, or over this connection, or `unless` has become true before.
        """
        found: list[Frame] = []

        def is_here() -> bool:
            while self._frames and not found:
                frame = self._frames.popleft()
                found.extend([frame] if frame.cmd in cmds else [])
            return bool(found) or self._is_over or unless()

        await self._news.until(is_here, patience_s)
        return found[0] if found else None

    async def send(self, frame: bytes) -> None:
        """Send a frame as it is; to a client that has gone, nothing."""
        with suppress(ConnectionClosed):
            await self._socket.send(frame, text=True)

    async def welcome(
        self,
        *,
        session: str,
        resumed: bool = False,
        rooms: tuple[str, ...] = (),
        offer_timeout_s: int = OFFER_TIMEOUT_S,
        is_older: bool = False,
    ) -> None:
        """Say the first word, of a session with this resumeToken; it has a field that no client knows.

        From there on a server that `is_older`, of version 0.1, names neither places nor calls.
        """
        self._is_older = is_older
        data = msgspec.to_builtins(
            replies.Welcome(
                user_id=UserId(USER),
                session_id=SessionId("public"),
                resume_token=session,
                resumed=resumed,
                rooms=tuple(map(RoomId, rooms)),
                resume_window=30,
                ping_interval=25,
                max_message_bytes=envelope.MAX_MESSAGE_BYTES,
                offer_timeout=offer_timeout_s if self.names_calls else msgspec.UNSET,
            )
        )
        await self.event("WELCOME", data | {"sinceVersion9": {"a": [1]}}, request_id="")

    async def event(self, cmd: str, data: object, *, request_id: str | None = None) -> bytes:
        """Say something of the server's own; returns the frame without its place, to be said again."""
        self._events += 1
        name = f"e{id(self):x}-{self._events}" if request_id is None else request_id
        frame = replies.success(name, cmd, data)
        await self.mail(frame)
        return frame

    async def mail(self, frame: bytes) -> None:
        """Send what has a place, where the client wants places."""
        await self.send(
            b'{"place":"%s",' % self._next_place().encode() + frame[1:] if self.has_places else frame
        )

    async def say(self, cmd: str, sender: str, data: object, call: str = "", request_id: str = "") -> bytes:
        """Send a message of another user to the client."""
        self._events += 1
        body: dict[str, object] = {"from": sender, "to": USER, "data": data}
        if call and self.names_calls:
            body["call"] = call
        return await self.event(cmd, body, request_id=request_id or f"{sender}-{id(self):x}-{self._events}")

    async def reply(self, frame: Frame, data: object) -> None:
        """Answer a command."""
        await self.send(replies.success(frame.message.request_id, envelope.COMMANDS[frame.cmd].reply, data))

    async def acknowledge(
        self, frame: Frame, call: str = "", kind: Literal["relayed", "held"] = "relayed"
    ) -> None:
        """Say that a message is safe, to a client that wants to hear that."""
        if not self.has("acks"):
            return
        named = call if self.names_calls else ""
        status = "online" if named and frame.cmd == "WEBRTC_OFFER" else ""
        await self.send(replies.ack(frame.message.request_id, frame.cmd, kind, named, status))

    async def refuse(self, frame: Frame, refusal: ErrorCode) -> None:
        """Refuse a message."""
        await self.send(replies.error(frame.message.request_id, frame.cmd, refusal))

    async def check_pong(self) -> None:
        """Ping the client, and wait for its answer."""
        try:
            async with asyncio.timeout(_PONG_S):
                await (await self._socket.ping())
        except (TimeoutError, ConnectionClosed):
            raise Broken("pong", f"no answer to a ping within {_PONG_S:g} s") from None

    async def close(self, code: CloseCode) -> None:
        """Close with a code."""
        await self._socket.close(code, CLOSE_REASONS[code])

    def cut(self) -> None:
        """End the connection without a word."""
        self._socket.transport.abort()


def _token(socket: ServerConnection, options: dict[str, str]) -> str:
    """Read the token where a gateway looks for it (docs/protocol.md#1-connecting)."""
    assert socket.request is not None
    headers = socket.request.headers
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    offered = [each.strip() for line in headers.get_all("Sec-WebSocket-Protocol") for each in line.split(",")]
    named = [each.removeprefix("bearer.") for each in offered if each.startswith("bearer.")]
    return named[0] if named else options.get("token", "")
