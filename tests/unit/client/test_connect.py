import socket
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tests.unit.client.small_gateway import Switchboard, event, serving, welcome, within
from tieline.client import Closed, Denied, Unreachable, connect
from tieline.wire.codes import HandshakeError
from tieline.wire.replies import denial


def refusing(status: int, body: bytes, **headers: str) -> Response:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    fields["Content-Length"] = str(len(body))
    return Response(status, HTTPStatus(status).phrase, fields, body)


async def denied(response: Response) -> Denied:
    async with serving(Switchboard().handle, lambda _connection, _request: response) as url:
        with pytest.raises(Denied) as refusal:
            async with connect(url, "a"):
                pytest.fail("connected")
    return refusal.value


async def test_a_refusal_over_http_carries_its_body() -> None:
    full = HandshakeError.FULL
    refusal = await denied(refusing(503, denial(503, full.msg, full.reason), Retry_After="7"))
    assert (refusal.code, refusal.msg, refusal.reason) == (503, "服务器连接已满", "FULL")
    assert refusal.retry_after == 7


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b"\xff"])
async def test_a_refusal_by_something_else_has_no_reason(body: bytes) -> None:
    refusal = await denied(refusing(502, body, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"))
    assert (refusal.code, refusal.msg, refusal.reason) == (502, "Bad Gateway", "")
    assert refusal.retry_after is None


async def test_the_token_goes_into_the_header_and_the_wish_for_acks_into_the_query() -> None:
    asked: list[Request] = []
    board = Switchboard()
    async with serving(board.handle, lambda _connection, request: asked.append(request)) as url:
        for address, acks in ((url, True), (f"{url}?shard=1", True), (url, False)):
            async with connect(address, "a.b-c", acks=acks) as connected:
                assert connected.welcome.user_id == "a.b-c"
    assert [request.path for request in asked] == ["/ws?acks=1", "/ws?shard=1&acks=1", "/ws"]
    for request in asked:
        assert request.headers["Authorization"] == "Bearer a.b-c"
        assert "Sec-WebSocket-Protocol" not in request.headers
        assert "Sec-WebSocket-Extensions" not in request.headers


@pytest.mark.parametrize("url", ["http://127.0.0.1/ws", "127.0.0.1:8080", "ws://127.0.0.1:99999/ws"])
async def test_a_url_of_nothing_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable, match="no gateway at"):
        async with connect(url, "a"):
            pytest.fail("connected")


@pytest.mark.parametrize("token", ["", "secret\n", "用户"])
async def test_what_cannot_be_a_token_is_not_sent_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError, match=r"^the token holds characters that no token has$"):
        async with connect("ws://127.0.0.1:1/ws", token):
            pytest.fail("connected")


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with socket.socket() as bound:  # bound, but not listening: nobody else can have it meanwhile
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            async with connect(f"ws://127.0.0.1:{bound.getsockname()[1]}/ws", "a"):
                pytest.fail("connected")


@pytest.mark.parametrize(
    "first", [event("MEMBER_JOINED", {}), welcome("a").replace("maxMessageBytes", "x"), "?"]
)
async def test_whoever_does_not_begin_with_a_welcome_is_no_gateway(first: str) -> None:
    async def something_else(connection: ServerConnection) -> None:
        await connection.send(first)
        await connection.wait_closed()

    async with serving(something_else) as url:
        with pytest.raises(Unreachable, match="welcome"):
            async with connect(url, "a"):
                pytest.fail("connected")


async def test_a_server_that_says_nothing_is_unreachable() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serving(silent) as url:
        with pytest.raises(Unreachable, match="no welcome"):
            async with connect(url, "a", reply_timeout_s=0.05):
                pytest.fail("connected")


async def test_a_server_that_hangs_up_at_once_says_why() -> None:
    async def final(connection: ServerConnection) -> None:
        await connection.close(4501, "token expired")

    async with serving(final) as url:
        with pytest.raises(Closed) as closed:
            await within(connect(url, "a").__aenter__())
        assert (closed.value.code, closed.value.reason) == (4501, "token expired")
