"""One socket of an attacker: it writes any bytes, reads or does not, and ends as it likes.

Tieline's load generator (`tieline/load/connection.py`) is a client that behaves, and so is `player.py`.
"""

import asyncio
import os
import socket
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from tieline.load.frames import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, client_frame

CUT: Final = 1006
"""The code of a connection that ended without a word (RFC 6455, 7.1.5)."""

OPEN_TIMEOUT_S: Final = 12.0
"""For the upgrade: the server gives up after five, and answers late when it has much to do."""

MOST_UNSENT: Final = 256 * 1024
"""Bytes that wait in this process before a flood holds on: more would only fill its own memory."""

_NO_MASK: Final = bytes(4)
_END_OF_HEAD: Final = b"\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: what is not sent is thrown away, and the other end gets a RST."""


class Refused(Exception):
    """The server did not upgrade; the text is the status, or says that there was none."""


def frame(opcode: int, payload: bytes = b"", *, is_last: bool = True) -> bytes:
    """Write one frame, masked with zeros."""
    whole = client_frame(opcode, payload, _NO_MASK)
    return whole if is_last else bytes([whole[0] & 0x7F]) + whole[1:]


def text(payload: bytes) -> bytes:
    """Write one text message."""
    return frame(TEXT, payload)


def request_of(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Write the upgrade request of a client that behaves."""
    parts = urlsplit(url)
    fields = {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = (
        f"GET {parts.path}?{parts.query} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    )
    return "\r\n".join((*lines, "", "")).encode()


def _ignore(_payload: bytes) -> None:
    pass


class Line(asyncio.Protocol):
    """A TCP connection to a gateway. What comes before the upgrade's end is the answer's head."""

    def __init__(self, on_text: Callable[[bytes], None] = _ignore, *, is_deaf: bool = False) -> None:
        """`is_deaf`: what comes after the upgrade is read, and not looked at."""
        loop = asyncio.get_running_loop()
        self.on_text = on_text
        self.answered: asyncio.Future[int] = loop.create_future()
        """The status of the answer to the first request."""
        self.closed: asyncio.Future[int] = loop.create_future()
        """The server's close code, or `CUT`."""
        self.head = b""
        self._is_deaf = is_deaf
        self._code = CUT
        self._reader = FrameReader()
        self._writable = asyncio.Event()
        self._writable.set()

    @classmethod
    async def dial(
        cls,
        url: str,
        source: str,
        on_text: Callable[[bytes], None] = _ignore,
        *,
        is_deaf: bool = False,
        receive_buffer: int | None = None,
    ) -> "Line":
        """Connect over TCP, from the address `source`; `receive_buffer` is what the kernel keeps for us.

        Raises:
            OSError: the server does not take the connection.
            TimeoutError: not within `OPEN_TIMEOUT_S`.
        """
        parts = urlsplit(url)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        loop = asyncio.get_running_loop()
        try:
            sock.bind((source, 0))
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await loop.sock_connect(sock, (parts.hostname, parts.port))
                _, line = await loop.create_connection(lambda: cls(on_text, is_deaf=is_deaf), sock=sock)
        except BaseException:
            sock.close()
            raise
        return line

    async def upgrade(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Become a WebSocket.

        Raises:
            Refused: the server wants none.
            TimeoutError: no answer within `OPEN_TIMEOUT_S`.
        """
        self.write(request_of(url, headers))
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                status = await asyncio.shield(self.answered)
            if status != 101:
                raise Refused(str(status or "no answer"))
        except BaseException:
            self.cut()
            raise

    @property
    def is_open(self) -> bool:
        """Whether the connection has not ended."""
        return not self.closed.done()

    def write(self, data: bytes) -> None:
        """Write bytes as they are; nothing once the connection has ended."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def send(self, payload: bytes) -> None:
        """Send one text message."""
        self.write(text(payload))

    async def writable(self) -> None:
        """Let others have their turn, and wait until little of what was written waits here."""
        await asyncio.sleep(0)
        if not self._writable.is_set():
            waiting = asyncio.ensure_future(self._writable.wait())
            try:
                await asyncio.wait((waiting, self.closed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()

    def stop_reading(self) -> None:
        """Read nothing more."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def end_writing(self) -> None:
        """Say in TCP's words that nothing more will be sent."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def close(self, code: int = 1000) -> None:
        """Close as RFC 6455 has it, and do not wait for the answer."""
        self.write(frame(CLOSE, code.to_bytes(2, "big")))

    def cut(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    def reset(self) -> None:
        """End the connection with a RST, whatever waits."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def send_byte_by_byte(self) -> None:
        """Let each write be a segment of its own."""
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MOST_UNSENT)

    def pause_writing(self) -> None:
        """Hold on."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Read the answer to the upgrade, then frames."""
        if not self.answered.done():
            self.head += data
            head, found, data = self.head.partition(_END_OF_HEAD)
            if not found:
                return
            words = head.split(b" ", 2)
            self.answered.set_result(int(words[1]) if len(words) > 1 and words[1].isdigit() else 0)
        if self._is_deaf or not data:
            return
        try:
            frames = self._reader.feed(data)
        except FrameError:  # the body of a refusal
            return
        for opcode, payload in frames:
            if opcode == TEXT:
                self.on_text(payload)
            elif opcode == PING:
                self.write(frame(PONG, payload))
            elif opcode == CLOSE:
                self._code = int.from_bytes(payload[:2], "big")
                self.write(frame(CLOSE, payload[:2]))
                self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Complete both futures."""
        self._writable.set()
        if not self.answered.done():
            self.answered.set_result(0)
        if not self.closed.done():
            self.closed.set_result(self._code)
