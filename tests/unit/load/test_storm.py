"""`tieline.load.storm`: sessions that lose their server, and what becomes of them."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.unit.load.small_relay import relaying
from tieline.load import storm
from tieline.load.client import LoadError, Target
from tieline.load.measurement import Measurement
from tieline.load.storm import ResumingClient, measure_storm

SECRET = "a secret that is long enough for HMAC-SHA256"


class Resuming:
    """A server that welcomes, and resumes those who show what an earlier WELCOME gave them."""

    def __init__(self, *, forgets: bool = False, refused: int = 0, retry_after: int | None = None) -> None:
        self.returns = 0
        self._retry_after = retry_after
        self._forgets = forgets
        self._refused = refused
        self._returning = 0

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse the first of those who come back."""
        if parse_qs(urlsplit(request.path).query).get("resume"):
            self._returning += 1
            if self._returning <= self._refused:
                if self._retry_after is None:
                    return connection.respond(503, "busy")
                response = connection.respond(503, '{"code":503,"msg":"","reason":"BUSY"}')
                response.headers["Retry-After"] = str(self._retry_after)
                return response
        return None

    async def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        token = parse_qs(urlsplit(connection.request.path).query).get("resume", [""])[0]
        is_resumed = bool(token) and not self._forgets
        self.returns += bool(token)
        data = {"resumeToken": f"after-{token}", "resumed": is_resumed}
        await connection.send(json.dumps({"cmd": "WELCOME", "data": data}))
        with suppress(ConnectionClosed):
            await connection.recv()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Server, str]]:
        async with serve(
            self.handle, "127.0.0.1", 0, process_request=self.answer, compression=None
        ) as server:
            yield server, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"


async def test_all_whose_connections_are_cut_come_back() -> None:
    measured = Measurement()
    server = Resuming()
    async with server.running() as (_, url):
        await measure_storm(Target(url, url, SECRET), 5, 0, measured)
    figures = measured.figures()
    assert server.returns == figures.count == 5
    assert not figures.faults
    assert figures.asked == {"sessions": 5, "spread": 0, "loss": "connections cut"}
    assert figures.more["failed attempts"] == 0
    assert figures.more["resumed"] == 5
    assert figures.more["all back, s"] > 0


async def test_they_come_back_to_the_gateways_that_are_left() -> None:
    measured = Measurement()
    dying, living = Resuming(), Resuming()
    async with dying.running() as (server, url), living.running() as (_, other):

        async def kill() -> None:
            server.close()

        await measure_storm(Target(url, other, SECRET), 3, 0, measured, kill)
    assert (dying.returns, living.returns) == (0, 3)
    assert measured.figures().asked["loss"] == "gateway killed"


async def test_one_who_is_refused_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.client.gateway_pool.BACKOFF_BASE_S", 0.01)
    measured = Measurement()
    server = Resuming(refused=2)
    async with server.running() as (_, url):
        await measure_storm(Target(url, url, SECRET), 2, 0.01, measured)
    more = measured.figures().more
    assert more["failed attempts"] == more["failed: HTTP/1.1 503 Service Unavailable"] == 2
    assert not measured.figures().faults


async def test_who_is_told_when_to_come_again_waits_until_then() -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    async with Resuming(refused=1, retry_after=7).running() as (_, url):
        client = ResumingClient(Target(url, url, SECRET), "ann", "hall", pause)
        await client.arrive(url)
        await client.reconnect(url, 0.01)
        await client.connection.close()
    assert [seconds > 7 for seconds in waited] == [False, True]
    assert client.failures == {"BUSY": 1}


async def test_an_attempt_that_reaches_nobody_is_counted_by_its_error() -> None:
    async def pause(_seconds: float) -> None:
        if client.failures:
            raise LoadError("enough")

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"ws://127.0.0.1:{nobody.getsockname()[1]}/ws"
    client = ResumingClient(Target(url, url, SECRET), "ann", "hall", pause)
    with pytest.raises(LoadError, match="enough"):
        await client.reconnect(url, 0.01)
    assert client.failures == {"ConnectionRefusedError": 1}


async def test_sessions_that_begin_anew_are_faults() -> None:
    measured = Measurement()
    async with Resuming(forgets=True).running() as (_, url):
        await measure_storm(Target(url, url, SECRET), 2, 0, measured)
    assert measured.figures().faults.not_resumed == 2


async def test_where_there_are_no_sessions_the_same_users_connect_anew() -> None:
    measured = Measurement()
    async with relaying() as target:
        await measure_storm(target, 3, 0, measured)
    figures = measured.figures()
    assert figures.count == 3
    assert figures.more["resumed"] == 0
    assert not figures.faults


async def test_a_storm_from_which_nobody_returns_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "PATIENCE_S", 0.3)
    async with Resuming(refused=1_000_000).running() as (_, url):
        with pytest.raises(LoadError, match=r"no session came back within 0\.3 s"):
            await measure_storm(Target(url, url, SECRET), 2, 0, Measurement())
