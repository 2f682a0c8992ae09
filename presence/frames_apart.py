"""Frames that lie apart from the record of two users that speaks of them, because they are large.

They are stored before the record is (`presence.change_loop`), delivered with the replies that name them, and
taken out when the record speaks of them no more. What names them is in `presence.rules.negotiated`.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from presence.records import Records
from presence.rules.change import Entered, Gathered, ListRoom, Reply
from presence.rules.negotiated import apart, lies_apart
from presence.side_by_side import side_by_side
from presence.store import Store, StoreUnavailable
from tieline.wire.ids import FrameDigest, UserId
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Delivery, Relay
from tieline.wire.subjects import Keys

EMPTIED_S: Final = 1.0
"""How long the empty place of a frame stays that lay apart: NATS keeps nothing for a shorter time."""


async def completed(
    replies: Sequence[Reply], one: UserId, other: UserId, written: Mapping[str, int], records: Records
) -> list[PresenceReply]:
    """Put the frames that lie apart into replies. One that is there no more has waited for too long.

    They are read as they are after the writes `written`: revisions, by key.

    Raises:
        StoreUnavailable: they cannot be read now.
    """
    complete: list[PresenceReply] = []
    digests: set[FrameDigest] = set()
    for reply in replies:
        assert not isinstance(reply, ListRoom | Entered | Gathered)  # no rule of negotiations says that
        complete.append(reply)
        if isinstance(reply, Relay):
            digests.update(filter(None, (lies_apart(each.frame) for each in reply.deliveries)))
    if not digests:
        return complete
    keys = {Keys.held(one, other, digest): digest for digest in digests}
    found = await records.read_after(written, *written, *keys)
    frames = {apart(digest): found[key].value for key, digest in keys.items() if key in found}
    return [_with_frames(reply, frames) for reply in complete]


def _with_frames(reply: PresenceReply, frames: Mapping[bytes, bytes]) -> PresenceReply:
    """Put frames that lie apart into a reply; what is not among them it does not deliver."""
    if not isinstance(reply, Relay):
        return reply
    deliveries: list[Delivery] = []
    for each in reply.deliveries:
        if each.frame is None or lies_apart(each.frame) is None:
            deliveries.append(each)
        elif frame := frames.get(each.frame):
            deliveries.append(msgspec.structs.replace(each, frame=frame))
    return msgspec.structs.replace(reply, deliveries=tuple(deliveries))


async def empty(digests: Iterable[FrameDigest], one: UserId, other: UserId, store: Store) -> None:
    """Take frames out of the store that lie apart, and that the record speaks of no more.

    What cannot be taken out now goes when its time is up.
    """
    keys = [Keys.held(one, other, digest) for digest in digests]
    with contextlib.suppress(StoreUnavailable):
        await side_by_side(*(store.put(key, b"", EMPTIED_S, leaves_marker=False) for key in keys))
