"""What the backend has decided about users, as it is stored. Its meaning is in `presence.rules.standing`.

Who is a member of a room by the backend's word stands under the room, too, so that it is found there: an
index, written before a standing says so and removed after it says so no more, so it may have more than is so
(`members_in`). It says by which copy of which order, so that an older one does not remove what a later one
has entered.

What an order changes it changes in its turn (`presence.rules.orders`): not after a later one, nor once it is
answered, nor when another copy of it has begun since.
"""

import functools
from collections.abc import Callable
from typing import Final, NamedTuple

from presence.record_codec import encode
from presence.records import Records
from presence.rules import giving
from presence.rules import standing as rules
from presence.rules.orders import OVERTAKEN, Place, answer_in
from presence.rules.standing import Standing
from presence.store import ABSENT, MAX_TRIES, Conflict, Record, lost_rounds, read_one
from tieline import metrics
from tieline.runtime.unreadable import UNREADABLE
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.subjects import Keys, room_and_user

MIN_KEPT_S: Final = 1.0
"""The shortest time for which NATS keeps a record."""


class AsOf(NamedTuple):
    """Which copy of which order has entered a user into the index of a room. A later one is greater."""

    number: int
    claim: int


class Standings:
    """Every user's standing. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, clock: Callable[[], int]) -> None:
        self._records = records
        self._clock = clock

    async def read(self, user: UserId) -> Standing:
        """Read a user's standing, as the leader has it."""
        return _standing(await read_one(self._records.store, Keys.standing(user)))

    async def members_in(self, room: RoomId) -> dict[UserId, AsOf]:
        """List who is a member of a room by the backend's word, with the order by which the index has it.

        Whoever has died between the two leaves an entry of somebody who is not: the standing says it.
        """
        entries = await self.entered_in(room)
        found = await self._records.read_now(*map(Keys.standing, entries)) if entries else {}
        standings = {user: _standing(found.get(Keys.standing(user), ABSENT)) for user in entries}
        return {user: by for user, by in entries.items() if room in standings[user].given}

    async def entered_in(self, room: RoomId) -> dict[UserId, AsOf]:
        """List who is in the index of a room: who is given it, or is about to be, or was."""
        found = await self._records.read_now(Keys.given_in(room))
        return {room_and_user(key)[1]: as_of(record.value) for key, record in found.items() if record.value}

    async def change(
        self,
        user: UserId,
        change: Callable[[Standing, int], Standing | None],
        place: Place | None = None,
    ) -> Standing | None:
        """Change a user's standing; `change` gets what it is, and the time in Unix milliseconds.

        None: `change` does not want that any more, or an order that has a place is not to go on.
        """
        key = Keys.standing(user)
        for _ in range(MAX_TRIES):
            stored = await read_one(self._records.store, key)
            if place is not None and await self._is_over(place):  # looked up after what is written then
                return None
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
        raise lost_rounds(key)

    async def _is_over(self, place: Place) -> bool:
        """Whether an order is answered, or another copy of it has begun since."""
        if not place.once:
            return False
        named = await read_one(self._records.store, Keys.once(place.once))
        return answer_in(named.value, named.revision, place.claim) is not None

    async def order(
        self, place: Place, change: Callable[[Standing, int], Standing], *, ages: bool = True
    ) -> Standing | None:
        """Change what an order is about; None: it is not to go on, or a later one was carried out before.

        With `ages` an order that is too old to know that is not carried out either.
        """

        def in_turn(before: Standing, now: int) -> Standing | None:
            if ages and rules.is_too_old(place.number, now):
                return None
            numbered = rules.in_turn(before, place.what, place.number, now)
            return None if numbered is None else change(numbered, now)

        return await self.change(place.user, in_turn, place)

    async def give(self, room: RoomId, place: Place, most: int) -> Refused | None:
        """Make a user a member of a room whenever it is connected; says why not, if it is not made one.

        It is given so many rooms at most. An order that is not to go on is `OVERTAKEN`. See `order`.
        """
        refused = OVERTAKEN

        def given(before: Standing, now: int) -> Standing | None:
            nonlocal refused
            after = giving.given(before, room, place, most, now)
            if isinstance(after, Standing):
                return after
            refused = after
            return None

        await self._enter_index(room, place)
        is_given = await self.change(place.user, given, place) is not None
        if not is_given:
            await self._leave_index(room, place)
            return refused
        await self._enter_index(room, place)  # if who has left it meanwhile looked before
        return None

    async def take_back(self, room: RoomId, place: Place) -> None:
        """Undo what this copy of an order has given (`presence.rules.giving`).

        Where another copy, or another order, gives the room, the index keeps what that has entered.
        """

        def taken(before: Standing, now: int) -> Standing | None:
            return giving.taken_back(before, room, place, now)

        await self.change(place.user, taken)
        await self._leave_index(room, place)

    async def take(self, room: RoomId, place: Place, until: int, *, ages: bool = True) -> Standing | None:
        """Make a user no member by the backend's word, and keep it out until then. See `order`."""

        def taken(before: Standing, now: int) -> Standing:
            return rules.take(before, room, until, now)

        after = await self.order(place, taken, ages=ages)
        await self._leave_index(room, place)
        return after

    async def _enter_index(self, room: RoomId, place: Place) -> None:
        key, by = Keys.given(room, place.user), AsOf(place.number, place.claim)
        for _ in range(MAX_TRIES):
            stored = await read_one(self._records.store, key)
            if stored.value and as_of(stored.value) >= by:
                return
            try:
                await self._records.store.write(key, f"{by.number} {by.claim}".encode(), stored.revision)
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                continue
            return
        raise lost_rounds(key)

    async def _leave_index(self, room: RoomId, place: Place) -> None:
        """Remove what says that a user is given a room, unless it is, or a later order is about to do it."""
        key, by = Keys.given(room, place.user), AsOf(place.number, place.claim)
        stored = await read_one(self._records.store, key)
        if not stored.value or as_of(stored.value) > by:
            return
        standing = await self.read(place.user)
        if room not in standing.given:
            await self._records.remove(key, stored.revision)
            if room in (await self.read(place.user)).given:  # an older one has given it just now
                await self._enter_index(room, place)
        elif as_of(stored.value) == by:
            await self._hand_on(room, place, standing, stored.revision)

    async def _hand_on(self, room: RoomId, place: Place, standing: Standing, revision: int) -> None:
        """Leave what an order has entered to the earlier one that gives the room: that one may go, too."""
        last = next((each for each in reversed(standing.gifts) if each.room == room), None)
        if last is None or (last.number, last.claim) == (place.number, place.claim):
            return
        key, by = Keys.given(room, place.user), f"{last.number} {last.claim}"
        try:
            await self._records.store.write(key, by.encode(), revision)
        except Conflict:  # a later one has entered itself
            return
        if room not in (await self.read(place.user)).given:  # it has gone before that
            await self._leave_index(room, place._replace(number=last.number, claim=last.claim))

    async def ban(self, place: Place, for_s: float) -> Standing | None:
        """Let a user connect no more for a while; 0: let it connect again. See `order`."""

        def banned(before: Standing, now: int) -> Standing:
            return rules.ban(before, now + int(for_s * 1000) if for_s else 0, now)

        return await self.order(place, banned)

    async def silence(self, place: Place, *, is_silenced: bool) -> Standing | None:
        """Let a user start no calls, or let it again. See `order`."""
        return await self.order(place, functools.partial(_silenced, is_silenced=is_silenced))


def as_of(index: bytes) -> AsOf:
    """Read as of which order an entry of the index stands; zeros: it does not say."""
    number, _, claim = index.partition(b" ")
    return AsOf(*(int(each) if each.isdigit() else 0 for each in (number, claim)))


def _silenced(before: Standing, now: int, *, is_silenced: bool) -> Standing:
    return rules.silence(before, is_silenced, now)


def _standing(record: Record) -> Standing:
    if not record.value:
        return rules.NONE
    try:
        return rules.read(record.value)
    except UNREADABLE:  # it is written anew
        return rules.NONE
