"""The client's half of RFC 6455's framing, as little of it as a load generator needs. Pure.

No fragments and no extensions: no server under load sends them, and one that does ends the measurement.
"""

import struct
from typing import Final

from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C where it was built

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_FIN: Final = 0x80
_MASKED: Final = 0x80
_LENGTH_IN_2_BYTES: Final = 126
_LENGTH_IN_8_BYTES: Final = 127


class FrameError(Exception):
    """The server sent what this reader does not read: a fragment, an extension, or a masked frame."""


def client_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """Build one masked frame; `mask` is 4 bytes."""
    length = len(payload)
    if length < _LENGTH_IN_2_BYTES:
        head = struct.pack("!BB", _FIN | opcode, _MASKED | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", _FIN | opcode, _MASKED | _LENGTH_IN_2_BYTES, length)
    else:
        head = struct.pack("!BBQ", _FIN | opcode, _MASKED | _LENGTH_IN_8_BYTES, length)
    return head + mask + apply_mask(payload, mask)


class FrameReader:
    """Cut a server's bytes into frames, however they were cut on the way."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes; return each frame that is now whole as (opcode, payload).

        Raises:
            FrameError: the bytes are no whole, unmasked frames without extensions.
        """
        if self._rest:
            data = self._rest + data
        frames: list[tuple[int, bytes]] = []
        start, end = 0, len(data)
        while end - start >= 2:
            first, length = data[start], data[start + 1]
            body = start + 2
            if length == _LENGTH_IN_2_BYTES:
                if end < start + 4:
                    break
                length = data[start + 2] << 8 | data[start + 3]
                body = start + 4
            elif length == _LENGTH_IN_8_BYTES:
                if end < start + 10:
                    break
                length = int.from_bytes(data[start + 2 : start + 10], "big")
                body = start + 10
            elif length & _MASKED:
                raise FrameError("a masked frame from the server")
            if not first & _FIN or first & 0x70 or not first & 0x0F:
                raise FrameError(f"a fragment or an extension: first byte {first:#04x}")
            if end < body + length:
                break
            frames.append((first & 0x0F, data[body : body + length]))
            start = body + length
        self._rest = data[start:]
        return frames
