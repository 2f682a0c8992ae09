"""One client's socket: bytes in, frames to the session, frames out, and the end.

The WebSocket itself is the Sans-I/O protocol of websockets. It leaves to us whether text is UTF-8 and
putting fragments together (`fragments`), pings and their time-outs (`clocks`), closing time-outs, and not
reading faster than the cluster answers. One message is under way at a time (`turns`), and what comes for the
client comes once and in order (`deliveries`). What a client said before it went is still carried out.
"""

import asyncio
import logging
import select
import sys
import time
from collections.abc import Callable
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from gateway.admission import handshake
from gateway.client.deliveries import Deliveries
from gateway.client.fragments import Fragments, NotUtf8
from gateway.client.frames import is_between_messages, next_text
from gateway.client.host import House
from gateway.client.inbound import Turns
from gateway.client.keepalive import Keepalive, TokenClock
from gateway.client.outbox import Outbox
from gateway.client.session import NO_WORD, Session
from gateway.delivery.mailbox import Missed
from gateway.demo import Pages
from tieline import metrics
from tieline.wire.codes import CLOSE_REASONS, CloseCode, HandshakeError
from tieline.wire.envelope import MAX_MESSAGE_BYTES

HANDSHAKE_S: Final = 5.0
"""For the upgrade, in all: who takes longer to send a few hundred bytes only holds a place."""

CLOSING_S: Final = 3.0
"""For the client to complete the closing handshake; then the socket is cut."""

_HUNG_UP: Final = select.POLLRDHUP if sys.platform == "linux" else 0
"""What to look for beside errors and a line that is closed both ways, which are told in any case."""

_quiet = logging.getLogger("websockets.server")


