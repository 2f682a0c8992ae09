"""The identifiers of Tieline, each a type of its own.

What they look like on a NATS subject is in `subjects`; this module only says what they are.
"""

import functools
import re
from typing import Final, NamedTuple, NewType

UserId = NewType("UserId", str)
"""A user, as the token's `sub` names it."""

RoomId = NewType("RoomId", str)
"""A room, as the client names it."""

SessionId = NewType("SessionId", str)
"""One session of a user: public, made by the gateway. See `is_own_id`."""


class Address(NamedTuple):
    """Where a user's messages go: to one session, and to no later one."""

    user: UserId
    session: SessionId


AdmissionToken = NewType("AdmissionToken", str)
"""The token that admits a user (docs/protocol.md#1-connecting). Never logged, never stored."""

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

NO_CALL: Final = CallId("")
"""No call, or none that has a name."""

NO_TOKEN: Final = AdmissionToken("")
"""An older gateway gives none, nor does one whose presence does not look at tokens."""

FrameDigest = NewType("FrameDigest", bytes)
"""A hash that tells one frame from any other: the same bytes, the same digest."""

MAX_ID_BYTES = 128
"""The longest user, room or request id, in bytes of UTF-8 (docs/protocol.md#2-envelope)."""

ID_RULE = "1 to 128 bytes of UTF-8, all of it seen, no blank at an end"
"""What `is_valid_id` demands, in a few words, for who types one."""

_UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # Cc: control characters
    "\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"  # Cf: what steers how other text is shown,
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # its reserved places among it
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    "\u2028\u2029"  # Zl, Zp: the ends of lines and paragraphs
    "\u115f\u1160\u3164\uffa0"  # letters that show nothing: fillers of Hangul
    "\ufdd0-\ufdef\ufffe\uffff"  # no characters, as are the last two of each other plane
    "\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0003fffe\U0003ffff\U0004fffe\U0004ffff\U0005fffe\U0005ffff"
    "\U0006fffe\U0006ffff\U0007fffe\U0007ffff\U0008fffe\U0008ffff\U0009fffe\U0009ffff\U000afffe\U000affff"
    "\U000bfffe\U000bffff\U000cfffe\U000cffff\U000dfffe\U000dffff\U000efffe\U000effff\U000ffffe\U000fffff"
    "\U0010fffe\U0010ffff"
    "]"
)
"""What a screen or a log shows as nothing, as something else, or in another order."""

_MAX_OWN = 64
_OWN = re.compile(rf"[A-Za-z0-9_-]{{1,{_MAX_OWN}}}")


def is_valid_id(text: str) -> bool:
    """Say whether `text` may be an id from outside (docs/protocol.md#2-envelope).

    It has 1 to 128 bytes of UTF-8, nothing that is not seen or that changes how others are seen, and no
    blank at either end. Ids are compared byte by byte: that two look alike is not looked for.
    """
    if text.isascii():  # nearly all are
        return text.isprintable() and 0 < len(text) <= MAX_ID_BYTES and text.strip() == text
    return is_shown(text) and text.strip() == text


def is_valid_name(text: str) -> bool:
    """Say the same of a user or a room: their names recur, in message after message.

    What was said of short ones is kept, and of no long ones, which anybody may send in any number.
    """
    return len(text) <= MAX_ID_BYTES and _is_valid_name(text)


_is_valid_name = functools.lru_cache(maxsize=16_384)(is_valid_id)


def is_shown(text: str) -> bool:
    """Say whether `text` is as short as an id, and nobody misreads it beside others; at its ends it may."""
    if not text or len(text) > MAX_ID_BYTES:
        return False
    if text.isascii():
        return text.isprintable()
    if _UNSEEN.search(text):
        return False
    try:
        return len(text.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8
        return False


def is_own_id(text: str) -> bool:
    """Say whether `text` may be an id of our own making: of a session, a connection or a gateway.

    They recur, too: see `is_valid_name`.
    """
    return len(text) <= _MAX_OWN and _is_own_id(text)


@functools.lru_cache(maxsize=16_384)
def _is_own_id(text: str) -> bool:
    return _OWN.fullmatch(text) is not None
