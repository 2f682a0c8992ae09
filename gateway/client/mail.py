"""A frame that was stored for a session, with what is stored beside it. Pure.

It is remembered, compared and counted as the bytes that its sender sent. What the client has asked to be told
besides is put into it when it is written: `Telling`.
"""

from collections.abc import Callable

from tieline.wire import jetstream, relayed


class Mail(bytes):
    """A frame as it was sent."""

    call: str = ""
    """The call that it belongs to; "": none, or it is not known."""


def mail(frame: bytes, headers: bytes) -> bytes:
    """Keep what the headers of a stored message say of its frame, if they say anything."""
    call = jetstream.call_of(headers)
    if not call:
        return frame
    kept = Mail(frame)
    kept.call = call
    return kept


class Telling:
    """Writes frames to a client that has asked which call each belongs to (`calls=1`)."""

    __slots__ = ("_say",)

    def __init__(self, say: Callable[[bytes], bool]) -> None:
        self._say = say

    def say(self, frame: bytes) -> bool:
        """Send the client a frame; False: the connection is closing, and it is not sent."""
        return self._say(relayed.with_call(frame, frame.call if isinstance(frame, Mail) else ""))
