"""One client's socket: bytes in, frames to the session, frames out, keepalive, and the end.

The WebSocket itself is the Sans-I/O protocol of websockets. It leaves to us, and here it is: whether text
is UTF-8, putting fragments together, pings and their time-outs, closing time-outs, and not reading faster
than the cluster answers. One message of a connection is under way at a time; the next one is looked at when
it has been answered.
"""

import asyncio
import logging
import time
from collections import deque
from typing import Final, Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from gateway import admission
from gateway.duplicates import Duplicates
from gateway.outbox import Outbox
from gateway.session import AskPresence, AskRouter, HangUp, Say, Session
from tieline.runtime import metrics
from tieline.wire.codes import CLOSE_REASONS, CloseCode, Denial
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.internal import PresenceReply, RouterReply

HANDSHAKE_S: Final = 5.0
"""For the upgrade, in all: who takes longer to send a few hundred bytes only holds a place."""

PING_INTERVAL_S: Final = 25.0
"""Below the 30 s after which mobile networks and some balancers forget a silent connection."""

PONG_TIMEOUT_S: Final = 8.0
"""For the answer to a ping: long enough for a phone that changes networks."""

CLOSING_S: Final = 3.0
"""For the client to complete the closing handshake; then the socket is cut."""

WARNING_S: Final = 30.0
"""How long before its token ends a client is told."""

MAX_UNREAD: Final = 32
"""Messages of one client that may wait for their turn before its socket is not read any further."""

_quiet = logging.getLogger("websockets.server")
_log = logging.getLogger(__name__)


class House(Protocol):
    """What a connection needs from the gateway around it."""

    def arrived(self, connection: "Connection", request: Request, response: Response) -> None:
        """Decide on an upgrade request, then call `welcome` or `deny`, now or later."""
        ...

    def ask_router(self, connection: "Connection", ask: AskRouter) -> None:
        """Ask a router, then call `router_answered` once."""
        ...

    def ask_presence(self, connection: "Connection", ask: AskPresence) -> None:
        """Ask presence, then call `presence_answered` once."""
        ...

    def gone(self, connection: "Connection") -> None:
        """The socket is closed; called once, whatever happened before."""
        ...


