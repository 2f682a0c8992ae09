"""The presence bucket with many records: filled past presence, and its node killed and waited for."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bench.systems import System
from presence.record_codec import encode
from presence.rules.user import Session, User
from tieline.load.client import LoadError, arrive, leave
from tieline.load.connection import UpgradeRefused
from tieline.runtime.settings import ProcessSettings
from tieline.wire.ids import ConnectionId, GatewayId, SecretHash, SessionId, UserId
from tieline.wire.jetstream import bucket_prefix, bucket_stream
from tieline.wire.subjects import Keys

NAMESPACE: Final = ProcessSettings().namespace

AT_ONCE: Final = 500
"""Records on their way before one is waited for: the broker's queue of a stream takes 10,000."""

LOOK_AGAIN_S: Final = 0.02
ATTEMPT_S: Final = 0.5
"""For one attempt to reach the node."""

PATIENCE_S: Final = 180.0
"""For the node to be back: a million records are read in seconds."""


def record() -> bytes:
    """Make the record of a user who was here: as large as those of most users."""
    session = Session(
        id=SessionId("s" * 22),
        gateway=GatewayId("g" * 22),
        connection=ConnectionId("c" * 22),
        secret=SecretHash(b"h" * 32),
        status="offline",
    )
    return encode(User(sessions=(session,), voice=True, rooms={}))


async def fill(nats_url: str, records: int) -> None:
    """Store so many records of users who never connect.

    Raises:
        OSError, NatsError: the broker did not take them.
    """
    client = await nats.connect(nats_url)
    stream = client.jetstream()
    value, prefix = record(), bucket_prefix(NAMESPACE)
    for number in range(records):
        subject = f"{prefix}{Keys.user(UserId(f'stored-{number}'))}"
        if number % AT_ONCE == AT_ONCE - 1 or number == records - 1:
            await stream.publish(subject, value)
        else:
            await client.publish(subject, value)
    await client.close()


async def kill_and_wait(system: System, records: int) -> tuple[float, float]:
    """Kill the node; returns after how many seconds it has its records, and a newcomer is in.

    Raises:
        TimeoutError: not within `PATIENCE_S`.
    """
    (pid,) = system.pids()["broker"]
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        await _until(lambda: has_records(system.nats_url, records))
        has_records_s = time.monotonic() - began
        await _until(lambda: _lets_in(system))
    return has_records_s, time.monotonic() - began


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await holds():
            return
        await asyncio.sleep(LOOK_AGAIN_S)


async def has_records(nats_url: str, records: int) -> bool:
    """Whether the node is there and has at least so many records."""
    try:
        async with asyncio.timeout(ATTEMPT_S):
            client: Client = await nats.connect(
                nats_url, allow_reconnect=False, connect_timeout=ATTEMPT_S, error_cb=_ignore
            )
            try:
                info = await client.jetstream(timeout=ATTEMPT_S).stream_info(bucket_stream(NAMESPACE))
            finally:
                await client.close()
    except (NatsError, APIError, OSError):  # a TimeoutError is one
        return False
    return info.state.messages >= records


async def _lets_in(system: System) -> bool:
    try:
        client = await arrive(system.target, f"newcomer-{time.monotonic_ns()}", system.target.sender_url)
    except (UpgradeRefused, LoadError, OSError):
        return False
    await leave([client])
    return True


async def _ignore(_error: Exception) -> None:
    """Say nothing of a node that is not there yet."""
