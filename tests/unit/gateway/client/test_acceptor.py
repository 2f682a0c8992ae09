"""Newcomers are accepted a few at a time, and nobody is when there is no room for one more."""

import asyncio
import errno
import functools
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from gateway.client.acceptor import AT_ONCE, MOST_GONE, MOST_UNREAD, NO_ROOM_S, Acceptor, listening_sockets
from tests.support.waiting import until
from tests.unit.gateway.client.clock import Clock
from tieline.runtime.guard import BackgroundTasks

HOME = "127.0.0.1"


class Guest(asyncio.Protocol):
    """A client that was accepted."""

    def __init__(self, came: "list[Guest]") -> None:
        self._came = came
        self.said = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of it."""
        self.transport = cast("asyncio.Transport", transport)
        self._came.append(self)

    def data_received(self, data: bytes) -> None:
        """Take note of it."""
        self.said.set_result(data)


@asynccontextmanager
async def accepting() -> AsyncIterator[tuple[Acceptor, int, list[Guest]]]:
    came: list[Guest] = []
    sockets = await listening_sockets(HOME, 0)
    port = sockets[0].getsockname()[1]
    async with BackgroundTasks() as tasks:
        loop = asyncio.get_running_loop()
        acceptor = Acceptor(loop, sockets, lambda: Guest(came), tasks)
        yield acceptor, port, came
        acceptor.close()
        for guest in came:
            guest.transport.abort()


async def test_who_knocks_is_let_in_and_heard() -> None:
    async with accepting() as (acceptor, port, came):
        acceptor.start()
        _, writer = await asyncio.open_connection(HOME, port)
        writer.write(b"hello")
        await until(lambda: bool(came))
        assert await came[0].said == b"hello"
        assert came[0].transport.get_extra_info("peername")[0] == HOME
        writer.close()


async def test_a_closed_door_lets_nobody_in() -> None:
    async with accepting() as (acceptor, port, came):
        acceptor.start()
        acceptor.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOME, port))
        assert came == []


class Full(socket.socket):
    """A listening socket at which accepting fails."""

    def __init__(self, *codes: int) -> None:
        super().__init__()
        self.codes = list(codes)
        self.asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Fail."""
        self.asked += 1
        code = self.codes.pop(0)
        raise OSError(code, os.strerror(code))


class Door(Clock):
    """A loop that is told which sockets it should look at."""

    def __init__(self) -> None:
        super().__init__()
        self.looks_at: dict[object, Callable[[], object]] = {}
        self.accepted: list[socket.socket] = []

    def add_reader(self, what: object, callback: Callable[..., object], *args: object) -> None:
        """See `asyncio.AbstractEventLoop.add_reader`."""
        self.looks_at[what] = functools.partial(callback, *args)

    def remove_reader(self, what: object) -> bool:
        """See `asyncio.AbstractEventLoop.remove_reader`."""
        return self.looks_at.pop(what, None) is not None

    async def connect_accepted_socket(self, _client: object, accepted: socket.socket) -> None:
        """See `asyncio.AbstractEventLoop.connect_accepted_socket`."""
        self.accepted.append(accepted)


def never() -> asyncio.BaseProtocol:
    raise AssertionError("nobody was accepted")


async def test_of_many_who_knock_a_few_are_accepted_at_once() -> None:
    door, sockets = Door(), await listening_sockets(HOME, 0)
    knocking = [socket.create_connection(sockets[0].getsockname()) for _ in range(2 * AT_ONCE + 1)]
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, sockets, never, tasks)
        acceptor.start()
        (look,) = door.looks_at.values()
        counts = []
        for _ in range(4):
            look()
            await asyncio.sleep(0)
            counts.append(len(door.accepted))
        acceptor.close()
    assert counts == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1, 2 * AT_ONCE + 1]
    for one in (*knocking, *door.accepted):
        one.close()


