"""A broker whose storage is full: what else is stored there has taken all of its room."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nats.js.api import StorageType, StreamConfig

from tests.support.http_get import HOST
from tests.support.nats_server import NatsServer
from tests.support.waiting import PATIENCE_S
from tieline.cli.dev.ports import hold_ports
from tieline.runtime.broker import Broker
from tieline.wire import jetstream_answers

_BALLAST: Final = "BALLAST"
_SUBJECT: Final = "ballast"
_PIECE: Final = bytes(256 * 1024)

CONFIG: Final = """
server_name: small
listen: "{host}:{port}"
jetstream {{ store_dir: "{storage}", max_memory_store: {bytes}, max_file_store: {bytes} }}
"""


@contextmanager
def small_broker(folder: Path, max_bytes: int) -> Iterator[NatsServer]:
    """Run one that stores no more than this in memory, and no more in files."""
    with hold_ports(1, HOST) as (port,):
        config = folder / "small.conf"
        config.write_text(CONFIG.format(host=HOST, port=port, storage=folder / "small", bytes=max_bytes))
        server = NatsServer.configured("small", config, port, 0)
        try:
            server.start()
            yield server
        finally:
            server.kill()


async def fill(broker: Broker, storage: StorageType) -> None:
    """Take all the room that there is, by a stream of another application."""
    context = broker.client.jetstream()
    await context.add_stream(StreamConfig(_BALLAST, subjects=[_SUBJECT], storage=storage))
    while True:
        reply = await broker.client.request(_SUBJECT, _PIECE, timeout=PATIENCE_S)
        if (error := jetstream_answers.read_published(reply.data).error) is not None:
            assert error.is_no_room
            return


async def make_room(broker: Broker) -> None:
    """Give back what `fill` has taken."""
    await broker.client.jetstream().delete_stream(_BALLAST)
