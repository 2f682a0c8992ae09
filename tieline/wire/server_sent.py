"""The stream of events over HTTP, as server-sent events (WHATWG): how it is written, and read. Pure.

An event of the stream is one without a name, whose id is its place; what is said about the stream itself has
the name `gap` or `end`. A block that has an id and nothing else is no event for whoever reads, but a newer
place from which to go on. Any client for such streams reads this; ours is `tieline.api.streaming`.
"""

from typing import Final, Literal, NamedTuple

EndReason = Literal["stopping", "slow", "unavailable", "expired"]
"""Why a stream ends: the process does; its caller does not read; the events cannot be read; its caller's
token is good no more."""

MEDIA_TYPE: Final = "text/event-stream"

GAP: Final = "gap"
END: Final = "end"

RETRY_MS: Final = 1000
"""Before a caller whose stream has ended asks again."""

LONGEST_BLOCK: Final = 1_048_576
"""Bytes of one event at most, as a message of NATS has: what goes on for longer is no stream of ours."""


def opening(place: int) -> bytes:
    """Begin, and say from where: a caller may lose its connection before the first event."""
    return b"retry: %d\nid: %d\n\n" % (RETRY_MS, place)


def heartbeat(place: int) -> bytes:
    """Say that there is nothing to say, and up to where."""
    return b":\nid: %d\n\n" % place


def event(place: int, body: bytes) -> bytes:
    """Write one event. A line end in JSON is a blank: none stands within a text."""
    return b"id: %d\ndata: %b\n\n" % (place, body.replace(b"\r", b" ").replace(b"\n", b" "))


def gap(lost: int) -> bytes:
    """Say that events are gone that were not told; 0: nobody knows how many."""
    return b'event: gap\ndata: {"lost":%d}\n\n' % lost


def end(place: int, reason: EndReason) -> bytes:
    """Say that the stream ends here, and why."""
    return b'id: %d\nevent: end\ndata: {"reason":"%b"}\n\n' % (place, reason.encode())


class Told(NamedTuple):
    """One block of a stream."""

    id: str
    """The last that was said; empty: none was."""
    name: str
    data: bytes
    """Empty: it is no event."""


class TooLong(ValueError):
    """A block goes on for longer than any may."""


class Reader:
    """Reads a stream piece by piece, wherever it is cut."""

    def __init__(self) -> None:
        self._left = b""
        self._id = ""

    def feed(self, piece: bytes) -> list[Told]:
        """Take a piece, and return what is whole with it.

        Raises:
            TooLong: this is no stream of ours.
        """
        left = (self._left + piece).replace(b"\r\n", b"\n")  # a proxy may write lines so
        *blocks, self._left = left.split(b"\n\n")
        if len(self._left) > LONGEST_BLOCK:
            raise TooLong
        return [self._read(block) for block in blocks]

    def _read(self, block: bytes) -> Told:
        name, data = "", list[bytes]()
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"id":
                self._id = value.decode(errors="replace")
            elif field == b"event":
                name = value.decode(errors="replace")
            elif field == b"data":
                data.append(value)
        return Told(self._id, name, b"\n".join(data))
