"""Decide on an upgrade request: which user it admits, or with which HTTP response it is refused.

A refusal is an ordinary HTTP response with a JSON body; only what passes here becomes a WebSocket.
"""

import enum
import http
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from gateway.admission.addresses import Network, client_address, site_of
from gateway.admission.auth_throttle import WINDOW_S, AuthThrottle
from gateway.admission.origins import Origins
from gateway.admission.tokens import BadToken, Claims, Tokens, TooManyRooms, UnknownKey
from tieline.wire import replies
from tieline.wire.codes import HandshakeError
from tieline.wire.ids import ResumeToken

PATH: Final = "/ws"
SUBPROTOCOL: Final = Subprotocol("tieline.v1")
USUAL_RETRY_AFTER_S: Final = {503: 2, 429: int(WINDOW_S)}
"""What a refusal asks for by its status, unless it knows better: by then a balancer has taken a draining
gateway out, and a broker has come back; a 429 is about the last minute."""

MOST_LISTED: Final = 64
"""Values in the headers that list some, and fields of the query: browsers send a handful. Each is taken apart
in Python, so that a stranger's list as long as a request may be would keep everybody waiting for 25 ms."""

MOST_ESCAPED: Final = 2_048
"""Characters of the query that are percent-encoded: a `requestId` and a resume token entirely are fewer."""

_LISTS: Final = ("Connection", "Upgrade", "Sec-WebSocket-Protocol")

_BEARER: Final = "bearer."


class Now(NamedTuple):
    """The time, in seconds, by both clocks."""

    unix: float
    monotonic: float


_log = logging.getLogger(__name__)


class Admitted(NamedTuple):
    """What an admitted client may do, and what it asked for."""

    claims: Claims
    acks: bool
    resume: ResumeToken | None
    """None: the client cannot resume. Empty: it can, and has nothing to resume yet."""
    last: str
    """The `requestId` of the last message that the client has had."""
    address: str = ""
    """What limits count its address as."""
    batches: bool = False
    """The client takes the changes of rooms together, and lists in pages."""
    calls: bool = False
    """The client says and hears which call a message is about."""


class Pending(enum.Enum):
    """What a verdict waits for."""

    KEYS = enum.auto()
    """The token is of a key that is not known here: the key server may know it."""


Verdict = Admitted | HandshakeError | Pending


class Admission:
    """Judges upgrade requests; remembers nothing but the bad tokens of the last minute."""

    def __init__(
        self,
        tokens: Tokens,
        origins: Origins,
        trusted_proxies: Sequence[Network] = (),
        refresh_keys: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Take also what fetches the keys anew, if they are fetched; it tells whether they are fresh."""
        self._tokens = tokens
        self._refresh_keys = refresh_keys
        self._origins = origins
        self._trusted_proxies = trusted_proxies
        self._throttle = AuthThrottle()

    def address_of(self, request: Request, peer: str) -> str:
        """Find out for whom `peer` asks, if that is a proxy of our own."""
        return client_address(peer, request.headers.get_all("X-Forwarded-For"), self._trusted_proxies)

    def judge(self, request: Request, response: Response, peer: str, now: Now) -> Verdict:
        """Judge a request that came from `peer`. `response` is what websockets would answer it."""
        verdict = judge(request, response, self._tokens, self._origins, now.unix)
        return self._counted(verdict, request, peer, now)

    async def settle(
        self, request: Request, response: Response, peer: str, clock: Callable[[], Now]
    ) -> Admitted | HandshakeError:
        """Judge a request with fresh keys that could not be judged with the ones that were known."""
        is_fresh = await self.refresh_keys()
        verdict = judge(request, response, self._tokens, self._origins, clock().unix)
        if isinstance(verdict, Pending):
            verdict = HandshakeError.UNAUTHORIZED if is_fresh else HandshakeError.KEYS_UNAVAILABLE
        settled = self._counted(verdict, request, peer, clock())
        assert not isinstance(settled, Pending)
        return settled

    async def refresh_keys(self) -> bool:
        """Fetch the keys anew, unless that was done just now; returns whether they are fresh then."""
        return True if self._refresh_keys is None else await self._refresh_keys()

    def _counted(self, verdict: Verdict, request: Request, peer: str, now: Now) -> Verdict:
        if verdict is not HandshakeError.UNAUTHORIZED and not isinstance(verdict, Admitted):
            return verdict
        address = site_of(self.address_of(request, peer))
        if isinstance(verdict, Admitted):
            return verdict._replace(address=address)
        return (
            HandshakeError.TOO_MANY_BAD_TOKENS
            if self._throttle.is_one_too_many(address, now.monotonic)
            else verdict
        )


def lists_too_much(request: Request) -> bool:
    """Whether a request is refused before any list in it is taken apart, which would take too long."""
    listed = sum(value.count(",") for name in _LISTS for value in request.headers.get_all(name))
    query = request.path.partition("?")[2]
    return listed > MOST_LISTED or query.count("&") > MOST_LISTED or query.count("%") > MOST_ESCAPED


def judge(request: Request, response: Response, tokens: Tokens, origins: Origins, now: float) -> Verdict:
    """Judge a request alone, regardless of those before it. `now` is Unix seconds."""
    hosts = request.headers.get_all("Host")
    if len(hosts) != 1:  # RFC 9112, section 3.2
        return HandshakeError.MALFORMED
    try:
        url = urlsplit(request.path)
    except ValueError:  # half of an IPv6 address, for one
        return HandshakeError.MALFORMED
    if url.path != PATH:
        return HandshakeError.NOT_FOUND
    if response.status_code == http.HTTPStatus.UPGRADE_REQUIRED:
        return HandshakeError.UPGRADE_REQUIRED
    if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
        return HandshakeError.MALFORMED
    if not origins.allow(request.headers.get_all("Origin"), hosts):
        return HandshakeError.FOREIGN_ORIGIN
    query = parse_qs(url.query, keep_blank_values=True)
    try:
        claims = tokens.verify(_token(request.headers, query), now)
    except UnknownKey:
        return Pending.KEYS
    except TooManyRooms as problem:
        _log.debug("token refused", extra={"why": str(problem)})
        return HandshakeError.TOO_MANY_ROOMS
    except BadToken as problem:  # the client is told no more than that
        _log.debug("token refused", extra={"why": str(problem)})
        return HandshakeError.UNAUTHORIZED
    resume = query.get("resume")
    return Admitted(
        claims,
        acks=query.get("acks", [""])[0] == "1",
        resume=None if resume is None else ResumeToken(resume[0]),
        last=query.get("last", [""])[0],
        batches=query.get("roster", [""])[0] == "1",
        calls=query.get("calls", [""])[0] == "1",
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


def denied(error: HandshakeError, retry_after_s: int | None = None) -> Response:
    """Make the HTTP response of a refusal, which may say when to come back; None: when it is usual."""
    body = replies.denial(error.status, error.msg, error.reason)
    headers = Headers(
        {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            "Connection": "close",
            "Cache-Control": "no-store",
        }
    )
    status = http.HTTPStatus(error.status)
    if retry_after_s is None:
        retry_after_s = USUAL_RETRY_AFTER_S.get(error.status)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    match status:
        case http.HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        case http.HTTPStatus.UPGRADE_REQUIRED:
            headers["Upgrade"] = "websocket"
    return Response(status.value, status.phrase, headers, body)
