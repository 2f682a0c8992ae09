"""Fetch a key set from its URL, and keep what was fetched last.

The keys are fetched anew now and then, so that one that was withdrawn is forgotten, and at once, but not
too often, when a token names one that is not known. A failure changes nothing: the older keys stay good. Who
could answer in the key server's place could let in anybody, so it is asked over TLS, and it alone.
"""

import asyncio
import io
import ipaddress
import logging
import random
import socket
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tieline import __version__, metrics
from tieline.runtime.guard import bug_guard
from tieline.runtime.single_flight import SingleFlight
from tieline.verification.keys import Key, UnusableKey, read_key_set
from tieline.verification.tokens import Tokens

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FETCH_S: Final = 3.0
"""For one fetch: it must leave the client whose token waits for it most of the 5 s for its upgrade."""

REFRESH_S: Final = 300.0
"""Between two fetches when nothing asks for one: so long a withdrawn key stays good at the most."""

RETRY_S: Final = 5.0
"""After a failure; twice as long after each one more, up to the next one."""

LONGEST_RETRY_S: Final = 60.0
"""A server that fails for long is asked once a minute by each gateway."""

MIN_INTERVAL_S: Final = 10.0
"""Between two fetches for tokens that name an unknown key: any client may send such tokens."""

LONGEST_BYTES: Final = 1_048_576
"""Of a key set: a hundred keys take a tenth of it."""

_CHUNK: Final = 65_536
_PORTS: Final = {"https": 443, "http": 80}

_log = logging.getLogger(__name__)


class KeyServer:
    """Keeps the keys of `tokens` as `url` has them."""

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        tasks: asyncio.TaskGroup,
        min_interval_s: float = MIN_INTERVAL_S,
        retry_s: float = RETRY_S,
        jitter: Callable[[], float] = random.random,
        service: str = "gateway",
    ) -> None:
        """Take also the service that fetches, which the server is told."""
        self._service = service
        self._url = url
        self._min_interval_s = min_interval_s
        self._retry_s = retry_s
        self._jitter = jitter
        self._tokens = tokens
        self.good = asyncio.Event()
        """Keys were fetched, now or before."""
        self._fetching = SingleFlight(tasks, self._fetch_once)
        self._fetched_at = float("-inf")
        self._failures = 0
        """Since the last success."""
        self.pause_s = 0.0
        """Until the server is asked again after the last fetch, unless an unknown key asks for it before."""

    async def keep(self) -> None:
        """Fetch now and then, for ever."""
        while True:
            await self.fetch()
            await asyncio.sleep(self.pause_s)

    async def fetch(self) -> bool:
        """Fetch, or join a fetch that is under way; returns whether it succeeded."""
        return await self._fetching.result()

    async def refresh(self) -> bool:
        """Fetch because of an unknown key, unless that was done just now, whether or not it succeeded.

        Returns whether what is known is what the server has; False: it could not be asked.
        """
        distance_s = max(self._min_interval_s, self.pause_s) if self._failures else self._min_interval_s
        if asyncio.get_running_loop().time() - self._fetched_at < distance_s:
            return not self._failures
        return await self.fetch()

    async def _fetch_once(self) -> bool:
        is_good = False
        failed = metrics.KEY_FETCHES.labels("failed").inc
        with bug_guard(_log, "keys not fetched: a bug", failed, url=self._url):
            try:
                self._tokens.fetched = await asyncio.to_thread(fetch, self._url, self._service)
            except (OSError, ValueError, HTTPException, UnusableKey) as problem:
                failed()
                _log.warning("keys not fetched", extra={"url": self._url, "error": str(problem)})
            else:
                metrics.KEY_FETCHES.labels("ok").inc()
                is_good = True
                self.good.set()
        self._failures = 0 if is_good else self._failures + 1
        self.pause_s = REFRESH_S if is_good else self._backed_off_s()
        self._fetched_at = asyncio.get_running_loop().time()
        return is_good

    def _backed_off_s(self) -> float:
        """Choose a pause that grows with each failure, up to half of it at random: gateways fail together."""
        longest: float = min(self._retry_s * 2 ** min(self._failures - 1, 16), LONGEST_RETRY_S)
        return longest * (1 - self._jitter() / 2)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects on the same host alone, and never from TLS to none."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See `urllib.request.HTTPRedirectHandler.redirect_request`."""
        if not leads_to_the_same(req.full_url, newurl):
            raise UnusableKey(
                f"it redirects to {newurl}: name that in TIELINE_JWKS_URL, if it is to be believed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _InTime(io.RawIOBase):
    """Reads a socket until it is too late. The socket's own time-out begins anew with each byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + FETCH_S

    def readable(self) -> bool:
        """See `io.RawIOBase.readable`."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """See `io.RawIOBase.readinto`."""
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"not here within {FETCH_S:g} s")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)


class _Answer(HTTPResponse):
    """An answer of which the headers, too, have to be here in time."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._keeps_open = self.fp  # the socket, which urllib closes before the answer is read
        self.fp = io.BufferedReader(_InTime(sock))

    def close(self) -> None:
        """See `HTTPResponse.close`."""
        super().close()
        self._keeps_open.close()


class _Http(HTTPConnection):
    response_class = _Answer


class _Https(HTTPSConnection):
    response_class = _Answer


class _OverHttp(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """See `urllib.request.HTTPHandler.http_open`."""
        return self.do_open(_Http, req)


class _OverHttps(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """See `urllib.request.HTTPSHandler.https_open`."""
        return self.do_open(_Https, req)


_opener = urllib.request.build_opener(_SameHost, _OverHttp, _OverHttps)


def user_agent(service: str) -> str:
    """Say who fetches: some networks in front of key servers refuse those that are called as a library."""
    return f"Tieline/{__version__} ({service})"


def fetch(url: str, service: str = "gateway") -> tuple[Key, ...]:
    """Fetch a key set within `FETCH_S`, for a service. Blocks: call it in a thread.

    Raises:
        OSError: it cannot be had.
        HTTPException, ValueError: the answer is not HTTP.
        UnusableKey: it is no key set.
    """
    until = time.monotonic() + FETCH_S
    headers = {"Accept": "application/jwk-set+json, application/json", "User-Agent": user_agent(service)}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # see `is_url`
    body = bytearray()
    with _opener.open(request, timeout=FETCH_S) as answer:
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > LONGEST_BYTES:
                raise UnusableKey(f"it is longer than {LONGEST_BYTES} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"not here within {FETCH_S:g} s")
    return read_key_set(bytes(body))


def is_url(text: str) -> bool:
    """Whether keys can be fetched from there."""
    try:
        parts = urlsplit(text)
        return parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_safe(url: str) -> bool:
    """Whether nobody on the way can put in other keys: it is fetched over TLS, or from this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def leads_to_the_same(url: str, target: str) -> bool:
    """Whether a redirect stays on the host that was named: scheme and port may change from http to https."""
    here, there = urlsplit(url), urlsplit(target)
    if there.scheme not in _PORTS or here.hostname != there.hostname:
        return False
    if (here.scheme, there.scheme) == ("http", "https"):
        return True
    ports = [parts.port or _PORTS[parts.scheme] for parts in (here, there)]
    return here.scheme == there.scheme and ports[0] == ports[1]
