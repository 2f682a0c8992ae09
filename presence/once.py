"""Carry out each change of the backend's once, whoever asks how often.

The name of a change is claimed for what is asked, by a write that only one can make, before anything is
carried out: of two changes under one name at the same moment one is carried out, and the other refused. How
it was answered is kept under the name for a while. The same change that is asked for meanwhile, as the API
does when it waits, is answered with that: it is not carried out side by side.

When a process dies in between, its claim runs out, and whoever asks next carries the change out once more:
each is made so that this changes nothing more (`presence.moderation`). So is one that takes longer than a
claim lasts: it is the copy that has claimed the name last which is carried out, by its claim, and no other
one goes on (`presence.rules.orders`). Nobody is answered but with what is kept, which is the first answer.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from presence.rules.orders import OVERTAKEN, Named, encode_named, read_named
from presence.store import MAX_TRIES, Conflict, Store, StoreUnavailable, lost_rounds, read_one
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.directions import BackendOrder, OrderedChange, PresenceReply, StandingOrder
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


CLAIMS: Final = 2
"""How often one who asks claims the name: once more when another one has taken it over in vain."""

CarryOut = Callable[[BackendOrder, int], Awaitable[PresenceReply]]
"""Carry out a change; also takes the revision of the claim, which tells this copy of it from others."""


class _Claim(NamedTuple):
    """What stands under the name of a change."""

    kept: Named
    revision: int
    is_mine: bool
    is_first: bool = False
    """Nothing was known under that name."""


class Once:
    """Remembers how changes were answered. Raises what `Store` raises."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        """Take also the clock of all processes, in Unix milliseconds."""
        self._store = store
        self._clock = clock

    async def carry_out(self, order: BackendOrder, carry_out: CarryOut) -> PresenceReply:
        """Carry a change out, unless it is known how it was answered, or another one has its name.

        It has the number with which it was asked for first under its name: asked for again, it is no later.
        """
        change = _hash_of(order)
        for _ in range(CLAIMS):
            claim = await self._claim_when_free(order, change)
            if claim.kept.change != change:
                return Refused(USED_FOR_ANOTHER)
            if claim.kept.answer:
                return codec.decode_presence_reply(claim.kept.answer)
            try:
                if claim.is_first and self._may_be_forgotten(order):
                    reply: PresenceReply = OVERTAKEN
                else:
                    reply = await carry_out(_with_number(order, claim.kept.number), claim.revision)
            except Exception:
                await self._release(order, claim)
                raise
            if not isinstance(reply, Refused | Affected) or (isinstance(reply, Affected) and reply.left):
                await self._release(order, claim)
                return reply
            kept = await self._keep(order, claim, reply)
            if kept is not None:
                return kept
        raise StoreUnavailable(f"others have begun with {Keys.once(order.once)} again and again")

    async def settle(self, order: BackendOrder, reply: Affected) -> None:
        """Keep the answer to a change that is finished, whether somebody waits for it or not."""
        change = _hash_of(order)
        key = Keys.once(order.once)
        for _ in range(MAX_TRIES):
            kept, revision = await self._read(key)
            if kept is not None and (kept.change != change or kept.answer):
                return
            with contextlib.suppress(Conflict):
                await self._write(order, _answered(kept, change, reply), revision)
                return
        raise lost_rounds(key)

    async def _claim_when_free(self, order: BackendOrder, change: bytes) -> _Claim:
        """Claim the name, if nobody else carries the change out, or wait for how that ends."""
        while True:
            claim = await self._claim(order, change)
            if claim.is_mine or claim.kept.change != change or claim.kept.answer:
                return claim
            await asyncio.sleep(LOOK_S)

    async def _claim(self, order: BackendOrder, change: bytes) -> _Claim:
        """Claim the name for this change, unless it has an answer, or is claimed by somebody else."""
        key, revision, number, is_first = Keys.once(order.once), 0, number_of(order), True
        for _ in range(MAX_TRIES):
            claim = Named(change, b"", self._clock() + CLAIM_MS, number)
            with contextlib.suppress(Conflict):
                return _Claim(claim, await self._write(order, claim, revision), True, is_first)
            kept, revision = await self._read(key)
            is_first = kept is None
            number = kept.number if kept is not None and kept.change == change else number
            is_free = kept is None or (
                kept.change == change and not kept.answer and kept.claimed_until <= self._clock()
            )
            if kept is not None and not is_free:
                return _Claim(kept, revision, False)
        raise lost_rounds(key)

    def _may_be_forgotten(self, order: BackendOrder) -> bool:
        """Whether an order is so old that nobody may know any more how it was answered."""
        return isinstance(order, StandingOrder) and (
            order.number / 1000 + 1000 * min(order.kept_s, LONGEST_S) <= self._clock()
        )

    async def _release(self, order: BackendOrder, claim: _Claim) -> None:
        """Let the next one who asks carry the change out at once. If that is not stored, it waits."""
        released = msgspec.structs.replace(claim.kept, claimed_until=0)
        with contextlib.suppress(Conflict, StoreUnavailable):
            await self._write(order, released, claim.revision)

    async def _read(self, key: str) -> tuple[Named | None, int]:
        """Read what stands under a name; None: nothing, or nothing that can be understood."""
        record = await read_one(self._store, key)
        return read_named(record.value), record.revision

    async def _write(self, order: BackendOrder, kept: Named, revision: int) -> int:
        key, kept_s = Keys.once(order.once), min(order.kept_s, LONGEST_S)
        return await self._store.write(key, encode_named(kept), revision, kept_s)

    async def _keep(
        self, order: BackendOrder, claim: _Claim, reply: Affected | Refused
    ) -> PresenceReply | None:
        """Keep an answer; returns that which is kept. None: another copy is carried out, or was."""
        change = claim.kept.change
        try:
            await self._write(order, _answered(claim.kept, change, reply), claim.revision)
        except Conflict:
            kept, _ = await self._read(Keys.once(order.once))
            if kept is None and isinstance(reply, Affected):  # it took longer than that is remembered
                return reply
            is_answered = kept is not None and kept.change == change and kept.answer
            return codec.decode_presence_reply(kept.answer) if kept is not None and is_answered else None
        return reply


def number_of(order: BackendOrder) -> int:
    """Return the number of an order; 0: it has none."""
    return order.number if isinstance(order, OrderedChange) else 0


def _with_number(order: BackendOrder, number: int) -> BackendOrder:
    """Give an order another number; when one was asked for that none takes back does not matter later."""
    return msgspec.structs.replace(order, number=number) if isinstance(order, StandingOrder) else order


def _answered(kept: Named | None, change: bytes, reply: Affected | Refused) -> Named:
    return Named(change, codec.encode(reply), number=0 if kept is None else kept.number)


def _hash_of(order: BackendOrder) -> bytes:
    """Tell one change from another, but for what it is called, and its number."""
    unnamed = msgspec.structs.replace(order, once="", kept_s=0.0)
    if isinstance(unnamed, OrderedChange):
        unnamed = msgspec.structs.replace(unnamed, number=0)
    return hashlib.blake2b(codec.encode(unnamed), digest_size=16).digest()
