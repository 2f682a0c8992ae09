"""Sessions: beginning one, resuming one, losing its connection, ending it.

The order of writes is what makes a crash in the middle harmless: an ending is first committed in the user's
record, then its consequences are carried out, and last the note that led to it is removed. Whoever repeats
it (the gateway, or another presence process after a timer) finds what is left to do, and what it tells
others a second time is the very same frame.
"""

from collections.abc import Iterable

from presence import member
from presence.announce import Announcer
from presence.member import Seat, User
from presence.pairs import Clock, Pairs
from presence.records import MAX_TRIES, Records, user_in
from presence.rooms import Rooms
from presence.store import Conflict, StoreUnavailable
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal import (
    Done,
    EndSession,
    FindReplaced,
    LeaveRoom,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
    SessionGone,
    Tell,
)
from tieline.wire.subjects import Keys


class Sessions:
    """Every session begins and ends here. Raises what `Store` raises; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rooms: Rooms,
        pairs: Pairs,
        announcer: Announcer,
        clock: Clock,
        resume_window_s: float,
    ) -> None:
        self._records = records
        self._rooms = rooms
        self._pairs = pairs
        self._announcer = announcer
        self._clock = clock
        self._resume_window_s = resume_window_s

    # Beginning and resuming -------------------------------------------------------------------------

    async def open(self, ask: OpenSession) -> Opened | SessionGone:
        """Resume the session whose secret the client knows, or begin one, ending the user's older one."""
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is not None and user.connection == ask.connection:  # a retry: it is done
                return await self._opened_again(ask, user, revision)
            if user is not None and user.former is not None and user.former.connection == ask.connection:
                return SessionGone(replaced=True)  # a retry so late that the session has gone on elsewhere
            if user is not None:
                self._close_former(ask.user, user)
            if user is not None and member.may_be_resumed_by(user, ask.resume):
                try:
                    return await self._resume(ask, user, revision)
                except Conflict:
                    continue
            if user is not None and user.is_reachable:
                self._announcer.close(ask.user, user.session, user, CloseCode.REPLACED)
                await self.end_session(ask.user, user.session)
                continue
            if user is not None and await self._records.is_registered(user.gateway, user.session):
                # Another process is at the end of the older session, or died at it. Its peers and rooms must
                # have heard of that before they hear of the new one.
                await self._conclude(ask.user, user)
            seats = await self._take_seats(ask, ask.join)
            try:
                record = await self._begin(ask, revision, dict.fromkeys(seats, self._clock()))
            except Conflict:
                continue
            return Opened(ask.session, False, record.rooms)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def _begin(self, ask: OpenSession | Register, revision: int, rooms: dict[RoomId, int]) -> User:
        await self._records.register(ask.gateway, ask.session, ask.user)
        record = member.begun(ask, rooms)
        began = await self._records.write_user(ask.user, record, revision)
        await self._tell_begun(ask.user, record, began)
        return record

    async def _tell_begun(self, user: UserId, record: User, began: int) -> None:
        """Tell the others of a session that began at revision `began`. Who came later need not be told."""
        self._announcer.changed(user)
        for room in record.rooms:
            seat = await self._rooms.seat_of(room, user, record.session)
            if seat is not None:
                await self._rooms.tell_joined(room, seat, before=began)

    async def _resume(self, ask: OpenSession, user: User, revision: int) -> Opened:
        await self._records.register(ask.gateway, user.session, ask.user)
        record = member.resumed(user, ask)
        await self._records.write_user(ask.user, record, revision)
        return await self._tell_resumed(ask, record)

    async def _tell_resumed(self, ask: OpenSession, record: User) -> Opened:
        """Carry out what a resumption means for others, as often as it takes."""
        former = record.former
        assert former is not None
        self._close_former(ask.user, record)
        if former.gateway != record.gateway:
            await self._records.forget(Keys.session(former.gateway, record.session))
        self._announcer.changed(ask.user)
        remaining = record
        for room in former.rooms:
            if ask.granted is not None and room not in ask.granted:
                await self._rooms.leave(LeaveRoom(ask.user, record.session, room), "kicked")
                remaining = member.left(remaining, room)
        if former.status == "away":
            await self._rooms.tell_updated(ask.user, remaining)
        return Opened(record.session, True, remaining.rooms)

    def _close_former(self, user: UserId, record: User) -> None:
        """Have the connection closed from which a session was resumed last, if it lived then.

        Told again before what was resumed is lost, ended or resumed once more, which nobody remembers after:
        whoever resumed it may have died before telling, and may not have been asked again.
        """
        if record.former is not None and record.former.status == "online":
            self._announcer.close(user, record.session, record.former, CloseCode.REPLACED)

    async def _opened_again(self, ask: OpenSession, user: User, revision: int) -> Opened | SessionGone:
        """Answer a retry, after telling again what may not have been told."""
        if not user.is_reachable:
            return SessionGone(replaced=False)
        if user.session != ask.session:
            return await self._tell_resumed(ask, user)
        await self._tell_begun(ask.user, user, revision)
        return Opened(user.session, False, user.rooms)

    async def _take_seats(self, ask: OpenSession | Register, rooms: Iterable[RoomId]) -> list[RoomId]:
        """Take a seat in each room; returns the rooms that are not full."""
        seat = Seat(ask.session, self._clock())
        return [
            room
            for room in dict.fromkeys(rooms)
            if await self._rooms.take_seat(room, ask.user, seat) is not None
        ]

    async def register(self, ask: Register) -> Done | SessionGone:
        """Restore a session that its gateway still has, and presence may have forgotten or ended."""
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is not None and (user.session != ask.session or user.connection != ask.connection):
                return SessionGone(replaced=True)
            try:
                if user is None or not user.is_reachable:
                    seats = await self._take_seats(ask, ask.rooms)
                    await self._begin(ask, revision, {room: ask.rooms[room] for room in seats})
                else:
                    await self._registered_again(ask, user, revision)
            except Conflict:
                continue
            return Done()
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def _registered_again(self, ask: Register, user: User, revision: int) -> None:
        """Find a session that presence knows, after telling again what may not have been told."""
        await self._records.register(ask.gateway, ask.session, ask.user)
        if user.status == "away":
            user = member.resumed(user, ask)
            revision = await self._records.write_user(ask.user, user, revision)
        if user.former is not None and user.former.connection == ask.connection:
            await self._rooms.tell_updated(ask.user, user)
            await self._records.write_user(ask.user, member.settled(user), revision)
        self._announcer.changed(ask.user)
        for room in user.rooms:
            await self._rooms.tell_if_just_joined(room, ask.user, user, revision)

    async def regrant(self, ask: Regrant) -> Done | SessionGone:
        """Let a session have what its newer token grants, and nothing else."""
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is None or not user.has_live(ask.session):
                return SessionGone(replaced=user is not None and user.is_reachable)
            changed = member.regranted(user, voice=ask.voice)
            try:
                if changed != user:
                    await self._records.write_user(ask.user, changed, revision)
            except Conflict:
                continue
            for room in dict.fromkeys((*ask.rooms, *user.rooms)):  # in the same order when asked again
                if ask.granted is not None and room not in ask.granted:
                    leaving = LeaveRoom(ask.user, ask.session, room)
                    await self._rooms.leave(leaving, "kicked", tell_user=True)
            return Done()
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def tell(self, ask: Tell) -> Done | SessionGone:
        """Send a client what its gateway has to say, if the connection still has the session."""
        found = await self._records.store.read(Keys.user(ask.user), confirmed=True)
        user, _ = user_in(found, ask.user)
        if user is None or user.connection != ask.connection:
            return SessionGone(replaced=user is not None and user.is_reachable)
        self._announcer.deliver(ask.user, user.session, ask.frame)
        return Done()

    async def find_replaced(self, ask: FindReplaced) -> Replaced:
        """List those of a gateway's connections whose users have another one by now."""
        records = await self._records.users([user for user, _ in ask.connections])
        suspects = [
            (user, connection)
            for user, connection in ask.connections
            if user in records and records[user].connection != connection
        ]
        # What was read may lag behind the beginning of a connection, and the answer closes it.
        found = await self._records.store.read(*{Keys.user(user) for user, _ in suspects}, confirmed=True)
        return Replaced(
            tuple(
                connection
                for user, connection in suspects
                if (record := user_in(found, user)[0]) is not None and record.connection != connection
            )
        )

    # Losing and ending ------------------------------------------------------------------------------

    async def end(self, ask: EndSession) -> Done:
        """Take note that a connection has ended: its session waits to be resumed, or ends."""
        await self.lose_connection(ask.user, ask.connection, resumable=ask.resumable)
        return Done()

    async def lose_connection(self, user: UserId, connection: ConnectionId, *, resumable: bool) -> None:
        """Let a session whose connection is lost be away, if it can be resumed, or end it."""
        for _ in range(MAX_TRIES):
            record, revision = await self._records.user(user)
            if record is None or record.connection != connection:
                return
            self._close_former(user, record)
            if not (resumable and record.secret and record.is_reachable):
                await self.end_session(user, record.session)
                return
            waiting = member.away(record)
            timer = Keys.away_timer(user, connection)
            await self._records.store.put(timer, b"", self._resume_window_s)
            try:
                if waiting != record:
                    await self._records.write_user(user, waiting, revision)
            except Conflict:
                continue
            await self._rooms.tell_updated(user, waiting)
            return
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {user!r}")

    async def give_up_waiting(self, user: UserId, connection: ConnectionId) -> None:
        """End a session that was not resumed within its window."""
        record, _ = await self._records.user(user)
        if record is not None and record.connection == connection and record.status != "online":
            await self.end_session(user, record.session)

    async def end_session(self, user: UserId, session: SessionId) -> User | None:
        """End a session; returns its last record, or None if the user has another session by now."""
        for _ in range(MAX_TRIES):
            record, revision = await self._records.user(user)
            if record is None or record.session != session:
                return None
            if record.is_reachable:
                try:
                    await self._records.write_user(user, member.ended(record), revision)
                except Conflict:
                    continue
            await self._conclude(user, record)
            return record
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {user!r}")

    async def _conclude(self, user: UserId, record: User) -> None:
        """Carry out what the end of a session means for others."""
        self._announcer.changed(user)
        await self._pairs.end_all(user, record.session)
        for room in record.rooms:
            seat = await self._rooms.seat_of(room, user, record.session)
            if seat is not None:
                await self._rooms.give_up_seat(room, seat, "disconnected")
        await self._records.forget(Keys.session(record.gateway, record.session))
