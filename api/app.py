"""The application: which resources there are, who may ask for them, and the document that says so.

A resource is a module in `api.resources` that makes its routes; its operations stand below `/v1`, each with
the scope that it demands. What a caller is not given it is told in a problem document (`api.problems`).
"""

from collections.abc import Sequence
from typing import Final

from litestar import Litestar, Router
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from api.authority import Authority
from api.examples import WithExamples
from api.measured import measured
from api.problems import Refusal, on_fault, on_http_exception, on_refusal
from api.strict_request import StrictRequest
from tieline import __version__

LONGEST_BODY: Final = 131_072
"""Bytes of a request: a message has half of that, and its JSON may be escaped."""

DOCUMENT: Final = "/openapi.json"

TAGS: Final = (
    Tag("rooms", "Rooms, their members, and who has to go."),
    Tag("users", "Users: where they are, and what they may do."),
    Tag("calls", "Calls of two users."),
    Tag("messages", "An application's own messages."),
    Tag("tokens", "Admission tokens."),
    Tag("statistics", "How much there is."),
    Tag("events", "What happens, as it happens."),
    Tag("webhooks", "Where what happens is told to."),
)

_DESCRIPTION: Final = """\
What an application's backend asks of Tieline, and tells it.

Every operation demands a key, `Authorization: Bearer KEY`, or a signed token in its place, with the scope
that it names. Ids stand in a path percent-encoded. Times are Unix milliseconds. A request that changes
something may have an `Idempotency-Key`: sent again with the same key, within an hour, it is answered as
before and changes nothing. What is refused is answered with a problem document (RFC 9457), whose `reason` is
a word for programs.
"""


def make_app(authority: Authority, routes: Sequence[ControllerRouterHandler]) -> ASGIApp:
    """Make the application of these routes."""
    return ids_as_sent(measured(_litestar(authority, routes)))


def _litestar(authority: Authority, routes: Sequence[ControllerRouterHandler]) -> Litestar:
    return Litestar(
        [Router("/v1", route_handlers=list(routes), guards=[authority.guard], security=[{"bearer": []}])],
        exception_handlers={
            Refusal: on_refusal,
            HTTPException: on_http_exception,
            Exception: on_fault,
        },
        openapi_config=OpenAPIConfig(
            "Tieline",
            __version__,
            description=_DESCRIPTION,
            license=License("Apache-2.0", identifier="Apache-2.0"),
            path=DOCUMENT,  # what is not found below this the framework answers with a page
            render_plugins=[WithExamples(path="/")],
            tags=list(TAGS),
            components=Components(security_schemes={"bearer": SecurityScheme("http", scheme="bearer")}),
            use_handler_docstrings=True,
        ),
        logging_config=None,
        request_class=StrictRequest,
        request_max_body_size=LONGEST_BODY,
    )


def ids_as_sent(app: ASGIApp) -> ASGIApp:
    """Have paths matched as they were sent: an id may have a slash in it, which is %2F in a path."""

    async def match_as_sent(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await app(scope, receive, send)

    return match_as_sent
