"""nats-py's client with a few of its habits broken, and a shorter way for our own messages.

nats-py reads into a buffer, parses in a task, and puts each message into a queue of its subscription, for
another task that hands it to a callback. Here a listener is called from the socket, as soon as the message
is there (`sieve`): messages are heard in the order in which they came, whatever subscription they came on.
Counterpart of `broker`, which alone uses it; everything here leans on the inside of nats-py, whose version is
pinned, and is tested by what it does.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, NoReturn

from nats.aio.client import PING_PROTO, Client, Srv
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import ProtocolError

from tieline.runtime.nats_parser import Listen, Sieve

MAX_BUFFERED_BYTES: Final = 1024 * 1024
"""Past it nothing more is handed to the socket until it has room: what waits then is counted (`broker`)."""

LEAVE_S: Final = 0.5
"""For the end of a connection, in which TLS would wait half a minute for the other side's word."""


class _Transport(TcpTransport):
    """Tells asyncio what nats-py does not: that TLS closes both ways at once. Else each end is a warning."""

    def __init__(self, plain: TcpTransport) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        vars(self).update(vars(plain))

    async def connect_tls(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # passed on
        await super().connect_tls(*arguments, **options)
        assert self._io_writer is not None
        vars(self._io_writer.transport.get_protocol())["_over_ssl"] = True

    async def wait_closed(self) -> None:
        """Take leave, but not for long: a broker that stands still would keep us from all others."""
        try:
            async with asyncio.timeout(LEAVE_S):
                await super().wait_closed()  # type: ignore[no-untyped-call]
        except TimeoutError:
            assert self._io_writer is not None
            self._io_writer.transport.abort()


class SteadyClient(Client):
    """A connection that never gives up, and hands messages on at once."""

    def __init__(
        self, stumbled: Callable[[Exception], None] | None = None, *, demands_tls: bool = False
    ) -> None:
        super().__init__()
        self._stumbled = stumbled or _give_up
        """What is called when a listener raises an exception."""
        self._demands_tls = demands_tls
        self._listeners: dict[bytes, Listen] = {}
        self._reader: asyncio.StreamReader | None = None
        self._loop = asyncio.get_running_loop()
        self._is_writing = False
        self._last_words: list[Callable[[], None]] = []

    # Hearing and saying -----------------------------------------------------------------------------

    async def listen(self, subject: str, queue: str, hear: Listen) -> Subscription:
        """Call `hear` with every message on a subject, from within the reading of the connection."""
        # Before nats-py can be interrupted, and with the number that it is about to give.
        self._listeners[b"%d" % (self._sid + 1)] = hear
        never = asyncio.get_running_loop().create_future()  # spares the subscription a task of its own
        return await self.subscribe(subject, queue=queue, future=never, pending_msgs_limit=1)

    def write(self, subject: str, reply: str, payload: bytes, headers: bytes = b"") -> None:
        """Publish without waiting: the bytes go out with everything else of this turn of the event loop.

        `headers` is a whole block, as `message.block` makes it.
        """
        if headers:
            head = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(payload)}\r\n".encode()
            command = b"%b%b%b\r\n" % (head, headers, payload)
        else:
            command = b"%b%b\r\n" % (f"PUB {subject} {reply} {len(payload)}\r\n".encode(), payload)
        self._pending.append(command)
        self._pending_data_size += len(command)
        self._write_soon()

    def before_writing(self, speak: Callable[[], None]) -> None:
        """Call `speak` once, at the end of this turn of the loop; what it writes goes out with the rest.

        For whoever gathers what one turn brings into one message.
        """
        self._last_words.append(speak)
        self._write_soon()

    def _write_soon(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._loop.call_soon(self._write_out)

    def _write_out(self) -> None:
        """Write what this turn of the event loop has brought together; nothing while there is no broker."""
        while self._last_words:
            speakers, self._last_words = self._last_words, []
            for speak in speakers:
                try:
                    speak()
                except Exception as error:  # a bug met by one must not silence all others
                    self._stumbled(error)
        self._is_writing = False
        if not self._pending or not self.is_connected:
            return
        writer = getattr(self._transport, "_io_writer", None)  # none between two connections
        if writer is None or writer.transport.get_write_buffer_size() > MAX_BUFFERED_BYTES:
            assert self._flush_queue is not None
            self._flush_queue.put_nowait(self._loop.create_future())  # nats-py's way, which waits for room
            return
        writer.transport.write(b"".join(self._pending))  # cheaper than one system call with many parts
        self._pending = []
        self._pending_data_size = 0

    async def _read_loop(self) -> None:
        """Read as nats-py does, but only what nobody here listens to."""
        assert isinstance(self._transport, TcpTransport)
        reader = self._transport._io_reader
        assert reader is not None
        self._reader = reader
        sieve, buffer = Sieve(self._listeners, self._stumbled), reader.feed_data

        def hear(data: bytes) -> None:
            if self._reader is not reader or not self.is_connected:
                return  # it is of a connection that was given up
            # What is written because of it need not wait for another turn.
            writes_itself = not self._is_writing
            self._is_writing = True
            try:
                rest = sieve.take(data)
            except (ValueError, IndexError):
                reader.set_exception(ProtocolError())  # on which nats-py makes another connection
                return
            finally:
                if writes_itself:
                    self._write_out()
            if rest:
                buffer(rest)

        vars(reader)["feed_data"] = hear
        buffered = len(reader._buffer)  # type: ignore[attr-defined]
        if buffered:  # it came before we were here, and may end amid a message
            hear(await reader.read(buffered))
        await super()._read_loop()

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._listeners.pop(b"%d" % sid, None)
        super()._remove_sub(sid, max_msgs)

    # Trusting ---------------------------------------------------------------------------------------

    async def _connect_to_server(self, s: Srv) -> None:
        if isinstance(self._transport, TcpTransport) and self._transport:
            # Of an attempt that failed: nats-py would just drop it.
            self._transport.close()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)
        if type(self._transport) is TcpTransport:  # as yet without TLS
            self._transport = _Transport(self._transport)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Hang up on a broker that offers no TLS where it is demanded: nats-py would send it the password."""
        if initial_connection and self._demands_tls and not info.get("tls_required"):
            raise NatsError("the broker offers no TLS, which is demanded of it")
        await super()._process_info(info, initial_connection)

    # Staying ----------------------------------------------------------------------------------------

    async def _process_err(self, err_msg: str) -> None:
        """Connect again whatever error the broker reports: nats-py closes for ever on most of them."""
        await self._error_cb(NatsError(err_msg))
        if "permissions violation" not in err_msg.lower():  # the one that leaves the connection usable
            await self._process_op_err(NatsError(err_msg))

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Send the PING behind what was sent before: nats-py's overtakes it, and a flush proves nothing."""
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _process_pong(self) -> None:
        """Take a PONG that nobody waits for now: it ends nats-py's reading, which nobody then notices."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    def abandon(self) -> None:
        """Cut what a connecting that was cancelled has left behind: nats-py would just drop it."""
        if isinstance(self._transport, TcpTransport) and self._transport:
            assert self._transport._io_writer is not None
            with contextlib.suppress(AttributeError):  # asyncio's own, for TLS that was closed twice already
                self._transport._io_writer.transport.abort()

    def forget_unsent(self) -> None:
        """Drop what the lost connection did not take: nats-py would send it, stale, on the next one."""
        self._pending.clear()
        self._pending_data_size = 0


def _give_up(error: Exception) -> NoReturn:
    raise error
