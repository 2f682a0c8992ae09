"""The identifiers of Tieline, each a type of its own.

What they look like on a NATS subject is in `subjects`; this module only says what they are.
"""

import re
from typing import NamedTuple, NewType

UserId = NewType("UserId", str)
"""A user, as the token's `sub` names it."""

RoomId = NewType("RoomId", str)
"""A room, as the client names it."""

SessionId = NewType("SessionId", str)
"""One session of a user: public, made by the gateway, safe inside a subject."""


class Address(NamedTuple):
    """Where a user's messages go: to one session, and to no later one."""

    user: UserId
    session: SessionId


ResumeToken = NewType("ResumeToken", str)
"""The secret by which a client proves that a session is its own. Never logged, never stored in the clear."""

SecretHash = NewType("SecretHash", bytes)
"""What is stored of a `ResumeToken`; empty for a session that cannot be resumed."""

GatewayId = NewType("GatewayId", str)
"""One run of one gateway process: a restarted gateway is another gateway."""

ConnectionId = NewType("ConnectionId", str)
"""One connection of a session: a resumed session goes on with another connection."""

CallId = NewType("CallId", str)
"""One call of two users, from its first offer to its end: made by presence, safe inside a subject or a log.
Empty where there is none, or none is known."""

FrameDigest = NewType("FrameDigest", bytes)
"""A hash that tells one frame from any other: the same bytes, the same digest."""

MAX_ID_BYTES = 128
"""The longest user, room or request id, in bytes of UTF-8 (docs/protocol.md#2-envelope)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_valid_id(text: str) -> bool:
    """Say whether `text` may be an id from outside: 1 to 128 bytes of UTF-8, no control characters."""
    if not text or len(text) > MAX_ID_BYTES:
        return False
    if text.isascii():
        return text.isprintable()  # of ASCII, exactly what is no control character
    if _CONTROL.search(text):
        return False
    try:
        return len(text.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8
        return False
