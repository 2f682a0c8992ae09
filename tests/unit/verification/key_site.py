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
        self.location = ""
        """Where a redirect leads."""
        self.heads: list[str] = []
        """The requests so far."""
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

    def is_lost(self, head: str) -> bool:
        """Whether a request is for what has moved: all but what a redirect leads to here."""
        return not head.startswith("GET /moved ")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        leads = f"Location: {self.location}\r\n" if self.location and self.is_lost(self.heads[-1]) else ""
        status = "302 Found" if leads else self.status
        head = (
            f"HTTP/1.1 {status}\r\n{leads}Content-Length: {len(self.document)}\r\nConnection: close\r\n\r\n"
        )
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
