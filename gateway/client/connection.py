"""One client's socket: bytes in, frames to the session, frames out, and the end.

The WebSocket itself is the Sans-I/O protocol of websockets. It leaves to us whether text is UTF-8 and
putting fragments together (`fragments`), pings and their time-outs (`keepalive`), closing time-outs, and not
reading faster than the system answers. One message is under way at a time (`inbound`). How far a connection
has come is one of the states of `life`. What others send to the client comes from `gateway/delivery/`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from gateway.admission import handshake
from gateway.client.fragments import Fragments, NotUtf8
from gateway.client.frames import is_between_messages, next_text
from gateway.client.hang_up import has_hung_up
from gateway.client.host import Host
from gateway.client.inbound import Inbound
from gateway.client.keepalive import Timers
from gateway.client.life import Life
from gateway.client.outbox import Outbox
from gateway.client.session import NO_CLOSE_FRAME, Session
from gateway.demo import Pages
from tieline import metrics
from tieline.wire.codes import CLOSE_REASONS, CloseCode, HandshakeError
from tieline.wire.envelope import MAX_MESSAGE_BYTES

HANDSHAKE_S: Final = 5.0
"""For the upgrade, in all, and for reading its refusal: a client that takes longer to send a few hundred
bytes only holds a place."""

CLOSING_S: Final = 3.0
"""For the closing handshake, counted from its first close frame or from the client's end of the stream,
whatever the client sends meanwhile; then the socket is cut."""

OnRequest = Callable[["Connection", Request, Response], None]
"""Answers an upgrade request, now or later: calls `welcome` with the response, `deny` or `abandon`."""

OnGone = Callable[["Connection"], None]
"""Takes note that a connection has ended and everything it said is answered; called once."""

_quiet = logging.getLogger("websockets.server")


class Connection(asyncio.Protocol):
    """One client, from the TCP connection to its end."""

    __slots__ = (
        "_fragments",
        "_host",
        "_inbound",
        "_is_between_messages",
        "_life",
        "_loop",
        "_now",
        "_on_gone",
        "_on_request",
        "_opened_at",
        "_outbox",
        "_pages",
        "_protocol",
        "_timers",
        "_transport",
        "session",
    )

    _protocol: ServerProtocol
    _transport: asyncio.Transport
    _outbox: Outbox
    _inbound: Inbound  # once there is a session

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: Host,
        on_request: OnRequest,
        on_gone: OnGone,
        pages: Pages | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = loop
        self._host = host
        self._on_request = on_request
        self._on_gone = on_gone
        self._pages = pages
        self._now = now  # for measuring: uvloop's own clock counts whole milliseconds
        self._life = Life.HANDSHAKE
        self._fragments = Fragments()
        self._is_between_messages = False  # the parser's: `next_text` may look at what comes next
        self._timers = Timers(loop)
        self._opened_at = 0.0
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._protocol = ServerProtocol(
            select_subprotocol=handshake.select_subprotocol, max_size=MAX_MESSAGE_BYTES, logger=_quiet
        )
        self._outbox = Outbox(self._protocol, self._transport)
        self._timers.call_after(HANDSHAKE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and act on it."""
        protocol = self._protocol
        if self._is_between_messages:
            at, size = 0, len(data)
            while protocol.state is State.OPEN and (text := next_text(data, at)) is not None:
                payload, at = text
                self._on_text(payload, fin=True)
                if at == size:
                    return
            data = data[at:]
        protocol.receive_data(data)
        self._is_between_messages = is_between_messages(protocol)
        events = protocol.events_received()
        if protocol.state is State.CONNECTING and (protocol.close_expected() or len(events) > 1):
            # No request, or one with something behind it, which would have to wait for our answer.
            protocol.data_to_send()  # the library's own answer; ours is JSON
            self.deny(HandshakeError.MALFORMED)
            return
        self._outbox.flush()
        for event in events:
            self._on_event(event)
        if protocol.close_expected() and (self._life is not Life.CLOSING or protocol.close_rcvd is not None):
            self._leave()  # else it has yet to answer our close

    def eof_received(self) -> bool:
        """Learn that the client sends no more; the transport closes itself once the client has read all."""
        self._protocol.receive_eof()
        self._leave()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop the timers; the connection is gone, if not before, when all that was said is answered."""
        self._protocol.receive_eof()
        self._leave()
        self._timers.stop()

    @property
    def peer(self) -> str:
        """The address that the connection comes from."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    @property
    def is_closing(self) -> bool:
        """Whether the client is gone, or about to be, though its end may not have been read yet."""
        return self._transport.is_closing() or has_hung_up(self._transport)

    @property
    def is_reading(self) -> bool:
        """Whether what the client sends is being read."""
        return self._transport.is_reading()

    @property
    def close_code(self) -> int:
        """Why it ended: by the first close frame, ours or the client's, or 1006 when neither sent one."""
        protocol = self._protocol
        close = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent
        return NO_CLOSE_FRAME if close is None else close.code

    @property
    def seconds_open(self) -> float:
        """How long ago the client was let in."""
        return self._loop.time() - self._opened_at

    def welcome(self, response: Response, session: Session, frame: bytes) -> None:
        """Complete the upgrade; `frame` is the WELCOME."""
        self._life = Life.OPEN
        self._opened_at = self._loop.time()
        self.session = session
        self._timers.begin(self, session, self._host)
        self._inbound = Inbound(self, session, self._host, self._timers.on_newer_token, self._now)
        self._protocol.send_response(response)
        self._outbox.flush()
        self._outbox.send(frame)
        self._resume()

    def deny(self, error: HandshakeError) -> None:
        """Refuse the upgrade."""
        if self._transport.is_closing():
            return
        metrics.HANDSHAKES_REFUSED.labels(error.reason).inc()
        self._respond(handshake.denied(error))

    def abandon(self) -> None:
        """Forget a client that has gone before it was let in."""
        self._transport.abort()

    def ping(self, payload: bytes) -> None:
        """Send a ping; nothing once the connection is closing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(payload)
            self._outbox.flush()

    def say(self, frame: bytes) -> bool:
        """Send the client a frame; False: the connection is closing, and it is not sent."""
        is_sent = self._outbox.send(frame)
        self._close_if_slow()
        return is_sent

    def write(self, frames: bytes) -> None:
        """Send the client frames that have their heads; nothing once the connection is closing."""
        self._outbox.write(frames)
        self._close_if_slow()

    def close(self, code: CloseCode) -> None:
        """Close the connection in order, act on nothing more, and cut it if the client does not close."""
        if self._protocol.state is State.OPEN:
            self._life = Life.CLOSING
            self._inbound.drop_unread()
            self._protocol.send_close(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self._cut_later()

    def pause(self) -> None:
        """Read nothing more until `on_all_answered`: enough messages wait."""
        self._transport.pause_reading()

    def on_all_answered(self) -> None:
        """Read on, or be gone: everything that was received is answered."""
        self._resume()
        self._be_gone_if_done()

    def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                self.pause()
                page = None if self._pages is None else self._pages.answer(event)
                if page is not None:
                    self._respond(page)
                else:
                    self._on_request(self, event, self._protocol.accept(event))
            case Frame() if self._life is Life.HANDSHAKE:
                self._transport.abort()  # frames before the upgrade: not a WebSocket client
            case Frame(opcode=Opcode.TEXT | Opcode.CONT, data=data, fin=fin):
                self._on_text(bytes(data), fin)
            case Frame(opcode=Opcode.BINARY):
                self._fail(CloseCode.BINARY_FRAME)
            case Frame(opcode=Opcode.PING):
                self._close_if_slow()  # the protocol has answered it, and the answer has to be read, too
            case Frame(opcode=Opcode.PONG, data=data):
                self._timers.on_pong(bytes(data))

    def _on_text(self, data: bytes, fin: bool) -> None:
        if self._life is not Life.OPEN:
            return
        try:
            message = self._fragments.add(data, fin)
        except NotUtf8:
            self._fail(CloseCode.NOT_UTF8)
            return
        if message is not None:
            self._inbound.receive(message)

    def _respond(self, response: Response) -> None:
        """Answer over HTTP, and close the connection as soon as that is read."""
        self._transport.write(response.serialize())
        self._transport.close()

    def _close_if_slow(self) -> None:
        if self._outbox.is_over_limit:
            self.close(CloseCode.SLOW_CONSUMER)

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _fail(self, code: CloseCode) -> None:
        """End the connection of a client that does not speak the protocol; nothing after that is read."""
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self._leave()

    def _leave(self) -> None:
        """Take note that the client will say nothing more: it has closed, even if its socket stays open."""
        if self._life is Life.OPEN:
            self._cut_later()
        if self._life is not Life.GONE:
            self._life = Life.LEFT
            self._be_gone_if_done()

    def _be_gone_if_done(self) -> None:
        if self._life is Life.LEFT and (self.session is None or not self._inbound.is_busy):
            self._life = Life.GONE
            self._on_gone(self)

    def _cut_later(self) -> None:
        """Give the client a moment to complete the closing handshake. Called once, as it leaves `OPEN`."""
        self._resume()
        self._timers.call_after(CLOSING_S, self._transport.abort)
