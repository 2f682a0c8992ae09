"""TLS between a client's socket and its connection: a protocol to the one, a transport to the other.

The TLS itself is `ssl.SSLObject`. The transports that an event loop has for it read up to 256 KiB ahead of a
client that is not read, into a buffer that each connection keeps. Here nothing is read ahead but the rest of
one read, one buffer serves all, and a handshake, whose arithmetic strangers may demand, waits for a turn as
what clients say does (`turns`). A connection without TLS has nothing of all this.

The header of a proxy comes before TLS, so it is taken away here (`Visit.read`). The time for the handshake,
and how many may be under way, are those of every half-open connection (`gateway/admission/entrance.py`).
Which certificate is shown is the business of `gateway/admission/certificate.py`.
"""

import asyncio
import contextlib
import logging
import ssl
from typing import Final, cast

from gateway.client.connection import Connection
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from tieline import metrics
from tieline.runtime.guard import bug_guard

READ_BYTES: Final = 16 * 1024
"""Read at once, of what a client has sent: a record of TLS."""

MOST_HANDSHAKE_BYTES: Final = 16 * 1024
"""Of a client's handshake, without what it says behind that. The first message of a browser has less than
2 KiB, and clients show no certificates."""

MOST_RECORDS: Final = 32
"""Decrypted at once: one read may hold 700 records of a byte each, at 2 us, or that change keys, at 30 us."""

MOST_EMPTY: Final = 32
"""Records in a row in which nothing is said: an honest client changes its keys once in a while."""

LONGEST_RECORD: Final = 5 + 16_384 + 2_048
"""Bytes of a record with its header, by RFC 5246, section 6.2.3; those of TLS 1.3 are shorter."""

MOST_ANSWERED_BYTES: Final = 1024 * 1024
"""That wait for a client when TLS has answered something by itself, which no limit of messages counts."""

_HEAD: Final = 5
_KINDS: Final = range(20, 25)
_MAJOR: Final = 3
"""What the header of a record consists of: a kind, a version that begins so, and a length."""

_EMPTY, _NOTHING, _OVER = -2, -1, 0
"""Instead of the size of a record: it says nothing, there is none yet, or there will be none."""

_buffer: Final = bytearray(READ_BYTES)
"""Of all connections, because what is read is copied out of it at once."""
_read: Final = memoryview(_buffer)

_log = logging.getLogger(__name__)


