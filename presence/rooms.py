"""Rooms: taking a seat, giving it up, and the roster.

A seat (`room.<r>.<u>`) is an index line; the user's record is the truth. A seat is written before the
record that makes it true and removed after the one that ends it, so the index never lacks a member. What it
has too much, left behind by a process that died in between, is found by comparing, and swept when a room
seems full.
"""

import contextlib
from typing import Final, Literal, NamedTuple

from presence import member
from presence.announce import Announcer, LeftReason
from presence.member import Seat, User
from presence.pairs import Clock, Pairs
from presence.records import MAX_TRIES, Records, seat_in
from presence.store import Conflict, StoreUnavailable
from tieline.wire import replies
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import Done, JoinRoom, LeaveRoom, ListMembers, Refused, RoomMembers, SessionGone
from tieline.wire.subjects import Keys, identifier

UNCLAIMED_MS: Final = 10_000
"""How old a seat without a record behind it must be before it counts as left behind: its owner may still be
between the two writes, which take milliseconds and are given up after 5 s."""

RETAKEN_MS: Final = 5_000
"""How old a seat of one's own may be to be kept when one comes back to it: as long as a request is repeated.
An older one is taken anew, or it might be swept while its owner sits down."""


class Taken(NamedTuple):
    """A seat in a room, as it was found."""

    user: UserId
    seat: Seat
    revision: int


