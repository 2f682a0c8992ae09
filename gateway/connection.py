"""One client's socket: bytes in, frames to the session, frames out, and the end.

The WebSocket itself is the Sans-I/O protocol of websockets. It leaves to us whether text is UTF-8 and
putting fragments together (`fragments`), pings and their time-outs (`clocks`), closing time-outs, and not
reading faster than the cluster answers. One message of a connection is under way at a time; the next one is
looked at when it has been answered. What a client said before it went is still carried out.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from gateway import admission
from gateway.allowance import Allowance, Ruling
from gateway.clocks import Keepalive, TokenClock
from gateway.duplicates import Duplicates
from gateway.fragments import Fragments, NotUtf8
from gateway.frames import is_between_messages, next_text
from gateway.house import House
from gateway.mailbox import Missed
from gateway.outbox import Outbox
from gateway.pages import Pages
from gateway.session import NO_WORD, AskKeys, AskPresence, AskRouter, HangUp, Say, Session
from tieline.runtime import metrics
from tieline.wire.codes import CLOSE_REASONS, CloseCode, Denial
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.internal import PresenceReply, RouterReply

HANDSHAKE_S: Final = 5.0
"""For the upgrade, in all: who takes longer to send a few hundred bytes only holds a place."""

CLOSING_S: Final = 3.0
"""For the client to complete the closing handshake; then the socket is cut."""

MAX_UNREAD: Final = 32
"""Messages of one client that may wait for their turn before its socket is not read any further."""

_quiet = logging.getLogger("websockets.server")
_log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One client, from the TCP connection to its end."""

    __slots__ = (
        "_allowance",
        "_asked_at",
        "_busy",
        "_closing_code",
        "_deaf",
        "_delivered",
        "_early",
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
        "_unread",
        "opened_at",
        "session",
    )

    _protocol: ServerProtocol
    _transport: asyncio.Transport
    _outbox: Outbox

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
        self._unread: deque[bytes] = deque()
        self._busy = False
        self._paused = False
        self._deaf = False
        self._is_between_messages = False
        self._is_leaving = False
        self._is_gone = False
        self._early: list[bytes] | None = []
        self._delivered: Duplicates | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keepalive: Keepalive | None = None
        self._token_clock: TokenClock | None = None
        self._closing_code: CloseCode | None = None
        self._asked_at = 0.0
        self._allowance: Allowance | None = None
        self.opened_at = 0.0
        self.session: Session | None = None

    # The transport's side ---------------------------------------------------------------------------

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
            self.deny(Denial.MALFORMED)
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
        """Whether the client is gone, or about to be."""
        return self._transport.is_closing()

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
        if session.terms.rate_limit:
            self._allowance = Allowance(session.terms.rate_limit)
        self.opened_at = self._loop.time()
        self._protocol.send_response(response)
        self._outbox.flush()
        self._outbox.send(frame)
        self.release(missed)
        self._keepalive = Keepalive(self, self._house.pace, self._loop)
        self._token_clock = TokenClock(self, session, self._loop)
        self._resume()

    @property
    def is_held(self) -> bool:
        """Whether what comes for the client waits for something older."""
        return self._early is not None

    def hold(self) -> None:
        """Keep what comes for the client back until `release`, because something older may be missing."""
        if self._early is None:
            self._early = []

    def forget_early(self) -> None:
        """Drop what came before the WELCOME: it was for an older session, which is over."""
        self._early = []

    def release(self, missed: Missed) -> None:
        """Deliver what was missed, then what came meanwhile, each frame once."""
        early, self._early = self._early, None
        if missed.known:
            self._delivered = self._delivered or Duplicates()
            for frame in missed.known:
                self._delivered.is_new(frame, self._loop.time())
        for frame in missed.fresh:
            if not self.has_had(frame):
                self.deliver(frame)
        for frame in early or ():
            self.deliver(frame)

    def has_had(self, frame: bytes) -> bool:
        """Whether the client was sent this very frame in the last minute."""
        return self._delivered is not None and self._delivered.has(frame)

    def deny(self, denial: Denial) -> None:
        """Refuse the upgrade."""
        if self._transport.is_closing():
            return
        metrics.HANDSHAKES_REFUSED.labels(denial.reason).inc()
        self._respond(admission.denied(denial))

    def _respond(self, response: Response) -> None:
        """Answer over HTTP, and be done."""
        self._stop_timers()
        self._transport.write(response.serialize())
        self._transport.close()

    def deliver(self, frame: bytes) -> None:
        """Send the client a frame from others, unless it has had the very same one."""
        if self._early is not None:
            self._early.append(frame)
            return
        if self._delivered is None:
            self._delivered = Duplicates()
        if not self._delivered.is_new(frame, self._loop.time()):
            metrics.DELIVERED_AGAIN.inc()
        elif self.say(frame):
            metrics.DELIVERED.inc()
        else:
            metrics.DELIVERED_TO_NOBODY.inc()

    def router_answered(self, ask: AskRouter, reply: RouterReply | None) -> None:
        """Say what came of a signal, and go on to the next message."""
        assert self.session is not None
        metrics.RELAY_SECONDS.observe(self._now() - self._asked_at)
        self._answered(self.session.hear_router(ask, reply), len(ask.signal.frame), ask.signal.to)

    def presence_answered(self, ask: AskPresence, reply: PresenceReply | None) -> None:
        """Say what came of a room command or a newer token, and go on to the next message."""
        assert self.session is not None
        claims = self.session.claims
        answer = self.session.hear_presence(ask, reply)
        if self.session.claims is not claims and self._token_clock is not None:
            self._token_clock.reset()
        self._answered(answer, 0, "")

    def keys_answered(self, ask: AskKeys, is_fresh: bool) -> None:
        """Look once more at a newer token, with fresh keys if they could be had."""
        assert self.session is not None
        action = self.session.hear_keys(ask, is_fresh, time.time())
        if isinstance(action, AskPresence):
            self._house.ask_presence(self, action)
        else:
            self._answered(action, 0, "")

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
        self._unread.clear()
        self._protocol.send_close(code, CLOSE_REASONS[code])
        self._outbox.flush()
        self._cut_later()

    # The client's side ------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case Request():
                self._pause()
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
        if message is None:
            return
        if not self._busy:
            self._take(message)
            return
        self._unread.append(message)
        if len(self._unread) > MAX_UNREAD:
            self._pause()

    def _take(self, frame: bytes) -> None:
        """Look at one message. What it asks of the cluster is answered later, the next one after that."""
        assert self.session is not None
        self._asked_at = self._now()
        ruling = Ruling.PASS if self._allowance is None else self._allowance.rule(self._asked_at)
        if ruling is not Ruling.PASS:
            self._finish(self.session.over_limit(frame), len(frame), "")
            if ruling is Ruling.CLOSE:
                self.close(CloseCode.FLOODING)
            return
        action = self.session.receive(frame, time.time())
        match action:
            case AskRouter():
                self._busy = True
                self._house.ask_router(self, action)
            case Say():
                self._finish(action, len(frame), "")
            case AskPresence():
                self._busy = True
                self._house.ask_presence(self, action)
            case AskKeys():
                self._busy = True
                self._house.ask_keys(self, action)

    def _answered(self, answer: Say | HangUp, size: int, to: str) -> None:
        self._busy = False
        match answer:
            case Say():
                self._finish(answer, size, to)
            case HangUp(code=code):
                self.close(code)
                self._unread.clear()
        while self._unread and not self._busy:
            self._take(self._unread.popleft())
        if self._busy:
            return
        self._resume()
        self._tell_gone()

    def _finish(self, say: Say, size: int, to: str) -> None:
        if say.frame:
            self.say(say.frame)
        metrics.signal_answered(say.cmd, say.outcome)
        if _log.isEnabledFor(logging.DEBUG):
            assert self.session is not None
            fields = {
                "requestId": say.request_id,
                "cmd": say.cmd,
                "from": self.session.user,
                "to": to,
                "outcome": say.outcome,
                "ms": round((self._now() - self._asked_at) * 1000, 3),
                "bytes": size,
            }
            _log.debug("signal", extra=fields)

    # Pausing and ending -----------------------------------------------------------------------------

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

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
        if self._is_leaving and not self._busy and not self._is_gone:
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
