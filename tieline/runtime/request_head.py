"""How long an HTTP request may be, before anything is known of who sends it.

websockets bounds each line, 8,192 bytes, and their number, 128: less than one token or cookie may have, and a
mebibyte in all. Here all lines together are bounded instead, and one of them may be as long as that.
"""

from collections.abc import Generator
from typing import Final

from websockets.exceptions import HeaderLineTooLong, RequestLineTooLong, TooManyHeaders
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

HEAD_BYTES: Final = 32_768
"""The request line and all headers: a token of 16 KiB in one, cookies of nearly as much in another.
Proxies let no more through."""


class HeadReader(StreamReader):
    """Reads the lines of one request; what comes after it, it reads as any reader does."""

    def __init__(self) -> None:
        super().__init__()
        self._left = HEAD_BYTES
        self._fed = 0

    def feed_data(self, data: bytes | bytearray) -> None:
        """Take what has arrived."""
        self._fed += len(data)
        super().feed_data(data)

    @property
    def has_more(self) -> bool:
        """Whether more has arrived than the lines that were read."""
        return self._fed > HEAD_BYTES - self._left

    def read_line(
        self, _m: int, too_long_exc_type: type[Exception] = RuntimeError
    ) -> Generator[None, None, bytearray]:
        """Read a line as long as what is left for all of them, whatever the limit of one line is."""
        line = yield from super().read_line(self._left, too_long_exc_type)
        self._left -= len(line)
        return line


def bound_head(protocol: ServerProtocol) -> None:
    """Have a protocol that was given nothing yet read a request of `HEAD_BYTES` at the most."""
    protocol.reader = HeadReader()
    protocol.parser = protocol.parse()
    next(protocol.parser)  # as the library begins its parsers


def was_too_long(protocol: ServerProtocol) -> bool:
    """Whether a request was refused because it was too long."""
    return isinstance(protocol.handshake_exc, HeaderLineTooLong | RequestLineTooLong | TooManyHeaders)
