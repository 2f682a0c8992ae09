"""See whose a frame is, without reading the rest: what a router asks of what gateways give it. Pure.

A gateway has read each frame (`envelope`) and says who sent it to whom. One that was taken over must not
speak for those whose sessions other gateways have: the frame itself says who sends it, and must say the same.
"""

import msgspec

from tieline.wire import envelope
from tieline.wire.checks import MAX_BYTES, UNREADABLE
from tieline.wire.ids import UserId


class _Parties(msgspec.Struct, frozen=True, gc=False):
    sender: str = msgspec.field(name="from")
    to: str


class _Head(msgspec.Struct, frozen=True, gc=False):
    cmd: str
    data: _Parties


_decode = msgspec.json.Decoder(_Head).decode


def is_from(frame: bytes, cmd: str, user: UserId, to: UserId) -> bool:
    """Whether a frame is text that says this command, from this user and to that one."""
    try:
        head = _decode(frame)
        if not frame.isascii():
            frame.decode()
    except UNREADABLE:
        return _is_oddly_written_from(frame, cmd, user, to)
    parties = head.data
    return parties.sender == user and parties.to == to and head.cmd == cmd and len(frame) <= MAX_BYTES


def _is_oddly_written_from(frame: bytes, cmd: str, user: UserId, to: UserId) -> bool:
    """Read a frame as the gateway does: it may hold lone surrogates."""
    if not is_deliverable(frame):
        return False
    message = envelope.decode(frame)
    if not isinstance(message, envelope.Signal):
        return False
    return (message.data.sender, message.data.to, envelope.command_of(message)) == (user, to, cmd)


def is_deliverable(frame: bytes) -> bool:
    """Whether a frame may be sent to a client: a text that is no UTF-8, or too long, ends its connection."""
    if frame.isascii():
        return len(frame) <= MAX_BYTES
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return len(frame) <= MAX_BYTES
