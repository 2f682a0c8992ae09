"""Which calls are over, by what one session was sent: nothing begins or ends such a call any more. Pure.

A router that stands still between presence's verdict and the mailbox stores an offer, or an answer, when the
call may be over, and its end stored before it. The mailbox's order decides: what says that a call is over
comes before what is late, however late that is. An end that is told once more, when the mailbox does not
recognize it any more, may come amid the next call, which a client that knows no names of calls would end.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from tieline.wire import surrogates
from tieline.wire.checks import UNREADABLE

MOST: Final = 256
"""Calls of one session; of those that are over for longer than for so many others nothing is late."""

_HANGUP: Final = "WEBRTC_HANGUP"
_BEGINNINGS: Final = "WEBRTC_OFFER", "WEBRTC_ANSWER"
_WORDS: Final = _HANGUP.encode(), *(each.encode() for each in _BEGINNINGS)
_ESCAPE: Final = b"\\u"
"""What a sender may write letters with, also those of a command."""


_NONE: Final[dict[str, bool]] = {}
"""The calls that are over for a session that has had none; never written to."""


class _Head(msgspec.Struct, frozen=True, gc=False):
    cmd: str = ""


_decode: Final = msgspec.json.Decoder(_Head).decode


def may_matter(frame: bytes) -> bool:
    """Whether a frame may begin or end a call; most cannot, and this is quickly said."""
    hangup, offer, answer = _WORDS
    return offer in frame or hangup in frame or answer in frame or _ESCAPE in frame


class Over:
    """Calls of one session that are over, the latest."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls = _NONE
        """By call, whether the session was sent the end of it."""

    def add(self, call: str, *, is_told: bool = False) -> None:
        """Take note that a call is over; `is_told`: the session was sent that, or has it by other ways."""
        if not self._calls:
            self._calls = {}
        self._calls[call] = self._calls.pop(call, False) or is_told
        if len(self._calls) > MOST:
            del self._calls[next(iter(self._calls))]

    def stops(self, frame: bytes, call: str) -> bool:
        """Whether a frame is late for its call, because that is over; an end is taken note of.

        So is an end of which the session was sent one already; not that of a call which it has ended itself.
        """
        if not call:
            return False
        cmd = _command_of(frame)
        if cmd == _HANGUP:
            was_told = self._calls.get(call, False)
            self.add(call, is_told=True)
            return was_told
        return cmd in _BEGINNINGS and call in self._calls

    def __iter__(self) -> Iterator[str]:
        """List them, the oldest first."""
        return iter(self._calls)


def _command_of(frame: bytes) -> str:
    """Read what a frame says to do, with lone surrogates in it or not; "" if it cannot be read."""
    try:
        return _decode(frame).cmd
    except UNREADABLE:
        pass
    try:
        return _decode(surrogates.masked(frame)).cmd
    except UNREADABLE:
        return ""
