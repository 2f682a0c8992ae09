"""Decide on an upgrade request: which user it admits, or with which HTTP response it is refused.

A refusal is an ordinary HTTP response with a JSON body; only what passes here becomes a WebSocket.
"""

import enum
import http
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
from tieline.verification.tokens import (
    BadToken,
    Claims,
    LivesTooLong,
    NotForHere,
    Tokens,
    TooManyRooms,
    UnknownKey,
)
from tieline.wire import replies
from tieline.wire.codes import HandshakeError
from tieline.wire.ids import NO_TOKEN, AdmissionToken, ResumeToken

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

VERSION: Final = "13"
"""Of WebSocket: the only one. Who is refused for another is told so (RFC 6455, section 4.4)."""

_ABOUT_VERSIONS: Final = (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.UPGRADE_REQUIRED)

_BEARER: Final = "bearer."

LONGEST_NAMED: Final = 200
"""Characters of an origin that the log is told: a name and a port are fewer."""

Note = Callable[[str, str], None]
"""Takes why a token is refused, and whose it is (empty: unknown), or the origin that is; for our log."""


def _forget(_why: str, _user: str) -> None:
    """Do without the reason."""


class Now(NamedTuple):
    """The time, in seconds, by both clocks."""

    unix: float
    monotonic: float


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
    places: bool = False
    """The client is told the place of each message that it is sent."""
    last_place: str = ""
    """The place of the last message that the client has had; "": it names none."""
    calls: bool = False
    """The client says and hears which call a message is about."""
    token: AdmissionToken = NO_TOKEN
    """What has admitted it."""


class Pending(enum.Enum):
    """What a verdict waits for."""

    KEYS = enum.auto()
    """The token is of a key that is not known here: the key server may know it."""


Verdict = Admitted | HandshakeError | Pending

_BAD: Final = frozenset(
    (HandshakeError.UNAUTHORIZED, HandshakeError.TOKEN_NOT_FOR_HERE, HandshakeError.TOKEN_LIVES_TOO_LONG)
)
"""What counts as a bad token, of which an address may show so many a minute."""


class Admission:
    """Judges upgrade requests; remembers nothing but the bad tokens of the last minute."""

    def __init__(
        self,
        tokens: Tokens,
        origins: Origins,
        trusted_proxies: Sequence[Network] = (),
        refresh_keys: Callable[[], Awaitable[bool]] | None = None,
        *,
        takes_query: bool = True,
    ) -> None:
        """Take also what fetches the keys anew, if they are fetched; it tells whether they are fresh.

        Without `takes_query` a token in the query lets nobody in.
        """
        self._tokens = tokens
        self._refresh_keys = refresh_keys
        self._origins = origins
        self._takes_query = takes_query
        self._trusted_proxies = trusted_proxies
        self._throttle = AuthThrottle()

    def address_of(self, request: Request, peer: str) -> str:
        """Find out for whom `peer` asks, if that is a proxy of our own."""
        return client_address(peer, request.headers.get_all("X-Forwarded-For"), self._trusted_proxies)

    def judge(
        self, request: Request, response: Response, peer: str, now: Now, note: Note = _forget
    ) -> Verdict:
        """Judge a request that came from `peer`. `response` is what websockets would answer it."""
        verdict = self._judge(request, response, now.unix, note)
        return self._counted(verdict, request, peer, now)

    async def settle(
        self,
        request: Request,
        response: Response,
        peer: str,
        clock: Callable[[], Now],
        note: Note = _forget,
    ) -> Admitted | HandshakeError:
        """Judge a request with fresh keys that could not be judged with the ones that were known."""
        is_fresh = await self.refresh_keys()
        verdict = self._judge(request, response, clock().unix, note)
        if isinstance(verdict, Pending):
            verdict = HandshakeError.UNAUTHORIZED if is_fresh else HandshakeError.KEYS_UNAVAILABLE
        settled = self._counted(verdict, request, peer, clock())
        assert not isinstance(settled, Pending)
        return settled

    async def refresh_keys(self) -> bool:
        """Fetch the keys anew, unless that was done just now; returns whether they are fresh then."""
        return True if self._refresh_keys is None else await self._refresh_keys()

    def _judge(self, request: Request, response: Response, now: float, note: Note) -> Verdict:
        return judge(
            request, response, self._tokens, self._origins, now, takes_query=self._takes_query, note=note
        )

    def _counted(self, verdict: Verdict, request: Request, peer: str, now: Now) -> Verdict:
        if verdict not in _BAD and not isinstance(verdict, Admitted):
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


