"""A network between a process and its broker that can be cut: a TCP proxy of the tests."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self
from urllib.parse import urlsplit

from tests.support.accepting import stop_accepting
from tests.support.http_get import HOST

_CHUNK: Final = 65_536

_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""Makes the end of a connection a reset."""


class Proxy:
    """Forwards to one broker while its `async with` block lasts, unless it is cut."""

    def __init__(self, broker_url: str) -> None:
        parts = urlsplit(broker_url)
        self._target = parts.hostname, parts.port
        self.on_chunk: Callable[[], None] = lambda: None
        """Called with whatever was read of either end, before it is passed on."""
        self.refuses = False
        """Whether a new connection is cut at once, as by a host without a broker."""
        self._from_broker, self._to_broker = asyncio.Event(), asyncio.Event()
        self.heal()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await stop_accepting(self._server)
        self._server.close()
        self.heal()
        self.close_connections()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """What to connect to instead of the broker."""
        return f"nats://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Let nothing through any more, and close nothing: connections can be made, but hear nothing."""
        self._from_broker.clear()
        self._to_broker.clear()

    def hold_up(self) -> None:
        """Let nothing through that comes from the broker; what goes there arrives."""
        self._from_broker.clear()

    def heal(self) -> None:
        """Let everything through again, beginning with what was held up."""
        self._from_broker.set()
        self._to_broker.set()

    def close_connections(self, *, reset: bool = False) -> None:
        """Cut every connection; new ones can be made. With `reset` as a host does whose process has died."""
        for writer in self._writers:
            if reset:
                ends = writer.get_extra_info("socket")
                ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        await self._to_broker.wait()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as forwarding:
                forwarding.create_task(self._forward(reader, far_writer, self._to_broker))
                forwarding.create_task(self._forward(far_reader, writer, self._from_broker))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await is_open.wait()
                self.on_chunk()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
