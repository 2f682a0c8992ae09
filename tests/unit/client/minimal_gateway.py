"""A gateway on loopback with rooms, relay and held candidates: enough of the protocol to test the client.

A token is simply the user's name. Two of these may share a `MinimalGateway`, as two gateways share a broker.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.support.accepting import stop_accepting

Handler = Callable[[ServerConnection], Awaitable[None]]
Frame = dict[str, Any]
ResultT = TypeVar("ResultT")

REFUSALS = {
    "ROOM_FORBIDDEN": "没有权限加入该房间",
    "BAD_TOKEN": "令牌无效",
    "TARGET_OFFLINE": "目标用户不在线",
    "NO_MATCHING_OFFER": "没有对应的连接请求",
}


def welcome(user: str, **more: object) -> str:
    data = {
        "userId": user,
        "sessionId": f"session-of-{user}",
        "resumeToken": "secret",
        "resumed": False,
        "rooms": [],
        "resumeWindow": 30,
        "pingInterval": 25,
        "maxMessageBytes": 65536,
        **more,
    }
    return reply({"requestId": "", "cmd": "WELCOME"}, data)


def reply(request: Frame, data: object, **more: object) -> str:
    envelope = {"requestId": request["requestId"], "module": "ROOM", "cmd": request["cmd"]}
    return json.dumps({**envelope, "code": 200, "msg": "success", "data": data, **more})


def event(cmd: str, data: object, request_id: str = "made-by-the-server") -> str:
    return reply({"requestId": request_id, "cmd": cmd}, data)


def error(request: Frame, reason: str) -> str:
    return reply(request, None, code=1000, msg=REFUSALS[reason], reason=reason)


def user_of(connection: ServerConnection) -> str:
    assert connection.request is not None
    headers = connection.request.headers
    bearer = headers.get("Sec-WebSocket-Protocol", "").rpartition("bearer.")[2]  # a browser's only way
    return bearer or headers["Authorization"].removeprefix("Bearer ")


def _subprotocol(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((name for name in offered if name == "tieline.v1"), None)


@asynccontextmanager
async def serving(
    handler: Handler,
    answer: Callable[[ServerConnection, Request], Response | None] | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """Serve `handler` while the block runs; gives the URL. `answer` may refuse over HTTP."""
    server: Server
    async with serve(
        handler,
        "127.0.0.1",
        port,
        process_request=answer,
        select_subprotocol=_subprotocol,
        compression=None,
    ) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        await stop_accepting(server)


class MinimalGateway:
    """What is behind one or two listening gateways. The rooms named in `forbidden` refuse everyone."""

    def __init__(self) -> None:
        self.received: list[Frame] = []
        self.unanswered: asyncio.Queue[Frame] = asyncio.Queue()
        """Frames of the commands in `ignored`, for a test that answers them itself."""
        self.forbidden: set[str] = set()
        self.ignored: set[str] = set()
        """Commands that get no answer."""
        self.change: Callable[[Frame], list[Frame]] = lambda frame: [frame]
        """What a relay makes of a signal: another one, several, none, for a test in which it is faulty."""
        self.ice_servers: list[Frame] = []
        self.welcoming: Frame = {}
        """What each WELCOME says beside the usual."""
        self._connections: dict[str, ServerConnection] = {}
        self._rooms: defaultdict[str, list[str]] = defaultdict(list)
        self._waiting: set[tuple[str, str]] = set()
        self._established: set[frozenset[str]] = set()
        self._held: defaultdict[tuple[str, str], list[Frame]] = defaultdict(list)

    async def handle(self, connection: ServerConnection) -> None:
        user = user_of(connection)
        self._connections[user] = connection
        await connection.send(welcome(user, **self.welcoming))
        try:
            async for text in connection:
                frame = json.loads(text)
                self.received.append(frame)
                if frame["cmd"] in self.ignored:
                    self.unanswered.put_nowait(frame)
                else:
                    await self._act(user, connection, frame)
        except ConnectionClosed:
            pass
        finally:
            del self._connections[user]

    async def close(self, user: str, code: int, reason: str = "") -> None:
        await self._connections[user].close(code, reason)

    def vanish(self, user: str) -> None:
        """Break the connection without a close frame."""
        self._connections[user].transport.abort()

    async def send(self, user: str, frame: str) -> None:
        await self._connections[user].send(frame)

    async def _act(self, user: str, connection: ServerConnection, frame: Frame) -> None:
        match frame["cmd"]:
            case "JOIN" if frame["data"]["room"] in self.forbidden:
                await connection.send(error(frame, "ROOM_FORBIDDEN"))
            case "JOIN":
                room = frame["data"]["room"]
                others, self._rooms[room] = self._rooms[room], [*self._rooms[room], user]
                await connection.send(reply(frame, self._roster(room)))
                for other in others:
                    await self.send(other, event("MEMBER_JOINED", {"room": room, "userId": user}))
            case "MEMBERS":
                await connection.send(reply(frame, self._roster(frame["data"]["room"])))
            case "LEAVE":
                room = frame["data"]["room"]
                self._rooms[room] = [member for member in self._rooms[room] if member != user]
                await connection.send(reply(frame, {"room": room}))
            case "PING":
                await connection.send(reply({**frame, "cmd": "PONG"}, frame["data"]))
            case "ICE_SERVERS":
                await connection.send(reply(frame, {"iceServers": self.ice_servers, "ttl": 600}))
            case "REFRESH_TOKEN" if frame["data"]["token"] == "bad":
                await connection.send(error(frame, "BAD_TOKEN"))
            case "REFRESH_TOKEN":
                await connection.send(reply(frame, {"expiresAt": 1_700_000_000_000}))
            case _:
                await self._signal(connection, frame)

    def _roster(self, room: str) -> Frame:
        members = self._rooms[room]
        return {
            "room": room,
            "members": [{"userId": m, "status": "online", "voice": True, "joinedAt": 1} for m in members],
        }

    async def _signal(self, connection: ServerConnection, frame: Frame) -> None:
        way = (frame["data"]["from"], frame["data"]["to"])
        back = (way[1], way[0])
        ack = "relayed"
        if way[1] not in self._connections:
            await connection.send(error(frame, "TARGET_OFFLINE"))
            return
        match frame["cmd"]:
            case "WEBRTC_OFFER":
                self._waiting.add(way)
                await self._relay(frame)
            case "WEBRTC_ANSWER" if back in self._waiting:
                self._waiting.discard(back)
                self._established.add(frozenset(way))
                for due in (frame, *self._held.pop(back, ()), *self._held.pop(way, ())):
                    await self._relay(due)
            case "WEBRTC_ICE_CANDIDATE" if frozenset(way) in self._established:
                await self._relay(frame)
            case "WEBRTC_ICE_CANDIDATE" if way in self._waiting or back in self._waiting:
                ack = "held"
                self._held[way].append(frame)
            case "WEBRTC_HANGUP":
                self._established.discard(frozenset(way))
                await self._relay(frame)
            case _:
                await connection.send(error(frame, "NO_MATCHING_OFFER"))
                return
        assert connection.request is not None
        if "acks=1" in connection.request.path:
            await connection.send(reply(frame, None, ack=ack))

    async def _relay(self, frame: Frame) -> None:
        for changed in self.change(frame):
            await self.send(frame["data"]["to"], json.dumps(changed))
