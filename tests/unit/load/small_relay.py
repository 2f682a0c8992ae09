"""A relay in one function, without tokens, rooms or negotiations: the second kind of `Target`."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tieline.load.client import Target

WELCOME = b'{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":null}'


def unchanged(message: bytes) -> list[bytes]:
    return [message]


@asynccontextmanager
async def relaying(change: Callable[[bytes], list[bytes]] = unchanged) -> AsyncIterator[Target]:
    """Relay between the users of one server; `change` makes of a message what is delivered instead."""
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
