"""One WebSocket of the load generator: an `asyncio.Protocol` that upgrades, then hands over text frames.

Hand-written because the generator shares the machine with what it measures. Pings are answered, because a
server may close a client that does not.
"""

import asyncio
import os
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
from websockets.utils import accept_key

from tieline.load.frames import CLOSE, PING, PONG, TEXT, FrameError, FrameReader, client_frame

UPGRADE_TIMEOUT_S: Final = 10.0
"""A server that opens hundreds of sessions at once may take seconds for the last one."""

CLOSE_TIMEOUT_S: Final = 5.0
"""For the server's close frame: by then it has surely read the client's, and the socket can be cut."""

_NORMAL: Final = (1000).to_bytes(2, "big")
_END_OF_HEAD: Final = b"\r\n\r\n"
_RETRY_AFTER: Final = re.compile(r"^retry-after:[ \t]*([0-9]{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


class UpgradeRefused(Exception):
    """The server did not answer with 101; the text is the first line of its answer and its reason.

    `reason` is a Tieline's ("BUSY"), "" of other servers; `retry_after_s` is when it wants to be asked again,
    None if it has named no time.
    """

    def __init__(self, text: str, reason: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Connection(asyncio.Protocol):
    """A socket to one server. `on_text` gets every text message, as bytes, and may be exchanged any time.

    All frames of a connection have one random mask. Masks protect proxies from scripts in browsers, and there
    are neither here.
    """

    def __init__(self, request: bytes, key: str, on_text: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.on_text = on_text
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()
        self._request = request
        self._key = key
        self._head = b""
        self._reader = FrameReader()
        self._mask = os.urandom(4)
        self._why_closed = "the server cut the connection"

    def send(self, payload: bytes) -> None:
        """Send one text message, or nothing if the connection is closing: its end is about to be reported."""
        if not self._transport.is_closing():
            self._transport.write(client_frame(TEXT, payload, self._mask))

    async def close(self) -> None:
        """Close as a client that is done (1000), and wait for the end of the socket."""
        if not self.closed.done():
            self._transport.write(client_frame(CLOSE, _NORMAL, self._mask))
            await asyncio.wait([self.closed], timeout=CLOSE_TIMEOUT_S)
            self._transport.abort()

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Read the answer to the upgrade, then frames."""
        if not self.opened.done():
            head, found, data = (self._head + data).partition(_END_OF_HEAD)
            self._head = head
            if not found:
                return
            self._read_answer(head.decode("latin-1"), data)
        try:
            frames = self._reader.feed(data)
        except FrameError as problem:
            self._fail(str(problem))
            return
        for opcode, payload in frames:
            if opcode == TEXT:
                self.on_text(payload)
            elif opcode == PING:
                self._transport.write(client_frame(PONG, payload, self._mask))
            elif opcode == CLOSE:
                self._why_closed = f"the server closed with {int.from_bytes(payload[:2], 'big')}"
                self._transport.write(client_frame(CLOSE, payload[:2], self._mask))
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Complete both futures."""
        if not self.opened.done():
            self.opened.set_exception(UpgradeRefused(f"no answer to the upgrade: {error or 'closed'}"))
        if not self.closed.done():
            self.closed.set_result(self._why_closed)

    def _read_answer(self, head: str, body: bytes) -> None:
        first_line, _, fields = head.partition("\r\n")
        expected = f"sec-websocket-accept: {accept_key(self._key)}".lower()
        if " 101 " in first_line and expected in fields.lower():
            self.opened.set_result(None)
        else:
            reason = _reason(body)
            text = f"{first_line}, {reason}" if reason else first_line
            self.opened.set_exception(UpgradeRefused(text, reason, _retry_after_s(fields)))
            self._transport.close()

    def _fail(self, why: str) -> None:
        self._why_closed = why
        self._transport.abort()


class _Refusal(msgspec.Struct):
    reason: str


def _reason(body: bytes) -> str:
    """Read why a Tieline refuses; other servers say nothing that could be read here."""
    try:
        return msgspec.json.decode(body, type=_Refusal).reason
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _retry_after_s(fields: str) -> float | None:
    """Read a Retry-After of seconds; a date, which no gateway sends, counts as none."""
    found = _RETRY_AFTER.search(fields)
    return None if found is None else float(found[1])


async def connect(
    url: str,
    on_text: Callable[[bytes], None],
    headers: Mapping[str, str] | None = None,
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
    kind: type[Connection] = Connection,
) -> Connection:
    """Open a WebSocket to a ws:// or wss:// URL, from the address `source` of this machine if it is given.

    `tls` says whose certificates are trusted for wss://; None: those that the system trusts.
    `kind` is for servers that wrap messages in something of their own.

    Raises:
        UpgradeRefused: the server did not answer with 101.
        OSError: no process listens there.
        TimeoutError: no answer within `UPGRADE_TIMEOUT_S`.
    """
    parts = urlsplit(url)
    is_secure = parts.scheme == "wss"
    key = b64encode(os.urandom(16)).decode()
    fields = {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    lines = (f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", "")
    request = "\r\n".join(lines).encode()
    async with asyncio.timeout(UPGRADE_TIMEOUT_S):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: kind(request, key, on_text),
            parts.hostname or "",
            parts.port or (443 if is_secure else 80),
            ssl=(tls or ssl.create_default_context()) if is_secure else None,
            local_addr=None if source is None else (source, 0),
        )
        try:
            await connection.opened
        except BaseException:
            connection.cut()  # or a server that is late would take it for one who is there
            raise
    return connection
