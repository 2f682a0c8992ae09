"""Serve an application over HTTP/1.1 in this process's own event loop, with uvicorn.

The process is told to end by `tieline.runtime.process`: uvicorn takes no signals of its own. TLS is for what
stands in front; a backend asks from within.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from litestar.types import ASGIApp

from tieline.runtime.settings import SettingsError

GRACE_S: Final = 5
"""For answers that are under way when the process is to end: presence is asked for as long at most."""

KEEP_ALIVE_S: Final = 75
"""A connection waits so long for its next request: longer than balancers keep theirs, mostly 60 s, so that
none is sent into one that closes."""

WAITING: Final = 1_024
"""Connections that wait to be accepted."""

MOST_AT_ONCE: Final = 1_024
"""Connections; one more is answered 503 by uvicorn."""


logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that it begins and ends is said elsewhere


class _Server(uvicorn.Server):
    """A server that is stopped by its owner alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the block runs, and finish what is begun; gives the port, which 0 leaves to the system.

    Raises:
        SettingsError: nothing can listen there.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MOST_AT_ONCE,
        http="h11",
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
        listener.bind((host, port))
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"TIELINE_API_HOST, TIELINE_API_PORT: cannot listen on {host}, port {port}: {error}"
        ) from error
    listener.setblocking(False)
    return listener
