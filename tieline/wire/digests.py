"""Names of frames: a hash of the bytes, the same in every process. Pure.

A name says whether a frame is a retry, and keeps the mailbox from storing it twice.
"""

import hashlib
from typing import Final

from tieline.wire.ids import FrameDigest, UserId
from tieline.wire.subjects import token

_begun: Final = hashlib.blake2b(digest_size=16)
"""A copy of it costs less than to begin anew, and every frame passes here."""


def message_id(user: UserId, frame: bytes) -> str:
    """Name a frame for one user, so that the mailbox keeps it once however often it is published."""
    return name_of(user, digest(frame))


def name_of(user: UserId, frame: FrameDigest) -> str:
    """Name a frame for one user whose digest is known; see `message_id`."""
    return f"{frame.hex()}.{token(user)}"


def digest(frame: bytes) -> FrameDigest:
    """Name a frame in 16 bytes: the same name again is a retry (docs/protocol.md#2-envelope).

    The sender stands in the frame (`from`), checked, so two senders' frames never share a name.
    """
    named = _begun.copy()
    named.update(frame)
    return FrameDigest(named.digest())
