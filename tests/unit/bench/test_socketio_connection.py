"""`bench.socketio_connection`: packets of Socket.IO around messages."""

import asyncio
from contextlib import suppress

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.socketio_connection import QUERY, SocketIoConnection
from tieline.load.client import Target, arrive, leave
from tieline.load.faults import Faults

WELCOME = '{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":null}'
PATIENCE_S = 10


async def test_messages_are_events_and_a_ping_is_answered() -> None:
    heard: list[str | bytes] = []
    answered = asyncio.Event()

    async def handle(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send('0{"sid":"x","pingInterval":25000}')
            heard.append(await connection.recv())
            await connection.send(f'42["m",{WELCOME}]')
            await connection.send("2")
            heard.extend([await connection.recv(), await connection.recv()])
            answered.set()
            await connection.recv()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}{QUERY}"
        client = await arrive(Target(url, url, connection=SocketIoConnection), "ann", url)
        client.connection.send(b'{"a":1}')
        async with asyncio.timeout(PATIENCE_S):
            await answered.wait()
        assert await leave([client]) == Faults()
    assert heard[0] == "40"
    assert set(heard[1:]) == {"3", '42["m",{"a":1}]'}
