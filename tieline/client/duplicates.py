"""The messages of the last minute, so that one that comes twice is handed out once.

A replay repeats messages when the server no longer knows the one that the client names as its last
(docs/protocol.md#6-losing-the-connection). Pure: times are seconds of a monotonic clock. The counterpart, for
what the gateways deliver, is `gateway.client.duplicates`.
"""

from tieline.wire.limits import RETRY_WINDOW_S


class Duplicates:
    """The frames of the last minute, by hash, oldest first."""

    def __init__(self) -> None:
        self._came_at: dict[int, float] = {}

    def is_new(self, frame: bytes, now: float) -> bool:
        """Say whether a frame did not come within the window; if so, remember it."""
        self._forget(now - RETRY_WINDOW_S)
        key = hash(frame)
        if key in self._came_at:
            return False
        self._came_at[key] = now
        return True

    def _forget(self, before: float) -> None:
        while self._came_at:
            oldest = next(iter(self._came_at))
            if self._came_at[oldest] > before:
                return
            del self._came_at[oldest]
