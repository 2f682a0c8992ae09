"""Following over real connections: who goes, who does not read, and a process that ends."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest
from litestar.types import HTTPReceiveMessage, HTTPScope, Message

from api.app import make_app
from api.authority import Authority
from api.callers import entry, read_keys
from api.event_response import EventResponse
from api.following import Following
from api.resources.events import event_routes
from api.server import DO, LET_PAST, serving
from api.signed_tokens import SignedTokens
from tests.support.api import KEY
from tests.support.waiting import PATIENCE_S, until, within
from tests.unit.api.told import FakeStream, following, joined
from tieline.runtime.guard import BackgroundTasks
from tieline.wire import server_sent

REQUEST = f"GET /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


class Served:
    """An API that lets callers follow."""

    def __init__(self, all_of_them: Following, port: int) -> None:
        self.following = all_of_them
        self.port = port

    async def ask(self, buffer: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Follow; `buffer` is how much the system takes for a caller that does not read."""
        asker = socket.socket()
        if buffer:
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        asker.connect(("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=asker, limit=max(1024, buffer))
        writer.write(REQUEST)
        return reader, writer


@contextlib.asynccontextmanager
async def served(stream: FakeStream) -> AsyncIterator[Served]:
    async with BackgroundTasks() as tasks:
        all_of_them = following(stream, tasks)
        keys = read_keys(entry("all", KEY))
        app = make_app(Authority(keys, SignedTokens([])), event_routes(all_of_them))
        async with serving(app, "127.0.0.1", 0) as port:
            yield Served(all_of_them, port)


async def test_a_caller_is_told_and_its_place_is_free_when_it_goes(stream: FakeStream) -> None:
    async with served(stream) as api:
        reader, writer = await api.ask()
        head = await within(reader.readuntil(b"\r\n\r\n"))
        assert b"content-type: text/event-stream; charset=utf-8\r\n" in head.lower()
        await within(reader.readuntil(f"id: {stream.last}\n\n".encode()))
        place = stream.tell(joined("alice"))
        await within(reader.readuntil(f"id: {place}\n".encode()))
        assert b'"user":"alice"' in await within(reader.readuntil(b"\n\n"))
        writer.close()
        await until(lambda: len(api.following) == 0)


async def test_a_process_that_ends_says_so_and_waits_for_nobody(stream: FakeStream) -> None:
    async with asyncio.timeout(PATIENCE_S), served(stream) as api:
        reader, writer = await api.ask()
        await reader.readuntil(f"id: {stream.last}\n\n".encode())
        api.following.end()
        assert b'event: end\ndata: {"reason":"stopping"}' in await reader.read()
        writer.close()


async def test_who_does_not_read_is_told_so_and_cut_off(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.event_response.SLOW_S", 0.2)
    monkeypatch.setattr("api.server.LINGER_S", PATIENCE_S)
    async with served(stream) as api:
        reader, writer = await api.ask(buffer=4096)
        await within(reader.readuntil(f"id: {stream.last}\n\n".encode()))
        for _ in range(200):  # more than the system takes for it
            stream.tell(joined("a" * 50_000))
        await until(lambda: len(api.following) == 0)
        told = await within(reader.read())
        writer.close()
    assert b'event: end\ndata: {"reason":"slow"}' in told
    *_, last, ended = re.findall(rb"id: (\d+)", told)
    assert ended == last  # from there it goes on
    assert int(last) < stream.last


class Stuck:
    """A connection that takes nothing but its head, until it is told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self._is_past = asyncio.Event()
        self.asked = asyncio.Event()

    @property
    def scope(self) -> HTTPScope:
        return cast("HTTPScope", {"extensions": {LET_PAST: {DO: self._is_past.set}}})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.asked.set()
            await self._is_past.wait()
            self.sent.append(message["body"])

    async def receive(self) -> HTTPReceiveMessage:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_process_that_ends_waits_a_moment_for_who_does_not_read(
    stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.event_response.LAST_S", 0.01)
    stuck = Stuck()
    async with BackgroundTasks() as tasks:
        all_of_them = following(stream, tasks)
        response = EventResponse(await all_of_them.begin(None, "", ""))
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as answering:
            answering.create_task(response(stuck.scope, stuck.receive, stuck.send))
            await stuck.asked.wait()
            all_of_them.end()
    assert stuck.sent == [server_sent.end(stream.last, "slow"), b""]
