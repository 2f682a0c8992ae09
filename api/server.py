"""Serve an application over HTTP/1.1 in this process's own event loop, with uvicorn.

The process is told to end by `tieline.runtime.process`: uvicorn takes no signals of its own. TLS is for what
stands in front; a backend asks from within.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final, cast

import h11
import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from tieline.runtime.settings import SettingsError

GRACE_S: Final = 5
"""For answers that are under way when the process is to end: presence is asked for as long at most."""

KEEP_ALIVE_S: Final = 75
"""A connection waits so long for its next request: longer than balancers keep theirs, mostly 60 s, so that
none is sent into one that closes."""

REQUEST_S: Final = 10.0
"""For a request to come whole, from its first byte or the connection's beginning: a backend sends one at
once, and who sends none would keep a place from others for good."""

UNREAD_S: Final = 30.0
"""For a caller to read what no buffer takes: who reads nothing of an answer would keep its place for good."""

MOST_UNWANTED: Final = 131_072
"""Bytes of a request's body that are read on behind its answer, so that the connection can be used again: as
many as a body may have. What comes behind them is thrown away, until the time for the request has passed."""

RECEIVE_BUFFER: Final = 32 * 1024
"""Bytes that the system keeps of a request, and so about what is parsed at once: to parse a body in chunks of
a byte costs some 20 us for each."""

WAITING: Final = 1_024
"""Connections that wait to be accepted."""

LET_PAST: Final = "tieline.let_past"
"""An extension of a request (ASGI): have what is sent from now on written although its caller does not read,
and the connection cut off after `LINGER_S`. For the last word to a caller who is too slow."""

IS_THERE: Final = "tieline.is_there"
"""Another one: say whether the caller still waits for the answer."""

DO: Final = "do"
"""The name of what is called for that."""

_LENGTHS: Final = {b"content-length", b"transfer-encoding"}

LINGER_S: Final = 5.0
"""For a caller to read what it was sent last."""

MOST_AT_ONCE: Final = 1_024
"""Connections. For one more the one is closed on which nothing has been asked for longest; where something is
asked on all of them, requests are answered 503, and those on a quarter more than that are cut."""


# That it begins and ends is said elsewhere; it warns of each request that is none, as many as strangers like.
logging.getLogger("uvicorn").setLevel(logging.ERROR)


class _Connection(H11Protocol):
    """A connection that ends if a request does not come in time, or an answer is not read in time.

    uvicorn itself waits for both for good, reads a body to its end that nobody wants, and answers what is no
    HTTP although an application is about to answer, or has.
    """

    request_s: float = REQUEST_S
    unread_s: float = UNREAD_S
    _since = 0.0
    """When it began to wait for a request; the time of uvloop counts whole milliseconds."""
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _unwanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._late = self.loop.call_later(self.request_s, self._close)
        self._since = time.monotonic()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room(self.limit_concurrency)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            some = data
            if not self._is_asked and self.conn.their_state is h11.SEND_BODY:
                # The next request may come behind what is unwanted.
                some = data[: MOST_UNWANTED - self._unwanted]
                self._unwanted += len(some)
                if not some:
                    break
            super().data_received(some)
            data = data[len(some) :]
        self._wait_for_request()

    def handle_events(self) -> None:
        super().handle_events()
        scope = cast("HTTPScope | None", self.scope)  # there is none before the first request
        if scope is not None:
            extensions = scope.setdefault("extensions", {})
            extensions[LET_PAST], extensions[IS_THERE] = {DO: self._let_past}, {DO: self._is_there}

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, if nobody has answered before; and let nobody answer it any more."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cut_unless_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def on_response_complete(self) -> None:
        self._since = time.monotonic()
        self._unwanted = 0
        super().on_response_complete()
        if self.transport.is_closing():
            self._cut_unless_read()
        else:
            self._wait_for_request()  # the next one may have begun behind the one that is answered

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_unless_read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def _is_there(self) -> bool:
        return not self.transport.is_closing()

    def _let_past(self) -> None:
        self.flow.resume_writing()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _close(self) -> None:
        self.transport.close()
        self._cut_unless_read()

    def _cut_unless_read(self) -> None:
        """Cut the connection if its caller does not read what waits for it: a close waits until it does."""
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_s, self.transport.abort)

    @property
    def _is_asked(self) -> bool:
        """Whether a request is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _make_room(self, most: int) -> None:
        """Cut the connection on which nothing has been asked for longest, or this one if there is none."""
        connections = cast("set[_Connection]", self.connections)
        silent = [each for each in connections if each is not self and not each._is_asked]
        if silent:
            cut = min(silent, key=lambda each: each._since)
        elif len(connections) > most + most // 4:
            cut = self
        else:
            return
        cut.transport.abort()
        connections.discard(cut)  # it is told later, and others come meanwhile

    def _wait_for_request(self) -> None:
        """Wait for what is missing of a request as long as that may take, and longer for the next one."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.more_body and self._is_asked:  # it is whole
            self._stop_waiting()
        elif cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._stop_waiting()
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )
        elif self._late is None:
            self._late = self.loop.call_later(self.request_s, self._close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def most_at_once(sockets: int) -> int:
    """Say how many connections there may be where clients may have so many sockets."""
    return min(MOST_AT_ONCE, sockets * 4 // 5)


class _Server(uvicorn.Server):
    """A server that is stopped by its owner alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def with_one_length(app: ASGIApp) -> ASGIApp:
    """Refuse a request that says its length in two ways, and what comes behind it (RFC 9112, section 6.3).

    Who stands in front may have taken the other one, and the rest of the body for the next request.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        names = {name for name, _ in scope["headers"]}
        if len(names & _LENGTHS) < len(_LENGTHS):
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": b"Two lengths.", "more_body": False})

    return serve


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    request_s: float = REQUEST_S,
    unread_s: float = UNREAD_S,
    most: int = MOST_AT_ONCE,
) -> AsyncIterator[int]:
    """Serve while the block runs, and finish what is begun; gives the port, which 0 leaves to the system.

    Raises:
        SettingsError: nothing can listen there.
    """
    config = uvicorn.Config(
        with_one_length(app),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=most,
        http=type("Connection", (_Connection,), {"request_s": request_s, "unread_s": unread_s}),
        ws="none",
    )
    listener = _listening(host, port)
    server = _Server(config)
    async with asyncio.TaskGroup() as serving_it:
        task = serving_it.create_task(server.serve([listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await asyncio.wait((task,))


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.bind((host, port))
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"TIELINE_API_HOST, TIELINE_API_PORT: cannot listen on {host}, port {port}: {error}"
        ) from error
    listener.setblocking(False)
    return listener
