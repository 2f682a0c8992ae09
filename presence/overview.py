"""Tell the backend who is where: one user, a room's members, all rooms, and how much there is.

What is told of one user is the leader's word, so that a backend sees what it has just changed, and so is who
is given a room. Other lists may lag a moment behind. All there is is counted by its keys, of which some have
been removed half a minute ago, and some were left behind by a process that died (`presence.rules.room`,
`presence.standings`): to count them right, each user's record would have to be read.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from presence.record_codec import negotiation_in
from presence.records import Records
from presence.rosters import Rosters
from presence.rules.user import User
from presence.side_by_side import batched, both
from presence.standings import Standings
from tieline.wire.ids import NO_CALL, RoomId, UserId
from tieline.wire.internal.backend import (
    CallSeen,
    CountAll,
    Counted,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MemberSeen,
    RoomSeen,
    RoomsSeen,
    UserSeen,
)
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Keys, room_and_user, users_of_pair

LARGEST_PAGE: Final = 1_000

READ_AT_ONCE: Final = 32
"""Negotiations of one user that are read in one go."""

OFFLINE: Final = "offline"


class Overview:
    """Looks at what is stored. Raises what `Store` raises."""

    def __init__(
        self,
        records: Records,
        rosters: Rosters,
        standings: Standings,
        clock: Callable[[], int],
    ) -> None:
        self._records = records
        self._rosters = rosters
        self._standings = standings
        self._store = records.store
        self._clock = clock

    async def user(self, ask: LookAtUser) -> PresenceReply:
        """Tell what is known of a user; one who was never there is offline."""
        users, standing = await both(
            self._records.users((ask.user,), confirmed=True), self._standings.read(ask.user)
        )
        user = users.get(ask.user)
        is_there = user is not None and user.is_reachable
        return UserSeen(
            status=user.session.status if is_there and user is not None else OFFLINE,
            rooms=_rooms_of(user),
            given=standing.given,
            voice=user is not None and is_there and user.voice,
            is_silenced=standing.is_silenced,
            banned_until=standing.banned_until if standing.is_banned(self._clock()) else 0,
            calls=tuple([call async for call in self._calls(ask.user)]) if is_there else (),
        )

    async def _calls(self, user: UserId) -> AsyncIterator[CallSeen]:
        pairs = await self._store.keys(*Keys.pairs_of(user))
        for keys in batched(pairs, READ_AT_ONCE):
            found = await self._records.store.read(*keys)
            for key in keys:
                negotiation, _ = negotiation_in(found, key)
                if negotiation is None or not negotiation.is_active:
                    continue
                one, other = users_of_pair(key)
                peer = other if one == user else one
                yield CallSeen(peer, negotiation.call or NO_CALL, negotiation.established)

    async def room(self, ask: LookAtRoom) -> PresenceReply:
        """List a page of a room's members."""
        entries, given = await both(self._rosters.read(ask.room, {}), self._standings.members_in(ask.room))
        there = (await self._rosters.members(ask.room, entries, {})).members
        members = {
            one.user_id: MemberSeen(one.user_id, one.status, one.voice, one.joined_at, one.user_id in given)
            for one in there
        }
        members |= {user: MemberSeen(user, OFFLINE, False, 0, True) for user in given.keys() - members.keys()}
        names = sorted(user for user in members if not ask.only or user == ask.only)
        page, has_more = _page(names, ask.after, ask.limit)
        return RoomSeen(tuple(members[user] for user in page), len(members), has_more)

    async def rooms(self, ask: ListRooms) -> PresenceReply:
        """List a page of all rooms."""
        members = _members(await self._store.keys(*Keys.members()))
        names = sorted({room for room, _ in members})
        page, has_more = _page(names, ask.after, ask.limit)
        patterns = (pattern for room in page for pattern in (Keys.roster(room), Keys.given_in(room)))
        found = await self._records.read_after({}, *patterns) if page else {}
        counts = Counter(room for room, _ in _members(key for key in found if found[key].value))
        rooms = tuple((room, counts[room]) for room in page if counts[room])
        none_left = len(page) - len(rooms)
        return RoomsSeen(rooms, len(names) - none_left, page[-1] if has_more else "")

    async def count(self, _ask: CountAll) -> PresenceReply:
        """Count what there is."""
        members = _members(await self._store.keys(*Keys.members()))
        sessions, pairs = await both(self._store.keys(Keys.sessions()), self._store.keys(Keys.pairs()))
        leases = await self._records.store.read(Keys.leases())
        return Counted(
            gateways=sum(1 for lease in leases.values() if lease.value),
            sessions=len(sessions),
            rooms=len({room for room, _ in members}),
            members=len(members),
            calls=len(pairs),
        )


def _rooms_of(user: User | None) -> dict[RoomId, int]:
    if user is None or not user.is_reachable:
        return {}
    return {room: member.since for room, member in user.rooms.items()}


def _members(keys: Iterable[str]) -> set[tuple[RoomId, UserId]]:
    """Read who is a member of what, once who is so twice; a key that cannot be read is left out."""
    return set(_readable(keys))


def _readable(keys: Iterable[str]) -> Iterator[tuple[RoomId, UserId]]:
    for key in keys:
        try:
            yield room_and_user(key)
        except ValueError:
            continue


NameT = TypeVar("NameT", RoomId, UserId)


def _page(names: Sequence[NameT], after: str, limit: int) -> tuple[Sequence[NameT], bool]:
    """Take a page of sorted names, behind one of them; and say whether there are more."""
    behind = [name for name in names if name > after] if after else names
    most = max(1, min(limit, LARGEST_PAGE))
    return behind[:most], len(behind) > most
