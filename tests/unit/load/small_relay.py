"""A relay in one function, without tokens, rooms or negotiations: the second kind of `Target`.

And one with as much of them as calls need.
"""

import json
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tieline.load.client import Target

WELCOME = b'{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":null}'


def unchanged(message: bytes) -> list[bytes]:
    return [message]


def unanswered(_message: bytes) -> list[bytes]:
    return []


@asynccontextmanager
async def relaying(
    change: Callable[[bytes], list[bytes]] = unchanged, answer: Callable[[bytes], list[bytes]] = unanswered
) -> AsyncIterator[Target]:
    """Relay between the users of one server.

    `change` makes of a message what is delivered instead, `answer` what its sender gets.
    """
    users: dict[str, ServerConnection] = {}

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        (user,) = parse_qs(urlsplit(connection.request.path).query)["user"]
        users[user] = connection
        try:
            await connection.send(WELCOME, text=True)
            while True:
                message = await connection.recv(decode=False)
                for each in change(message):
                    await users[json.loads(message)["data"]["to"]].send(each, text=True)
                for each in answer(message):
                    await connection.send(each, text=True)
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield Target(url, url)


@asynccontextmanager
async def echoing() -> AsyncIterator[Target]:
    """Send every message back: the third kind of `Target`."""

    async def handle(connection: ServerConnection) -> None:
        try:
            while True:
                await connection.send(await connection.recv(decode=False), text=True)
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        yield Target(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/", None)


@asynccontextmanager
async def meeting(asked: list[tuple[str, str, str]]) -> AsyncIterator[Target]:
    """Relay between members of one room, and hold candidates until there is an answer: the first kind.

    Of each request there is noted whose it is, what it asks for, and the room or the other user.
    """
    users: dict[str, ServerConnection] = {}
    rooms: defaultdict[str, set[str]] = defaultdict(set)
    held: dict[tuple[str, str], list[bytes]] = {}

    async def enter(user: str, cmd: str, room: str, request_id: str) -> None:
        (rooms[room].add if cmd == "JOIN" else rooms[room].remove)(user)
        await users[user].send(json.dumps({"requestId": request_id, "cmd": cmd, "code": 200}))
        if cmd == "JOIN":
            for other in rooms[room] - {user}:
                await users[other].send(json.dumps({"cmd": "MEMBER_JOINED", "data": {"userId": user}}))

    async def signal(user: str, cmd: str, to: str, message: bytes) -> None:
        assert any({user, to} <= members for members in rooms.values())
        if cmd == "WEBRTC_OFFER":
            held[user, to] = []
        if cmd == "WEBRTC_ICE_CANDIDATE" and (user, to) in held:
            held[user, to].append(message)
            return
        for each in (message, *(held.pop((to, user)) if cmd == "WEBRTC_ANSWER" else ())):
            receiver = to if each is message else user
            await users[receiver].send(each, text=True)

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        token = connection.request.headers["Authorization"].removeprefix("Bearer ")
        user = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))["sub"]
        users[user] = connection
        try:
            await connection.send(WELCOME, text=True)
            while True:
                message = await connection.recv(decode=False)
                read = json.loads(message)
                cmd, data = read["cmd"], read["data"]
                asked.append((user, cmd, data.get("room") or data["to"]))
                if cmd in ("JOIN", "LEAVE"):
                    await enter(user, cmd, data["room"], read["requestId"])
                else:
                    await signal(user, cmd, data["to"], message)
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield Target(url, url, "a secret that is long enough for HMAC-SHA256")