def judge(
    request: Request,
    response: Response,
    tokens: Tokens,
    origins: Origins,
    now: float,
    *,
    takes_query: bool = True,
    note: Note = _forget,
) -> Verdict:
    """Judge a request alone, regardless of those before it. `now` is Unix seconds.

    `note` is called with the check that a token has failed, if one has; the client is told less than that, as
    long as the signature is not known to be good. Of a page from elsewhere it is told the origin.
    """
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
    asking = request.headers.get_all("Origin")
    if not origins.allow(asking, hosts):
        note(", ".join(asking)[:LONGEST_NAMED], "")
        return HandshakeError.FOREIGN_ORIGIN
    query = parse_qs(url.query, keep_blank_values=True)
    try:
        token = _token(request.headers, query, takes_query)
    except BadToken as problem:
        note(str(problem), problem.user)
        return HandshakeError.TOKEN_IN_QUERY if "token" in query else HandshakeError.UNAUTHORIZED
    try:
        claims = tokens.verify(token, now)
    except UnknownKey as problem:
        note(str(problem), problem.user)
        return Pending.KEYS
    except BadToken as problem:
        note(str(problem), problem.user)
        return _refusal(problem)
    resume = query.get("resume")
    return Admitted(
        claims,
        acks=query.get("acks", [""])[0] == "1",
        resume=None if resume is None else ResumeToken(resume[0]),
        last=query.get("last", [""])[0],
        batches=query.get("roster", [""])[0] == "1",
        places=query.get("place", [""])[0] == "1",
        last_place=query.get("lastPlace", [""])[0],
        calls=query.get("calls", [""])[0] == "1",
        token=AdmissionToken(token),
    )


def _refusal(problem: BadToken) -> HandshakeError:
    """Say what the client is told: more only if the signature is good, so that it is no stranger's guess."""
    match problem:
        case TooManyRooms():
            return HandshakeError.TOO_MANY_ROOMS
        case NotForHere():
            return HandshakeError.TOKEN_NOT_FOR_HERE
        case LivesTooLong():
            return HandshakeError.TOKEN_LIVES_TOO_LONG
        case _:
            return HandshakeError.UNAUTHORIZED


def _token(headers: Headers, query: dict[str, list[str]], takes_query: bool) -> str:
    """Find the token: the first of the three places that has one counts, even if it is bad.

    Raises:
        BadToken: there is none, or only where it may not be.
    """
    for value in headers.get_all("Authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    for protocol in _offered(headers):
        if protocol.startswith(_BEARER):
            return protocol.removeprefix(_BEARER)
    if "token" not in query:
        raise BadToken("none given")
    if not takes_query:
        raise BadToken("in the query, where logs and histories keep it")
    return query["token"][0]


def _offered(headers: Headers) -> list[str]:
    values = headers.get_all("Sec-WebSocket-Protocol")
    return [protocol.strip() for value in values for protocol in value.split(",")]


def select_subprotocol(_protocol: ServerProtocol, offered: object) -> Subprotocol | None:
    """Answer the one subprotocol we speak, when it is among those offered; without it go on all the same."""
    return SUBPROTOCOL if isinstance(offered, list | tuple) and SUBPROTOCOL in offered else None


def denied(error: HandshakeError, retry_after_s: int | None = None, limit: str = "") -> Response:
    """Make the HTTP response of a refusal, which may say when to come back; None: when it is usual."""
    body = replies.denial(error.status, error.msg, error.reason, limit)
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
    if status in _ABOUT_VERSIONS:
        headers["Sec-WebSocket-Version"] = VERSION
    return Response(status.value, status.phrase, headers, body)
