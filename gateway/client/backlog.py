"""What one client has sent ahead of what is taken of it: whether it floods, or only waits for answers. Pure.

Over its limit a client is not read, so that nobody knows how much it has sent. When it has been over it for
too long (`allowance`), `reader` reads it on while its next frame waits, and then asks here
(docs/decisions/0078-who-waits-for-answers-only-waits.md).
"""

from typing import Final

from gateway.client.frames import shape_of
from tieline.wire.envelope import MAX_MESSAGE_BYTES

AWAITED_FRAMES: Final = 32
"""What a client may have sent beside the frame that is its next, and still be one that waits for answers, for
as many rooms or peers side by side. One that floods has sent more, or `AWAITED_BYTES` behind a frame."""

AWAITED_BYTES: Final = 64 * 1024
"""So much is read on, behind the frame that waits and the one behind that, which may be long: the offers of a
page that calls everybody in its room."""


class Backlog:
    """What lies in `rest`, from which the frames of one client are taken."""

    __slots__ = ("_next_bytes", "_rest", "is_wanted")

    def __init__(self, rest: bytearray) -> None:
        self._rest = rest
        self._next_bytes = 0
        self.is_wanted = False
        """Whether it has to be seen, to know if the client floods."""

    def wait(self, size: int) -> None:
        """Take note that the frame that comes next waits, of so many bytes."""
        self._next_bytes = size

    @property
    def lacks_bytes(self) -> bool:
        """Whether the client has to be read on, though its next frame waits: too little can be seen."""
        return self.is_wanted and self._bytes_behind(self._next_bytes) < AWAITED_BYTES

    def is_long(self, at: int) -> bool:
        """Whether more lies behind `at`, where the next frame ends, than is sent by one that waits."""
        if self._bytes_behind(at) >= AWAITED_BYTES:
            return True
        for _ in range(AWAITED_FRAMES + 1):
            at = shape_of(self._rest, at, MAX_MESSAGE_BYTES).end
            if at > len(self._rest):
                return False
        return True

    def _bytes_behind(self, at: int) -> int:
        """Say how much lies behind the frame at `at`, which may be a long one; less than 0: not all of it."""
        return len(self._rest) - shape_of(self._rest, at, MAX_MESSAGE_BYTES).end
