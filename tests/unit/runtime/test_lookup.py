"""Names of brokers, with resolvers that take their time, and addresses of which not all answer."""

import asyncio
import gc
import logging
import socket
from collections.abc import Sequence

import pytest

from tieline.runtime.lookup import NO_ANSWER, AddressInfo, Names, NameUnknown, look_up, open_first

PATIENCE_S = 20
SHORT_S = 0.01


def at(port: int, host: str = "127.0.0.1") -> AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)


class Resolver:
    """Answers when a test lets it, with what the test says."""

    def __init__(self, *answers: Sequence[AddressInfo] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []
        self.may_answer = asyncio.Event()

    async def resolve(self, name: str, port: int) -> Sequence[AddressInfo]:
        self.asked.append((name, port))
        await self.may_answer.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def answers(resolver: Resolver) -> None:
    """Let a resolver answer everything that it was asked."""
    resolver.may_answer.set()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_name_has_the_addresses_that_the_resolver_says() -> None:
    resolver = Resolver([at(4222)], [at(4223)])
    resolver.may_answer.set()
    names = Names(resolver.resolve)

    assert await names.addresses("broker", 4222, PATIENCE_S) == [at(4222)]
    assert await names.addresses("broker", 4223, PATIENCE_S) == [at(4223)]
    assert resolver.asked == [("broker", 4222), ("broker", 4223)]


@pytest.mark.parametrize(
    "failure", [socket.gaierror(-3, "Temporary failure in name resolution"), UnicodeError("label too long")]
)
async def test_a_failure_says_that_it_is_the_name(failure: Exception) -> None:
    resolver = Resolver(failure, [at(4222)])
    resolver.may_answer.set()
    names = Names(resolver.resolve)

    with pytest.raises(NameUnknown, match=f"the name 'broker' is not resolved: .*{failure.args[-1]}"):
        await names.addresses("broker", 4222, PATIENCE_S)
    assert await names.addresses("broker", 4222, PATIENCE_S) == [at(4222)]


async def test_a_slow_resolver_is_asked_once_and_its_answer_taken_later() -> None:
    resolver = Resolver([at(4222)])
    names = Names(resolver.resolve)

    for _ in range(3):
        with pytest.raises(NameUnknown, match=NO_ANSWER):
            await names.addresses("broker", 4222, SHORT_S)
    await answers(resolver)

    assert await names.addresses("broker", 4222, PATIENCE_S) == [at(4222)]
    assert resolver.asked == [("broker", 4222)]


async def test_a_failure_that_nobody_waits_for_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    resolver = Resolver(socket.gaierror(-3, "Temporary failure in name resolution"))
    names = Names(resolver.resolve)
    with pytest.raises(NameUnknown):
        await names.addresses("broker", 4222, SHORT_S)

    await answers(resolver)
    del names
    gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_lookup_that_is_cancelled_at_the_end_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    names = Names(Resolver().resolve)
    with pytest.raises(NameUnknown):
        await names.addresses("broker", 4222, SHORT_S)

    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        await asyncio.wait([task])

    assert caplog.records == []


async def test_the_first_address_that_takes_the_connection_is_taken() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        _, writer = await open_first([at(1), at(port), at(2)], 1024)

        assert writer.get_extra_info("peername")[1] == port
        writer.close()
        await writer.wait_closed()


async def test_without_an_address_that_does_the_last_failure_counts() -> None:
    with pytest.raises(ConnectionRefusedError, match="2"):
        await open_first([at(1), at(2)], 1024)
    with pytest.raises(ConnectionRefusedError, match="no address"):
        await open_first([], 1024)


async def test_an_address_of_version_six_is_connected_to_as_such() -> None:
    failure = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0))
    scoped = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 1, 0, 1))

    for address in (failure, scoped):
        with pytest.raises(OSError, match="Errno"):  # whatever a machine without IPv6 says
            await open_first([address], 1024)


async def test_the_system_is_asked_by_default() -> None:
    assert {address[0] for *_, address in await look_up("localhost", 4222)} & {"127.0.0.1", "::1"}
