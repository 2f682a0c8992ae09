"""Offers that are kept for somebody who is not there, as far as they lie outside the negotiation.

An index says who waits for whom, so that the beginning of a session finds it in the read that it makes
anyway; frames lie apart, and are sent from here. What is decided about them is in `presence.rules.waking`.
"""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from presence.record_codec import encode
from presence.records import Records
from presence.rules import waking
from presence.rules.change import Await
from presence.rules.effects import Woken
from presence.rules.waking import NO_WAITS, Waits, noted
from presence.side_by_side import side_by_side
from presence.store import ABSENT, MAX_TRIES, Conflict, Record, lost_rounds, read_one
from tieline import metrics
from tieline.runtime.unreadable import UNREADABLE
from tieline.wire.ids import Address, CallId, UserId
from tieline.wire.subjects import Keys

MIN_KEPT_S: Final = 1.0
"""The shortest time for which NATS keeps a record."""

_log = logging.getLogger(__name__)


class Post(Protocol):
    """How a frame is sent; `presence.app_mail.MailboxPost` is one."""

    async def __call__(self, to: Address, frame: bytes, call: CallId) -> None:
        """Store a frame of a call for one session of a user, once; raises `StoreUnavailable`."""
        ...


class KeptOffers:
    """The index, and the frames. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, post: Post, offer_timeout_s: float, *, is_on: bool) -> None:
        """Take also how long an offer waits for its answer when it is delivered.

        Where it is not on, none is kept, and nobody who comes looks for any; what others have kept is told.
        """
        self._records = records
        self._post = post
        self.offer_timeout_s = offer_timeout_s
        self.is_on = is_on

    async def note(self, wait: Await, now: int) -> bool:
        """Note for both that one waits for the other; returns whether not too many do already."""
        caller, callee = Keys.wake(wait.caller), Keys.wake(wait.callee)
        for _ in range(MAX_TRIES):
            found = await self._records.store.read(caller, callee, confirmed=True)
            mine, theirs = found.get(caller, ABSENT), found.get(callee, ABSENT)
            after = noted(_waits(mine), _waits(theirs), wait, now)
            if after is None:
                over = await self._over(wait, _waits(mine), _waits(theirs))
                after = noted(_waits(mine), _waits(theirs), wait, now, over)
            if after is None:
                metrics.KEPT_OFFERS.labels("too_many").inc()
                return False
            try:
                await side_by_side(
                    self._write(callee, after.callee, theirs.revision, now),
                    self._write(caller, after.caller, mine.revision, now),
                )
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                continue
            return True
        raise lost_rounds(callee)

    async def _write(self, key: str, waits: Waits, revision: int, now: int) -> int:
        ttl_s = max(MIN_KEPT_S, (waits.last() - now) / 1000)
        return await self._records.store.write(key, encode(waits), revision, ttl_s)

    async def _over(self, wait: Await, mine: Waits, theirs: Waits) -> list[tuple[UserId, UserId]]:
        """List those of two users' waits, caller and callee, of which nothing is kept any more."""
        pairs = [(each.user, wait.callee) for each in theirs.callers]
        pairs += [(wait.caller, each.user) for each in mine.awaited]
        keys = {pair: Keys.pair(*pair) for pair in pairs}
        found = await self._records.store.read(*dict.fromkeys(keys.values()), confirmed=True)

        def is_over(pair: tuple[UserId, UserId]) -> bool:
            negotiation, _ = self._records.negotiation_in(found, keys[pair])
            return negotiation is None or not negotiation.waits_for(pair[1])

        return [pair for pair in pairs if is_over(pair)]

    async def callers(self, user: UserId) -> tuple[UserId, ...]:
        """List who may wait for a user, as the leader has it."""
        return self.callers_in(await read_one(self._records.store, Keys.wake(user)))

    def callers_in(self, index: Record) -> tuple[UserId, ...]:
        """List who may wait for the user of an index, in the order in which they began."""
        return tuple(wait.user for wait in _waits(index).callers)

    async def forget(self, user: UserId, index: Record) -> None:
        """Remove an index of which all is settled, unless somebody has been noted since."""
        if index.value:
            await self._records.remove(Keys.wake(user), index.revision)

    async def deliver(self, woken: Woken, written: Mapping[str, int]) -> None:
        """Send the frame of an offer, which was stored before the negotiation was `written`."""
        key = Keys.held(woken.user, woken.peer, woken.digest)
        found = (await self._records.read_after(written, *written, key)).get(key, ABSENT)
        if not found.value:
            _log.warning("a kept offer has no frame any more", extra={"user": woken.user, "peer": woken.peer})
            return
        await self._post(Address(woken.user, woken.session), found.value, woken.call)


def _waits(index: Record) -> Waits:
    if not index.value:
        return NO_WAITS
    try:
        return waking.read(index.value)
    except UNREADABLE:  # it is written anew
        return NO_WAITS
