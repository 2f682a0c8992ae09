"""Frames that the mailbox has, as far as one router knows: it would drop them if they were published again.

A retry of an answer delivers all that the answer released, and so does each signal of the same sender for a
while (`presence.rules.negotiation`). Only the first time it must be published, and told to this router. A
frame of which the mailbox has not said that it has it counts for a moment only. Whether it still has what it
had is asked with each retry (`relay`). Pure; times are seconds of a monotonic clock.
"""

from collections.abc import Iterable
from typing import Final

from tieline.wire.ids import FrameDigest, UserId

MAX_NAMES: Final = 32_768
"""About 6 MiB; the oldest are forgotten first, and published again."""

CONFIRMED_S: Final = 60.0
"""Well within the time for which the mailbox recognizes a frame that it is given again."""

SENT_S: Final = 1.0
"""For a sender that asked for no acks nobody hears that a frame was stored. Its retries within a moment cost
no more than themselves; a later one is published again."""


MAX_PAIRS: Final = 32_768
"""Pairs whose releases are remembered, some 10 MiB; the oldest are forgotten first."""

Release = tuple[UserId, FrameDigest]
"""What an answer has released for one of the two."""


class Stored:
    """Names of frames (`digests.message_id`), and what answers have released."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._released: dict[frozenset[UserId], dict[Release, float]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def note(self, name: str, now: float, *, confirmed: bool) -> None:
        """Note that a frame has been published; `confirmed`: the mailbox says that it has it."""
        until = max(self._until.pop(name, 0.0), now + (CONFIRMED_S if confirmed else SENT_S))
        self._until[name] = until
        if len(self._until) > MAX_NAMES:
            del self._until[next(iter(self._until))]

    def has(self, name: str, now: float) -> bool:
        """Whether a frame need not be published again."""
        return self._until.get(name, 0.0) > now

    def note_releases(
        self, pair: frozenset[UserId], releases: Iterable[Release], now: float, *, confirmed: bool
    ) -> None:
        """Note that all has been published that answers of two users have released."""
        until = now + (CONFIRMED_S if confirmed else SENT_S)
        known = {release: end for release, end in self._released.pop(pair, {}).items() if end > now}
        for release in releases:
            known[release] = max(known.get(release, 0.0), until)
        if known:
            self._released[pair] = known
        if len(self._released) > MAX_PAIRS:
            del self._released[next(iter(self._released))]

    def releases(self, pair: frozenset[UserId], now: float) -> tuple[Release, ...]:
        """List what of two users' releases need not be published again."""
        known = self._released.get(pair)
        return () if known is None else tuple(release for release, end in known.items() if end > now)

    def forget_all(self) -> None:
        """Know nothing any more: the broker was away, or has lost what it had."""
        self._until.clear()
        self._released.clear()