class Connection(asyncio.Protocol):
    """One client, from the TCP connection to its end."""

    __slots__ = (
        "_closing_code",
        "_deaf",
        "_fragments",
        "_house",
        "_is_between_messages",
        "_is_gone",
        "_is_leaving",
        "_keepalive",
        "_loop",
        "_now",
        "_outbox",
        "_pages",
        "_paused",
        "_protocol",
        "_timer",
        "_token_clock",
        "_transport",
        "deliveries",
        "opened_at",
        "session",
        "turns",
    )

    _protocol: ServerProtocol
    _transport: asyncio.Transport
    _outbox: Outbox
    turns: Turns
    """Of the session, once there is one."""

    def __init__(
        self,
        house: House,
        loop: asyncio.AbstractEventLoop,
        pages: Pages | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._house = house
        self._loop = loop
        self._pages = pages
        self._now = now  # for measuring: uvloop's own clock counts whole milliseconds
        self._fragments = Fragments()
        self._paused = False
        self._deaf = False
        self._is_between_messages = False
        self._is_leaving = False
        self._is_gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._keepalive: Keepalive | None = None
        self._token_clock: TokenClock | None = None
        self._closing_code: CloseCode | None = None
        self.deliveries = Deliveries(self.say, loop)
        self.opened_at = 0.0
        self.session: Session | None = None

    # The transport's side ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._protocol = ServerProtocol(
            select_subprotocol=handshake.select_subprotocol, max_size=MAX_MESSAGE_BYTES, logger=_quiet
        )
        self._outbox = Outbox(self._protocol, self._transport)
        self._timer = self._loop.call_later(HANDSHAKE_S, self._transport.abort)

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
        if protocol.close_expected():
            self._cut_later()
            if self._closing_code is None or protocol.close_rcvd is not None:
                self._leave()  # else it has yet to answer our close

    def eof_received(self) -> bool:
        """Learn that the client sends no more; the transport then closes itself."""
        self._protocol.receive_eof()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop the clocks; the house ends the session, if not before, when all that was said is answered."""
        self._stop_timers()
        self._protocol.receive_eof()
        self._leave()

    # What the house says ----------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The address that the connection comes from."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    @property
    def is_closing(self) -> bool:
        """Whether the client is gone, or about to be, though its end may not have been read yet."""
        return self._transport.is_closing() or _has_hung_up(self._transport)

    @property
    def close_code(self) -> int:
        """Why it ended: our code, the client's, or 1006 when nobody said."""
        if self._closing_code is not None:
            return int(self._closing_code)
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return NO_WORD if close is None else close.code

    def welcome(self, response: Response, session: Session, frame: bytes, missed: Missed) -> None:
        """Complete the upgrade; `frame` is the WELCOME. Then deliver what was missed, and what came early."""
        self._stop_timers()
        self.session = session
        self.turns = Turns(self, session, self._house, self._now)
        self.opened_at = self._loop.time()
        self._protocol.send_response(response)
        self._outbox.flush()
        self._outbox.send(frame)
        self.deliveries.release(missed)
        self._keepalive = Keepalive(self, self._house.pace, self._loop)
        self._token_clock = TokenClock(self, session, self._loop)
        self._resume()

    def deny(self, denial: HandshakeError) -> None:
        """Refuse the upgrade."""
        if self._transport.is_closing():
            return
        metrics.HANDSHAKES_REFUSED.labels(denial.reason).inc()
        self._respond(handshake.denied(denial))

    def abandon(self) -> None:
        """Forget a client that has gone before it was let in."""
        self._transport.abort()

    def _respond(self, response: Response) -> None:
        """Answer over HTTP, and be done."""
        self._stop_timers()
        self._transport.write(response.serialize())
        self._transport.close()

    # What the clocks say, and the house too ---------------------------------------------------------

    @property
    def is_reading(self) -> bool:
        """See `Clocked.is_reading`."""
        return not self._paused

    def ping(self, payload: bytes) -> None:
        """See `Clocked.ping`."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(payload)
            self._outbox.flush()

    def tell(self, event: bytes) -> None:
        """See `Clocked.tell`."""
        if self.session is not None:
            self._house.tell(self.session, event)

    def advise_to_reconnect(self, after_ms: int, jitter_ms: int) -> None:
        """Ask the client to go elsewhere by itself."""
        if self.session is not None:
            self.tell(self.session.reconnecting(after_ms, jitter_ms))

    def say(self, frame: bytes) -> bool:
        """Send the client a frame; False: the connection is closing, and it is not sent."""
        is_sent = self._outbox.send(frame)
        if self._outbox.is_over_limit:
            self.close(CloseCode.SLOW_CONSUMER)
        return is_sent

    def close(self, code: CloseCode) -> None:
        """Close the connection in order, hear nothing more, and cut it if the client does not close."""
        if self._protocol.state is not State.OPEN:
            return
        self._closing_code = code
        self._deaf = True
        self.turns.drop_unread()
        self._protocol.send_close(code, CLOSE_REASONS[code])
        self._outbox.flush()
        self._cut_later()

    # What its turns say -----------------------------------------------------------------------------

    def pause(self) -> None:
        """Read nothing more until `has_caught_up`: enough waits for its turn."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def has_newer_token(self) -> None:
        """Go by the end of the newer token from now on."""
        if self._token_clock is not None:
            self._token_clock.reset()

    def has_caught_up(self) -> None:
        """Read on, or be gone: everything that was said is answered."""
        self._resume()
        self._tell_gone()

    # The client's side ------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                self.pause()
                page = None if self._pages is None else self._pages.answer(event)
                if page is not None:
                    self._respond(page)
                    return
                response = self._protocol.accept(event)
                self._house.arrived(self, event, response)
            case Frame() if self.session is None:
                self._transport.abort()  # frames before the upgrade: not a WebSocket client
            case Frame(opcode=Opcode.TEXT | Opcode.CONT, data=data, fin=fin):
                self._on_text(bytes(data), fin)
            case Frame(opcode=Opcode.BINARY):
                self._fail(CloseCode.BINARY_FRAME)
            case Frame(opcode=Opcode.PONG, data=data) if self._keepalive is not None:
                self._keepalive.heard(bytes(data))

    def _on_text(self, data: bytes, fin: bool) -> None:
        if self._deaf:
            return
        try:
            message = self._fragments.add(data, fin)
        except NotUtf8:
            self._fail(CloseCode.NOT_UTF8)
            return
        if message is not None:
            self.turns.hear(message)

    # Pausing and ending -----------------------------------------------------------------------------

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _fail(self, code: CloseCode) -> None:
        """End the connection of a client that does not speak the protocol; nothing after that is read."""
        if self._protocol.state is State.OPEN:
            self._closing_code = code
            self._deaf = True
            self._protocol.fail(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self._cut_later()
            self._leave()

    def _leave(self) -> None:
        """Take note that the client will say nothing more: it has closed, even if its socket stays open."""
        self._is_leaving = True
        self._tell_gone()

    def _tell_gone(self) -> None:
        is_busy = self.session is not None and self.turns.is_busy
        if self._is_leaving and not is_busy and not self._is_gone:
            self._is_gone = True
            self._house.gone(self)

    def _cut_later(self) -> None:
        """Give the client a moment to complete the closing handshake."""
        self._stop_timers()
        self._resume()
        self._timer = self._loop.call_later(CLOSING_S, self._transport.abort)

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._keepalive is not None:
            self._keepalive.stop()
        if self._token_clock is not None:
            self._token_clock.stop()


def _has_hung_up(transport: asyncio.Transport) -> bool:
    """Whether the other end is closed: while nothing is read, only the system knows."""
    descriptor = transport.get_extra_info("socket")
    if descriptor is None:
        return False
    poll = select.poll()
    poll.register(descriptor.fileno(), _HUNG_UP)
    return bool(poll.poll(0))
