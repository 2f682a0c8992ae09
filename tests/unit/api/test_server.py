"""An application on a real socket."""

import asyncio

import httpx
import pytest
from litestar import get, post

from api.app import make_app
from api.authority import Authority
from api.requests import Ask, is_there
from api.server import serving
from api.signed_tokens import SignedTokens
from tests.support.waiting import PATIENCE_S
from tieline.runtime.settings import SettingsError


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


async def test_it_is_served_while_the_block_runs() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}/v1/hello"
        assert (await client.get(url)).text == "hello"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


@pytest.mark.parametrize(
    "begun", [b"", b"G", b"GET /v1/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_who_sends_no_whole_request_keeps_no_place(begun: bytes) -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0, request_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        async with asyncio.timeout(PATIENCE_S):
            while await reader.read(1000):
                pass
        writer.close()


async def test_a_connection_waits_longer_for_its_next_request() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    request = b"GET /v1/hello HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(app, "127.0.0.1", 0, request_s=0.2) as port:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            assert await idle.read() == b""  # all the time for a request has passed
            writer.write(request)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        idle_writer.close()
        writer.close()


async def test_a_request_knows_whether_its_caller_still_waits() -> None:
    has_come, said = asyncio.Event(), asyncio.Queue[bool]()

    @post("/wait")
    async def wait(request: Ask) -> None:
        waits = is_there(request)
        await said.put(waits())
        has_come.set()
        async with asyncio.timeout(PATIENCE_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
        await said.put(waits())

    async with serving(make_app(Authority([], SignedTokens([])), [wait]), "127.0.0.1", 0) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/wait HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            await has_come.wait()
            writer.close()
            assert [await said.get(), await said.get()] == [True, False]


async def test_a_port_that_is_taken_is_named() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(SettingsError, match=f"TIELINE_API_PORT: cannot listen on 127.0.0.1, port {port}"):
            async with serving(app, "127.0.0.1", port):
                pass
