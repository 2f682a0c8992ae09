"""One client's upgrade request, as bytes: from the accepted socket to the answer.

What it asks for is judged by `gateway/admission/handshake.py` and `gateway/sessions/upgrades.py`; what
comes after the upgrade is read by `reader`.
"""

import asyncio

from websockets.http11 import Request, Response

from gateway.admission import handshake
from gateway.admission.entrance import Visit
from gateway.client.outbox import Outbox
from gateway.client.trickle import Trickle
from gateway.client.websocket import WebSocket
from gateway.demo import Pages
from tieline.runtime.request_head import HEAD_BYTES, was_too_long
from tieline.wire.codes import HandshakeError

Asked = tuple[Request, Response]
"""A request that is for others to answer, and its usual answer."""


class Upgrade:
    """Reads the request of one client, and refuses it or leaves it to others to be answered."""

    __slots__ = (
        "_has_asked",
        "_is_queued",
        "_outbox",
        "_pages",
        "_protocol",
        "_transport",
        "_trickle",
        "_unread",
        "visit",
        "was_looked_at",
    )

    def __init__(
        self,
        protocol: WebSocket,
        transport: asyncio.Transport,
        outbox: Outbox,
        visit: Visit,
        trickle: Trickle,
        pages: Pages | None,
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        self._outbox = outbox
        self.visit = visit
        """How its socket is counted, and what a refusal says of it."""
        self._trickle = trickle
        self._pages = pages
        self._unread = bytearray()
        self._is_queued = self._has_asked = False
        self.was_looked_at = False
        """Whether what has arrived was looked at before."""

    def receive(self, data: bytes) -> bool:
        """Take what has arrived before the client is let in; returns whether it has to be looked at.

        That is to be done in a turn, because hundreds may ask at once. Nothing is read meanwhile. What
        completes no line need not be looked at, which may come byte by byte.
        """
        self._unread += data
        if self._is_queued:
            return False
        if b"\n" in data or self._has_asked or self.visit.is_awaited or len(self._unread) > HEAD_BYTES:
            self._trickle.stop()
            self._is_queued = True
            self._transport.pause_reading()
            return True
        if self._trickle.note(len(data), self._read_on):
            self._transport.pause_reading()
        return False

    def look(self) -> Asked | None:
        """Look at what has arrived; returns what is for others to answer."""
        data = bytes(self._unread)
        self._unread.clear()
        self._is_queued = False
        self.was_looked_at = True
        if self._transport.is_closing():
            return None
        asked = self._read(data)
        self._read_on()
        return asked

    def _read_on(self) -> None:
        """Read what comes next, unless the request has been read, and is decided on."""
        if not self._has_asked and not self._is_queued and not self._transport.is_closing():
            self._transport.resume_reading()

    def _read(self, data: bytes) -> Asked | None:
        protocol = self._protocol
        if self._has_asked:
            self._transport.abort()  # frames before the upgrade: not a WebSocket client
            return None
        data = self.visit.read(data)
        if not data:
            return None
        protocol.receive_data(data)
        events = protocol.events_received()
        if protocol.close_expected() or (events and protocol.is_followed):
            # No request, or one with something behind it, which would have to wait for our answer.
            protocol.data_to_send()  # the library's own answer; ours is JSON
            too_long = was_too_long(protocol)
            self.deny(HandshakeError.HEADERS_TOO_LARGE if too_long else HandshakeError.MALFORMED)
            return None
        self._outbox.flush()
        match events:
            case [Request() as request]:
                return self._take(request)
            case _:
                return None

    def deny(self, error: HandshakeError, retry_after_s: int | None = None, limit: str = "") -> None:
        """Refuse the upgrade, and say when to come back; None: when it is usual after such a refusal.

        `limit` is the one that was met, if the reason does not say it.
        """
        if self._transport.is_closing():
            return
        self.visit.denied(error)
        self._respond(handshake.denied(error, retry_after_s, limit))

    def _take(self, request: Request) -> Asked | None:
        self.visit.asked()
        self._has_asked = True
        if handshake.lists_too_much(request):
            self.deny(HandshakeError.HEADERS_TOO_LARGE)
            return None
        page = None if self._pages is None else self._pages.answer(request, self.visit.address)
        if page is not None:
            self._respond(page)
            return None
        return request, self._protocol.accept(request)

    def _respond(self, response: Response) -> None:
        """Answer over HTTP, and close the connection as soon as that is read."""
        self._transport.write(response.serialize())
        self._transport.close()
