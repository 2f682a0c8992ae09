"""What one client may still say, and what each frame of it costs. Pure.

A price is in units: 1 is what a plain small message costs. A connection charges every frame that it takes
from its socket, and asks before the next one how long to wait: over the limit a client is not read, and the
socket is the queue. Times are seconds of a monotonic clock.
"""

from typing import Final, Protocol

from gateway.limits.user_budget import BYTES_A_UNIT

MESSAGE: Final = 1.0
"""The price of a small message, and the least of any."""

PART: Final = 0.25
"""The least price of a control frame, and of a fragment that completes no message."""


class Budget(Protocol):
    """What one client, or one user, may still ask for."""

    def charge(self, price: float, now: float) -> None:
        """Take note that something of this price was done for the client."""
        ...

    def wait_s(self, now: float) -> float:
        """Return in how many seconds the client may be read again; 0: it may be now."""
        ...

    def has_gone_on(self, now: float) -> bool:
        """Whether the client has been over its limit for ten seconds without a break (`TOO_LONG_S`).

        If it has said more than one does that waits for answers, its next message is refused with
        RATE_LIMITED, and then the connection is closed with 4503.
        """
        ...

    def let_up(self, now: float) -> None:
        """Take note that the client only waits for answers: the ten seconds begin anew."""
        ...


def price_of_frame(size: int, is_control: bool) -> float:
    """Return what a frame with so many bytes of payload costs; `is_control`: or part of a message only."""
    least = PART if is_control else MESSAGE
    return max(least, size / BYTES_A_UNIT)
