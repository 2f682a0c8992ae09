"""Frames that the mailbox has, as far as one router knows: it would drop them if they were published again.

A retry of an answer delivers all that the answer released, and so does each signal of the same sender for a
while (`presence.rules.negotiation`). Only the first time it must be published. A frame of which the mailbox
has not said that it has it counts for a moment only. Pure; times are seconds of a monotonic clock.
"""

from typing import Final

MAX_NAMES: Final = 32_768
"""About 6 MiB; the oldest are forgotten first, and published again."""

CONFIRMED_S: Final = 60.0
"""Well within the time for which the mailbox recognizes a frame that it is given again."""

SENT_S: Final = 1.0
"""For a sender that asked for no acks nobody hears that a frame was stored. Its retries within a moment cost
no more than themselves; a later one is published again."""


class Stored:
    """Names of frames (`internal.message_id`)."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

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

    def forget_all(self) -> None:
        """Know nothing any more: the broker was away, and may have come back without it."""
        self._until.clear()
