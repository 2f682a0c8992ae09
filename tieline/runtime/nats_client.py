"""nats-py's client with other defaults, and a faster read path for our subscriptions.

nats-py reads into a buffer, parses in a task, and puts each message into a queue of its subscription, for
another task that hands it to a callback. Here a listener is called from the socket, as soon as the message
is there (`nats_parser`), in the order in which messages came, whatever subscription they came on.

Only `broker` uses it. Everything here depends on the inside of nats-py, whose version is pinned, and is
tested by what it does.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from nats.aio.client import DEFAULT_BUFFER_SIZE, PING_PROTO, Client, Srv
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import (
    BadSubscriptionError,
    ConnectionClosedError,
    ConnectionDrainingError,
    ConnectionReconnectingError,
    FlushTimeoutError,
    ProtocolError,
)
from nats.errors import Error as NatsError

from tieline.runtime.cancelling import cancellable, end
from tieline.runtime.guard import Guard
from tieline.runtime.listening import Listening
from tieline.runtime.lookup import Names, open_first
from tieline.runtime.nats_parser import Listener, Parser

MAX_BUFFERED_BYTES: Final = 1024 * 1024
"""Past it nothing more is given to the socket until it has room; what waits then counts as pending."""

CLOSE_S: Final = 0.5
"""For the end of a connection: TLS would wait half a minute for the other side to close too."""

FLUSH_S: Final = 10
"""For a flush that nats-py itself wants; ours say how long theirs may take."""


class _Transport(TcpTransport):
    """nats-py's transport, with what nats-py and the event loop do not expect of each other.

    uvloop raises an exception when something is written to a connection that has ended, and asyncio, which
    nats-py is written for, drops it. A connection ends a turn of the loop before nats-py notices, and is kept
    until the next one is made.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    @property
    def unwritten_bytes(self) -> int:
        """What the socket has had no room for yet."""
        assert self._io_writer is not None
        return self._io_writer.transport.get_write_buffer_size()

    def write(self, payload: bytes) -> None:
        """Write, or drop what a connection that has ended cannot take."""
        assert self._io_writer is not None
        if not self._io_writer.is_closing():
            self._io_writer.write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        """See `write`; one call with many parts costs more than joining them."""
        self.write(b"".join(payload))

    async def connect_tls(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # passed on
        """Begin TLS, and tell asyncio that it closes both ways at once, or asyncio warns at its end."""
        await super().connect_tls(*arguments, **options)
        assert self._io_writer is not None
        protocol = self._io_writer.transport.get_protocol()
        if isinstance(protocol, asyncio.StreamReaderProtocol):  # else the broker has hung up on us already
            vars(protocol)["_over_ssl"] = True

    async def wait_closed(self) -> None:
        """Wait for the connection to close, but not for long: a broker that hangs must not delay others."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await super().wait_closed()  # type: ignore[no-untyped-call]
        except TimeoutError:
            assert self._io_writer is not None
            self._io_writer.transport.abort()


class NatsClient(Client):
    """A connection that never stops reconnecting, and gives messages to their listeners at once."""

    def __init__(
        self, on_listener_error: Callable[[Exception], None] | None = None, *, demands_tls: bool = False
    ) -> None:
        super().__init__()
        self._on_listener_error = on_listener_error or _raise
        self._listener_guard = Guard(self._on_listener_error)
        self._demands_tls = demands_tls
        self._listeners: dict[bytes, Listener] = {}
        self._reader: asyncio.StreamReader | None = None
        self._loop = asyncio.get_running_loop()
        self._is_writing = False
        self._flush_callbacks: list[Callable[[], None]] = []
        self._flushing: set[asyncio.Future[bool]] = set()
        """The pongs that flushes wait for."""
        self._names = Names()
        self._is_over = False
        """Whether it was closed or abandoned: what nats-py still tries to connect is not to come about."""

    @property
    def is_alone(self) -> bool:
        """See `Broker`. A node says the name of its cluster, and whether it has JetStream."""
        said = self._server_info
        return bool(said.get("jetstream")) and not said.get("cluster")

    async def listen(self, subject: str, queue: str, listener: Listener) -> Subscription:
        """Call `listener` with every message on a subject, from within the reading of the connection."""
        if self.is_closed:
            raise ConnectionClosedError
        if self.is_draining:
            raise ConnectionDrainingError
        self._sid += 1
        self._listeners[b"%d" % self._sid] = listener
        self._subs[self._sid] = subscription = Listening(self, self._sid, subject, queue)
        self._command(_listened_to(subscription))
        return subscription

    def unlisten(self, number: int, *, is_closed: bool) -> None:
        """End a subscription that is not closed yet.

        Raises:
            ConnectionClosedError, ConnectionDrainingError, BadSubscriptionError: nothing is listened to.
        """
        if self.is_closed:
            raise ConnectionClosedError
        if self.is_draining:
            raise ConnectionDrainingError
        if is_closed:
            raise BadSubscriptionError
        subscription = self._subs.get(number)
        self._remove_sub(number)
        if not self.is_reconnecting:
            self._command(b"UNSUB %d\r\n" % number)
        elif subscription and (command := _listened_to(subscription)) in self._pending:
            # Made since the broker went away: once it is back, nobody would end what is pushed to nobody.
            self._pending.remove(command)
            self._pending_data_size -= len(command)

    def _command(self, command: bytes) -> None:
        """Send a command of the protocol, which goes out with everything else of this turn of the loop."""
        self._pending.append(command)
        self._pending_data_size += len(command)
        self._write_soon()

    def takes(self, size: int, most_pending: int) -> bool:
        """Whether a payload of so many bytes can be sent now, with no more than `most_pending` before it.

        What three properties of nats-py say, in one call: every message passes here.
        """
        is_connected = self._status == Client.CONNECTED or self.is_draining
        return is_connected and self._pending_data_size <= most_pending and size <= self._max_payload

    def write(self, subject: str, reply: str, payload: bytes, headers: bytes = b"") -> None:
        """Publish without waiting: the bytes go out with everything else of this turn of the event loop.

        `headers` is a whole block, as `message.block` makes it.
        """
        if headers:
            size = len(headers)
            head = f"HPUB {subject} {reply} {size} {size + len(payload)}\r\n".encode()
            command = b"".join((head, headers, payload, b"\r\n"))
        else:
            command = b"".join((f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload, b"\r\n"))
        self._pending.append(command)
        self._pending_data_size += len(command)
        self._write_soon()

    def on_flush(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, at the end of this turn of the loop; what it writes goes out with the rest.

        It is how what one turn brings is gathered into one message.
        """
        self._flush_callbacks.append(callback)
        self._write_soon()

    def _write_soon(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._write_out)

    def _write_out(self) -> None:
        """Write what this turn of the event loop has gathered; nothing while there is no broker."""
        while self._flush_callbacks:
            callbacks, self._flush_callbacks = self._flush_callbacks, []
            for callback in callbacks:
                with self._listener_guard:
                    callback()
        self._is_writing = False
        if not self._pending or not self.is_connected:
            return
        assert isinstance(self._transport, _Transport)
        if self._transport.unwritten_bytes > MAX_BUFFERED_BYTES:
            assert self._flush_queue is not None
            if self._flush_queue.empty():  # else nats-py waits for room, and writes all that is pending
                self._flush_queue.put_nowait(self._loop.create_future())
            return
        self._transport.writelines(self._pending)
        self._pending = []
        self._pending_data_size = 0

    async def _read_loop(self) -> None:
        """Read as nats-py does, but only what no listener takes."""
        assert isinstance(self._transport, TcpTransport)
        reader = self._transport._io_reader
        assert reader is not None
        self._reader = reader
        parser, buffer = Parser(self._listeners, self._on_listener_error), reader.feed_data

        def take(data: bytes) -> None:
            if self._reader is not reader or not self.is_connected:
                return  # it comes from a connection that was given up
            # What is written because of it need not wait for another turn.
            writes_itself = not self._is_writing
            self._is_writing = True
            try:
                rest = parser.take(data)
            except (ValueError, IndexError):
                reader.set_exception(ProtocolError())  # on which nats-py makes another connection
                return
            finally:
                if writes_itself:
                    self._write_out()
            if rest:
                buffer(rest)

        vars(reader)["feed_data"] = take
        buffered = len(reader._buffer)  # type: ignore[attr-defined]
        if buffered:  # it came before this method ran, and may end amid a message
            take(await reader.read(buffered))
        await super()._read_loop()

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._listeners.pop(b"%d" % sid, None)
        super()._remove_sub(sid, max_msgs)

    async def flush(self, timeout: float = FLUSH_S) -> None:
        """Flush as nats-py does, but fail at once when the connection is lost: no PONG will come on it."""
        if self.is_closed:
            raise ConnectionClosedError
        if self.is_reconnecting:
            raise ConnectionReconnectingError
        pong: asyncio.Future[bool] = self._loop.create_future()
        self._flushing.add(pong)
        try:
            await self._send_ping(pong)
            async with asyncio.timeout(timeout):
                await pong
        except TimeoutError:
            raise FlushTimeoutError from None
        finally:
            self._flushing.discard(pong)

    async def _process_op_err(self, e: Exception) -> None:
        for pong in self._flushing:
            if not pong.done():
                pong.set_exception(ConnectionReconnectingError())
        await super()._process_op_err(e)

    async def _connect_to_server(self, s: Srv) -> None:
        """Connect as nats-py does, but look the name up apart: that may take longer than an attempt.

        Raises:
            asyncio.CancelledError: it is over, which ends nats-py's attempts; see `_end_reconnecting`.
        """
        if self._is_over:
            raise asyncio.CancelledError
        if isinstance(self._transport, TcpTransport) and self._transport:
            # It belongs to an attempt that failed; nats-py would not close it.
            self._transport.close()  # type: ignore[no-untyped-call]
        s.last_attempt = time.monotonic()
        timeout_s = self.options["connect_timeout"]
        addresses = await self._names.addresses(s.uri.hostname or "", s.uri.port or 0, timeout_s)
        async with asyncio.timeout(timeout_s):
            self._transport = _Transport(*await open_first(addresses, DEFAULT_BUFFER_SIZE))

    async def _process_connect_init(self) -> None:
        """Introduce ourselves as nats-py does, but lose no cancellation: it would try again, for ever.

        Where there are subscriptions to make again, no turn of the loop may pass between this and that: what
        is sent in it would overtake them, and nobody would hear its answer. So that is no task of its own.
        """
        if not self.is_reconnecting:
            await cancellable(super()._process_connect_init())
            return
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        try:
            await super()._process_connect_init()
        finally:
            if task.cancelling() > cancellations:
                raise asyncio.CancelledError

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Hang up on a broker that offers no TLS where it is demanded: nats-py would send it the password."""
        if initial_connection and self._demands_tls and not info.get("tls_required"):
            raise NatsError("the broker offers no TLS, which is demanded of it")
        await super()._process_info(info, initial_connection)

    async def _process_err(self, err_msg: str) -> None:
        """Reconnect after any error that the broker reports; nats-py closes for ever on most of them."""
        await self._error_cb(NatsError(err_msg))
        if "permissions violation" not in err_msg.lower():  # the one that leaves the connection usable
            await self._process_op_err(NatsError(err_msg))

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Send the PING behind what was sent before: nats-py's overtakes it, and a flush proves nothing."""
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _flush_pending(self, *_: bool, **__: bool) -> None:
        """Write what is pending at the end of this turn, and wait for nothing, whatever nats-py wants.

        It waits for a place in a queue, or for the socket, and drops a cancellation that comes meanwhile.
        """
        if self.is_connected:
            self._write_soon()

    async def request(self, *arguments: Any, **options: Any) -> Msg:  # noqa: ANN401  # passed on
        """Ask as nats-py does, for JetStream, and lose no cancellation."""
        return await cancellable(super().request(*arguments, **options))

    async def _process_pong(self) -> None:
        """Take a PONG whose waiter has given up; nats-py's reading would end at it without an error."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        if status == Client.CLOSED:  # else nats-py is about to try the next address
            self._is_over = True
            await self._end_reconnecting()
        await super()._close(status, do_cbs)

    async def _end_reconnecting(self) -> None:
        """End the attempts to reconnect, and wait for their end: a client that was closed would reconnect."""
        attempts: asyncio.Task[None] | None = self._reconnection_task
        if attempts and attempts is not asyncio.current_task():
            await end(attempts)

    def abandon(self) -> None:
        """Cut the connection, say nothing, and make none again: for a process that ends with an error.

        Also for a `connect` that was cancelled, after which nats-py would leave it open.
        """
        self._is_over = True
        if self._reconnection_task:
            self._reconnection_task.cancel()
        if isinstance(self._transport, TcpTransport) and self._transport:
            assert self._transport._io_writer is not None
            with contextlib.suppress(AttributeError):  # asyncio's own, for TLS that was closed twice already
                self._transport._io_writer.transport.abort()

    def forget_unsent(self) -> None:
        """Drop what the lost connection did not take; nats-py would send it, stale, on the next one."""
        self._pending.clear()
        self._pending_data_size = 0


def _listened_to(subscription: Subscription) -> bytes:
    """Write what tells the broker of a subscription."""
    return f"SUB {subscription._subject} {subscription._queue} {subscription._id}\r\n".encode()


def _raise(error: Exception) -> NoReturn:
    raise error
