"""Carry out each change of the backend's once, whoever asks how often.

The name of a change is claimed for what is asked, by a write that only one can make, before anything is
carried out: of two changes under one name at the same moment one is carried out, and the other refused. How
it was answered is kept under the name for a while. The same change that is asked for meanwhile, as the API
does when it waits, is answered with that: it is not carried out side by side.

When a process dies in between, its claim runs out, and whoever asks next carries the change out once more:
each is made so that this changes nothing more (`presence.moderation`). So is one that takes longer than a
claim lasts; the first answer that is kept is that of all.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from presence.records import MAX_TRIES
from presence.store import ABSENT, Conflict, Store, StoreUnavailable
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


CLAIM_MS: Final = 4_000
"""How long a claim keeps others from carrying the same change out: longer than any change takes mostly, and
less than the API waits for an answer, in which it asks again."""

LOOK_S: Final = 0.1
"""Between two looks whether the change that another one carries out is answered."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for under a name, and how that was answered."""

    change: bytes
    """A hash of what was asked."""
    answer: bytes
    """Empty: it is claimed, and not known to be carried out."""
    claimed_until: int = 0
    """In Unix milliseconds; after that somebody else may carry it out."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class _Claim(NamedTuple):
    """What stands under the name of a change."""

    kept: _Kept
    revision: int
    is_mine: bool


class Once:
    """Remembers how changes were answered. Raises what `Store` raises."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """Take also the clock of all processes, in Unix milliseconds."""
        self._store = store
        self._clock = clock

    async def carry_out(
        self, order: BackendOrder, carry_out: Callable[[], Awaitable[PresenceReply]]
    ) -> PresenceReply:
        """Carry a change out, unless it is known how it was answered, or another one has its name."""
        change = _hash_of(order)
        while True:
            claim = await self._claim(order, change)
            if claim.kept.change != change:
                return Refused(USED_FOR_ANOTHER)
            if claim.kept.answer:
                return codec.decode_presence_reply(claim.kept.answer)
            if claim.is_mine:
                break
            await asyncio.sleep(LOOK_S)
        try:
            reply = await carry_out()
        except Exception:
            await self._release(order, change, claim.revision)
            raise
        if isinstance(reply, Refused) or (isinstance(reply, Affected) and not reply.left):
            return await self._keep(order, change, reply, claim.revision)
        await self._release(order, change, claim.revision)
        return reply

    async def settle(self, order: BackendOrder, reply: Affected) -> None:
        """Keep the answer to a change that is finished, whether somebody waits for it or not."""
        change = _hash_of(order)
        key = Keys.once(order.once)
        for _ in range(MAX_TRIES):
            kept, revision = await self._read(key)
            if kept is not None and (kept.change != change or kept.answer):
                return
            with contextlib.suppress(Conflict):
                await self._write(order, _Kept(change, codec.encode(reply)), revision)
                return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _claim(self, order: BackendOrder, change: bytes) -> _Claim:
        """Claim the name for this change, unless it has an answer, or is claimed by somebody else."""
        key, revision = Keys.once(order.once), 0
        for _ in range(MAX_TRIES):
            claim = _Kept(change, b"", self._clock() + CLAIM_MS)
            with contextlib.suppress(Conflict):
                return _Claim(claim, await self._write(order, claim, revision), True)
            kept, revision = await self._read(key)
            is_free = kept is None or (
                kept.change == change and not kept.answer and kept.claimed_until <= self._clock()
            )
            if kept is not None and not is_free:
                return _Claim(kept, revision, False)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _release(self, order: BackendOrder, change: bytes, revision: int) -> None:
        """Let the next one who asks carry the change out at once. If that is not stored, it waits."""
        with contextlib.suppress(Conflict, StoreUnavailable):
            await self._write(order, _Kept(change, b""), revision)

    async def _read(self, key: str) -> tuple[_Kept | None, int]:
        """Read what stands under a name; None: nothing, or nothing that can be understood."""
        record = (await self._store.read(key, confirmed=True)).get(key, ABSENT)
        with contextlib.suppress(*UNREADABLE):
            return (_decode(record.value) if record.value else None), record.revision
        return None, record.revision

    async def _write(self, order: BackendOrder, kept: _Kept, revision: int) -> int:
        key, kept_s = Keys.once(order.once), min(order.kept_s, LONGEST_S)
        return await self._store.write(key, _encode(kept), revision, kept_s)

    async def _keep(
        self, order: BackendOrder, change: bytes, reply: Affected | Refused, revision: int
    ) -> PresenceReply:
        """Keep an answer, unless another one to the same change is kept: then it is that."""
        try:
            await self._write(order, _Kept(change, codec.encode(reply)), revision)
        except Conflict:
            kept, _ = await self._read(Keys.once(order.once))
            if kept is not None and kept.change == change and kept.answer:
                return codec.decode_presence_reply(kept.answer)
        return reply


def _hash_of(order: BackendOrder) -> bytes:
    """Tell one change from another, but for what it is called."""
    unnamed = msgspec.structs.replace(order, once="", kept_s=0.0)
    return hashlib.blake2b(codec.encode(unnamed), digest_size=16).digest()