class Rooms:
    """Every change to a room goes through here. Raises what `Store` raises; repeating is always safe."""

    def __init__(
        self, records: Records, pairs: Pairs, announcer: Announcer, clock: Clock, max_members: int
    ) -> None:
        self._records = records
        self._pairs = pairs
        self._announcer = announcer
        self._clock = clock
        self._max_members = max_members

    async def join(self, ask: JoinRoom) -> RoomMembers | Refused | SessionGone:
        """Make a user a member, and tell the others. Again: the same roster, and nobody is told."""
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is None or not user.has_live(ask.session):
                return _gone(user)
            if ask.room in user.rooms:
                await self.tell_if_just_joined(ask.room, ask.user, user, revision)
                return await self._roster(ask.room)
            now = self._clock()
            seat = await self.take_seat(ask.room, ask.user, Seat(ask.session, now))
            if seat is None:
                return Refused(ErrorCode.ROOM_FULL.name)
            try:
                joined = await self._records.write_user(
                    ask.user, member.joined(user, ask.room, now), revision
                )
            except Conflict:
                continue
            await self.tell_joined(ask.room, seat, before=joined)
            return await self._roster(ask.room)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def leave(
        self, ask: LeaveRoom, reason: Literal["left", "kicked"] = "left", *, tell_user: bool = False
    ) -> Done | SessionGone:
        """Make a user no member, end the negotiations that lose their last room, and tell the others.

        With `tell_user` the user is told, too, who has not asked for it.
        """
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            is_live = user is not None and user.has_live(ask.session)
            if user is None or user.session != ask.session or (not is_live and ask.room in user.rooms):
                return _gone(user)  # the end of the session takes care of its rooms
            if ask.room in user.rooms:
                try:
                    await self._records.write_user(ask.user, member.left(user, ask.room), revision)
                except Conflict:
                    continue
            seat = await self.seat_of(ask.room, ask.user, ask.session)
            if seat is not None:  # else: it was given up before
                self._announcer.changed(ask.user)
                ended_by = f"left-{seat.revision}"
                await self._pairs.end_without_room(ask.user, reason, ended_by, tell_user=tell_user)
                await self.give_up_seat(ask.room, seat, reason, tell_user=tell_user)
            return Done() if is_live else _gone(user)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def members(self, ask: ListMembers) -> RoomMembers | Refused | SessionGone:
        """List a room's members for one of them."""
        user, _ = await self._records.user(ask.user)
        if user is None or not user.has_live(ask.session):
            return _gone(user)
        if ask.room not in user.rooms:
            return Refused(ErrorCode.NOT_IN_SAME_ROOM.name)
        return await self._roster(ask.room)

    async def take_seat(self, room: RoomId, user: UserId, seat: Seat) -> Taken | None:
        """Write a seat; returns it as it stands then, or None when the room is full.

        Who comes at the same moment is told apart by the order in which the seats were stored: the first
        `max_members` of them stay.
        """
        key = Keys.room(room, user)
        while True:
            found, revision = seat_in(await self._records.store.read(key), key)
            if found is not None and found.session == seat.session and seat.at - found.at < RETAKEN_MS:
                mine = Taken(user, found, revision)
                break
            try:
                mine = Taken(user, seat, await self._records.write_seat(room, user, seat, revision))
                break
            except Conflict:
                continue
        ahead = [taken for taken in await self._seats(room) if taken.revision < mine.revision]
        if len(ahead) < self._max_members or len(await self._claimed(room, ahead)) < self._max_members:
            return mine
        await self._records.forget(key)
        return None

    async def give_up_seat(
        self, room: RoomId, taken: Taken, reason: LeftReason, *, tell_user: bool = False
    ) -> None:
        """Tell the others, and maybe itself, that a member is none any more; then remove its seat."""
        frame = self._announcer.left_frame(room, taken.user, taken.revision, reason)
        for other in await self._seats(room):
            if tell_user or other.user != taken.user:
                self._announcer.deliver(other.user, other.seat.session, frame)
        self._announcer.happened("left", self._clock(), taken.user, room=room, reason=reason)
        with contextlib.suppress(Conflict):  # taken again by the user's next session, or swept already
            await self._records.store.delete(Keys.room(room, taken.user), taken.revision)

    async def tell_updated(self, user: UserId, record: User) -> None:
        """Tell the members of a session's rooms that it went away or came back."""
        for room in record.rooms:
            frame = self._announcer.updated_frame(room, user, record)
            for other in await self._seats(room):
                if other.user != user:
                    self._announcer.deliver(other.user, other.seat.session, frame)

    async def tell_joined(self, room: RoomId, taken: Taken, before: int) -> None:
        """Tell the other members that this one has come.

        `before` is the revision at which its record said so: who took a seat after that finds it in the
        roster.
        """
        frame = self._announcer.joined_frame(room, taken.user, taken.revision)
        for other in await self._seats(room):
            if other.user != taken.user and other.revision < before:
                self._announcer.deliver(other.user, other.seat.session, frame)
        self._announcer.happened("joined", taken.seat.at, taken.user, room=room)

    async def tell_if_just_joined(self, room: RoomId, user: UserId, record: User, revision: int) -> None:
        """Tell the others again if whoever made this one a member may have died before telling.

        `revision` is that of the record.
        """
        taken = await self.seat_of(room, user, record.session)
        if taken is not None and self._clock() - taken.seat.at < RETAKEN_MS:
            await self.tell_joined(room, taken, before=revision)

    async def seat_of(self, room: RoomId, user: UserId, session: SessionId) -> Taken | None:
        """Find the seat that a session holds in a room."""
        key = Keys.room(room, user)
        seat, revision = seat_in(await self._records.store.read(key), key)
        return None if seat is None or seat.session != session else Taken(user, seat, revision)

    async def _seats(self, room: RoomId) -> list[Taken]:
        found = await self._records.store.read(Keys.roster(room))
        taken = []
        for key in found:
            seat, revision = seat_in(found, key)
            if seat is not None:
                taken.append(Taken(UserId(identifier(key.rpartition(".")[2])), seat, revision))
        return taken

    async def _claimed(self, room: RoomId, seats: list[Taken]) -> list[Taken]:
        """Leave out the seats that nobody holds, and sweep those that were left behind."""
        users = await self._records.users([taken.user for taken in seats])
        claimed = []
        for taken in seats:
            user = users.get(taken.user)
            held = user is not None and _holds(user, taken.seat, room)
            if held or self._clock() - taken.seat.at < UNCLAIMED_MS:
                claimed.append(taken)
            else:
                with contextlib.suppress(Conflict):  # its owner has come back to it
                    await self._records.store.delete(Keys.room(room, taken.user), taken.revision)
        return claimed

    async def _roster(self, room: RoomId) -> RoomMembers:
        seats = await self._seats(room)
        users = await self._records.users([taken.user for taken in seats])
        members = []
        for taken in seats:
            user = users.get(taken.user)
            if user is not None and user.status != "offline" and _holds(user, taken.seat, room):
                members.append(replies.Member(taken.user, user.status, user.voice, user.rooms[room]))
        members.sort(key=lambda line: (line.joined_at, line.user_id))
        return RoomMembers(tuple(members))


def _holds(user: User, seat: Seat, room: RoomId) -> bool:
    return user.has_live(seat.session) and room in user.rooms


def _gone(user: User | None) -> SessionGone:
    return SessionGone(replaced=user is not None and user.is_reachable)
