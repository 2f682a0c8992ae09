"""One WebSocket to one gateway, from the upgrade to its close. The only module that knows websockets.

It carries frames and does not read them: that is `messages`. Retries and the WELCOME are `connector`. The
gateway's end of it is `gateway.client.connection`.
"""

import os
import re
from collections.abc import Mapping
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec
import websockets.asyncio.client as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.http11 import Response

from tieline.client.errors import Closed, Denied, Unreachable, UnusableToken
from tieline.client.messages import UNREADABLE
from tieline.wire.codes import CloseCode

OPEN_TIMEOUT_S: Final = 10.0
"""For TCP, TLS and the upgrade: the gateway itself ends an upgrade after 5 s, the rest is the network's."""

CLOSE_TIMEOUT_S: Final = 2.0
"""For the gateway to confirm a close: after that nothing depends on it any more."""

PING_INTERVAL_S: Final = 7.0
"""Between the client's pings. The gateway pings too, but its silence alone tells a client nothing. A network
that takes packets and delivers none is noticed in 17 s at the latest."""

PING_TIMEOUT_S: Final = 10.0
"""A gateway answers a ping in milliseconds; a mobile network may sleep for some seconds."""

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""The longest frame taken from the server: far above the roster of a full room."""

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What RFC 6750 allows as a token."""

_CONNECT_FAILED: Final = re.compile(r"\[Errno (\d+)\] Connect call failed")
"""What asyncio says of each address at which nothing listens; the URL, which names it, is said as well."""

_BROKEN: Final = 1006
"""The close code of RFC 6455 for a connection that ended without a close frame."""


class _Denial(msgspec.Struct, frozen=True):
    """The JSON body of a refusal; a proxy's own refusal has another body."""

    msg: str
    reason: str
    limit: str = ""


class Connection:
    """An open connection. Frames go out and come in as they are."""

    def __init__(self, socket: websocket.ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, url: str, token: str, query: Mapping[str, str]) -> Self:
        """Connect to a gateway's `ws://` or `wss://` URL, with more options in its query.

        Raises:
            Unreachable: nothing there speaks WebSocket, or not in time.
            Denied: the gateway, or a proxy before it, refused.
            UnusableToken: it is empty, or holds a character that no token has, such as the end of a line.
        """
        if not token:
            raise UnusableToken("the token is empty")
        if not _BEARER.fullmatch(token):
            raise UnusableToken("the token holds characters that no token has")
        try:
            return cls(
                await websocket.connect(
                    _with_query(url, query),
                    additional_headers={"Authorization": f"Bearer {token}"},
                    compression=None,
                    proxy=None,
                    open_timeout=OPEN_TIMEOUT_S,
                    close_timeout=CLOSE_TIMEOUT_S,
                    ping_interval=PING_INTERVAL_S,
                    ping_timeout=PING_TIMEOUT_S,
                    max_size=MAX_FRAME_BYTES,
                )
            )
        except InvalidStatus as refusal:
            raise _denied(refusal.response) from None
        except (OSError, WebSocketException, ValueError) as error:
            # Of the URL, all but the query, which may hold a token.
            where, why = url.partition("?")[0], _why(error)
            raise Unreachable(f"no gateway at {where}: {why}", where, why) from error

    async def send(self, frame: bytes) -> None:
        """Write one text frame; waits while the network takes no more.

        Raises:
            Closed: the connection has ended.
        """
        try:
            await self._socket.send(frame, text=True)
        except ConnectionClosed as end:
            raise _closed(end) from end

    async def receive(self) -> bytes:
        """Wait for the next frame. For one task at a time.

        Raises:
            Closed: the connection has ended, and everything that came before has been received.
        """
        try:
            return await self._socket.recv(decode=False)
        except ConnectionClosed as end:
            raise _closed(end) from end

    async def close(self, code: CloseCode = CloseCode.NORMAL) -> None:
        """End the connection, and wait until it has ended. The second time it does nothing.

        With 1000 the session ends too; with any other code it may be resumed.
        """
        await self._socket.close(code)


def _with_query(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    options = [option for option in (parts.query, urlencode(query, quote_via=quote, safe="")) if option]
    return urlunsplit(parts._replace(query="&".join(options)))


def _why(error: Exception) -> str:
    if isinstance(error, InvalidURI):
        return error.msg
    codes = dict.fromkeys(_CONNECT_FAILED.findall(str(error)))
    return ", ".join(os.strerror(int(code)) for code in codes) or str(error)


def _closed(end: ConnectionClosed) -> Closed:
    """Translate the end: the server's code if it sent one, else this client's, such as 1011 for no pong."""
    frame = end.rcvd or end.sent
    return Closed(frame.code, frame.reason) if frame is not None else Closed(_BROKEN, "connection lost")


def _denied(response: Response) -> Denied:
    try:
        body = msgspec.json.decode(response.body, type=_Denial)
    except UNREADABLE:
        body = _Denial(response.reason_phrase, "")
    retry_after_s = _seconds(response.headers.get("Retry-After"))
    return Denied(response.status_code, body.msg, body.reason, retry_after_s, body.limit)


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After of seconds; a date, which no gateway sends, counts as none."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
