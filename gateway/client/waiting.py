"""What waits on all connections of one gateway together, in bytes: bounded, and the heaviest pay for it.

In: what clients sent and nobody has looked at yet, whole or half. Out: what clients have not read, of those
whose sockets are full. Each connection is bounded by itself (`reader`, `inbound`, `outbox`); here is the sum,
for a gateway with thousands of them. However many they are, and however long the sum is over its limit, one
change of it costs no more than a look at some and the end of a few. Pure.
"""

import itertools
from collections.abc import Callable
from typing import Final

LIGHT_BYTES: Final = 16 * 1024
"""A connection on which no more than this waits is counted, but never closed for the sake of the sum: 12,000
of them hold less than the default sum."""

RELIEF: Final = 0.9
"""The part of the sum that is left when the heaviest are closed: then the next time is not the next frame."""

HIGH: Final = 0.5
"""From this part of the sum on no connection is read while a message of it waits."""

RECOUNTED_AT_ONCE: Final = 64
"""Connections that are asked at one change how much waits to be sent: some 20 us. All are, one change after
the other, before any is closed: many may have read meanwhile."""

CLOSED_AT_ONCE: Final = 8
"""Connections that are closed at one change, in less than a millisecond: together they hold 128 KiB at least,
and one change adds 64 KiB at most."""

COMPARED: Final = 32
"""Of those that are within a factor of two of the heaviest, so many are compared to find it."""


class Waiting:
    """The sum, of at most `most` bytes. What it knows of bytes that go out is late: they leave silently."""

    def __init__(self, most: int) -> None:
        self.most = most
        """The limit, in bytes."""
        self._heavy: dict[int, dict[Held, None]] = {}
        """By the number of bits of what waits on them."""
        self._is_relieving = False
        self._unsure: list[Held] | None = None
        """Those that are still to be recounted before any is closed; None: nobody needs to be."""
        self._is_closing = False
        self.bytes_in = 0
        """What was received, and is not acted on."""
        self.bytes_out = 0
        """What is to be sent, of those whose sockets are full."""

    @property
    def is_high(self) -> bool:
        """Whether so much waits that a connection is read only while no message of it waits."""
        return self.bytes_in + self.bytes_out > self.most * HIGH

    def relieve(self) -> None:
        """Close those on which most waits, a few of them, until there is room; nothing if there is."""
        if self._is_relieving or not (self._is_closing or self._is_over(1.0)):
            return
        self._is_relieving = True
        if self._is_closing or self._are_sure():
            self._close_heaviest()
        self._is_relieving = False

    def watch(self, held: "Held", bits: int) -> None:
        """Take note of a connection on which much waits: a number of bytes with so many bits."""
        self._heavy.setdefault(bits, {})[held] = None

    def forget(self, held: "Held", bits: int) -> None:
        """Forget a connection that was watched with so many bits."""
        del self._heavy[bits][held]

    def _is_over(self, part: float) -> bool:
        return self.bytes_in + self.bytes_out > self.most * part

    def _are_sure(self) -> bool:
        """Recount some; returns whether all are recounted, and too much waits nevertheless."""
        if self._unsure is None:
            self._unsure = list(itertools.chain.from_iterable(self._heavy.values()))
        for _ in range(min(RECOUNTED_AT_ONCE, len(self._unsure))):
            held = self._unsure.pop()
            if held.is_heavy:  # else it has gone meanwhile, or holds little
                held.note_unsent()
        if not self._is_over(1.0):
            self._unsure = None
            return False
        return not self._unsure

    def _close_heaviest(self) -> None:
        self._unsure = None
        self._is_closing = True
        for _ in range(CLOSED_AT_ONCE):
            heaviest = max((bits for bits, some in self._heavy.items() if some), default=None)
            if heaviest is None or not self._is_over(RELIEF):
                self._is_closing = False
                break
            some = itertools.islice(self._heavy[heaviest], COMPARED)
            max(some, key=Held.bytes_of).give_up()


def _nothing() -> None:
    """Close nothing."""


class Held:
    """What one connection has of it.

    `unsent` tells how much waits to be sent; `give_up` closes the connection for good, and lets all go.
    """

    __slots__ = ("_bits", "_bytes_in", "_bytes_out", "_sum", "_unsent", "give_up")

    def __init__(self, waiting: Waiting, unsent: Callable[[], int], give_up: Callable[[], None]) -> None:
        self._sum = waiting
        self._unsent = unsent
        self.give_up = give_up
        self._bytes_in = self._bytes_out = 0
        self._bits = 0  # of what waits; 0: little

    @property
    def is_high(self) -> bool:
        """Whether all connections together hold so much that only what is acted on at once may be read."""
        return self._sum.is_high

    @property
    def is_heavy(self) -> bool:
        """Whether more than a little waits."""
        return self._bits > 0

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

    def end(self) -> None:
        """Refer to the connection no more: nothing of it waits, or will."""
        self.give_up = _nothing

    def _note_out(self, size: int) -> None:
        self._sum.bytes_out += size - self._bytes_out
        self._bytes_out = size
        self._weigh()

    def _weigh(self) -> None:
        size = self._bytes_in + self._bytes_out
        bits = size.bit_length() if size > LIGHT_BYTES else 0
        if bits != self._bits:
            if self._bits:
                self._sum.forget(self, self._bits)
            if bits:
                self._sum.watch(self, bits)
            self._bits = bits
        self._sum.relieve()
