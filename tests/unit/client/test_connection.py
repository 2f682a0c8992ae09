"""One WebSocket: how it is opened or refused, what it carries, and how it ends."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.support.waiting import within
from tests.unit.client.minimal_gateway import MinimalGateway, serving
from tieline.client import Closed, Denied, Unreachable, UnusableToken, connect
from tieline.client.connection import Connection
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.replies import denial

NESTED: Final = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
"""JSON that is too deep to be read."""


def refusing(status: int, body: bytes, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = str(len(body))
    return Response(status, HTTPStatus(status).phrase, fields, body)


async def denied(response: Response) -> Denied:
    async with serving(MinimalGateway().handle, lambda _connection, _request: response) as url:
        with pytest.raises(Denied) as refusal:
            async with connect(url, "a"):
                pytest.fail("connected")
    return refusal.value


async def test_a_refusal_over_http_carries_its_body() -> None:
    full = HandshakeError.FULL
    refusal = await denied(refusing(503, denial(503, full.msg, full.reason), Retry_After="7"))
    assert (refusal.code, refusal.msg, refusal.reason) == (503, "服务器连接已满", "FULL")
    assert (refusal.retry_after, refusal.limit) == (7, "")


async def test_a_refusal_says_which_limit_was_met() -> None:
    refusal = await denied(refusing(429, denial(429, "x", "RATE_LIMITED", "flooding"), Retry_After="30"))
    assert (refusal.reason, refusal.limit) == ("RATE_LIMITED", "flooding")


@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[]", b"\xff", b'{"msg":"\xff","reason":"x"}', NESTED]
)
async def test_a_refusal_by_a_proxy_has_no_reason(body: bytes) -> None:
    refusal = await denied(refusing(502, body, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"))
    assert (refusal.code, refusal.msg, refusal.reason) == (502, "Bad Gateway", "")
    assert refusal.retry_after is None


async def test_the_token_is_in_the_header_and_acks_in_the_query() -> None:
    asked: list[Request] = []
    gateway = MinimalGateway()
    async with serving(gateway.handle, lambda _connection, request: asked.append(request)) as url:
        for address, acks in ((url, True), (f"{url}?shard=1", True), (url, False)):
            async with connect(address, "a.b-c", acks=acks) as connected:
                assert connected.welcome.user_id == "a.b-c"
    assert [request.path for request in asked] == [
        "/ws?acks=1&roster=1&calls=1",
        "/ws?shard=1&acks=1&roster=1&calls=1",
        "/ws?roster=1&calls=1",
    ]
    for request in asked:
        assert request.headers["Authorization"] == "Bearer a.b-c"
        assert "Sec-WebSocket-Protocol" not in request.headers
        assert "Sec-WebSocket-Extensions" not in request.headers


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws", "127.0.0.1:8080", "ws://127.0.0.1:99999/ws"])
async def test_a_url_of_no_gateway_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable, match="no gateway at"):
        async with connect(url, "a"):
            pytest.fail("connected")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "is empty"),
        ("secret\n", "holds characters that no token has"),
        ("用户", "holds characters that no token has"),
    ],
)
async def test_what_cannot_be_a_token_is_not_sent_nor_quoted(token: str, why: str) -> None:
    with pytest.raises(UnusableToken, match=f"^the token {why}$"):
        async with connect("ws://127.0.0.1:1/ws", token):
            pytest.fail("connected")


async def test_a_port_without_a_listener_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, but not listening: no other process can have it meanwhile
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(
            Unreachable, match=rf"^no gateway at ws://127\.0\.0\.1:{port}/ws: Connection refused$"
        ):
            async with connect(f"ws://127.0.0.1:{port}/ws", "a"):
                pytest.fail("connected")


@asynccontextmanager
async def opened(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[Connection]:
    """Open a connection to a server that does what `handler` does."""
    async with serving(handler) as url:
        connection = await within(Connection.open(url, "ann", {}))
        try:
            yield connection
        finally:
            await within(connection.close())


async def end_of(connection: Connection) -> Closed:
    with pytest.raises(Closed) as closed:
        await within(connection.receive())
    return closed.value


async def test_frames_go_and_come_as_text_byte_for_byte() -> None:
    kinds: list[type] = []

    async def echo(connection: ServerConnection) -> None:
        async for frame in connection:
            kinds.append(type(frame))
            await connection.send(frame)

    async with opened(echo) as connection:
        for frame in (b"{}", '{"名字": 1}'.encode(), b""):
            await connection.send(frame)
            assert await within(connection.receive()) == frame
    assert kinds == [str] * 3


async def test_what_came_before_the_end_is_received_first() -> None:
    async def last_words(connection: ServerConnection) -> None:
        await connection.send("1")
        await connection.send("2")
        await connection.close(4502, "kicked")

    async with opened(last_words) as connection:
        assert [await within(connection.receive()) for _ in range(2)] == [b"1", b"2"]
        for _ in range(2):
            end = await end_of(connection)
            assert (end.code, end.reason) == (4502, "kicked")
        with pytest.raises(Closed) as closed:
            await connection.send(b"3")
        assert closed.value.code == 4502


async def test_a_connection_that_breaks_ends_with_1006() -> None:
    async def abort(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with opened(abort) as connection:
        await connection.send(b"1")
        end = await end_of(connection)
        assert (end.code, end.reason) == (1006, "connection lost")


@pytest.mark.parametrize("code", [CloseCode.NORMAL, CloseCode.GOING_AWAY])
async def test_the_server_is_told_the_close_code_once(code: CloseCode) -> None:
    gateway = MinimalGateway()
    got: list[int | None] = []

    async def handle(connection: ServerConnection) -> None:
        await gateway.handle(connection)
        got.append(connection.close_code)

    async with opened(handle) as connection:
        await connection.close(code)
        await connection.close(CloseCode.NORMAL)
    assert got == [code]
