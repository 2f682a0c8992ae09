"""Limit the bad tokens that one address may try, so that guessing tokens does not pay. Pure.

Times are seconds of a monotonic clock. A good token is never counted, and never refused for others' bad ones:
many people may share one address.
"""

from collections import OrderedDict, deque
from typing import Final

MOST: Final = 30
"""Bad tokens from one address within `WINDOW_S`: more than a page with an expired token tries by itself."""

WINDOW_S: Final = 60.0
"""A minute: long enough that guessing is hopeless, short enough for a person whose token was mended."""

MAX_ADDRESSES: Final = 10_000
"""Past it those that were quiet for the longest are forgotten: about 20 MiB if all of them guess."""


class AuthThrottle:
    """The last minute's bad tokens, by address."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def is_one_too_many(self, address: str, now: float) -> bool:
        """Count one more bad token, unless there were too many from its address already."""
        times = self._times.setdefault(address, deque())
        self._times.move_to_end(address)
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        if len(times) >= MOST:
            return True
        times.append(now)
        while len(self._times) > MAX_ADDRESSES:
            self._times.popitem(last=False)
        return False
