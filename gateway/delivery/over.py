"""Which calls are over, by what one session was sent: no offer of such a call is delivered any more. Pure.

A router that stands still between presence's verdict on an offer and the mailbox stores the offer when the
call may be over, and its end stored before it. The mailbox's order decides: what says that a call is over
comes before an offer that is late, however late that is.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from tieline.wire import surrogates
from tieline.wire.checks import UNREADABLE

MOST: Final = 256
"""Calls of one session; of those that are over for longer than for so many others nothing is late."""

_HANGUP: Final = "WEBRTC_HANGUP"
_OFFER: Final = "WEBRTC_OFFER"
_WORDS: Final = _HANGUP.encode(), _OFFER.encode()
_ESCAPE: Final = b"\\u"
"""What a sender may write letters with, also those of a command."""


_NONE: Final[dict[str, None]] = {}
"""The calls that are over for a session that has had none; never written to."""


class _Head(msgspec.Struct, frozen=True, gc=False):
    cmd: str = ""


_decode: Final = msgspec.json.Decoder(_Head).decode


def may_matter(frame: bytes) -> bool:
    """Whether a frame may begin or end a call; most cannot, and this is quickly said."""
    hangup, offer = _WORDS
    return offer in frame or hangup in frame or _ESCAPE in frame


class Over:
    """Calls of one session that are over, the latest."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls = _NONE

    def add(self, call: str) -> None:
        """Take note that a call is over."""
        if not self._calls:
            self._calls = {}
        self._calls.pop(call, None)
        self._calls[call] = None
        if len(self._calls) > MOST:
            del self._calls[next(iter(self._calls))]

    def stops(self, frame: bytes, call: str) -> bool:
        """Whether a frame of this call is an offer, and the call is over; an end is taken note of."""
        if not call:
            return False
        cmd = _command_of(frame)
        if cmd == _HANGUP:
            self.add(call)
        return cmd == _OFFER and call in self._calls

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
