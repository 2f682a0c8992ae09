"""An application on a real socket."""

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

import httpx
import pytest
from litestar import get, post

from api.app import make_app
from api.authority import Authority, demands
from api.requests import Ask, is_there
from api.server import IS_THERE, MOST_AT_ONCE, most_at_once, serving
from api.signed_tokens import SignedTokens
from tests.support.waiting import PATIENCE_S, until
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


@get("/much", sync_to_thread=False)
def much() -> str:
    return "much " * 2_000_000


@pytest.mark.parametrize(
    ("size", "more"), [(10_000_000, ""), (60_000, ""), (60_000, "Connection: close\r\n")]
)
async def test_who_reads_no_answer_keeps_no_place(size: int, more: str) -> None:
    serving_it = asyncio.Queue[Any]()

    @get("/unread")
    async def unread(request: Ask) -> str:
        connection = request.scope["extensions"][IS_THERE]["do"].__self__  # type: ignore[index,union-attr]
        connection.timeout_keep_alive = 0.1
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        await serving_it.put(connection)
        return "x" * size

    app = make_app(Authority([], SignedTokens([])), [unread])
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        caller.setblocking(False)
        async with serving(app, "127.0.0.1", 0, unread_s=0.3) as port:
            await asyncio.get_running_loop().sock_connect(caller, ("127.0.0.1", port))
            caller.send(f"GET /v1/unread HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())
            async with asyncio.timeout(PATIENCE_S):
                connection = await serving_it.get()
            assert connection in connection.connections
            await until(lambda: connection not in connection.connections)


@post("/kept", opt=demands("messages:write"))
async def kept(request: Ask) -> None:
    await request.json()


BEGUN: Final = b"POST /v1/kept HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("is_answered_first", [True, False])
async def test_a_body_that_is_none_is_answered_once(
    is_answered_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(make_app(Authority([], SignedTokens([])), [kept]), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            if is_answered_first:
                writer.write(BEGUN)
                assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
                writer.write(b"no chunk\r\n")
            else:
                writer.write(BEGUN + b"no chunk\r\n")
                assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400")
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_body_that_nobody_wants_is_not_parsed_for_good() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello, kept])
    async with serving(app, "127.0.0.1", 0, request_s=0.5) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BEGUN)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
            for _ in range(64):
                writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\nGET /v1/hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()


async def test_a_connection_is_used_again_behind_a_body_that_nobody_wanted() -> None:
    async with serving(make_app(Authority([], SignedTokens([])), [hello, kept]), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BEGUN)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
            writer.write(b"5\r\nhello\r\n0\r\n\r\nGET /v1/hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")
        writer.close()


@post("/taken")
async def taken(request: Ask) -> str:
    return f"{len(await request.body())} bytes"


HELLO: Final = b"GET /v1/hello HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"GET /v1/hello HTTP/1.1\r\n",
        b"POST /v1/taken HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
    ],
)
async def test_who_sends_no_whole_request_behind_another_keeps_no_place(begun: bytes) -> None:
    app = make_app(Authority([], SignedTokens([])), [hello, taken])
    async with serving(app, "127.0.0.1", 0, request_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO + begun)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()


async def test_what_comes_behind_an_unwanted_body_is_wanted() -> None:
    app = make_app(Authority([], SignedTokens([])), [kept, taken])
    async with serving(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/kept HTTP/1.1\r\nHost: a\r\nContent-Length: 131000\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
            next_one = b"POST /v1/taken HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(
                100_000
            )
            writer.write(bytes(131_000) + next_one)
            assert b"HTTP/1.1 201" in await reader.readuntil(b"100000 bytes")
            head = b"POST /v1/kept HTTP/1.1\r\nHost: a\r\nContent-Length: 99000\r\n\r\n"
            writer.write(head)
            for _ in range(3):
                assert b"HTTP/1.1 401" in await reader.readuntil(b"\r\n\r\n")
                writer.write(bytes(99_000) + head)
        writer.close()


async def test_a_connection_waits_longer_behind_a_body_that_nobody_wanted() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello, kept])
    async with serving(app, "127.0.0.1", 0, request_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BEGUN)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401")
            writer.write(b"5\r\nhello\r\n0\r\n\r\n")
            idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            assert await idle.read() == b""  # all the time for a request has passed
            writer.write(HELLO)
            assert b"HTTP/1.1 200" in await reader.readuntil(b"hello")
        idle_writer.close()
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Wait for the end of a connection; returns what was said before."""
    with contextlib.suppress(ConnectionError):
        return await reader.read()
    return b""


@pytest.mark.parametrize("says", [b"", b"G", HELLO], ids=["nothing", "a letter", "a request"])
async def test_who_asks_nothing_more_makes_room_for_others(says: bytes) -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0, most=4) as port, asyncio.timeout(PATIENCE_S):
        silent = []
        for _ in range(9):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(says)
            if says == HELLO:
                assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            silent.append((reader, writer))
        for reader, writer in silent[:6]:  # those who fell silent first
            assert await ended(reader) == b""
            writer.close()
        for reader, writer in silent[6:]:
            writer.write(HELLO.removeprefix(says) if says != HELLO else HELLO)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_many_who_come_at_the_same_moment_keep_nobody_out() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0, most=4) as port, asyncio.timeout(PATIENCE_S):
        silent = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(20)))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HELLO)
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()
        for _, writer in silent:
            writer.close()


async def test_where_all_connections_are_asked_others_are_told_so() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello, taken])
    async with serving(app, "127.0.0.1", 0, most=4) as port, asyncio.timeout(PATIENCE_S):
        lines = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/taken HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n")
            writer.write(b"Content-Length: 1\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            lines.append((reader, writer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines.append((reader, writer))
        writer.write(HELLO)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503")
        for reader, writer in lines[:3]:
            writer.write(b"x")
            assert b"1 bytes" in await reader.readuntil(b"bytes")
        for _, writer in lines:
            writer.close()


@pytest.mark.parametrize(("sockets", "most"), [(896, 716), (1_000_000, MOST_AT_ONCE), (50, 40)])
def test_there_are_no_more_connections_than_descriptors_for_them(sockets: int, most: int) -> None:
    assert most_at_once(sockets) == most


@pytest.mark.parametrize(
    "more",
    ["Content-Length: 44\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"],
)
async def test_a_request_with_two_lengths_is_refused_and_the_last_one(more: str) -> None:
    async with serving(make_app(Authority([], SignedTokens([])), [hello, taken]), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /v1/taken HTTP/1.1\r\nHost: a\r\n{more}\r\n\r\n0\r\n\r\n".encode() + HELLO)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 400")
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()


async def test_who_reads_an_answer_slowly_gets_it_whole() -> None:
    app = make_app(Authority([], SignedTokens([])), [much])
    async with serving(app, "127.0.0.1", 0, unread_s=PATIENCE_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(b"GET /v1/much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).endswith(b"much " * 1_000)
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


@pytest.mark.parametrize(
    "said",
    ["nonsense\r\n\r\n", "GET /v1/hello HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tea\r\n\r\n"],
)
async def test_strangers_write_nothing_into_the_log(said: str, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said.encode())
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 ")
        writer.close()
    assert caplog.records == []


async def test_a_port_that_is_taken_is_named() -> None:
    app = make_app(Authority([], SignedTokens([])), [hello])
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(SettingsError, match=f"TIELINE_API_PORT: cannot listen on 127.0.0.1, port {port}"):
            async with serving(app, "127.0.0.1", port):
                pass
