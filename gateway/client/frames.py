"""A short way for what nearly all traffic consists of: one whole text frame, there at once.

websockets' protocol takes every frame apart in steps that may each have to wait for more bytes, and builds
objects for it. A frame that is there as a whole, and is plain, needs neither; everything else (fragments,
control frames, frames in pieces, frames that are wrong) is left to the protocol. RFC 6455, section 5.2. Pure.
"""

from typing import Final

from websockets.protocol import State
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover  # where there is no compiled one
    from websockets.utils import apply_mask

_TEXT: Final = 0x81
"""The first byte of a text frame that is its whole message, without extensions."""
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
"""Stands where the length does, which then follows in two bytes; 127 for eight is none of ours."""
_KEY: Final = 4


class Framed(bytes):
    """Frames that have their heads already: what many clients are sent alike is made once."""

    __slots__ = ()


def next_text(data: bytes, start: int) -> tuple[bytes, int] | None:
    """Read the masked text frame that begins at `start`, if it is one and is there as a whole.

    Returns its payload, and where it ends.
    """
    size = len(data)
    if size < start + 6 or data[start] != _TEXT or data[start + 1] < _MASKED:
        return None
    length, key = data[start + 1] - _MASKED, start + 2
    if length >= _TWO_BYTES:
        if length > _TWO_BYTES or size < start + 8:
            return None
        length, key = data[key] << 8 | data[key + 1], key + 2
    body = key + _KEY
    end = body + length
    if end > size:
        return None
    return apply_mask(data[body:end], data[key:body]), end


def text_head(length: int) -> bytes:
    """Make what stands before a payload of so many bytes in a server's text frame."""
    if length < _TWO_BYTES:
        return bytes((_TEXT, length))
    if length < 1 << 16:
        return bytes((_TEXT, _TWO_BYTES, length >> 8, length & 0xFF))
    return bytes((_TEXT, _TWO_BYTES + 1)) + length.to_bytes(8, "big")


def is_between_messages(protocol: ServerProtocol) -> bool:
    """Whether a new message may begin with the next byte, as far as the protocol has been given any.

    It keeps where it is in its generators: between two frames it waits for a byte, or for the end. Should
    a later version do so differently, this says no, and everything goes the long way.
    """
    if protocol.state is not State.OPEN or protocol.current_size is not None or protocol.reader.buffer:
        return False
    step = getattr(protocol.parser, "gi_yieldfrom", None)
    step = getattr(getattr(step, "gi_yieldfrom", None), "gi_code", None)
    return getattr(step, "co_name", "") == "at_eof"
