"""Sessions: beginning one, resuming one, losing its connection, ending it.

The order of writes is what makes a crash in the middle harmless: an ending is first committed in the user's
record, then its consequences are carried out, and last the note that led to it is removed. Whoever repeats
it (the gateway, or another presence process after a timer) finds what is left to do, and what it tells
others a second time is the very same frame.
"""

from presence import member
from presence.announce import Announcer
from presence.member import Seat, User
from presence.pairs import Clock, Pairs
from presence.records import MAX_TRIES, Records
from presence.rooms import Rooms
from presence.store import Conflict, StoreUnavailable
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal import (
    Done,
    EndSession,
    LeaveRoom,
    Opened,
    OpenSession,
    Register,
    SessionGone,
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
                return await self._opened_again(ask, user)
            if user is not None and member.may_be_resumed_by(user, ask.resume):
                try:
                    return await self._resume(ask, user, revision)
                except Conflict:
                    continue
            if user is not None and user.is_reachable:
                self._announcer.close(ask.user, user, CloseCode.REPLACED)
                await self.end_session(ask.user, user.session)
                continue
            if user is not None and await self._records.is_registered(user.gateway, user.session):
                # Another process is at the end of the older session, or died at it. Its peers and rooms must
                # have heard of that before they hear of the new one.
                await self._conclude(ask.user, user)
            try:
                return await self._begin(ask, revision, await self._take_seats(ask))
            except Conflict:
                continue
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def _begin(self, ask: OpenSession | Register, revision: int, seats: dict[RoomId, int]) -> Opened:
        await self._records.register(ask.gateway, ask.session, ask.user)
        record = member.begun(ask, dict.fromkeys(seats, self._clock()))
        await self._records.write_user(ask.user, record, revision)
        await self._tell_begun(ask.user, seats)
        return Opened(ask.session, False, record.rooms)

    async def _tell_begun(self, user: UserId, seats: dict[RoomId, int]) -> None:
        self._announcer.changed(user)
        for room, seat in seats.items():
            await self._rooms.tell_joined(room, user, seat)

    async def _resume(self, ask: OpenSession, user: User, revision: int) -> Opened:
        await self._records.register(ask.gateway, user.session, ask.user)
        record = member.resumed(user, ask)
        await self._records.write_user(ask.user, record, revision)
        if user.status == "online":
            self._announcer.close(ask.user, user, CloseCode.REPLACED)
        if user.gateway != ask.gateway:
            await self._records.forget(Keys.session(user.gateway, user.session))
        return await self._tell_resumed(ask, record, was_away=user.status == "away")

    async def _tell_resumed(self, ask: OpenSession, record: User, *, was_away: bool) -> Opened:
        self._announcer.changed(ask.user)
        remaining = record
        for room in record.rooms:
            if ask.granted is not None and room not in ask.granted:
                await self._rooms.leave(LeaveRoom(ask.user, record.session, room), "kicked")
                remaining = member.left(remaining, room)
        if was_away:
            await self._rooms.tell_updated(ask.user, remaining)
        return Opened(record.session, True, remaining.rooms)

    async def _opened_again(self, ask: OpenSession, user: User) -> Opened | SessionGone:
        """Answer a retry, after telling again what may not have been told."""
        if not user.is_reachable:
            return SessionGone(replaced=False)
        if user.session != ask.session:
            return await self._tell_resumed(ask, user, was_away=True)  # or not: that is forgotten
        seats = {}
        for room in user.rooms:
            seat = await self._rooms.seat_of(room, ask.user, ask.session)
            if seat is not None:
                seats[room] = seat.revision
        await self._tell_begun(ask.user, seats)
        return Opened(user.session, False, user.rooms)

    async def _take_seats(self, ask: OpenSession | Register) -> dict[RoomId, int]:
        seats = {}
        for room in ask.rooms if isinstance(ask, Register) else dict.fromkeys(ask.join):
            seat = await self._rooms.take_seat(room, ask.user, Seat(ask.session, self._clock()))
            if seat is not None:
                seats[room] = seat
        return seats

    async def register(self, ask: Register) -> Done | SessionGone:
        """Restore a session that its gateway still has, and presence may have forgotten or ended."""
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is not None and (user.session != ask.session or user.connection != ask.connection):
                return SessionGone(replaced=True)
            try:
                if user is None or not user.is_reachable:
                    await self._begin(ask, revision, await self._take_seats(ask))
                    return Done()
                await self._records.register(ask.gateway, ask.session, ask.user)
                if user.status == "away":
                    record = member.resumed(user, ask)
                    await self._records.write_user(ask.user, record, revision)
                    await self._rooms.tell_updated(ask.user, record)
            except Conflict:
                continue
            return Done()
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

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
