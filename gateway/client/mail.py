"""A frame that was stored for a session, with where it is stored, and of which call it is. Pure.

It is remembered, compared and counted as the bytes that its sender sent. What the client has asked to be told
besides is put into it when it is written (`Telling`): its place, which the client names when it comes back,
and the id of its call. Changes of rooms, which are no mail, have their places from `gateway.rooms.changes`.

A place is a number of the mailbox's stream: the client has been sent everything up to it. Numbers go on
growing when the stream is lost and made anew, so that an old place stands before all that is new. While the
client is not told of one of its rooms yet, a place has a second number, the one up to which it was.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tieline.wire import jetstream_headers, relayed

_PLACE: Final = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", re.ASCII)


class Place(NamedTuple):
    """How far a client has been told everything, as numbers of the mailbox's stream."""

    number: int = 0
    """Up to where it has been sent its mail; 0: it has had none."""
    rooms: int = 0
    """Up to where it has been told of its rooms, at most `number`."""


class Had(NamedTuple):
    """What a client that comes back says it has had last."""

    last: str = ""
    """The `requestId` of it: its sender has chosen that, and may use it again."""
    place: str = ""
    """The place that the server has named with it. If there is one, it alone counts."""
    lost_at: int = 0
    """When its connection was lost (`Opened.lost_at`): what was stored later it has not had. 0: unknown."""


class Mail(bytes):
    """A frame as it was sent."""

    place: Place | None = None
    """How far the client has been told everything when it has had this; None: it has not asked."""
    call: str = ""
    """The call that it belongs to; "": none, or it is not known."""


def mail(frame: bytes, headers: bytes) -> bytes:
    """Keep what the headers of a stored message say of its frame, if they say anything."""
    call = jetstream_headers.call_of(headers)
    if not call:
        return frame
    kept = Mail(frame)
    kept.call = call
    return kept


def placed(frame: bytes, place: Place) -> bytes:
    """Keep how far a client has been told everything that has had a frame.

    The frame itself stays as it is: another client of the session may be sent it, too, which has not asked.
    """
    kept = Mail(frame)
    kept.place = place
    if isinstance(frame, Mail):
        kept.call = frame.call
    return kept


def with_place(frame: bytes, place: Place) -> bytes:
    """Write a place into an envelope, before all that it has; into what is none, nothing."""
    start = frame.find(b"{") + 1
    if not start:  # a router that was taken over sends anything
        return frame
    number, rooms = place
    written = b"%d" % number if rooms >= number else b"%d-%d" % (number, rooms)
    return b'%b"place":"%b",%b' % (frame[:start], written, frame[start:])


def read_place(text: str) -> Place:
    """Read a place that a client names; zeros: it has had nothing, or this is none."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return Place()
    number = int(found[1])
    return Place(number, min(number, int(found[2] or number)))


class Telling:
    """Writes frames to a client that has asked for the place of each (`place=1`), or its call (`calls=1`)."""

    __slots__ = ("_names_calls", "_say")

    def __init__(self, say: Callable[[bytes], bool], *, names_calls: bool = False) -> None:
        self._say = say
        self._names_calls = names_calls

    def say(self, frame: bytes) -> bool:
        """Send the client a frame; False: the connection is closing, and it is not sent."""
        call, place = (frame.call, frame.place) if isinstance(frame, Mail) else ("", None)
        if self._names_calls:
            frame = relayed.with_call(frame, call)
        if place is not None:
            frame = with_place(frame, place)
        return self._say(frame)
