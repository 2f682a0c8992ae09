"""Send one delivery over HTTP: signed, to an address that is allowed, and never anywhere else.

The client is aiohttp: it is released every few weeks, reads answers with a parser that browsers' peers are
tested with (llhttp), and lets a caller make the socket of each attempt to connect. There the address is
judged: the very one that is connected to, whatever its name had been resolved to before. Redirects are not
followed, so that a receiver cannot name another address; proxies of the environment are not used, nor are
cookies. Of the answer only its status counts: its body is not read.
"""

import functools
import socket
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, cast

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from tieline import __version__
from tieline.wire import cloud_events
from tieline.wire.cloud_events import StoredEvent
from tieline.wire.public_addresses import is_public
from tieline.wire.signatures import headers_of, name_of
from tieline.wire.webhooks import MOST_ENDPOINTS, Endpoint
from webhooks.names import Resolver
from webhooks.queue import Failed

BATCH: Final = "application/cloudevents-batch+json"

LONGEST_RETRY_AFTER_S: Final = 3600
"""What a receiver may ask for at most with `Retry-After`."""

AT_ONCE: Final = MOST_ENDPOINTS + 1
"""Connections of one worker: one for each endpoint, and for that of the settings. Were there fewer, those
that are slow would hold up others."""

MOST_INFORMATIONAL: Final = 8
"""Answers of 100 to 199 before the one that counts. aiohttp takes any number, and nobody else has the event
loop while they come faster than it reads them."""

RECEIVE_BUFFER: Final = 16 * 1024
"""Bytes that the system keeps of an answer, and so about what is parsed at once."""

_BUSY: Final = (429, 502, 503, 504)
"""Answers of which no smaller delivery fares better: wait."""

Outcome = Literal["taken", "refused", "redirected", "timeout", "unreachable", "forbidden", "garbage"]


class Sent(NamedTuple):
    """How a delivery went."""

    outcome: Outcome
    failed: Failed | None
    """None: it is taken."""
    what: str = ""
    """In words, for the log; it holds nothing of the receiver's answer but its status."""


class ForbiddenAddress(OSError):
    """The address is not one of the internet."""


class _Line(ResponseHandler):
    """A connection on which few informational answers are read."""

    _informational = 0

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        """Read an answer.

        Raises:
            aiohttp.ClientPayloadError: there are too many that say nothing.
        """
        answer = await super().read()
        self._informational = self._informational + 1 if 100 <= answer[0].code < 200 else 0
        if self._informational > MOST_INFORMATIONAL:
            raise aiohttp.ClientPayloadError("too many informational answers")
        return answer


class _Connector(aiohttp.TCPConnector):
    """Connects by such lines."""

    def __init__(
        self, resolver: AbstractResolver, socket_to: Callable[[aiohttp.AddrInfoType], socket.socket]
    ) -> None:
        super().__init__(
            resolver=resolver,
            limit=AT_ONCE,
            socket_factory=socket_to,
            use_dns_cache=False,
            happy_eyeballs_delay=None,
        )
        factory = functools.partial(_Line, loop=self._loop)
        self._factory = cast("functools.partial[ResponseHandler]", factory)


class Sends(Protocol):
    """What sends deliveries; `Sender` is one."""

    async def send(self, endpoint: Endpoint, events: Sequence[StoredEvent]) -> Sent:
        """Send one delivery."""
        ...


class Sender:
    """Sends deliveries. Use it as a context."""

    def __init__(
        self,
        timeout_s: float,
        *,
        may_be_private: bool,
        clock: Callable[[], float] = time.time,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Take how long one delivery may take, whether any address will do, and what knows names."""
        self._resolver = resolver or Resolver(timeout_s)
        self._timeout_s = timeout_s
        self._may_be_private = may_be_private
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Sender":
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._resolver, self._socket_to),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"user-agent": f"tieline-webhooks/{__version__}", "content-type": BATCH},
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    def _socket_to(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """Make the socket that is about to connect to this address, if that is allowed."""
        family, kind, protocol, _, where = address
        if not self._may_be_private and not is_public(str(where[0])):
            # Without the address: of several attempts aiohttp raises that of one only if all say the same.
            raise ForbiddenAddress("not an address of the internet")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return made

    async def send(self, endpoint: Endpoint, events: Sequence[StoredEvent]) -> Sent:
        """Send one delivery."""
        assert self._session is not None
        body = cloud_events.batch_of([event.body for event in events])
        name = name_of([event.id for event in events])
        headers = headers_of(endpoint.secrets, name, int(self._clock()), body)
        try:
            async with self._session.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return _judged(answer.status, answer.headers.get("retry-after", ""))
        except TimeoutError:
            return Sent("timeout", Failed(is_answered=False), f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientConnectionError, OSError) as error:
            if isinstance(getattr(error, "os_error", error), ForbiddenAddress):
                return Sent("forbidden", Failed(is_answered=False), "not an address of the internet")
            return Sent("unreachable", Failed(is_answered=False), type(error).__name__)
        except (aiohttp.ClientError, ValueError) as error:
            return Sent("garbage", Failed(is_answered=False), type(error).__name__)


def _judged(status: int, retry_after: str) -> Sent:
    if 200 <= status < 300:
        return Sent("taken", None)
    is_number = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9
    wait_ms = 1000 * min(int(retry_after), LONGEST_RETRY_AFTER_S) if is_number else 0
    if 300 <= status < 400:
        return Sent("redirected", Failed(is_answered=False), f"{status}: redirects are not followed")
    return Sent("refused", Failed(is_answered=status not in _BUSY, retry_after_ms=wait_ms), str(status))
