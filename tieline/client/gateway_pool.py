"""Which gateway to try next, and how long to wait before. Pure: times are seconds of a monotonic clock.

It connects to none; that is `connector`. The wait is exponential backoff with full jitter, so that the
clients that lose one gateway do not reach another one all at the same time.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tieline.client.errors import UnusableUrl

BACKOFF_BASE_S: Final = 1.0
"""The first wait is up to this: long enough to spread the clients of a dead gateway over the others."""

BACKOFF_CAP_S: Final = 8.0
"""No wait is longer: the server keeps a session for some 30 s, which must be enough for several attempts."""

STABLE_S: Final = 10.0
"""A connection that lasted this long makes the waits short again; after a shorter one they go on growing."""

RETRY_AFTER_CAP_S: Final = 60.0
"""The longest that a server's Retry-After is obeyed: by then every session is over anyway."""

Jitter = Callable[[], float]
"""A source of numbers from 0 to below 1, evenly; `random.random` is one."""


class Backoff:
    """Waits that grow with every failure."""

    def __init__(self, jitter: Jitter) -> None:
        self._jitter = jitter
        self._failures = 0

    def next_s(self) -> float:
        """Return the next wait, in seconds."""
        longest = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return self._jitter() * longest

    def reset(self) -> None:
        """Begin with short waits again."""
        self._failures = 0


class GatewayPool:
    """The gateways of one client, in turn. `url` is the one that it uses, or is to try next."""

    def __init__(self, urls: Sequence[str], jitter: Jitter) -> None:
        if not urls:
            raise UnusableUrl("no URL of a gateway")
        self._urls = tuple(urls)
        self._jitter = jitter
        self._backoff = Backoff(jitter)
        self._current = 0
        self._connected_at = 0.0
        self._closed_until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._urls)

    @property
    def url(self) -> str:
        """The gateway in use, or to be tried next."""
        return self._urls[self._current]

    def connected(self, now: float) -> None:
        """Record that `url` took the connection."""
        self._connected_at = now

    def leave(self, now: float) -> None:
        """Choose any other gateway, since the connection to this one is lost or is to be left."""
        if now - self._connected_at >= STABLE_S:
            self._backoff.reset()
        self._advance(1 + int(self._jitter() * (len(self) - 1)))

    def failed(self, now: float, retry_after_s: float | None) -> None:
        """Choose the next gateway, since this one took no connection; it may have said for how long."""
        if retry_after_s is not None:
            self._closed_until[self.url] = now + min(retry_after_s, RETRY_AFTER_CAP_S)
        self._advance(1)

    def wait_s(self, now: float, *, at_once: bool = False) -> float:
        """Choose, as `url`, the gateway that may be tried soonest; returns how long to wait before trying it.

        With `at_once` there is no backoff: only what the gateways themselves have asked for.
        """
        waits = [max(0.0, self._closed_until.get(url, 0.0) - now) for url in self._from_current()]
        shortest = min(waits)
        self._advance(waits.index(shortest))
        return shortest if at_once else shortest + self._backoff.next_s()

    def _from_current(self) -> tuple[str, ...]:
        return self._urls[self._current :] + self._urls[: self._current]

    def _advance(self, steps: int) -> None:
        self._current = (self._current + steps) % len(self)