async def test_nobody_is_accepted_while_many_wait_to_be_read() -> None:
    door, sockets = Door(), await listening_sockets(HOME, 0)
    knocking = socket.create_connection(sockets[0].getsockname())
    unread = MOST_UNREAD
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, sockets, never, tasks, lambda: unread)
        acceptor.start()
        (look,) = door.looks_at.values()
        look()
        await asyncio.sleep(0)
        assert door.accepted == []
        unread -= 1
        look()
        await asyncio.sleep(0)
        assert len(door.accepted) == 1
        acceptor.close()
    for one in (knocking, *door.accepted):
        one.close()


@pytest.mark.parametrize(("gone", "in_vain"), [(1, 0), (MOST_GONE, 0), (2 * MOST_GONE, AT_ONCE)])
async def test_in_a_crowd_who_has_hung_up_is_not_accepted(gone: int, in_vain: int) -> None:
    door, sockets = Door(), await listening_sockets(HOME, 0)
    knocking = [socket.create_connection(sockets[0].getsockname()) for _ in range(AT_ONCE + gone + 1)]
    patient = [*knocking[:AT_ONCE], knocking[-1]]
    for one in knocking[AT_ONCE:-1]:
        one.close()
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, sockets, never, tasks)
        acceptor.start()
        (look,) = door.looks_at.values()
        for _ in range(3):
            look()
            await asyncio.sleep(0)
        acceptor.close()
    assert len(door.accepted) == len(patient) + in_vain
    assert door.accepted[-1].getpeername() == patient[-1].getsockname()
    for one in (*patient, *door.accepted):
        one.close()


async def test_without_a_crowd_who_asks_and_hangs_up_is_heard() -> None:
    door, sockets = Door(), await listening_sockets(HOME, 0)
    knocking = socket.create_connection(sockets[0].getsockname())
    knocking.shutdown(socket.SHUT_WR)
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, sockets, never, tasks)
        acceptor.start()
        (look,) = door.looks_at.values()
        look()
        await asyncio.sleep(0)
        acceptor.close()
    assert len(door.accepted) == 1
    for one in (knocking, *door.accepted):
        one.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_room_for_one_more_it_waits(code: int, caplog: pytest.LogCaptureFixture) -> None:
    door, full = Door(), Full(code, errno.EAGAIN)
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, [full], never, tasks)
        acceptor.start()
        door.looks_at[full]()
        assert door.looks_at == {}
        door.advance(NO_ROOM_S)
        door.looks_at[full]()
        acceptor.close()
    assert full.asked == 2
    assert [record.message for record in caplog.records] == ["clients cannot be accepted"]
    assert door.is_idle


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH])
async def test_who_has_gone_before_it_was_accepted_is_no_trouble(code: int) -> None:
    door, full = Door(), Full(code, errno.EAGAIN)
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, [full], never, tasks)
        acceptor.start()
        for _ in range(2):
            door.looks_at[full]()
        acceptor.close()
    assert door.looks_at == {}


async def test_an_acceptor_that_is_closed_while_it_waits_goes_on_no_more() -> None:
    door, full = Door(), Full(errno.EMFILE)
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, [full], never, tasks)
        acceptor.start()
        door.looks_at[full]()
        acceptor.close()
        door.advance(2 * NO_ROOM_S)
    assert full.asked == 1
    assert door.looks_at == {}


async def test_another_fault_is_a_bug_and_raised() -> None:
    door, full = Door(), Full(errno.EINVAL)
    async with BackgroundTasks() as tasks:
        acceptor = Acceptor(door.loop, [full], never, tasks)
        acceptor.start()
        with pytest.raises(OSError, match="Invalid argument"):
            door.looks_at[full]()
        acceptor.close()


async def test_a_port_is_taken_once_and_every_address_has_it() -> None:
    (one,) = await listening_sockets(HOME, 0)
    port = one.getsockname()[1]
    with pytest.raises(OSError, match="in use"):
        await listening_sockets(HOME, port)
    one.close()
    everywhere = await listening_sockets("", port)
    assert {listening.getsockname()[1] for listening in everywhere} == {port}
    for listening in everywhere:
        listening.close()
