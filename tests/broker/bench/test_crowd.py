"""`bench.crowd`: connections that another process holds."""

import asyncio
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bench.crowd import crowd
from bench.systems import StartError
from tieline.load.client import Target

WELCOME = '{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":null}'
SECRET = "a secret that is long enough for HMAC-SHA256"
PATIENCE_S = 20


class Door:
    """A server that welcomes, but for the first it refuses."""

    def __init__(self, refused: int = 0) -> None:
        self.here = 0
        self.empty = asyncio.Event()
        self._refused = refused

    def answer(self, connection: ServerConnection, _request: Request) -> Response | None:
        self._refused -= 1
        return connection.respond(503, "busy") if self._refused >= 0 else None

    async def handle(self, connection: ServerConnection) -> None:
        self.here += 1
        await connection.send(WELCOME)
        with suppress(ConnectionClosed):
            await connection.recv()
        self.here -= 1
        if not self.here:
            self.empty.set()


@pytest.mark.parametrize("refused", [0, 1])
async def test_all_are_there_while_the_block_runs_and_gone_after(refused: int) -> None:
    door = Door(refused)
    async with serve(door.handle, "127.0.0.1", 0, process_request=door.answer, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        async with crowd(Target(url, url, SECRET), 3):
            assert door.here == 3
        async with asyncio.timeout(PATIENCE_S):
            await door.empty.wait()


async def test_a_process_that_cannot_hold_them_is_noticed() -> None:
    url = "ws://127.0.0.1:1/ws"
    with pytest.raises(StartError, match="only 0 of 3 connections"):
        async with crowd(Target(url, url, secret=""), 3):
            pass  # without a secret it does not try
