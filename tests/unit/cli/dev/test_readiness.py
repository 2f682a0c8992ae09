"""Whether an ops endpoint says that its process is ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tieline.cli.dev.broker_process import why_broker_not_ready
from tieline.cli.dev.ports import hold_ports
from tieline.cli.dev.readiness import why_not_ready

HOST = "127.0.0.1"


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that writes `answer` to every connection, reads what is asked, and closes; gives its port."""
    handlers = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        writer.write(answer)
        with suppress(asyncio.IncompleteReadError):  # the probe of a broker sends nothing
            await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, handlers))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nready\n", ""),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno broker\n", "no broker"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "its ops port gives no answer"),
        (b"", "its ops port gives no answer"),
    ],
)
async def test_the_answer_says_what_is_wrong(answer: bytes, why: str) -> None:
    async with answering(answer) as port:
        assert await why_not_ready(HOST, port) == why


async def test_a_process_that_does_not_listen_is_not_ready() -> None:
    with hold_ports(1, HOST) as (port,):
        assert "its ops port: " in await why_not_ready(HOST, port)
        assert await why_broker_not_ready(HOST, port) != ""


@pytest.mark.parametrize(
    ("answer", "why"),
    [(b'INFO {"server_id":"x"}\r\n', ""), (b"HTTP/1.1 400\r\n\r\n", "it gives no greeting of a nats-server")],
)
async def test_a_broker_is_ready_when_it_greets(answer: bytes, why: str) -> None:
    async with answering(answer) as port:
        assert await why_broker_not_ready(HOST, port) == why
