"""Measure what is asked of an API process: each request, until its answer begins."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from tieline import metrics

NO_OPERATION: Final = "none"

UNANSWERED: Final = 499
"""The status of a request whose caller was gone before its answer began, as others write it."""


def measured(app: Litestar, clock: Callable[[], float] = time.monotonic) -> ASGIApp:
    """Have what an application answers measured."""
    for operation in operations_of(app):
        metrics.API_REQUESTS.labels(operation, "200").inc(0)
        metrics.API_REQUESTS.labels(operation, "503").inc(0)

    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        begun, status = clock(), 0

        def answered(with_status: int) -> None:
            nonlocal status
            if not status:
                status = with_status
                metrics.API_IN_FLIGHT.dec()
                metrics.API_SECONDS.observe(clock() - begun)
                metrics.API_REQUESTS.labels(_operation_of(scope), str(status)).inc()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered(message["status"])
            await send(message)

        metrics.API_IN_FLIGHT.inc()
        try:
            await app(scope, receive, noting)
        finally:
            answered(UNANSWERED)

    return measure


def operations_of(app: Litestar) -> Iterable[str]:
    """List the operations that an application's document names."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and isinstance(handler.operation_id, str):
                yield handler.operation_id


def _operation_of(scope: Scope) -> str:
    """Name what was asked for; the framework says so when it has found out."""
    operation = getattr(scope.get("route_handler"), "operation_id", None)
    return operation if isinstance(operation, str) else NO_OPERATION
