"""How much one connection may say: a budget that is a bucket. Pure: times are seconds of a monotonic clock.

The bucket holds a second's worth of messages and is refilled at the limit: a client that was silent may send
a second's worth at once. It may be in debt, after a message that costs more than it holds.
"""

from typing import Final

from gateway.client.budget import MESSAGE, TOO_LONG_S

BREAK_S: Final = 0.5
"""A client that uses nothing of what it may for so long has made a break: it is not flooding."""


class RateLimit:
    """The bucket of one connection; `rate` is plain messages a second, more than 0."""

    __slots__ = ("_at", "_left", "_over_since", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = float(rate)
        self._left = float(rate)
        self._at = 0.0
        self._over_since: float | None = None
        """Since when the client has used up all there was, without a break; None: it has not."""

    def charge(self, price: float, now: float) -> None:
        """Take so much out."""
        self._refill(now)
        self._left -= price

    def wait_s(self, now: float) -> float:
        """Return in how many seconds there is enough for a plain message; 0: there is."""
        self._refill(now)
        if self._left >= MESSAGE:
            return 0.0
        if self._over_since is None:
            self._over_since = now
        return (MESSAGE - self._left) / self._rate

    def has_gone_on(self, now: float) -> bool:
        """Whether the client has used up all there was for `TOO_LONG_S`."""
        self._refill(now)
        return self._over_since is not None and now - self._over_since >= TOO_LONG_S

    def _refill(self, now: float) -> None:
        left = self._left + max(0.0, now - self._at) * self._rate
        if left >= MESSAGE + BREAK_S * self._rate:
            self._over_since = None
        self._left = min(left, self._rate)
        self._at = now
