"""A connection to a nats-server of the test's own, which it may kill, and start again on its port."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from nats.js.api import StorageType

from presence.mailbox import make_mailbox
from tests.support.full_broker import fill, small_broker
from tests.support.http_get import HOST
from tests.support.nats_server import NatsServer
from tieline.cli.dev.broker_process import find_nats_server
from tieline.cli.dev.ports import hold_ports
from tieline.runtime.broker import Broker, connect
from tieline.wire.subjects import Subjects

SMALL: Final = 16 * 1024 * 1024
"""What a small broker may store in memory, and the same in files."""


@pytest.fixture
async def broker(pip_nats: NatsServer) -> AsyncIterator[Broker]:
    connected = await connect(pip_nats.url, "test")
    yield connected
    await connected.close()


@pytest.fixture
def plain_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server as it is without options: JetStream is off."""
    with hold_ports(1, HOST) as (port,):
        command: list[str | Path] = [find_nats_server(os.environ), "--addr", HOST, "--port", str(port)]
        server = NatsServer("plain", command, port, tmp_path / "plain.log")
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def small_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server with little room."""
    with small_broker(tmp_path, SMALL) as server:
        yield server


@pytest.fixture
async def full_broker(small_nats: NatsServer) -> AsyncIterator[Broker]:
    """A connection to a broker with a mailbox, and without room for another message."""
    connected = await connect(small_nats.url, "test")
    await make_mailbox(connected, Subjects("t"), "memory", 1, 30, SMALL // 2)
    await fill(connected, StorageType.MEMORY)
    yield connected
    await connected.close()
