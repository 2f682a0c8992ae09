"""What the backend has decided about users, as it is stored. Its meaning is in `presence.rules.standing`.

Who is a member of a room by the backend's word stands under the room, too, so that it is found there: an
index, written before a standing says so and removed after it says so no more. It says by which order, so that
an older one does not remove what a later one has entered.

What an order changes it changes in its turn (`presence.rules.orders`): not after a later one.
"""

import functools
from collections.abc import Callable
from typing import Final, NamedTuple

from presence.records import MAX_TRIES, Records, encode
from presence.rules import standing as rules
from presence.rules.orders import BAN, VOICE, of_room
from presence.rules.standing import Standing
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from tieline import metrics
from tieline.runtime.unreadable import UNREADABLE
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

MIN_KEPT_S: Final = 1.0
"""The shortest time for which NATS keeps a record."""


class Before(NamedTuple):
    """What was known of a user and a room before an order."""

    number: int
    """Of the last order; 0: there was none."""
    was_given: bool
    """Whether an earlier order has made the user a member."""


NOTHING_BEFORE: Final = Before(0, was_given=False)


class Standings:
    """Every user's standing. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, clock: Callable[[], int]) -> None:
        self._records = records
        self._clock = clock

    async def read(self, user: UserId) -> Standing:
        """Read a user's standing, as the leader has it."""
        key = Keys.standing(user)
        return _standing((await self._records.store.read(key, confirmed=True)).get(key, ABSENT))

    async def change(
        self, user: UserId, change: Callable[[Standing, int], Standing | None]
    ) -> Standing | None:
        """Change a user's standing; `change` gets what it is, and the time in Unix milliseconds.

        None: `change` does not want that any more.
        """
        key = Keys.standing(user)
        for _ in range(MAX_TRIES):
            stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
            before, now = _standing(stored), self._clock()
            after = change(before, now)
            if after is None or after == before:
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

    async def order(
        self,
        user: UserId,
        what: str,
        number: int,
        change: Callable[[Standing, int], Standing],
        *,
        ages: bool = True,
    ) -> Standing | None:
        """Change what an order of this number is about; None: a later one was carried out before.

        With `ages` an order that is too old to know that is refused as well.
        """

        def in_turn(before: Standing, now: int) -> Standing | None:
            numbered = (
                None if ages and rules.is_too_old(number, now) else rules.in_turn(before, what, number, now)
            )
            return None if numbered is None else change(numbered, now)

        return await self.change(user, in_turn)

    async def give(self, user: UserId, room: RoomId, number: int) -> Before | None:
        """Make a user a member of a room whenever it is connected. See `order`.

        Returns what was ordered before, for `take_back`.
        """
        before_it = NOTHING_BEFORE

        def given(before: Standing, now: int) -> Standing | None:
            nonlocal before_it
            last = before.newest(of_room(room))
            before_it = Before(last, room in before.given and last != number)
            if rules.is_too_old(number, now):
                return None
            numbered = rules.in_turn(before, of_room(room), number, now)
            return None if numbered is None else rules.give(numbered, room, now)

        await self._enter_index(user, room, number)
        if await self.change(user, given) is None:
            await self._leave_index(user, room, number)
            return None
        return before_it

    async def take_back(self, user: UserId, room: RoomId, number: int, before_it: Before) -> None:
        """Undo what an order of this number has given, as if it had not come, if it is the last one."""

        def taken(before: Standing, now: int) -> Standing | None:
            if before.newest(of_room(room)) != number:
                return None
            as_before = rules.renumbered(before, of_room(room), before_it.number)
            return as_before if before_it.was_given else rules.take(as_before, room, 0, now)

        await self.change(user, taken)
        await self._leave_index(user, room, number)

    async def take(
        self, user: UserId, room: RoomId, kept_out_s: float, number: int, *, ages: bool = True
    ) -> Standing | None:
        """Make a user no member by the backend's word, and keep it out for a while. See `order`."""

        def taken(before: Standing, now: int) -> Standing:
            return rules.take(before, room, now + int(kept_out_s * 1000), now)

        after = await self.order(user, of_room(room), number, taken, ages=ages)
        await self._leave_index(user, room, number)
        return after

    async def _enter_index(self, user: UserId, room: RoomId, number: int) -> None:
        key = Keys.given(room, user)
        for _ in range(MAX_TRIES):
            stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
            if stored.value and number_in(stored.value) >= number:
                return
            try:
                await self._records.store.write(key, str(number).encode(), stored.revision)
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                continue
            return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def _leave_index(self, user: UserId, room: RoomId, number: int) -> None:
        """Remove what says that a user is given a room, unless it is, or a later order is about to do it."""
        key = Keys.given(room, user)
        stored = (await self._records.store.read(key, confirmed=True)).get(key, ABSENT)
        if stored.value and number_in(stored.value) <= number and room not in (await self.read(user)).given:
            await self._records.remove(key, stored.revision)

    async def ban(self, user: UserId, for_s: float, number: int) -> Standing | None:
        """Let a user connect no more for a while; 0: let it connect again. See `order`."""

        def banned(before: Standing, now: int) -> Standing:
            return rules.ban(before, now + int(for_s * 1000) if for_s else 0, now)

        return await self.order(user, BAN, number, banned)

    async def silence(self, user: UserId, number: int, *, is_silenced: bool) -> Standing | None:
        """Let a user start no calls, or let it again. See `order`."""
        silenced = functools.partial(_silenced, is_silenced=is_silenced)
        return await self.order(user, VOICE, number, silenced)


def number_in(index: bytes) -> int:
    """Read as of which order an entry of the index stands; 0: it does not say."""
    return int(index) if index.isdigit() else 0


def _silenced(before: Standing, now: int, *, is_silenced: bool) -> Standing:
    return rules.silence(before, is_silenced, now)


def _standing(record: Record) -> Standing:
    if not record.value:
        return rules.NONE
    try:
        return rules.read(record.value)
    except UNREADABLE:  # it is written anew
        return rules.NONE
