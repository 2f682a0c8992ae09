"""The ops endpoints of every process, on a port of their own: /metrics, /healthz, /readyz.

`/healthz` answers from the event loop and asks nobody else, so it fails when this process hangs and not
when the broker is away. `/readyz` says whether work should be sent here. websockets serves them: it is
here anyway, and answers plain HTTP before an upgrade.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from tieline.runtime import metrics

Readiness = Callable[[], str]
"""Say why this process should get no work now; "" when it should."""

_TEXT: Final = "text/plain; charset=utf-8"
_EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"


async def serve_ops(host: str, port: int, why_not_ready: Readiness) -> Server:
    """Serve until the returned server is closed. Port 0 takes a free one (`bound_port`).

    Raises:
        OSError: the port is taken.
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

    return await serve(no_websocket, host, port, process_request=answer, compression=None)


def bound_port(server: Server) -> int:
    """The port a server really listens on."""
    return int(next(iter(server.sockets)).getsockname()[1])


def _response(status: HTTPStatus, body: bytes, content_type: str) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
