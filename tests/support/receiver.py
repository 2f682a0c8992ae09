"""A backend that receives webhooks over real HTTP, and may behave as badly as backends do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, NamedTuple

from tieline.wire.signatures import signature

SECRET: Final = "a secret of the receiver's own, long enough"

Manner = Literal[
    "takes",
    "refuses",
    "is busy",
    "hangs",
    "hangs up",
    "answers garbage",
    "redirects",
    "is gone",
    "says nothing, on and on",
]


class Post(NamedTuple):
    """One delivery that came."""

    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that it has."""
        events: list[dict[str, Any]] = json.loads(self.body)
        return events

    def is_signed(self, secret: str = SECRET) -> bool:
        """Whether it is signed by a secret."""
        name, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        return signature(secret, name, at, self.body) in self.headers["webhook-signature"].split()


class Receiver:
    """An HTTP server on a port of its own."""

    def __init__(self) -> None:
        self.manner: Manner = "takes"
        self.refuses: set[str] = set()
        """Subjects of events of which no delivery is taken."""
        self.redirects_to = ""
        self.posts: list[Post] = []
        """All that came, taken or not."""
        self.taken: list[dict[str, Any]] = []
        """The events of deliveries that were taken."""
        self.port = 0
        self.released = asyncio.Event()
        """Lets those go on that hang."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.released.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.partition(": ") for line in head[1:] if line)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                post = Post(headers, body)
                self.posts.append(post)
                if not await self._answer(post, writer):
                    break
        writer.close()

    async def _answer(self, post: Post, writer: asyncio.StreamWriter) -> bool:
        """Answer one delivery; returns whether the connection stays."""
        match self.manner:
            case "hangs":
                await self.released.wait()
                return False
            case "hangs up":
                return False
            case "answers garbage":
                writer.write(b"\x00\xff no such protocol\r\n\r\n" * 100)
                await writer.drain()
                return False
            case "says nothing, on and on":
                while not writer.is_closing():
                    writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)
                    await writer.drain()
                return False
            case "redirects":
                self._say(writer, "302 Found", f"Location: {self.redirects_to}\r\n")
            case "is busy":
                self._say(writer, "503 Service Unavailable", "Retry-After: 1\r\n")
            case "is gone":
                self._say(writer, "410 Gone")
            case "refuses":
                self._say(writer, "500 Internal Server Error")
            case "takes":
                if self.refuses & {event["subject"] for event in post.events}:
                    self._say(writer, "422 Unprocessable Content")
                else:
                    self.taken += post.events
                    self._say(writer, "204 No Content")
        await writer.drain()
        return True

    def _say(self, writer: asyncio.StreamWriter, status: str, more: str = "") -> None:
        length = "" if status.startswith("204") else "Content-Length: 0\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{length}{more}\r\n".encode())
