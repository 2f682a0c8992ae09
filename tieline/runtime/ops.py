"""The ops endpoints of every process, on a port of their own: /metrics, /healthz, /readyz.

`/healthz` is answered from the event loop alone, so it fails when this process hangs and not when the broker
is away. `/readyz` says whether work should be sent here. They are served by websockets, a library that is
needed anyway and answers plain HTTP before an upgrade.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tieline.runtime import metrics
from tieline.runtime.settings import SettingsError

Readiness = Callable[[], str]
"""Return why this process should get no work now; "" when it should."""

STARTING: Final = "starting: what it needs has not answered yet"
STOPPING: Final = "stopping"
BROKER_AWAY: Final = "the broker is away"

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


async def serve_ops(host: str, port: int, why_not_ready: Readiness) -> Server:
    """Serve until the returned server is closed. Port 0 takes a free one (`bound_port`).

    Raises:
        SettingsError: nothing can listen there.
    """

    def answer(_connection: ServerConnection, request: Request) -> Response:
        match request.path.partition("?")[0]:
            case "/metrics":
                return _response(HTTPStatus.OK, metrics.exposition(), _EXPOSITION)
            case "/healthz":
                return _response(HTTPStatus.OK, b"alive\n", _TEXT)
            case "/readyz":
                problem = why_not_ready()
                status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
                return _response(status, f"{problem or 'ready'}\n".encode(), _TEXT)
            case _:
                return _response(HTTPStatus.NOT_FOUND, b"there are /metrics, /healthz and /readyz\n", _TEXT)

    async def no_websocket(_connection: ServerConnection) -> None:
        raise AssertionError("every request is answered before an upgrade")

    try:
        return await serve(no_websocket, host, port, process_request=answer, compression=None)
    except OSError as error:
        raise SettingsError(
            f"TIELINE_OPS_HOST, TIELINE_OPS_PORT: cannot listen on {host}, port {port}: {error}"
        ) from error


def bound_port(server: Server) -> int:
    """The port a server really listens on."""
    return int(next(iter(server.sockets)).getsockname()[1])


def _response(status: HTTPStatus, body: bytes, content_type: str) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
