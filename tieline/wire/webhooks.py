"""What is stored about webhooks: endpoints, and how far each has got. Pure.

The API and the command line write endpoints, and read dead letters; `webhooks` serves them. All lies in a
bucket of its own. Records are read by processes of other versions, so fields are only ever added, with
defaults (docs/decisions/0060-messages-and-records-change-by-rule.md). Times are Unix milliseconds.
"""

from typing import Final, NewType
from urllib.parse import urlsplit

import msgspec

from tieline.wire.public_addresses import is_seen_to_be_private
from tieline.wire.subjects import token

EndpointId = NewType("EndpointId", str)

MAX_URL: Final = 2048
"""Characters of an endpoint's address."""

MOST_ENDPOINTS: Final = 256
"""Endpoints that are made through the API. A worker may have to serve all of them, each over a connection of
its own, and renews a lease for each every two seconds."""

SETTINGS: Final = EndpointId("settings")
"""The endpoint that stands in the settings of the workers, and not in the bucket."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where events are told, and which."""

    id: EndpointId
    url: str
    secrets: tuple[str, ...]
    """By each of which a delivery is signed: two while they are changed."""
    kinds: tuple[str, ...] = ()
    """The kinds that it wants, such as `call.offered`, or `call.*`; none: all."""
    is_paused: bool = False
    """Nothing is told to it now; what happens meanwhile is told when it goes on."""
    made: str = ""
    """What tells it from one of the same id that was removed before; empty: it stands in the settings."""
    since: int = 0
    """The place in the stream behind which it begins; 0: where the stream is when a worker takes it up."""

    def wants(self, kind: str) -> bool:
        """Whether events of a kind are told to it."""
        return not self.kinds or any(_matches(pattern, kind) for pattern in self.kinds)


def _matches(pattern: str, kind: str) -> bool:
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return kind == pattern


class Failing(msgspec.Struct, frozen=True, array_like=True):
    """One subject whose next event an endpoint has not taken."""

    subject: str
    failures: int
    next_at: int
    since: int = 0
    """Since when nothing of it was taken; 0: for long."""


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far an endpoint has got: all events up to `read` are done, but for those that wait."""

    read: int
    waiting: tuple[int, ...] = ()
    """Places in the stream."""
    failing: tuple[Failing, ...] = ()
    failures: int = 0
    """Deliveries in a row that have failed, whatever they were of."""
    failing_since: int = 0
    next_at: int = 0
    by: str = ""
    """Who has written it: two who serve one endpoint may else take the other's write for their own."""
    made: str = ""
    """Of which endpoint of this id it is: see `Endpoint.made`."""


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that an endpoint has not taken in all the time that there is for it."""

    endpoint: EndpointId
    sequence: int
    died_at: int
    event: msgspec.Raw
    made: str = ""
    """Of which endpoint of this id it is: see `Endpoint.made`."""


class Keys:
    """The keys of the bucket of webhooks, and their patterns."""

    @staticmethod
    def endpoint(endpoint: EndpointId) -> str:
        """An endpoint."""
        return f"endpoint.{token(endpoint)}"

    @staticmethod
    def endpoints() -> str:
        """The pattern of all endpoints."""
        return "endpoint.*"

    @staticmethod
    def progress(endpoint: EndpointId) -> str:
        """How far an endpoint has got."""
        return f"progress.{token(endpoint)}"

    @staticmethod
    def lease(endpoint: EndpointId) -> str:
        """Which worker serves an endpoint."""
        return f"lease.{token(endpoint)}"

    @staticmethod
    def worker(worker: str) -> str:
        """That a worker lives."""
        return f"worker.{token(worker)}"

    @staticmethod
    def dead(endpoint: EndpointId, sequence: int) -> str:
        """One dead letter of an endpoint."""
        return f"dead.{token(endpoint)}.{sequence}"

    @staticmethod
    def dead_of(endpoint: EndpointId) -> str:
        """The pattern of all dead letters of an endpoint."""
        return f"dead.{token(endpoint)}.*"

    @staticmethod
    def patterns() -> tuple[str, ...]:
        """The patterns of all keys that there are, each of one kind."""
        return (Keys.endpoints(), "progress.*", "lease.*", "worker.*", "dead.*.*")


def problem_of_url(url: str, *, may_be_private: bool) -> str | None:
    """Say why nothing is told to an address; None: it may be one."""
    if len(url) > MAX_URL or not url.isprintable() or " " in url or "\\" in url:
        return f"an address has at most {MAX_URL} characters, and no blanks or backslashes"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018  # it is read when it is asked for, and may be none
    except ValueError:
        return "this is no address"
    if parts.scheme not in ("https", "http") or not host:
        return f"an address begins with https://{' or http://' if may_be_private else ''} and a host"
    if parts.scheme == "http" and not may_be_private:
        return "http:// is for private networks, with TIELINE_WEBHOOK_PRIVATE=1"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "an address has neither a login nor a fragment: deliveries are signed instead"
    if not may_be_private and is_seen_to_be_private(host):
        return "this is in a private network: such addresses want TIELINE_WEBHOOK_PRIVATE=1"
    return None


encode: Final = msgspec.json.Encoder().encode
"""Encode a record as it is stored."""

_endpoint: Final = msgspec.json.Decoder(Endpoint)
_progress: Final = msgspec.json.Decoder(Progress)
_dead: Final = msgspec.json.Decoder(DeadLetter)


def read_endpoint(stored: bytes) -> Endpoint | None:
    """Read an endpoint; None: it is removed, or cannot be understood."""
    try:
        return _endpoint.decode(stored)
    except msgspec.MsgspecError:
        return None


def read_progress(stored: bytes) -> Progress | None:
    """Read how far an endpoint has got; None: nobody has said."""
    try:
        return _progress.decode(stored)
    except msgspec.MsgspecError:
        return None


def read_dead(stored: bytes) -> DeadLetter | None:
    """Read a dead letter; None: it is gone, or cannot be understood."""
    try:
        return _dead.decode(stored)
    except msgspec.MsgspecError:
        return None
