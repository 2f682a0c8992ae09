"""Sessions: beginning one, ending one, and ending all of a gateway that died.

The order of writes is what makes a crash in the middle harmless: an ending is first committed in the user's
record, then its consequences are carried out, and last the note that led to it is removed. Whoever repeats
it (the gateway, or another presence process after the lease) finds what is left to do.
"""

import asyncio
from typing import Final

from presence import member
from presence.announce import Announcer
from presence.member import Seat, User
from presence.pairs import Clock, Pairs
from presence.records import MAX_TRIES, Records
from presence.rooms import Rooms
from presence.store import Conflict, StoreUnavailable
from tieline.wire.codes import CloseCode
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import (
    Done,
    EndSession,
    KeepLease,
    LeaseKept,
    Opened,
    OpenSession,
    SessionGone,
)
from tieline.wire.subjects import Keys

ENDINGS_AT_ONCE: Final = 64
"""Sessions of a dead gateway that are ended side by side, so that live traffic keeps its share."""


class Sessions:
    """Every session begins and ends here. Raises what `Store` raises; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rooms: Rooms,
        pairs: Pairs,
        announcer: Announcer,
        clock: Clock,
        gateway_lease_s: float,
    ) -> None:
        self._records = records
        self._rooms = rooms
        self._pairs = pairs
        self._announcer = announcer
        self._clock = clock
        self._gateway_lease_s = gateway_lease_s

    async def open(self, ask: OpenSession) -> Opened | SessionGone:
        """Begin a session in the rooms asked for, after ending the user's older one."""
        await self._records.register(ask.gateway, ask.session, ask.user)
        for _ in range(MAX_TRIES):
            user, revision = await self._records.user(ask.user)
            if user is not None and user.session == ask.session:
                if not user.is_reachable:
                    return SessionGone(replaced=False)
                return Opened(tuple(user.rooms))
            if user is not None and user.is_reachable:
                self._announcer.close(ask.user, user, CloseCode.REPLACED)
                await self._end(ask.user, user.session)
                continue
            seats = await self._take_seats(ask)
            rooms = dict.fromkeys(seats, self._clock())
            record = member.opened(ask.session, ask.gateway, ask.voice, rooms)
            try:
                await self._records.write_user(ask.user, record, revision)
            except Conflict:
                continue
            self._announcer.changed(ask.user)
            for room, seat in seats.items():
                await self._rooms.tell_joined(room, ask.user, seat)
            return Opened(tuple(rooms))
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {ask.user!r}")

    async def _take_seats(self, ask: OpenSession) -> dict[RoomId, int]:
        seats = {}
        for room in dict.fromkeys(ask.join):
            seat = await self._rooms.take_seat(room, ask.user, Seat(ask.session, self._clock()))
            if seat is not None:
                seats[room] = seat
        return seats

    async def end(self, ask: EndSession) -> Done:
        """End a session whose connection has ended."""
        await self._end(ask.user, ask.session)
        return Done()

    async def _end(self, user: UserId, session: SessionId) -> User | None:
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

    async def keep_lease(self, ask: KeepLease) -> LeaseKept:
        """Let a gateway live for another lease."""
        key = Keys.lease_timer(ask.gateway)
        found = (await self._records.store.read(key)).get(key)
        await self._records.store.put(key, b"alive", self._gateway_lease_s)
        return LeaseKept(renewed=found is not None and found.value != b"")

    async def end_all(self, gateway: GatewayId, before: int) -> None:
        """End the sessions of a gateway whose lease ran out at revision `before`.

        Sessions noted later are spared: the gateway lives after all, and began them since. Should it live,
        it is told to close the connections of those that ended.
        """
        noted = await self._records.store.read(Keys.sessions_of(gateway))
        ending = [
            (UserId(str(record.value, "utf-8")), SessionId(key.rpartition(".")[2]), key)
            for key, record in noted.items()
            if record.value and record.revision < before
        ]
        for start in range(0, len(ending), ENDINGS_AT_ONCE):
            async with asyncio.TaskGroup() as endings:
                for user, session, key in ending[start : start + ENDINGS_AT_ONCE]:
                    endings.create_task(self._end_noted(user, session, key))

    async def _end_noted(self, user: UserId, session: SessionId, key: str) -> None:
        record = await self._end(user, session)
        if record is None:
            await self._records.forget(key)
        else:
            self._announcer.close(user, record, CloseCode.BROKER_LOST)
