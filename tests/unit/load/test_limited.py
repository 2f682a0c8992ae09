"""`tieline.load.limited`: which systems limit their users."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.settings import GatewaySettings
from tests.unit.load.small_relay import WELCOME, relaying
from tieline.load.client import Target
from tieline.load.limited import ASKED, is_limited


@asynccontextmanager
async def refreshing(most: int, refusal: str = "RATE_LIMITED") -> AsyncIterator[Target]:
    """Take so many newer tokens of a connection, and refuse all others, and whatever else is sent."""

    async def handle(connection: ServerConnection) -> None:
        try:
            await connection.send(WELCOME, text=True)
            taken = 0
            while True:
                asked = json.loads(await connection.recv())
                is_refresh = asked["cmd"] == "REFRESH_TOKEN"
                taken += is_refresh
                answer = {"requestId": asked["requestId"], "cmd": asked["cmd"], "code": 200}
                if taken > most or not is_refresh:
                    answer |= {"code": 1000, "reason": refusal}
                await connection.send(json.dumps(answer))
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        yield Target(url, url, "a secret that is long enough for HMAC-SHA256")


@pytest.mark.parametrize(
    ("most", "refusal", "limited"),
    [(20, "RATE_LIMITED", True), (0, "RATE_LIMITED", True), (10_000, "", False), (0, "BAD_TOKEN", False)],
)
async def test_a_system_with_limits_is_known(most: int, refusal: str, limited: bool) -> None:
    async with refreshing(most, refusal) as target:
        assert await is_limited(target) is limited


async def test_a_server_without_tokens_has_no_limits() -> None:
    async with relaying() as target:
        assert not await is_limited(target)


def test_one_more_is_asked_for_than_the_default_allows() -> None:
    assert GatewaySettings().refresh_limit + 1 == ASKED
