"""Whether the other end of a real socket is closed, while nothing is read from it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.client.hang_up import has_hung_up
from tests.support.waiting import until
from tests.unit.gateway.client.transport import Socket


@pytest.fixture
async def connection() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A transport that is not read, and the other end of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    transport.pause_reading()
    with theirs:
        yield transport, theirs
    transport.abort()


async def test_a_socket_whose_other_end_is_open_has_not(
    connection: tuple[asyncio.Transport, socket.socket],
) -> None:
    transport, theirs = connection
    theirs.send(b"something unread")
    assert not has_hung_up(transport)


async def test_a_socket_whose_other_end_is_closed_has(
    connection: tuple[asyncio.Transport, socket.socket],
) -> None:
    transport, theirs = connection
    theirs.close()
    await until(lambda: has_hung_up(transport))


async def test_a_socket_whose_other_end_sends_no_more_has(
    connection: tuple[asyncio.Transport, socket.socket],
) -> None:
    transport, theirs = connection
    theirs.shutdown(socket.SHUT_WR)
    await until(lambda: has_hung_up(transport))


def test_a_transport_without_a_socket_has_not() -> None:
    assert not has_hung_up(Socket())
