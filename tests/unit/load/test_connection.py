"""`tieline.load.connection`: against the servers of websockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.support.certificates import self_signed
from tests.support.waiting import within
from tieline.load.connection import UpgradeRefused, connect


@asynccontextmanager
async def serving(
    handle: Callable[[ServerConnection], Awaitable[None]],
    answer: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    async with serve(handle, "127.0.0.1", 0, process_request=answer, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws?user=ann"


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_text_goes_both_ways() -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()
    async with serving(echo) as url:
        connection = await connect(url, came.put_nowait)
        for text in (b"first", "第二".encode(), b"x" * 70_000):
            connection.send(text)
            assert await within(came.get()) == text
        await connection.close()


async def test_the_request_has_the_path_and_the_headers() -> None:
    asked: list[Request] = []

    def answer(_connection: ServerConnection, request: Request) -> None:
        asked.append(request)

    async with serving(echo, answer) as url:
        connection = await connect(url, lambda _: None, {"Authorization": "Bearer t"})
        await connection.close()
    (request,) = asked
    assert request.path == "/ws?user=ann"
    assert request.headers["Authorization"] == "Bearer t"


async def test_a_refused_upgrade_is_told_with_its_first_line() -> None:
    def answer(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(403, "no")

    async with serving(echo, answer) as url:
        with pytest.raises(UpgradeRefused, match=r"HTTP/1\.1 403 Forbidden"):
            await connect(url, lambda _: None)


async def test_a_refusal_of_tieline_is_told_with_its_reason() -> None:
    def answer(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(401, '{"code":401,"msg":"令牌无效","reason":"UNAUTHORIZED"}')

    async with serving(echo, answer) as url:
        with pytest.raises(UpgradeRefused, match=r"HTTP/1\.1 401 Unauthorized, UNAUTHORIZED$"):
            await connect(url, lambda _: None)


@pytest.mark.parametrize(
    ("said", "meant"), [("3", 3.0), ("Fri, 01 Jan 2100 00:00:00 GMT", None), (None, None)]
)
async def test_a_refusal_may_name_when_to_come_again(said: str | None, meant: float | None) -> None:
    def answer(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(503, '{"code":503,"msg":"","reason":"BUSY"}')
        if said is not None:
            response.headers["Retry-After"] = said
        return response

    async with serving(echo, answer) as url:
        with pytest.raises(UpgradeRefused) as refused:
            await connect(url, lambda _: None)
    assert (refused.value.reason, refused.value.retry_after_s) == ("BUSY", meant)


async def test_a_server_that_hangs_up_instead_of_answering_is_told() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        with pytest.raises(UpgradeRefused, match="no answer to the upgrade"):
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", lambda _: None)


async def test_who_gives_up_waiting_for_an_answer_hangs_up() -> None:
    asked, hung_up = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        with suppress(ConnectionError):
            await reader.read()
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        connecting = asyncio.ensure_future(connect(url, lambda _: None))
        await within(asked.wait())
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await within(hung_up.wait())


async def test_a_ping_is_answered() -> None:
    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping())
        await connection.send("answered")
        await connection.wait_closed()

    came: asyncio.Queue[bytes] = asyncio.Queue()
    async with serving(ping) as url:
        connection = await connect(url, came.put_nowait)
        assert await within(came.get()) == b"answered"
        await connection.close()


async def test_a_close_by_the_server_is_told_with_its_code() -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(4503, "too much")

    async with serving(close) as url:
        connection = await connect(url, lambda _: None)
        assert await within(connection.closed) == "the server closed with 4503"
        connection.send(b"nothing goes out any more")


async def test_a_connection_that_is_cut_is_told() -> None:
    async def cut(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with serving(cut) as url:
        connection = await connect(url, lambda _: None)
        assert await within(connection.closed) == "the server cut the connection"


async def test_a_frame_that_no_server_sends_ends_the_connection() -> None:
    async def fragment(connection: ServerConnection) -> None:
        connection.transport.write(b"\x01\x04part")
        await connection.wait_closed()

    async with serving(fragment) as url:
        connection = await connect(url, lambda _: None)
        assert "a fragment or an extension" in await within(connection.closed)


async def test_a_certificate_that_is_trusted_is_enough_for_tls(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    came: asyncio.Queue[bytes] = asyncio.Queue()
    async with serve(echo, "127.0.0.1", 0, ssl=context, compression=None) as server:
        url = f"wss://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(url, came.put_nowait)
        connection = await connect(url, came.put_nowait, tls=pair.trusting())
        connection.send(b"secret")
        assert await within(came.get()) == b"secret"
        await connection.close()
