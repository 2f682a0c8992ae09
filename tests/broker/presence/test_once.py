"""Changes of one name on a real broker: whoever is first, one of them is made."""

import asyncio
import time

import pytest

from presence.bucket import Bucket, make_bucket
from presence.once import USED_FOR_ANOTHER, Once
from tests.broker.presence.conftest import SUBJECTS
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected, Disconnect
from tieline.wire.internal.directions import PresenceReply

AT_ONCE = 5


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
async def bucket(broker: Broker, requests: Requests) -> Bucket:
    await make_bucket(broker, SUBJECTS.namespace, "memory", 1)
    return Bucket(broker, requests, SUBJECTS.namespace)


async def test_of_many_changes_of_one_name_at_once_one_is_made(bucket: Bucket) -> None:
    for turn in range(20):
        made: list[str] = []

        async def ask(user: str, turn: int = turn, made: list[str] = made) -> PresenceReply:
            async def make(*_: object) -> PresenceReply:
                made.append(user)
                await asyncio.sleep(0)
                return Affected(1)

            return await Once(bucket, now_ms).carry_out(Disconnect(f"{turn:x}", 60.0, UserId(user)), make)

        replies = await asyncio.gather(*(ask(f"user {number}") for number in range(AT_ONCE)))
        assert len(made) == 1
        assert sorted(map(repr, replies)) == sorted(
            map(repr, [Affected(1), *[Refused(USED_FOR_ANOTHER)] * (AT_ONCE - 1)])
        )


async def test_of_many_who_ask_for_the_same_at_once_one_makes_it(bucket: Bucket) -> None:
    made: list[None] = []

    async def ask() -> PresenceReply:
        async def make(*_: object) -> PresenceReply:
            made.append(None)
            await asyncio.sleep(0.01)
            return Affected(len(made))

        return await Once(bucket, now_ms).carry_out(Disconnect("0a", 60.0, UserId("alice")), make)

    assert await asyncio.gather(*(ask() for _ in range(AT_ONCE))) == [Affected(1)] * AT_ONCE
