"""Carry out each change of the backend's once, whoever asks how often.

How a change was answered is kept under its name for a while. When a process dies between a change and that
record, the change is carried out once more: each of them is made so that this changes nothing more
(`presence.moderation`). Two at the same moment do the same.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from presence.store import ABSENT, Store
from tieline.runtime.unreadable import UNREADABLE
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.directions import BackendOrder, PresenceReply
from tieline.wire.subjects import Keys

USED_FOR_ANOTHER: Final = "KEY_USED"
"""The reason of a refusal: the name was that of another change."""

LONGEST_S: Final = 86_400.0
"""The longest that an answer is kept, whatever is asked for."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """How a change was answered."""

    change: bytes
    """A hash of what was asked."""
    answer: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class Once:
    """Remembers how changes were answered. Raises what `Store` raises."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def carry_out(
        self, order: BackendOrder, carry_out: Callable[[], Awaitable[PresenceReply]]
    ) -> PresenceReply:
        """Carry a change out, unless it is known how it was answered."""
        key, change = Keys.once(order.once), _hash_of(order)
        kept = await self._kept(key)
        if kept is not None:
            if kept.change != change:
                return Refused(USED_FOR_ANOTHER)
            return codec.decode_presence_reply(kept.answer)
        reply = await carry_out()
        if isinstance(reply, Affected | Refused):
            record = _encode(_Kept(change, codec.encode(reply)))
            await self._store.put(key, record, min(order.kept_s, LONGEST_S), leaves_marker=False)
        return reply

    async def _kept(self, key: str) -> _Kept | None:
        record = (await self._store.read(key, confirmed=True)).get(key, ABSENT)
        if not record.value:
            return None
        try:
            return _decode(record.value)
        except UNREADABLE:  # it is written anew
            return None


def _hash_of(order: BackendOrder) -> bytes:
    """Tell one change from another, but for what it is called."""
    unnamed = msgspec.structs.replace(order, once="", kept_s=0.0)
    return hashlib.blake2b(codec.encode(unnamed), digest_size=16).digest()
