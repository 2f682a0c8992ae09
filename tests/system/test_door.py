"""Strangers at the door: endless requests, silent connections, proxies (docs/protocol.md#1-connecting)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.frames import new_id, token
from tests.support.haproxy import HAProxy
from tests.support.raw_client import Ended, RawClient, Refused, upgrade
from tests.support.system import Service, System
from tests.support.waiting import until
from tests.system.conftest import NewGateway

pytestmark = pytest.mark.parametrize("system", ["one"], indirect=True)

STRANGER = "127.0.0.2"
"""Another address of this machine than that of the newcomers."""

ENDLESS = b"GET /ws HTTP/1.1\r\nHost: x\r\n" + b"".join(
    b"X-%05d: %s\r\n" % (number, b"y" * 8_100) for number in range(120)
)
"""A megabyte of headers, and no end."""


async def gets_in(port: int, user: str = "") -> None:
    """Let somebody connect who has a good token."""
    query = urlencode({"token": token(user or new_id("newcomer"))})
    client = await RawClient.open(port, f"/ws?{query}")
    try:
        assert json.loads(await client.receive())["cmd"] == "WELCOME"
    finally:
        await client.drop()


@asynccontextmanager
async def silent(port: int, count: int) -> AsyncIterator[list[RawClient]]:
    """Have so many connections that begin a request, and do not go on."""
    clients = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            clients.append(await RawClient.dial(port, source=STRANGER))
            clients[-1].write(b"GET /ws HTTP/1.1\r\n")
    try:
        yield clients
    finally:
        for client in clients:
            await client.drop()


def memory(gateway: Service) -> float:
    return gateway.count("tieline_process_resident_memory_bytes")


async def test_headers_without_an_end_are_refused_and_cost_little(new_gateway: NewGateway) -> None:
    gateway = new_gateway()
    await gets_in(gateway.port)
    before = memory(gateway)
    clients = [await RawClient.dial(gateway.port, source=STRANGER) for _ in range(300)]
    for client in clients:
        client.write(ENDLESS)

    await gets_in(gateway.port)
    answers = []
    for client in clients:
        with contextlib.suppress(Ended):  # what it had sent too much may have reset the connection
            answers.append((await client.read_answer()).status)
        await client.drop()

    assert set(answers) <= {431}
    assert gateway.count("tieline_handshakes_refused_total", reason="HEADERS_TOO_LARGE") == 300
    assert memory(gateway) - before < 40 * 2**20


async def test_a_long_cookie_and_a_long_token_connect(new_gateway: NewGateway) -> None:
    text = token(new_id("alice"), claims={"rooms": [f"{number:02}" + "r" * 118 for number in range(90)]})
    assert len(text) > 14_000
    client = await RawClient.open(
        new_gateway().port, f"/ws?{urlencode({'token': text})}", [("Cookie", "c" * 16_000)]
    )

    assert json.loads(await client.receive())["cmd"] == "WELCOME"
    await client.drop()


async def test_silent_connections_take_no_place_of_newcomers_nor_of_probes(system: System) -> None:
    with system.confined("gateway", 400) as gateway:
        async with silent(gateway.port, 450) as strangers:
            for _ in range(5):
                await gets_in(gateway.port)
                assert gateway.get("/healthz") == (200, "alive\n")
            assert gateway.count("tieline_half_open_cut_total", why="half_open") >= 200
            assert strangers
        cut = system.events("half-open connection cut", why="half_open", address=STRANGER)
        assert 0 < len(cut) < 60  # a line a second, whatever happens
    await until(lambda: gateway.status is not None)


async def test_clients_that_fill_a_gateway_leave_room_to_say_so(system: System) -> None:
    with system.confined("gateway", 300) as gateway:
        async with contextlib.AsyncExitStack() as here:
            refusals = []
            for number in range(150):
                query = urlencode({"token": token(new_id(f"client-{number}"))})
                try:
                    client = await RawClient.open(gateway.port, f"/ws?{query}")
                except Refused as refused:
                    refusals.append(json.loads(refused.answer.body)["reason"])
                else:
                    here.push_async_callback(client.drop)
            assert set(refusals) == {"FULL"}
            assert len(refusals) == 150 - 129  # of 172 sockets 43 are for those who have not asked yet
            assert gateway.get("/healthz") == (200, "alive\n")


async def test_one_user_s_many_attempts_keep_nobody_waiting(system: System, new_gateway: NewGateway) -> None:
    gateway = new_gateway()
    user = new_id("eager")
    query = urlencode({"token": token(user)})

    async def attempt() -> int:
        try:
            client = await RawClient.open(gateway.port, f"/ws?{query}")
        except Refused as refused:
            return refused.answer.status
        await client.drop()
        return 101

    async with asyncio.TaskGroup() as attempts:
        tried = [attempts.create_task(attempt()) for _ in range(100)]
        for _ in range(5):
            await gets_in(gateway.port)

    assert {one.result() for one in tried} == {101, 429}
    refused = [one.result() for one in tried].count(429)

    def lines() -> list[int]:
        said = system.events("connection refused", reason="RATE_LIMITED", user=user)
        return [line.get("count", 1) for line in said]

    await until(lambda: sum(lines()) == refused)
    assert len(lines()) < refused / 2


@pytest.mark.needs("haproxy")
@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
async def test_a_proxy_says_where_a_client_comes_from(
    system: System, new_gateway: NewGateway, tmp_path: Path, send: str
) -> None:
    gateway = new_gateway(TRUSTED_PROXIES="127.0.0.1", PROXY_PROTOCOL="1")
    user = new_id("far-away")
    with HAProxy(tmp_path, gateway.port, send) as proxy:
        client = await RawClient.dial(proxy.port, source="127.0.0.9")
        client.write(upgrade(f"/ws?{urlencode({'token': token(user)})}"))
        assert (await client.read_answer()).status == 101
        await client.drop()

    (opened,) = await until(lambda: system.events("session opened", user=user))
    assert opened["address"] == "127.0.0.9"


async def test_who_only_claims_to_be_a_proxy_is_not_believed(new_gateway: NewGateway) -> None:
    gateway = new_gateway(TRUSTED_PROXIES="127.0.0.1", PROXY_PROTOCOL="1")
    header = b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 8080\r\n"
    stranger = await RawClient.dial(gateway.port, source=STRANGER)
    stranger.write(header + upgrade("/ws"))
    assert (await stranger.read_answer()).status == 400
    await stranger.drop()

    proxy = await RawClient.dial(gateway.port)
    proxy.write(upgrade("/ws"))
    with pytest.raises(Ended):
        await proxy.read_answer()
    await proxy.drop()


async def test_an_address_of_the_internet_has_its_limits(new_gateway: NewGateway) -> None:
    gateway = new_gateway(TRUSTED_PROXIES="127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS="2")
    clients = []
    for _ in range(2):
        query = urlencode({"token": token(new_id("neighbour"))})
        clients.append(
            await RawClient.open(gateway.port, f"/ws?{query}", [("X-Forwarded-For", "203.0.113.7")])
        )
    with pytest.raises(Refused) as refusal:
        await RawClient.open(
            gateway.port,
            f"/ws?{urlencode({'token': token(new_id('one-too-many'))})}",
            [("X-Forwarded-For", "203.0.113.7")],
        )
    assert json.loads(refusal.value.answer.body)["reason"] == "TOO_MANY_CONNECTIONS"
    assert int(refusal.value.answer.headers["retry-after"]) >= 10
    await gets_in(gateway.port)
    for client in clients:
        await client.drop()
