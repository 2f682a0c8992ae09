"""A broker that is not there yet, or says odd things."""

import asyncio
import logging
import socket
from typing import Any

import pytest
import uvloop

from tests.broker.runtime.watching import PATIENCE_S, Inbox, LogTap, happens, watch
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import CONNECT_TIMEOUT_S, connect


async def test_connecting_waits_for_a_broker_that_is_not_up_yet(pip_nats: NatsServer) -> None:
    pip_nats.kill()
    tap, log = LogTap(), logging.getLogger("tieline.runtime.broker")
    log.addHandler(tap)
    try:
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(connect(pip_nats.url, "early"))
            waiting = await tap.until("waiting for the broker")
            assert vars(waiting)["brokers"] == [pip_nats.url.removeprefix("nats://")]
            assert not connecting.done()
            pip_nats.start()
    finally:
        log.removeHandler(tap)

    broker = connecting.result()
    assert broker.is_connected
    await broker.flush()
    await broker.close()


async def test_the_first_of_several_addresses_that_answers_is_taken(pip_nats: NatsServer) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as mute:
        mute_url = f"nats://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(PATIENCE_S):
            broker = await connect(f"{mute_url}, {pip_nats.url}", "choosy")

    await broker.flush()
    await broker.close()


async def test_a_broker_that_talks_nonsense_is_left_and_come_back_to(pip_nats: NatsServer) -> None:
    inbox, to_client, both_ways = Inbox(), list[asyncio.StreamWriter](), list[asyncio.Task[None]]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_client.append(writer)
        from_server, to_server = await asyncio.open_connection(
            "127.0.0.1", int(pip_nats.url.rpartition(":")[2])
        )
        both_ways.append(asyncio.create_task(pass_on(reader, to_server)))
        both_ways.append(asyncio.create_task(pass_on(from_server, writer)))

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as between:
        broker = await connect(f"nats://127.0.0.1:{between.sockets[0].getsockname()[1]}", "patient")
        await broker.subscribe("a.b", inbox.put)
        await broker.flush()
        away, back = watch(broker)
        to_client[0].write(b"MSG a.b 1 nonsense\r\n")
        await happens(away)
        await happens(back)

        broker.send("a.b", b"again")

        assert (await inbox.next()).data == b"again"
        assert len(to_client) == 2
        await broker.close()
        await asyncio.gather(*both_ways, return_exceptions=True)  # a connection may have been reset


@pytest.mark.parametrize(
    "urls",
    ["", "nats://", "nats://host:port", "ws://a:1,nats://b:2", "nats://a:99999", "http://a:1", "a b"],
)
async def test_an_impossible_address_is_not_waited_for(urls: str) -> None:
    with pytest.raises(ValueError, match="address"):
        await connect(urls, "lost")


class ComplainingBroker:
    """A few lines of a broker: it greets, answers pings, and sends its first client an error."""

    def __init__(self, complaint: str) -> None:
        self._complaint = f"-ERR '{complaint}'\r\n".encode()
        self.clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        first = self.clients == 1
        writer.write(b'INFO {"version":"2.12.0","headers":true,"max_payload":1048576}\r\n')
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n" + (self._complaint if first else b""))
        writer.close()


@pytest.mark.parametrize(
    "complaint",
    ["Maximum Subscriptions Exceeded", "Authorization Violation", "Stale Connection", "Slow Consumer"],
)
async def test_any_complaint_of_the_broker_is_followed_by_reconnect(
    complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    complaining = ComplainingBroker(complaint)
    async with await asyncio.start_server(complaining.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = await connect(f"nats://user:hunter2@127.0.0.1:{port}", "staying")
        _, back = watch(broker)
        await happens(back)

        assert broker.is_connected
        assert complaining.clients == 2
        await broker.close()

    (returned,) = [record for record in caplog.records if record.getMessage() == "broker back"]
    assert vars(returned)["broker"] == f"127.0.0.1:{port}"
    assert not any("hunter2" in str(vars(record)) for record in caplog.records)


async def test_a_refused_permission_is_logged_and_keeps_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaining = ComplainingBroker("Permissions Violation for Publish to x")
    tap, log = LogTap(), logging.getLogger("tieline.runtime.broker")
    log.addHandler(tap)
    try:
        async with await asyncio.start_server(complaining.serve, "127.0.0.1", 0) as server:
            broker = await connect(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "limited")
            await tap.until("broker error")
            await broker.flush()

            assert complaining.clients == 1
            await broker.close()
    finally:
        log.removeHandler(tap)


class SlowResolver(uvloop.Loop):
    """A loop whose resolver first takes longer than an attempt, and fails, and then says this machine."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def getaddrinfo(self, *asked: object, **_options: object) -> list[Any]:
        """Answer."""
        self.asked += 1
        if self.asked == 1:
            await asyncio.sleep(CONNECT_TIMEOUT_S + 0.5)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", asked[1]))]


def test_a_resolver_that_does_not_answer_is_named_in_the_log(
    pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect_by_name() -> None:
        broker = await connect(f"nats://broker.example:{pip_nats.port}", "named")
        await broker.close()

    with asyncio.Runner(loop_factory=SlowResolver) as runner:
        runner.run(connect_by_name())

    (waiting, *others) = caplog.records
    assert waiting.getMessage() == "waiting for the broker"
    assert "the name 'broker.example' is not resolved" in vars(waiting)["error"]
    assert [record.getMessage() for record in others if record.levelno >= logging.ERROR] == []
