"""Remember what was delivered to one client, so that a frame that comes twice is delivered once.

A router may have to relay again after a crash, and cannot know whether the first time worked. Pure: times are
seconds of a monotonic clock.
"""

from collections import OrderedDict
from typing import Final

from tieline.wire.limits import RETRY_WINDOW_S

MAX_FRAMES: Final = 65_536
"""Past it the oldest are forgotten: about 10 MiB for a client that gets a thousand frames a second."""


def name_of(frame: bytes) -> int:
    """Name a frame in this process: what is remembered of it."""
    return hash(frame)


class Duplicates:
    """The last minute of one client's frames, by hash: Python's own of bytes, 64 bits, keyed by process."""

    __slots__ = ("_oldest_at", "_seen")

    def __init__(self) -> None:
        self._seen: OrderedDict[int, float] = OrderedDict()
        """Ordered: a plain dict finds its oldest entry the slower, the more have been deleted before it."""
        self._oldest_at = 0.0
        """No later than the oldest of them."""

    def is_new(self, frame: bytes, now: float) -> bool:
        """Remember a frame; returns whether it was unknown."""
        return self.is_new_name(hash(frame), now)

    def is_new_name(self, name: int, now: float) -> bool:
        """Remember a frame by its name (`name_of`); returns whether it was unknown."""
        seen = self._seen
        at = seen.get(name)
        if at is not None:
            if now - at < RETRY_WINDOW_S:
                return False
            del seen[name]
        seen[name] = now
        if now - self._oldest_at >= RETRY_WINDOW_S or len(seen) > MAX_FRAMES:
            self._forget(now)
        return True

    def has(self, frame: bytes) -> bool:
        """Whether a frame is remembered, even if longer: nothing is forgotten while nothing comes."""
        return hash(frame) in self._seen

    def _forget(self, now: float) -> None:
        """Drop the two oldest if they are too old: each frame adds one, so that is enough."""
        seen = self._seen
        for _ in range(2):
            oldest = next(iter(seen))
            self._oldest_at = seen[oldest]
            if now - self._oldest_at < RETRY_WINDOW_S and len(seen) <= MAX_FRAMES:
                return
            del seen[oldest]
