"""A WebSocket client that does what it is told, also what no library would do.

It frames by hand (RFC 6455), so that what the server sends is read with other eyes than the server's own.
"""

import asyncio
import base64
import hashlib
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum
from typing import ClassVar, Final, NamedTuple, Protocol

from tests.support.http_get import HOST
from tests.support.waiting import PATIENCE_S

CUT: Final = 1006
"""The code of a connection that ended without a word (RFC 6455, 7.1.5)."""

NO_CODE: Final = 1005
"""The code of a close frame that names none."""

FIRST_REFUSAL: Final = 400
"""From this status on an answer is a refusal."""

Headers = Sequence[tuple[str, str]]

_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = base64.b64encode(b"sixteen bytes---")


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Frame(NamedTuple):
    """One frame from the server."""

    opcode: int
    payload: bytes


class HttpAnswer(NamedTuple):
    """What the server answers to a request; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Refused(Exception):
    """The server refused the upgrade."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer)
        self.answer = answer


class Ended(Exception):
    """The connection is over: the server's close code and reason, or `CUT`."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def upgrade(target: str, headers: Headers = (), *, without: Sequence[str] = (), method: str = "GET") -> bytes:
    """Write an upgrade request; `without` names headers (in lower case) to leave out."""
    usual = [
        ("Host", HOST),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", _KEY.decode()),
        ("Sec-WebSocket-Version", "13"),
    ]
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (*usual, *headers) if name.lower() not in without]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """Write one frame; `reserved` are its three reserved bits."""
    head = bytes([fin << 7 | reserved << 4 | opcode])
    bit, size = masked << 7, len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65_536:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return head + key + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


CLOSES: Final = frame(Opcode.CLOSE, b"")[:1]
"""The first byte of a close frame."""


class Watcher(Protocol):
    """What sees everything that is said."""

    def sent(self, frame: bytes) -> None:
        """Take note of a text message of the client."""
        ...

    def received(self, frame: bytes) -> None:
        """Take note of a text message of the server."""
        ...

    def refused(self, status: int, body: bytes) -> None:
        """Take note of an answer that is no upgrade."""
        ...

    def ended(self, code: int) -> None:
        """Take note of the server's close code, of a connection that the client has not closed."""
        ...


class RawClient:
    """One socket to a gateway. Everything that waits gives up after `PATIENCE_S`."""

    watcher: ClassVar[Watcher | None] = None
    """Set for a whole run (tests/system/conftest.py)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._has_closed = False
        self.answer = HttpAnswer(0, {}, b"")

    @classmethod
    async def dial(
        cls,
        port: int,
        receive_buffer: int | None = None,
        source: str = HOST,
        tls: ssl.SSLContext | None = None,
    ) -> "RawClient":
        """Connect over TCP, from `source`; the kernel keeps `receive_buffer` bytes for us."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source != HOST:
                sock.bind((source, 0))
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
        except BaseException:
            sock.close()
            raise
        name = None if tls is None else HOST
        async with asyncio.timeout(PATIENCE_S):
            return cls(*await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name))

    @classmethod
    async def open(
        cls,
        port: int,
        target: str,
        headers: Headers = (),
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> "RawClient":
        """Connect and upgrade.

        Raises:
            Refused: the server did not upgrade; the connection is closed.
            Ended: the server gave no answer.
        """
        client = await cls.dial(port, receive_buffer, tls=tls)
        try:
            client.write(upgrade(target, headers))
            client.answer = answer = await client.read_answer()
            if answer.status != 101:
                raise Refused(answer)
            accepted = base64.b64encode(hashlib.sha1(_KEY + _ACCEPT).digest()).decode()
            assert answer.headers["sec-websocket-accept"] == accepted
            assert "sec-websocket-extensions" not in answer.headers
        except BaseException:
            await client.drop()
            raise
        return client

    @property
    def tls(self) -> ssl.SSLObject:
        """Its end of TLS."""
        found: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return found

    async def read_answer(self) -> HttpAnswer:
        """Read the answer to an HTTP request.

        Raises:
            Ended: there was none.
        """
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):
                raise Ended(CUT) from None
            status, *lines = head.split("\r\n")[:-2]
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        answer = HttpAnswer(int(status.split()[1]), headers, body)
        is_gateways = headers.get("content-type", "").startswith("application/json")  # and no proxy's own
        if self.watcher is not None and answer.status >= FIRST_REFUSAL and is_gateways:
            self.watcher.refused(answer.status, body)
        return answer

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._has_closed = self._has_closed or data[:1] == CLOSES
        self._writer.write(data)

    async def flush(self) -> None:
        """Give what was written to the kernel, as a segment of its own."""
        await self._writer.drain()

    def send(self, text: bytes | str) -> None:
        """Send one text message in one frame, valid UTF-8 or not."""
        message = text if isinstance(text, bytes) else text.encode()
        if self.watcher is not None:
            self.watcher.sent(message)
        self.write(frame(Opcode.TEXT, message))

    def write_end(self) -> None:
        """Say in TCP's words that nothing more will be sent."""
        self._writer.write_eof()

    async def receive(self) -> bytes:
        """Wait for the next text message; pings in between are answered.

        Raises:
            Ended: the connection ended instead.
        """
        while True:
            opcode, payload = await self.receive_frame()
            match opcode:
                case Opcode.TEXT:
                    return payload
                case Opcode.PING:
                    self.write(frame(Opcode.PONG, payload))
                case Opcode.PONG:
                    pass
                case _:
                    raise AssertionError(f"the server sent a frame of kind {opcode}")

    async def receive_frame(self) -> Frame:
        """Wait for the next frame; one that closes is answered, and the connection then ended.

        Raises:
            Ended: the connection ended instead.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                received = await self._read_frame()
                if received.opcode != Opcode.CLOSE:
                    if self.watcher is not None and received.opcode == Opcode.TEXT:
                        self.watcher.received(received.payload)
                    return received
                code = int.from_bytes(received.payload[:2], "big") or NO_CODE
                if self.watcher is not None and not self._has_closed:
                    self.watcher.ended(code)
                self.write(frame(Opcode.CLOSE, received.payload[:2]))
                await self._reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Ended(CUT) from None
        finally:
            if self._reader.at_eof():
                self._writer.close()
        raise Ended(code, received.payload[2:].decode())

    async def _read_frame(self) -> Frame:
        first, second = await self._reader.readexactly(2)
        assert first & 0xF0 == 0x80, "the server sends whole messages, without extensions"
        assert second < 128, "a server masks nothing"
        size = second
        if second == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        elif second == 127:
            size = int.from_bytes(await self._reader.readexactly(8), "big")
        return Frame(first & 0x0F, await self._reader.readexactly(size))

    async def ended(self) -> Ended:
        """Expect the end of the connection, and no message before it."""
        try:
            received = await self.receive()
        except Ended as end:
            return end
        raise AssertionError(f"not the end, but {received!r}")

    async def close(self, code: int = 1000) -> Ended:
        """Close as RFC 6455 has it; returns the server's answer, skipping what came before it."""
        self.write(frame(Opcode.CLOSE, code.to_bytes(2, "big")))
        try:
            while True:
                await self.receive()
        except Ended as end:
            return end
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Cut the connection without a word."""
        if not self._writer.transport.is_closing():  # TLS that has ended cannot be cut any more
            self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
