"""The order of what one client says to each user, once a message of it may not have been carried out.

A client that asked for acks sends several messages ahead. When one of them is answered with INTERNAL, those
behind it are under way already, and the client will send that one again: it would come after them. So what
follows it to the same user is not carried out either, until the message comes again, or the client is known
to have read the answer: what it sends then, it sends without that message.

Its socket tells that, by the pong to a ping that was sent behind the answer. Pure; times are seconds of a
monotonic clock. What a client is promised stands in docs/protocol.md#4-order-and-delivery.
"""

from typing import Final

from tieline.wire.digests import digest
from tieline.wire.ids import FrameDigest, UserId

UNREAD_S: Final = 0.5
"""A socket answers a ping before the program behind it has read what came ahead of the ping: so much later
the program has read it, unless it stands still, and then it sends nothing."""

MOST: Final = 64
"""Users to whom something is interrupted at a time; of more the oldest is forgotten. One message of a client
is under way at a time, so they become so many only while the mailbox refuses each at once."""

_PREFIX: Final = b"read-"
"""Of the payload of our pings: those of `keepalive` are numbers."""

_NONE: Final[dict[UserId, "_Failed"]] = {}
"""What is interrupted for nearly all clients; never written to."""


class _Failed:
    """A message whose outcome its client does not know."""

    __slots__ = ("digest", "ping", "read_at")

    def __init__(self, digest: FrameDigest, ping: int) -> None:
        self.digest = digest
        self.ping = ping
        self.read_at: float | None = None
        """When the client's socket had taken the answer."""


class Order:
    """What one connection may not say yet."""

    __slots__ = ("_failed", "_pings", "_unasked")

    def __init__(self) -> None:
        self._failed = _NONE
        self._pings = 0
        self._unasked = False

    def is_interrupted(self, to: UserId) -> bool:
        """Whether what has become of a message to a user is unknown, and has not come again."""
        return to in self._failed

    def interrupt(self, to: UserId, frame: bytes) -> None:
        """Let nothing pass that follows this message to a user: what has become of it is unknown.

        Of several that were under way together it is the first that counts.
        """
        if to in self._failed:
            return
        if not self._failed:
            self._failed = {}
        self._pings += 1
        self._failed[to] = _Failed(digest(frame), self._pings)
        self._unasked = True
        if len(self._failed) > MOST:
            del self._failed[next(iter(self._failed))]

    def lets_pass(self, to: UserId, frame: bytes, at: float) -> bool:
        """Whether a message may be carried out now; one that may ends the interruption."""
        failed = self._failed.get(to)
        if failed is None:
            return True
        is_known = failed.read_at is not None and at >= failed.read_at + UNREAD_S
        if not is_known and digest(frame) != failed.digest:
            return False
        del self._failed[to]
        return True

    def take_ping(self) -> bytes:
        """Return the ping to be sent behind the last answer; empty: none."""
        if not self._unasked:
            return b""
        self._unasked = False
        return _PREFIX + b"%d" % self._pings

    def on_pong(self, payload: bytes, at: float) -> None:
        """Take note that the client's socket has taken all that was sent before the ping of this payload."""
        number = payload.removeprefix(_PREFIX)
        if number == payload or not number.isdigit() or len(number) > len(str(self._pings)):
            return
        for failed in self._failed.values():
            if failed.read_at is None and failed.ping <= int(number):
                failed.read_at = at
