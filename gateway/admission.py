"""Decide on an upgrade request: who is it, and if not, with which HTTP refusal.

A refusal is an ordinary HTTP response with a JSON body; only what passes here becomes a WebSocket.
"""

import http
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.tokens import BadToken, Claims, Tokens
from tieline.wire import envelope
from tieline.wire.codes import Denial
from tieline.wire.ids import ResumeToken

PATH: Final = "/ws"
SUBPROTOCOL: Final = Subprotocol("tieline.v1")
RETRY_AFTER_S: Final = 2
"""What a 503 asks for: a balancer has taken a draining gateway out by then, a broker has come back."""

_BEARER: Final = "bearer."


class Admitted(NamedTuple):
    """Who connects, with what the connection asked for."""

    claims: Claims
    acks: bool
    resume: ResumeToken | None
    """None: the client cannot resume. Empty: it can, and has nothing to resume yet."""
    last: str
    """The `requestId` of the last message that it has had."""


def judge(request: Request, response: Response, tokens: Tokens, now: float) -> Admitted | Denial:
    """Judge a request. `response` is what websockets would answer it; `now` is Unix seconds."""
    try:
        url = urlsplit(request.path)
    except ValueError:  # half of an IPv6 address, for one
        return Denial.MALFORMED
    if url.path != PATH:
        return Denial.NOT_FOUND
    if response.status_code == http.HTTPStatus.UPGRADE_REQUIRED:
        return Denial.UPGRADE_REQUIRED
    if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
        return Denial.MALFORMED
    query = parse_qs(url.query, keep_blank_values=True)
    try:
        claims = tokens.verify(_token(request.headers, query), now)
    except BadToken:
        return Denial.UNAUTHORIZED
    resume = query.get("resume")
    return Admitted(
        claims,
        acks=query.get("acks", [""])[0] == "1",
        resume=None if resume is None else ResumeToken(resume[0]),
        last=query.get("last", [""])[0],
    )


def _token(headers: Headers, query: dict[str, list[str]]) -> str:
    """Find the token: the first of the three places that has one counts, even if it is bad."""
    for value in headers.get_all("Authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    for protocol in _offered(headers):
        if protocol.startswith(_BEARER):
            return protocol.removeprefix(_BEARER)
    if "token" in query:
        return query["token"][0]
    raise BadToken("none given")


def _offered(headers: Headers) -> list[str]:
    values = headers.get_all("Sec-WebSocket-Protocol")
    return [protocol.strip() for value in values for protocol in value.split(",")]


def select_subprotocol(_protocol: ServerProtocol, offered: object) -> Subprotocol | None:
    """Answer the one subprotocol we speak, when it is among those offered; without it go on all the same."""
    return SUBPROTOCOL if isinstance(offered, list | tuple) and SUBPROTOCOL in offered else None


def denied(denial: Denial) -> Response:
    """Make the HTTP response of a refusal."""
    body = envelope.denial(denial.status, denial.msg, denial.reason)
    headers = Headers(
        {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
        }
    )
    status = http.HTTPStatus(denial.status)
    match status:
        case http.HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case http.HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        case http.HTTPStatus.UPGRADE_REQUIRED:
            headers["Upgrade"] = "websocket"
    return Response(status.value, status.phrase, headers, body)
