"""The names of receivers: none waits for another one's name server."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.support.waiting import until, within
from tieline.runtime.lookup import AddressInfo
from webhooks.names import Resolver


class NameServer:
    """Knows all names, and says nothing of some until it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lets = threading.Event()

    def __call__(self, name: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append(name)
        if name.startswith("slow"):
            self.lets.wait()
        if name.startswith("none"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if name.startswith("odd"):
            name.encode("idna")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.1", port)),
        ]


@pytest.fixture
def server() -> Iterator[NameServer]:
    names = NameServer()
    yield names
    names.lets.set()


async def test_a_name_has_the_addresses_that_the_system_says(server: NameServer) -> None:
    found = await Resolver(5.0, server).resolve("a.test", 443)
    assert [(each["host"], each["port"], each["hostname"]) for each in found] == [
        ("2001:db8::1", 443, "a.test"),
        ("203.0.113.1", 443, "a.test"),
    ]
    (only,) = await Resolver(5.0, server).resolve("a.test", 443, socket.AF_INET)
    assert only["host"] == "203.0.113.1"


async def test_name_servers_that_do_not_answer_hold_up_nobody_else(server: NameServer) -> None:
    resolver = Resolver(60.0, server)
    async with asyncio.TaskGroup() as waiting:
        slow = [waiting.create_task(resolver.resolve(f"slow {number}", 443)) for number in range(40)]
        await until(lambda: len(server.asked) == 40)
        assert await within(resolver.resolve("quick", 443))
        assert not any(each.done() for each in slow)
        server.lets.set()


async def test_one_name_is_asked_for_once_however_often_that_fails(server: NameServer) -> None:
    resolver = Resolver(0.01, server)
    for _ in range(3):
        with pytest.raises(OSError, match="no name server has answered"):
            await resolver.resolve("slow", 443)
    assert server.asked == ["slow"]
    server.lets.set()
    assert await within(resolver.resolve("slow", 443))


@pytest.mark.parametrize("name", ["none", "odd" + "x" * 64])
async def test_a_name_that_is_none_is_said_to_be_none(name: str, server: NameServer) -> None:
    with pytest.raises(OSError, match="is not resolved"):
        await Resolver(5.0, server).resolve(name, 443)


async def test_the_systems_resolver_knows_this_machine() -> None:
    found = await Resolver(5.0).resolve("localhost", 1)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    assert found
    await Resolver(5.0).close()
