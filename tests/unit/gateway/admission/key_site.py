"""A web server on loopback that gives out a key set, or whatever else a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.accepting import stop_accepting


class KeySite:
    """One answer for every request, which a test may change; it counts how often it was asked."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.status = "200 OK"
        self.asked = 0
        self.port = 0
        self.may_answer = asyncio.Event()
        """Not set: requests wait."""
        self.may_answer.set()
        self.was_asked = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self.port}/keys"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.document)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + self.document)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def key_site(document: bytes = b"", port: int = 0) -> AsyncIterator[KeySite]:
    """Serve while the block runs."""
    site = KeySite(document)
    server = await asyncio.start_server(site.serve, "127.0.0.1", port)
    async with server:
        site.port = server.sockets[0].getsockname()[1]
        yield site
        await stop_accepting(server)
