"""One client's socket: bytes in, frames out, and the end.

The WebSocket itself is the Sans-I/O protocol of websockets. It leaves to us the request before it
(`upgrade`), whether text is UTF-8 and putting fragments together (`frame_taker`), pings and their time-outs
(`keepalive`), closing time-outs, and not reading faster than the system answers, nor more than a fair share
(`reader`, which finds the frames). One message is under way at a time (`inbound`). How far a connection has
come is one of the states of `life`. What others send to the client comes from `gateway/delivery/`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, cast

from websockets.http11 import Request, Response
from websockets.protocol import State

from gateway.admission.entrance import Entrance, Visit
from gateway.client.alarms import Alarms
from gateway.client.frame_taker import FrameTaker
from gateway.client.hang_up import has_hung_up
from gateway.client.host import Host
from gateway.client.inbound import Inbound
from gateway.client.keepalive import Timers
from gateway.client.life import Life
from gateway.client.outbox import FULL_BYTES, Outbox
from gateway.client.reader import Reader
from gateway.client.session import NO_CLOSE_FRAME, Session
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from gateway.client.upgrade import Upgrade
from gateway.client.waiting import Held, Waiting
from gateway.client.websocket import WebSocket
from gateway.demo import Pages
from tieline.runtime.guard import bug_guard
from tieline.wire.codes import CLOSE_REASONS, CloseCode, HandshakeError

HANDSHAKE_S: Final = 5.0
"""For the upgrade, in all, and for reading its refusal: a client that takes longer to send a few hundred
bytes only holds a place."""

CLOSING_S: Final = 3.0
"""For the closing handshake, counted from its first close frame or from the client's end of the stream,
whatever the client sends meanwhile; then the socket is cut."""

READ_BYTES: Final = 32 * 1024
"""Read at once, of what a client has sent: of the longest message a half, and of small ones some hundreds."""

_OPEN: Final = Life.OPEN
"""For what is asked at every frame: members of an enumeration are slow to find."""

_buffer: Final = bytearray(READ_BYTES)
"""Of all connections, because what is read is copied out of it at once."""
_read: Final = memoryview(_buffer)

_log = logging.getLogger(__name__)

OnRequest = Callable[["Connection", Request, Response], None]
"""Answers an upgrade request, now or later: calls `welcome` with the response, `deny` or `abandon`."""

OnGone = Callable[["Connection"], None]
"""Takes note that a connection has ended and everything it said is answered; called once."""


class Connection(asyncio.BufferedProtocol):
    """One client, from the TCP connection to its end."""

    __slots__ = (
        "_entrance",
        "_frames",
        "_held",
        "_host",
        "_inbound",
        "_is_cut_later",
        "_is_going",
        "_is_lost",
        "_is_slow",
        "_life",
        "_loop",
        "_now",
        "_on_gone",
        "_on_request",
        "_opened_at",
        "_outbox",
        "_pages",
        "_protocol",
        "_reader",
        "_timers",
        "_transport",
        "_trickle",
        "_turns",
        "_upgrade",
        "_waiting",
        "session",
    )

    _protocol: WebSocket
    _transport: asyncio.Transport
    _outbox: Outbox
    _held: Held
    _trickle: Trickle
    _upgrade: Upgrade
    _inbound: Inbound  # once there is a session, as are the reader and what takes its frames
    _frames: FrameTaker

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        entrance: Entrance,
        host: Host,
        on_request: OnRequest,
        on_gone: OnGone,
        turns: Turns,
        waiting: Waiting,
        pages: Pages | None = None,
        now: Callable[[], float] = time.perf_counter,
        alarms: Alarms | None = None,
    ) -> None:
        self._loop = loop
        self._entrance = entrance
        self._host = host
        self._on_request = on_request
        self._on_gone = on_gone
        self._turns = turns
        self._waiting = waiting
        self._pages = pages
        self._now = now  # for measuring: uvloop's own clock counts whole milliseconds
        self._life = Life.HANDSHAKE
        self._reader: Reader | None = None
        self._is_slow = self._is_lost = self._is_cut_later = self._is_going = False
        self._timers = Timers(loop if alarms is None else alarms)
        self._opened_at = 0.0
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._protocol = WebSocket()
        self._outbox = Outbox(self._protocol, self._transport)
        self._transport.set_write_buffer_limits(FULL_BYTES)
        self._held = Held(self._waiting, self._outbox.unsent_bytes, self._give_up)
        self._timers.call_after(HANDSHAKE_S, self._transport.abort)
        name = transport.get_extra_info("peername")
        visit = self._entrance.enter(self, str(name[0]) if name else "")
        self._trickle = Trickle(self._loop)
        self._upgrade = Upgrade(
            self._protocol, self._transport, self._outbox, visit, self._trickle, self._pages
        )

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Lend the buffer that all connections are read into."""
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        data = _read[:nbytes].tobytes()
        if self._reader is not None:
            self._reader.receive(data)
        elif self._upgrade.receive(data):
            join = self._turns.join if self._upgrade.was_looked_at else self._turns.join_new
            join(self)

    def take_turn(self) -> bool:
        """Look at what the client has said before it is let in, or be gone: each is done by hundreds at once.

        Returns whether to be called again.
        """
        with bug_guard(_log, "client cut: a bug", self._transport.abort):
            if self._is_going:
                self._be_gone()
            elif asked := self._upgrade.look():
                self._on_request(self, *asked)
        return False

    def eof_received(self) -> bool:
        """Learn that the client sends no more; the transport closes itself once the client has read all."""
        if self._life is Life.OPEN:
            self._cut_later()
        self._end()
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop the timers; the connection is gone, if not before, when all that was said is answered."""
        self._upgrade.visit.over()
        self._is_lost = True
        self._held.note_gone()
        self._end()
        self._timers.stop()
        if self._life is Life.GONE:
            self._let_go()

    def pause_writing(self) -> None:
        """Learn that the client's socket is full."""
        self._is_slow = True
        self._held.note_unsent()

    def resume_writing(self) -> None:
        """Learn that the client has read most of what was sent."""
        self._is_slow = False
        self._held.note_unsent()

    @property
    def peer(self) -> str:
        """Where the client comes from, as far as that is known by now."""
        return self._upgrade.visit.address

    @property
    def visit(self) -> Visit:
        """How its socket is counted, and what a refusal says of it."""
        return self._upgrade.visit

    @property
    def held(self) -> Held:
        """How what waits here is counted towards the sum of the gateway."""
        return self._held

    @property
    def is_closing(self) -> bool:
        """Whether the client is gone, or about to be, though its end may not have been read yet."""
        return self._transport.is_closing() or has_hung_up(self._transport)

    def unread_bytes(self) -> int:
        """Say how much waits for the client to read."""
        return self._outbox.waiting_bytes

    @property
    def is_reading(self) -> bool:
        """Whether what the client sends is looked at as it arrives, or but for a moment that it rests."""
        return self._trickle.is_resting or self._reads_at_once

    @property
    def _reads_at_once(self) -> bool:
        return self._transport.is_reading() and (self._reader is None or self._reader.is_reading)

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
        self._inbound = Inbound(
            self, session, self._host, self._timers.on_newer_token, self._held, self._now, self.ping
        )
        self._frames = FrameTaker(self, self._protocol, self._outbox, self._inbound, self._timers, self._held)
        self._reader = Reader(
            self._frames,
            self._inbound,
            self._transport,
            self._turns,
            self._held,
            session.budget,
            self._trickle,
            self._loop,
            self._now,
        )
        self._protocol.send_response(response)
        self._outbox.begin(frame)
        self._reader.start()

    def deny(self, error: HandshakeError, retry_after_s: int | None = None, limit: str = "") -> None:
        """Refuse the upgrade, and say when to come back; None: when it is usual after such a refusal.

        `limit` is the one that was met, if the reason does not say it.
        """
        self._upgrade.deny(error, retry_after_s, limit)

    def refuse(self, response: Response, code: CloseCode) -> None:
        """Complete the upgrade only to close it: of a refusal over HTTP a browser is not told why."""
        if self._transport.is_closing():
            return
        self._life = Life.CLOSING
        self._protocol.send_response(response)
        self._protocol.send_close(code, CLOSE_REASONS[code])
        self._outbox.flush()
        self._transport.write_eof()  # what it answers is not read
        self._cut_later()

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
        self.close_if_slow()
        return is_sent

    def write(self, frames: bytes) -> None:
        """Send the client frames that have their heads; nothing once the connection is closing."""
        self._outbox.write(frames)
        self.close_if_slow()

    def close(self, code: CloseCode) -> None:
        """Close the connection in order, act on nothing more, and cut it if the client does not close."""
        if self._protocol.state is State.OPEN:
            self._life = Life.CLOSING
            self._inbound.drop_unread()
            self._frames.stop()
            self._protocol.send_close(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self._cut_later()
            if self._reader is not None:
                self._reader.begin_closing()

    def close_as_slow(self) -> None:
        """Close the connection of a client that reads too slowly."""
        self.close(CloseCode.SLOW_CONSUMER)

    @property
    def has_more(self) -> bool:
        """Whether what has come is looked at, or is about to be: `Inbound.go_together` follows."""
        return self._reader is not None and self._reader.is_queued

    def pause(self) -> None:
        """Take nothing more until all is answered: enough messages wait."""
        if self._reader is not None:
            self._reader.hold()

    def on_answered(self) -> None:
        """Go on with what waits, or be gone: nothing is under way."""
        reader = self._reader
        if reader is None:
            return
        if self._inbound.has_next:
            reader.wake()
            return
        if reader.is_full:
            reader.release()
        if self._life is not _OPEN:
            self._be_gone_if_done()

    def fail(self, code: CloseCode) -> None:
        """End the connection of a client that does not speak the protocol; nothing after that is read."""
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, CLOSE_REASONS[code])
            self._outbox.flush()
            self.leave()

    def leave(self) -> None:
        """Take note that the client will say nothing more: it has closed, even if its socket stays open."""
        if self._life is Life.OPEN:
            self._cut_later()
        if self._reader is not None:
            self._frames.stop()
            self._reader.stop()
        if self._life is not Life.GONE:
            self._life = Life.LEFT
            self._be_gone_if_done()
        if self._is_lost:
            self._timers.stop()

    def close_if_slow(self) -> None:
        """Close the connection of a client that reads too slowly; count what waits for one that is slow."""
        if self._is_slow:
            self._held.note_unsent()
        if self._outbox.is_over_limit:
            self.close_as_slow()

    def _end(self) -> None:
        """Take note that no more bytes will come: once those that came are looked at, the client has left."""
        if self._reader is not None:
            self._reader.end()
        else:
            self._trickle.stop()
            self.leave()

    def _give_up(self) -> None:
        """Close for the sake of others: the gateway holds too many bytes, and this client most of them."""
        self.close(CloseCode.SLOW_CONSUMER)
        if self._reader is not None:
            self._reader.stop()
        self._transport.abort()
        self._held.note_gone()

    def _be_gone_if_done(self) -> None:
        if self._life is not Life.LEFT or self._is_going:
            return
        if self.session is None:
            self._be_gone()
        elif self._inbound.is_done:
            self._is_going = True
            self._turns.join(self)

    def _be_gone(self) -> None:
        self._life = Life.GONE
        self._on_gone(self)
        if self._is_lost:
            self._let_go()

    def _let_go(self) -> None:
        """Let all parts go that refer to the connection: then it is freed when the last one forgets it.

        Else it would wait for the collector of cycles, for which everybody waits when there are thousands.
        """
        if self._reader is not None:
            self._reader = None
            del self._inbound, self._frames
        self._held.end()
        self._protocol.let_go()

    def _cut_later(self) -> None:
        """Give the client a moment to complete the closing handshake; counted once, as it leaves `OPEN`."""
        if not self._is_cut_later:
            self._is_cut_later = True
            self._timers.call_after(CLOSING_S, self._transport.abort)
