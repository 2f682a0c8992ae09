"""Where frames end, and a short way for what nearly all traffic consists of: one whole text frame.

websockets' protocol takes every frame apart in steps that may each have to wait for more bytes, and builds
objects for it. A frame that is there as a whole, and is plain, needs neither. Everything else (fragments,
control frames, frames that are wrong) is given to the protocol, a whole frame at a time, so that it never
holds a part of one: that is the duty of `reader`. RFC 6455, section 5.2. Pure.
"""

from typing import Final, NamedTuple

from tieline.runtime.compiling import mypyc_attr

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover  # where there is no compiled one
    from websockets.utils import apply_mask

_TEXT: Final = 0x81
"""The first byte of a text frame that is its whole message, without extensions."""
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
"""Stands where the length does, which then follows in two bytes."""
_KEY: Final = 4
_CONTROL: Final = 0x08
_MOST_CONTROL: Final = 125
"""Bytes of the payload of a control frame (RFC 6455, section 5.5)."""
_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_KNOWN: Final = frozenset((0x0, 0x1, 0x2, 0x8, 0x9, 0xA))
CLOSE: Final = 0x8


@mypyc_attr(native_class=False)  # mypyc derives no class from a built-in one
class Framed(bytes):
    """Frames that have their heads already: what many clients are sent alike is made once."""

    __slots__ = ()


def next_text(data: bytes | bytearray, start: int) -> tuple[bytes, int] | None:
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
        if length < _TWO_BYTES:
            return None
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


def head_size(frame: bytes) -> int:
    """Say how long the head is that `text_head` has made."""
    length = frame[1]
    return 2 if length < _TWO_BYTES else 4 if length == _TWO_BYTES else 10


def payload_size(frame: bytes) -> int:
    """Say how long the payload is behind a head that `text_head` has made."""
    length = frame[1]
    if length < _TWO_BYTES:
        return length
    return int.from_bytes(frame[2 : head_size(frame)], "big")


class Shape(NamedTuple):
    """What the header of a frame says of it, as far as it is there."""

    end: int
    """Up to where the frame is given to the protocol; behind what is there: wait for that much, at least.

    A frame that is refused by its header ends with that.
    """
    size: int
    """Of its payload; 0 as long as that is not known."""
    is_refused: bool = False


def shape_of(data: bytes | bytearray, start: int, most: int) -> Shape:
    """Read the header of the frame that begins at `start`.

    `most` is how many bytes its payload may have, unless it is a control frame, which has a bound of its own.
    """
    there = len(data) - start
    if there < 2:
        return Shape(start + 2, 0)
    first, size = data[start], data[start + 1]
    if size < _MASKED or first & _OPCODE not in _KNOWN:
        return Shape(start + 2, 0, is_refused=True)
    size -= _MASKED
    body = start + 2
    if size >= _TWO_BYTES:
        body += 2 if size == _TWO_BYTES else 8
        if len(data) < body:
            return Shape(body, 0)
        size = int.from_bytes(data[start + 2 : body], "big")
        if size < (_TWO_BYTES if body == start + 4 else 1 << 16):
            return Shape(body, size, is_refused=True)
    if size > (_MOST_CONTROL if first & _CONTROL else most):
        return Shape(body, size, is_refused=True)
    return Shape(body + _KEY + size, size)


def wastes_bytes(frame: bytes) -> bool:
    """Whether the length of a frame, of which the header is there, is written in more bytes than it needs.

    The protocol would not mind (RFC 6455, section 5.2: the minimal number of bytes must be used).
    """
    mark = frame[1] & ~_MASKED
    if mark < _TWO_BYTES:
        return False
    if mark == _TWO_BYTES:
        return int.from_bytes(frame[2:4], "big") < _TWO_BYTES
    return int.from_bytes(frame[2:10], "big") < 1 << 16


def is_control(first: int) -> bool:
    """Whether a frame that begins with this byte is of no message: a ping, a pong or a close."""
    return first & _CONTROL != 0


def is_long_control(frame: bytes) -> bool:
    """Whether a frame, of which the header is there, is a control frame with too long a payload."""
    return is_control(frame[0]) and frame[1] & ~_MASKED > _MOST_CONTROL


def opcode_of(first: int) -> int:
    """Tell what kind of frame begins with this byte."""
    return first & _OPCODE


def completes_message(first: int) -> bool:
    """Whether a frame that begins with this byte is a message, or the last part of one."""
    return first & _FIN != 0 and not first & _CONTROL
