"""A room that is being closed: nobody comes in while those who are in it are put out. Pure.

When nobody is left, what remains of it is when that was ordered: who was to be put in before comes too late.
A `Closing` is a record under the room. Whoever decides that a session enters a room reads whether there is
one; who has decided just before it was written is found by the next look at the room. How a room is closed is
`presence.closings`.
"""

import msgspec

from presence.rules.change import Facts
from tieline.wire.checks import UNREADABLE
from tieline.wire.ids import RoomId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import CloseRoom
from tieline.wire.subjects import Keys


class Closing(msgspec.Struct, frozen=True, array_like=True):
    """What is under way. It is stored, so fields are only ever added at the end, with defaults."""

    order: bytes
    """What was asked for, as it was sent."""
    until: int
    """Until when those who were in the room are kept out, in Unix milliseconds."""
    out: int = 0
    """How many have been put out."""
    number: int = 0
    """Of the order (`tieline.wire.internal.backend.Ordered`)."""
    is_done: bool = False
    """Nobody is left, and whoever wants to comes in again."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Closing).decode


def write(closing: Closing) -> bytes:
    """Encode what is under way."""
    return _encode(closing)


def read(value: bytes) -> Closing | None:
    """Decode what is under way; None: nothing is, or it cannot be understood."""
    try:
        return _decode(value) if value else None
    except msgspec.MsgspecError:
        return None


def begun(before: Closing | None, order: bytes, number: int, until: int) -> Closing | None:
    """Begin to close a room, or go on; None: a later order has closed it, or is at it."""
    if before is not None and before.order == order:
        return before
    if before is not None and number < before.number:
        return None
    if before is not None and not before.is_done:
        until = max(until, before.until)
    return Closing(order, until, number=number)


def with_more(out: int, closing: Closing | None) -> Closing | None:
    """Note that so many more are out; None: nobody is left any more."""
    if closing is None or closing.is_done:
        return None
    return msgspec.structs.replace(closing, out=closing.out + out)


def finished(closing: Closing, now: Closing | None) -> Closing | None:
    """Note that nobody is left; None: it is forgotten, or a later order is at it, which is to go on.

    Another process may have put out some of them meanwhile, for the same order.
    """
    if now is None or now.order != closing.order:
        return None
    return msgspec.structs.replace(now, is_done=True)


def order_of(closing: Closing) -> CloseRoom | None:
    """Read what was asked for; None: it cannot be understood."""
    try:
        order = codec.decode_presence_request(closing.order)
    except UNREADABLE:
        return None
    return order if isinstance(order, CloseRoom) else None


def is_closing(room: RoomId, facts: Facts) -> bool:
    """Whether what was read says that a room is being closed."""
    value, _ = facts.read.get(Keys.closing(room), (b"", 0))
    closing = read(value)
    return bool(value) and (closing is None or not closing.is_done)


def closing_of(room: RoomId, facts: Facts) -> Closing | None:
    """Find what is under way in a room; None: nothing is, or it cannot be understood."""
    value, _ = facts.read.get(Keys.closing(room), (b"", 0))
    closing = read(value)
    return None if closing is None or closing.is_done else closing


def has_closed_since(room: RoomId, number: int, facts: Facts) -> bool:
    """Whether a room was closed, or is being closed, by a later order than that of this number."""
    value, _ = facts.read.get(Keys.closing(room), (b"", 0))
    closing = read(value)
    return closing is not None and closing.number > number