class Connection(asyncio.Protocol):
    """One client, from the TCP connection to its end."""

    __slots__ = (
        "_awaited_pong",
        "_busy",
        "_closing_code",
        "_delivered",
        "_early",
        "_expiry",
        "_fragments",
        "_house",
        "_loop",
        "_outbox",
        "_paused",
        "_protocol",
        "_timer",
        "_transport",
        "_unread",
        "asked_at",
        "opened_at",
        "session",
    )

    _protocol: ServerProtocol
    _transport: asyncio.Transport
    _outbox: Outbox

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop) -> None:
        self._house = house
        self._loop = loop
        self._unread: deque[bytes] = deque()
        self._fragments: list[bytes] | None = None
        self._early: list[bytes] | None = []
        self._delivered: Duplicates | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._awaited_pong = b""
        self._busy = False
        self._paused = False
        self._closing_code: CloseCode | None = None
        self.asked_at = 0.0
        self.opened_at = 0.0
        self.session: Session | None = None

    # The transport's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._protocol = ServerProtocol(
            select_subprotocol=admission.select_subprotocol, max_size=MAX_MESSAGE_BYTES, logger=_quiet
        )
        self._outbox = Outbox(self._protocol, self._transport)
        self._timer = self._loop.call_later(HANDSHAKE_S, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and act on it."""
        protocol = self._protocol
        protocol.receive_data(data)
        events = protocol.events_received()
        if not events and protocol.state is State.CONNECTING and protocol.handshake_exc is not None:
            protocol.data_to_send()  # a plain text of the library's own; ours is JSON
            self.deny(Denial.MALFORMED)
            return
        self._outbox.flush()
        for event in events:
            self._on_event(event)
        if protocol.close_expected():
            self._cut_later()

    def eof_received(self) -> bool:
        """Learn that the client sends no more; the transport then closes itself."""
        self._protocol.receive_eof()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget everything; the house ends the session."""
        for timer in (self._timer, self._expiry):
            if timer is not None:
                timer.cancel()
        self._unread.clear()
        self._protocol.receive_eof()
        self._house.gone(self)

    # What the house says --------------------------------------------------------------------------

    @property
    def is_closing(self) -> bool:
        """Whether the client is gone, or about to be."""
        return self._transport.is_closing()

    @property
    def close_code(self) -> int:
        """Why it ended: our code, the client's, or 1006 when nobody said."""
        if self._closing_code is not None:
            return int(self._closing_code)
        return self._protocol.close_code or 1006

    def welcome(self, response: Response, session: Session, frame: bytes) -> None:
        """Complete the upgrade; `frame` is the WELCOME. Then deliver what came early."""
        self._stop_timer()
        self.session = session
        self.opened_at = self._loop.time()
        self._protocol.send_response(response)
        self._outbox.flush()
        self._outbox.send(frame)
        early, self._early = self._early, None
        for delivered in early or ():
            self.deliver(delivered)
        self._timer = self._loop.call_later(PING_INTERVAL_S, self._ping)
        self._watch_token(session)
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def deny(self, denial: Denial) -> None:
        """Refuse the upgrade."""
        if self._transport.is_closing():
            return
        self._stop_timer()
        metrics.HANDSHAKES_REFUSED.labels(denial.reason).inc()
        self._transport.write(admission.denied(denial).serialize())
        self._transport.close()

    def abandon(self) -> None:
        """Cut a connection whose session ended before its upgrade did."""
        self._transport.abort()

    def deliver(self, frame: bytes) -> None:
        """Send the client a frame from others, unless it has had the very same one."""
        if self._early is not None:
            self._early.append(frame)
            return
        if self._delivered is None:
            self._delivered = Duplicates()
        if not self._delivered.is_new(frame, self._loop.time()):
            metrics.DELIVERIES.labels("duplicate").inc()
        elif self._outbox.is_open:
            self.say(frame)
            metrics.DELIVERIES.labels("sent").inc()
        else:
            metrics.DELIVERIES.labels("dropped").inc()

    def say(self, frame: bytes) -> None:
        """Send the client a frame of the gateway's own."""
        self._outbox.send(frame)
        if self._outbox.is_over_limit and self._outbox.is_open:
            self.close(CloseCode.SLOW_CONSUMER)

    def close(self, code: CloseCode) -> None:
        """Close the connection in order, and cut it if the client does not."""
        if self._protocol.state is not State.OPEN:
            return
        self._closing_code = code
        self._protocol.send_close(code, CLOSE_REASONS[code])
        self._outbox.flush()
        self._cut_later()

    def router_answered(self, ask: AskRouter, reply: RouterReply | None) -> None:
        """Say what came of a signal, and go on to the next message."""
        assert self.session is not None
        self._answered(self.session.hear_router(ask, reply), len(ask.signal.frame), ask.signal.to)

    def presence_answered(self, ask: AskPresence, reply: PresenceReply | None) -> None:
        """Say what came of a room command, and go on to the next message."""
        assert self.session is not None
        self._answered(self.session.hear_presence(ask, reply), 0, "")

    # The client's side ----------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                self._paused = True
                self._transport.pause_reading()
                response = self._protocol.accept(event)
                self._house.arrived(self, event, response)
            case Frame() if self.session is None:
                self._transport.abort()  # frames before the upgrade: not a WebSocket client
            case Frame(opcode=Opcode.TEXT | Opcode.CONT, data=data, fin=fin):
                self._on_text(bytes(data), fin)
            case Frame(opcode=Opcode.BINARY):
                self._fail(CloseCode.BINARY_FRAME)
            case Frame(opcode=Opcode.PONG, data=data):
                if bytes(data) == self._awaited_pong:
                    self._awaited_pong = b""

    def _on_text(self, data: bytes, fin: bool) -> None:
        if self._fragments is not None or not fin:
            self._fragments = [*(self._fragments or ()), data]
            if not fin:
                return
            data, self._fragments = b"".join(self._fragments), None
        try:
            str(data, "utf-8")
        except UnicodeDecodeError:
            self._fail(CloseCode.NOT_UTF8)
            return
        if self._busy:
            self._unread.append(data)
            if len(self._unread) > MAX_UNREAD and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        else:
            self._take(data)

    def _take(self, frame: bytes) -> None:
        """Look at one message. What it asks of the cluster is answered later, the next one after that."""
        session = self.session
        assert session is not None
        if self._protocol.state is not State.OPEN:
            return
        self.asked_at = self._loop.time()
        action = session.receive(frame)
        match action:
            case Say():
                self._finish(action, len(frame), "")
            case AskRouter():
                self._busy = True
                self._house.ask_router(self, action)
            case AskPresence():
                self._busy = True
                self._house.ask_presence(self, action)

    def _answered(self, answer: Say | HangUp, size: int, to: str) -> None:
        self._busy = False
        match answer:
            case Say():
                self._finish(answer, size, to)
            case HangUp(code=code):
                self.close(code)
        while self._unread and not self._busy:
            self._take(self._unread.popleft())
        if self._paused and not self._unread and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _finish(self, say: Say, size: int, to: str) -> None:
        if say.frame:
            self.say(say.frame)
        metrics.SIGNALS.labels(say.cmd, say.outcome).inc()
        seconds = self._loop.time() - self.asked_at
        if size and to:
            metrics.RELAY_SECONDS.observe(seconds)
        if _log.isEnabledFor(logging.DEBUG):
            assert self.session is not None
            _log.debug(
                "signal",
                extra={
                    "requestId": say.request_id,
                    "cmd": say.cmd,
                    "from": self.session.user,
                    "to": to,
                    "outcome": say.outcome,
                    "ms": round(seconds * 1000, 3),
                    "bytes": size,
                },
            )

    # Time ------------------------------------------------------------------------------------------

    def _ping(self) -> None:
        if self._protocol.state is not State.OPEN:
            return
        self._awaited_pong = self._loop.time().hex().encode()
        self._protocol.send_ping(self._awaited_pong)
        self._outbox.flush()
        self._timer = self._loop.call_later(PONG_TIMEOUT_S, self._pong_due)

    def _pong_due(self) -> None:
        if not self._awaited_pong:
            self._timer = self._loop.call_later(PING_INTERVAL_S - PONG_TIMEOUT_S, self._ping)
        elif self._paused:  # the pong may wait unread behind messages that the cluster has not answered
            self._timer = self._loop.call_later(PONG_TIMEOUT_S, self._pong_due)
        else:
            self.close(CloseCode.PONG_TIMEOUT)

    def _watch_token(self, session: Session) -> None:
        """Warn before the token expires, and close when it does."""
        left = session.claims.exp - time.time()
        self._expiry = self._loop.call_later(max(0.0, left - WARNING_S), self._warn, session)

    def _warn(self, session: Session) -> None:
        self.say(session.expiring())
        left = max(0.0, session.claims.exp - time.time())
        self._expiry = self._loop.call_later(left, self.close, CloseCode.TOKEN_EXPIRED)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, code: CloseCode) -> None:
        """End the connection of a client that does not speak the protocol: nothing it sends is read now."""
        if self._protocol.state is State.OPEN:
            self._closing_code = code
            self._protocol.fail(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self._cut_later()

    def _cut_later(self) -> None:
        self._stop_timer()
        self._unread.clear()
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        self._timer = self._loop.call_later(CLOSING_S, self._transport.abort)
