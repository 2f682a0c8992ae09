"""What waits on all connections of one gateway together, in bytes: bounded, and the heaviest pay for it.

In: what clients sent and nobody has looked at yet, whole or half. Out: what clients have not read, of those
whose sockets are full. Each connection is bounded by itself (`reader`, `inbound`, `outbox`); here is the sum,
for a gateway with thousands of them. Pure.
"""

from collections.abc import Callable
from typing import Final

LIGHT_BYTES: Final = 16 * 1024
"""A connection on which no more than this waits is not counted, and never closed for the sake of the sum:
12,000 of them hold less than the default sum."""

RELIEF: Final = 0.9
"""The part of the sum that is left when the heaviest are closed: then the next time is not the next frame."""

HIGH: Final = 0.5
"""From this part of the sum on no connection is read while a message of it waits."""


class Waiting:
    """The sum, of at most `most` bytes. What it knows of bytes that go out is late: they leave silently."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heavy: set[Held] = set()
        self._is_relieving = False
        self.bytes_in = 0
        """What was received, and is not acted on."""
        self.bytes_out = 0
        """What is to be sent, of those whose sockets are full."""

    @property
    def is_high(self) -> bool:
        """Whether so much waits that a connection is read only while no message of it waits."""
        return self.bytes_in + self.bytes_out > self._most * HIGH

    def relieve(self) -> None:
        """Close those on which most waits, until there is room; nothing if there is."""
        if not self._is_over(1.0) or self._is_relieving:
            return
        self._is_relieving = True
        for held in list(self._heavy):
            held.note_unsent()
        if self._is_over(1.0):
            for held in sorted(self._heavy, key=Held.bytes_of, reverse=True):
                if not self._is_over(RELIEF):
                    break
                held.give_up()
        self._is_relieving = False

    def watch(self, held: "Held") -> None:
        """Take note of a connection on which much waits."""
        self._heavy.add(held)

    def forget(self, held: "Held") -> None:
        """Forget a connection on which little waits."""
        self._heavy.discard(held)

    def _is_over(self, part: float) -> bool:
        return self.bytes_in + self.bytes_out > self._most * part


class Held:
    """What one connection has of it.

    `unsent` tells how much waits to be sent; `give_up` closes the connection for good, and lets all go.
    """

    __slots__ = ("_bytes_in", "_bytes_out", "_is_heavy", "_sum", "_unsent", "give_up")

    def __init__(self, waiting: Waiting, unsent: Callable[[], int], give_up: Callable[[], None]) -> None:
        self._sum = waiting
        self._unsent = unsent
        self.give_up = give_up
        self._bytes_in = self._bytes_out = 0
        self._is_heavy = False

    @property
    def is_high(self) -> bool:
        """Whether all connections together hold so much that only what is acted on at once may be read."""
        return self._sum.is_high

    def bytes_of(self) -> int:
        """Say how much waits, as far as it was noted."""
        return self._bytes_in + self._bytes_out

    def change(self, by: int) -> None:
        """Take note that so much more of what was received waits, or less."""
        self._bytes_in += by
        self._sum.bytes_in += by
        self._weigh()

    def note_unsent(self) -> None:
        """Take note of how much waits to be sent."""
        self._note_out(self._unsent())

    def note_gone(self) -> None:
        """Take note that nothing waits to be sent any more: the socket is closed."""
        self._note_out(0)

    def _note_out(self, size: int) -> None:
        self._sum.bytes_out += size - self._bytes_out
        self._bytes_out = size
        self._weigh()

    def _weigh(self) -> None:
        is_heavy = self._bytes_in + self._bytes_out > LIGHT_BYTES
        if is_heavy is not self._is_heavy:
            self._is_heavy = is_heavy
            if is_heavy:
                self._sum.watch(self)
            else:
                self._sum.forget(self)
        if is_heavy:
            self._sum.relieve()
