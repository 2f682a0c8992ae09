"""Whatever a receiver of webhooks answers, a delivery ends in time, and by name."""

import asyncio
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given

from tests.fuzz.mutations import changed
from tests.support.examples import seeded
from tests.support.receiver import SECRET
from tieline.wire.cloud_events import StoredEvent
from tieline.wire.webhooks import Endpoint, EndpointId
from webhooks.sender import Sender

EXAMPLES: Final = 150
"""In a whole run: some ten seconds, as a part of the answers is waited for to their end."""

TIMEOUT_S: Final = 0.2
LATE_S: Final = 20.0
"""A delivery that has not ended by then never ends, however busy the machine is."""

EVENT: Final = StoredEvent(
    1, "call/a", "id 1", 0, b'{"id":"id 1","subject":"call/a","x":"%b"}' % (b"x" * 200_000)
)
"""More than a socket takes at once: an answer may come while it is being sent."""

ANSWERS: Final = (
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nto the end",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
    b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 60_000 + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\n",
    b"HTTP/9.9 999 \xff\r\n\r\n",
    b"",
)

OUTCOMES: Final = {"taken", "refused", "redirected", "timeout", "unreachable", "garbage"}


class Odd:
    """A receiver that answers so, in its own time, and then says nothing more, or hangs up."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._reads_first, self._hangs_up, self._in_two = (bool(sum(answer) >> bit & 1) for bit in range(3))
        self._served: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, until it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            if self._reads_first:
                await reader.readuntil(b"\r\n\r\n")
            half = len(self._answer) // 2 if self._in_two else len(self._answer)
            for some in filter(None, (self._answer[:half], self._answer[half:])):
                writer.write(some)
                await writer.drain()
                await asyncio.sleep(0)
            while not self._hangs_up and await reader.read(1 << 16):
                pass
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ended(self) -> None:
        """Wait until nobody is served."""
        while self._served:
            await self._served.pop()


async def delivered(answer: bytes) -> None:
    """Deliver to a receiver that answers so, twice."""
    odd = Odd(answer)
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(EndpointId("e"), f"http://127.0.0.1:{port}/", (SECRET,))
    async with Sender(TIMEOUT_S, may_be_private=True) as sender:
        for _ in range(2):
            async with asyncio.timeout(LATE_S):
                sent = await sender.send(endpoint, (EVENT,))
            assert sent.outcome in OUTCOMES
            assert (sent.failed is None) == (sent.outcome == "taken")
            if sent.failed is not None:
                assert 0 <= sent.failed.retry_after_ms <= 3_600_000
    server.close()
    async with asyncio.timeout(LATE_S):
        await odd.ended()


@pytest.mark.timeout(1_800)
def test_a_delivery_ends_whatever_is_answered() -> None:
    @seeded(EXAMPLES)
    @given(changed(ANSWERS))
    def ends(answer: bytes) -> None:
        asyncio.run(delivered(answer))

    ends()


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
async def test_a_delivery_ends_behind_an_odd_answer(answer: bytes) -> None:
    await delivered(answer)
