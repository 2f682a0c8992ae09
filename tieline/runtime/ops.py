"""The ops endpoints of every process, on a port of their own: /metrics, /healthz, /readyz, and what it adds.

`/healthz` is answered from the event loop alone, so it fails when this process hangs and not when the broker
is away. `/readyz` says whether work should be sent here. They are served by websockets, a library that is
needed anyway and answers plain HTTP before an upgrade.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tieline.runtime import metrics
from tieline.runtime.exposition import Exposition
from tieline.runtime.request_head import bound_head
from tieline.runtime.settings import SettingsError

MOST_AT_ONCE: Final = 64
"""Connections to one port. One more ends the oldest, which asks for nothing: the others are answered at once.
A gateway keeps descriptors free for so many."""

ANSWER_S: Final = 5.0
"""For one connection to ask and be answered. A probe has given up by then."""

Readiness = Callable[[], str]
"""Return why this process should get no work now; "" when it should."""

STARTING: Final = "starting: what it needs has not answered yet"
STOPPING: Final = "stopping"
BROKER_AWAY: Final = "the broker is away"

_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
_EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


class Ready:
    """Reasons why a process should get no work; several may hold at once, and each is cleared by itself."""

    def __init__(self, *reasons: str) -> None:
        self._reasons = dict.fromkeys(reasons)
        self._show()

    def why_not(self) -> str:
        """See `Readiness`: the reason that has held longest, or ""."""
        return next(iter(self._reasons), "")

    def hold(self, reason: str) -> None:
        """Stop being ready, for this reason."""
        self._reasons[reason] = None
        self._show()

    def clear(self, reason: str) -> None:
        """Drop this reason."""
        self._reasons.pop(reason, None)
        self._show()

    def hold_unless(self, reason: str, is_well: bool) -> None:
        """Stop being ready, for this reason, or drop it."""
        if is_well:
            self.clear(reason)
        else:
            self.hold(reason)

    def _show(self) -> None:
        metrics.READY.set(not self._reasons)


Pages = Mapping[str, Callable[[], Awaitable[bytes]]]
"""What makes the JSON of a page, by its path; pages may be added while others are served."""


async def serve_ops(
    host: str, port: int, why_not_ready: Readiness, pages: Pages = MappingProxyType({})
) -> Server:
    """Serve until the returned server is closed. Port 0 takes a free one (`bound_port`).

    `pages` are served besides.

    Raises:
        SettingsError: nothing can listen there.
    """
    exposition = Exposition()

    async def answer(_connection: ServerConnection, request: Request) -> Response:
        match request.path.partition("?")[0]:
            case "/metrics":
                response = _response(HTTPStatus.OK, await exposition.text(), _EXPOSITION)
                response.headers["ETag"] = f'"{exposition.number}"'
                return response
            case "/healthz":
                return _response(HTTPStatus.OK, b"alive\n", _TEXT)
            case "/readyz":
                problem = why_not_ready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
                return _response(status, f"{problem or 'ready'}\n".encode(), _TEXT)
            case path if path in pages:
                return _response(HTTPStatus.OK, await pages[path](), _JSON)
            case _:
                return _response(HTTPStatus.NOT_FOUND, _there_are(pages), _TEXT)

    async def no_websocket(_connection: ServerConnection) -> None:
        raise AssertionError("every request is answered before an upgrade")

    try:
        return await serve(
            no_websocket,
            host,
            port,
            process_request=answer,
            compression=None,
            open_timeout=ANSWER_S,
            create_connection=_connections(),
        )
    except OSError as error:
        raise SettingsError(
            f"TIELINE_OPS_HOST, TIELINE_OPS_PORT: cannot listen on {host}, port {port}: {error}"
        ) from error


def _there_are(pages: Pages) -> bytes:
    """Say which paths there are."""
    *paths, last = "/metrics", "/healthz", "/readyz", *pages
    return f"there are {', '.join(paths)} and {last}\n".encode()


def _connections() -> type[ServerConnection]:
    """Make the connections of one port: bounded in what they send, and in number."""
    here: dict[ServerConnection, None] = {}

    class Connection(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            bound_head(self.protocol)
            super().connection_made(transport)
            here[self] = None
            if len(here) > MOST_AT_ONCE:
                oldest = next(iter(here))
                del here[oldest]
                oldest.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            here.pop(self, None)
            super().connection_lost(exc)

    return Connection


def bound_port(server: Server) -> int:
    """The port a server really listens on."""
    return int(next(iter(server.sockets)).getsockname()[1])


def _response(status: HTTPStatus, body: bytes, content_type: str) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
