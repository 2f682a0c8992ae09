"""What the backend has decided about users, as it is stored. Its meaning is in `presence.rules.standing`.

Who is a member of a room by the backend's word stands under the room, too, so that it is found there: an
index, written before a standing says so and removed after it says so no more.
"""

import functools
from collections.abc import Callable
from typing import Final

from presence.records import MAX_TRIES, Records, encode
from presence.rules import standing as rules
from presence.rules.standing import Standing
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from tieline import metrics
from tieline.runtime.unreadable import UNREADABLE
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

MIN_KEPT_S: Final = 1.0
"""The shortest time for which NATS keeps a record."""

_GIVEN: Final = b"1"


class Standings:
    """Every user's standing. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, clock: Callable[[], int]) -> None:
        self._records = records
        self._clock = clock

    async def read(self, user: UserId) -> Standing:
        """Read a user's standing, as the leader has it."""
        key = Keys.standing(user)
        return _standing((await self._records.store.read(key, confirmed=True)).get(key, ABSENT))

    async def change(self, user: UserId, change: Callable[[Standing, int], Standing]) -> Standing:
        """Change a user's standing; `change` gets what it is, and the time in Unix milliseconds."""
        key = Keys.standing(user)
        for _ in range(MAX_TRIES):
            stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
            before, now = _standing(stored), self._clock()
            after = change(before, now)
            if after == before:
                return after
            kept_s = rules.kept_s(after, now)
            try:
                if kept_s == 0:
                    await self._records.store.delete(key, stored.revision)
                else:
                    ttl_s = None if kept_s is None else max(MIN_KEPT_S, kept_s)
                    await self._records.store.write(key, encode(after), stored.revision, ttl_s)
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                continue
            return after
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def give(self, user: UserId, room: RoomId) -> Standing:
        """Make a user a member of a room whenever it is connected."""
        key = Keys.given(room, user)
        for _ in range(MAX_TRIES):
            stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
            if stored.value:
                break
            try:
                await self._records.store.write(key, _GIVEN, stored.revision)
                break
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
        return await self.change(user, lambda before, now: rules.give(before, room, now))

    async def take(self, user: UserId, room: RoomId, kept_out_s: float) -> Standing:
        """Make a user a member of a room no more by the backend's word, and keep it out for a while."""

        def taken(before: Standing, now: int) -> Standing:
            return rules.take(before, room, now + int(kept_out_s * 1000), now)

        after = await self.change(user, taken)
        key = Keys.given(room, user)
        stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
        if stored.value and room not in (await self.read(user)).given:
            await self._records.remove(key, stored.revision)
        return after

    async def ban(self, user: UserId, for_s: float) -> Standing:
        """Let a user connect no more for a while; 0: let it connect again."""
        return await self.change(
            user, lambda before, now: rules.ban(before, now + int(for_s * 1000) if for_s else 0, now)
        )

    async def silence(self, user: UserId, *, is_silenced: bool) -> Standing:
        """Let a user start no calls, or let it again."""
        return await self.change(user, functools.partial(_silenced, is_silenced=is_silenced))


def _silenced(before: Standing, now: int, *, is_silenced: bool) -> Standing:
    return rules.silence(before, is_silenced, now)


def _standing(record: Record) -> Standing:
    if not record.value:
        return rules.NONE
    try:
        return rules.read(record.value)
    except UNREADABLE:  # it is written anew
        return rules.NONE