class Tls(asyncio.Transport, asyncio.BufferedProtocol):
    """The TLS of one connection, which is `client`, from the TCP connection to its end."""

    __slots__ = (
        "_client",
        "_context",
        "_counted",
        "_empty",
        "_handshake_bytes",
        "_incoming",
        "_is_closed",
        "_is_decrypting",
        "_is_ended",
        "_is_open",
        "_is_paused",
        "_is_queued",
        "_is_socket_paused",
        "_outgoing",
        "_rest",
        "_socket",
        "_tls",
        "_trickle",
        "_turns",
    )

    _socket: asyncio.Transport

    def __init__(self, client: Connection, context: ssl.SSLContext, turns: Turns, trickle: Trickle) -> None:
        super().__init__()
        self._client = client
        self._context = context
        self._turns = turns
        self._trickle = trickle
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None  # until the first byte is there, and when all is over
        self._is_open = False
        """The handshake is done."""
        self._is_closed = False
        """Nothing more is written, or given to the client."""
        self._is_ended = False
        """The client has been told that nothing more is written."""
        self._is_paused = self._is_socket_paused = False
        self._is_queued = self._is_decrypting = False
        self._rest = bytearray()  # what TLS has not been given: it is given whole records, one at a time
        self._handshake_bytes = self._empty = 0
        self._counted = 0  # of what waits to be decrypted

    # The protocol of the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client begin; its handshake begins with its first byte."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._client.connection_made(self)

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Lend the buffer that all connections are read into."""
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        data = self._client.visit.read(bytes(_read[:nbytes]))
        if not data or self._is_closed:
            return
        self._rest += data
        if self._is_open:
            self._decrypt()
            if len(self._rest) < len(data):
                self._trickle.completed()
            elif self._trickle.note(len(data), self._set_reading):
                self._set_reading()
        elif not self._is_queued:
            if self._next_size():
                self._trickle.completed()
                self._queue()
            else:
                self._trickle.note(len(data), self._set_reading)
            self._set_reading()

    def eof_received(self) -> bool:
        """Learn that the client sends no more, and has ended TLS or not."""
        return self._client.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let all go."""
        self._is_closed = True
        self._trickle.stop()
        self._client.connection_lost(exc)
        self._tls = None
        self._rest.clear()
        self._count(0)
        del self._client  # which refers to this

    def pause_writing(self) -> None:
        """Learn that the client's socket is full."""
        self._client.pause_writing()

    def resume_writing(self) -> None:
        """Learn that the client has read most of what was sent."""
        self._client.resume_writing()

    # The turn of a handshake, or of more records than are decrypted at once.

    def take_turn(self) -> bool:
        """Go on with what waits; returns whether to be called again."""
        self._is_queued = False
        if not self._is_closed:
            with bug_guard(_log, "client cut: a bug", self.abort):
                if self._is_open:
                    self._decrypt()
                else:
                    self._shake_hands()
        return False

    def _shake_hands(self) -> None:
        if self._tls is None:
            self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while size := self._feed():
            self._handshake_bytes += size
            if self._handshake_bytes > MOST_HANDSHAKE_BYTES:
                self._fail("HANDSHAKE_TOO_LONG")
                return
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as problem:
                self._fail(problem.reason or type(problem).__name__)
                return
            self._begin()
            return
        self._flush()
        self._set_reading()

    def _begin(self) -> None:
        """Go on with what the client has to say: the handshake is done."""
        metrics.TLS_HANDSHAKES.labels("ok").inc()
        self._is_open = True
        self._flush()
        self._decrypt()

    def _fail(self, why: str) -> None:
        """Give up a handshake, and tell the client what TLS has to say of it."""
        metrics.TLS_HANDSHAKES.labels("failed").inc()
        self._client.visit.fail_tls(why)
        self._flush()
        self._is_closed = True
        self._socket.close()

    def _decrypt(self) -> None:
        """Give the client what it has sent, as far as it is to be read now, and its records are whole."""
        if self._is_decrypting or self._is_queued:
            return
        self._is_decrypting = True
        try:
            self._take_records()
        finally:
            self._is_decrypting = False
        if self._outgoing.pending:
            self._flush()
            if self._socket.get_write_buffer_size() > MOST_ANSWERED_BYTES:
                self.abort()
        self._set_reading()
        self._count(self._pending())

    def _take_records(self) -> None:
        left = MOST_RECORDS
        while not self._is_paused and not self._is_closed:
            if left <= 0:
                self._queue()
                return
            buffer = memoryview(self._client.get_buffer(-1))
            size, taken = 0, _EMPTY
            while size < len(buffer) and left > 0 and taken not in (_NOTHING, _OVER):
                left -= 1
                taken = self._read_record(buffer[size:])
                size += max(taken, 0)
            if size:
                self._client.buffer_updated(size)
            if taken == _OVER and not self._is_closed:
                self._client.eof_received()
                self.close()
            if taken in (_NOTHING, _OVER):
                return

    def _read_record(self, buffer: memoryview) -> int:
        """Decrypt the next record, or a part of it; returns its size, or one of those that are none."""
        tls = self._tls
        if tls is None or not (tls.pending() or self._feed()):
            return _NOTHING
        try:
            taken = cast("int", tls.read(len(buffer), buffer))
        except ssl.SSLWantReadError:
            self._empty += 1
            if self._empty <= MOST_EMPTY:
                return _EMPTY
            why = "records in which nothing is said"
        except ssl.SSLZeroReturnError:
            return _OVER
        except ssl.SSLError as problem:
            why = problem.reason
        else:
            self._empty = 0
            return taken
        _log.debug("client cut: its TLS is broken", extra={"why": why})
        self.abort()
        return _NOTHING

    def _feed(self) -> int:
        """Give TLS the next record, if it is whole; returns how many bytes that is.

        One at a time, since TLS itself acts on any number of those that only change keys before it returns.
        """
        size, rest = self._next_size(), self._rest
        if size:
            self._incoming.write(rest[:size])
            del rest[:size]
        return size

    def _next_size(self) -> int:
        """Say how long the next record is; 0: it is not whole.

        What is no record is all one, for TLS to refuse it.
        """
        rest = self._rest
        if len(rest) < _HEAD:
            return 0
        size = _HEAD + int.from_bytes(rest[3:_HEAD], "big")
        if rest[0] not in _KINDS or rest[1] != _MAJOR or size > LONGEST_RECORD:
            return len(rest)
        return size if size <= len(rest) else 0

    # The transport of the client.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport.write`."""
        if self._tls is None or not self._is_open or self._is_closed or self._is_ended:
            return
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError:
            self.abort()
            return
        self._flush()

    def write_eof(self) -> None:
        """See `asyncio.WriteTransport.write_eof`."""
        if not self._is_closed and not self._is_ended:
            self._say_goodbye()
            self._socket.write_eof()

    def can_write_eof(self) -> bool:
        """See `asyncio.WriteTransport.can_write_eof`."""
        return True

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport.get_write_buffer_size`."""
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See `asyncio.WriteTransport.set_write_buffer_limits`."""
        self._socket.set_write_buffer_limits(high, low)

    def is_reading(self) -> bool:
        """See `asyncio.ReadTransport.is_reading`."""
        return not self._is_paused and not self.is_closing()

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport.pause_reading`."""
        self._is_paused = True
        self._set_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport.resume_reading`."""
        self._is_paused = False
        if self._is_open and self._pending() and not self._is_decrypting and not self._is_queued:
            self._queue()
        self._set_reading()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport.is_closing`."""
        return self._is_closed or self._socket.is_closing()

    def close(self) -> None:
        """See `asyncio.BaseTransport.close`."""
        if not self._is_closed:
            self._say_goodbye()
            self._is_closed = True
            self._socket.close()

    def abort(self) -> None:
        """See `asyncio.WriteTransport.abort`."""
        self._is_closed = True
        self._socket.abort()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """See `asyncio.BaseTransport.get_extra_info`."""
        return self._socket.get_extra_info(name, default)

    def _say_goodbye(self) -> None:
        """Say that nothing more will be written."""
        if self._tls is not None and self._is_open and not self._is_ended:
            with contextlib.suppress(ssl.SSLError):  # the client has not said it, or sends on
                self._tls.unwrap()
            self._flush()
        self._is_ended = True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    def _queue(self) -> None:
        """Go on in a turn; nothing is read meanwhile."""
        self._is_queued = True
        join = self._turns.join if self._handshake_bytes else self._turns.join_new
        join(self)

    def _set_reading(self) -> None:
        """Read from the socket, or leave what the client sends there."""
        pauses = self._is_paused or self._is_queued or self._trickle.is_resting
        if pauses is not self._is_socket_paused and not self._socket.is_closing():
            self._is_socket_paused = pauses
            if pauses:
                self._socket.pause_reading()
            else:
                self._socket.resume_reading()

    def _pending(self) -> int:
        """Say how much has been read, and not been given to the client."""
        return len(self._rest) + (0 if self._tls is None else self._tls.pending())

    def _count(self, size: int) -> None:
        """Count what waits towards the sum of the gateway."""
        if size != self._counted:
            by, self._counted = size - self._counted, size
            self._client.held.change(by)
