"""Typed records over the store: what is stored under each kind of key, encoded in one place."""

from collections.abc import Awaitable
from typing import Final

import msgspec

from presence.member import Seat, User
from presence.negotiation import NOTHING, RETRY_MS, Pair
from presence.store import ABSENT, Conflict, Record, Store, StoreUnavailable
from tieline import metrics
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.subjects import Keys

MAX_TRIES: Final = 50
"""Rounds of read, decide and compare-and-set before giving up: somebody else won all of them, which even
two users who trickle at full speed do not manage."""

IDLE_PAIR_TTL_S: Final = RETRY_MS / 1000 + 15
"""How long a pair without a negotiation is remembered: until none of its frames can be a retry."""

_encode = msgspec.msgpack.Encoder().encode
_user = msgspec.msgpack.Decoder(User)
_pair = msgspec.msgpack.Decoder(Pair)
_seat = msgspec.msgpack.Decoder(Seat)


def user_in(found: dict[str, Record], user: UserId) -> tuple[User | None, int]:
    """Find a user's record and its revision among what was read."""
    record = found.get(Keys.user(user), ABSENT)
    return (_user.decode(record.value) if record.value else None), record.revision


def pair_in(found: dict[str, Record], key: str) -> tuple[Pair, int]:
    """Find a pair's record and its revision among what was read."""
    record = found.get(key, ABSENT)
    return (_pair.decode(record.value) if record.value else NOTHING), record.revision


def seat_in(found: dict[str, Record], key: str) -> tuple[Seat | None, int]:
    """Find a seat and its revision among what was read."""
    record = found.get(key, ABSENT)
    return (_seat.decode(record.value) if record.value else None), record.revision


class Records:
    """The store, speaking in users, pairs and seats. Raises what `Store` raises."""

    def __init__(self, store: Store, offline_retention_s: float) -> None:
        self.store = store
        self._offline_retention_s = offline_retention_s

    async def user(self, user: UserId) -> tuple[User | None, int]:
        """Read one user's record and its revision."""
        return user_in(await self.store.read(Keys.user(user)), user)

    async def users(self, users: list[UserId]) -> dict[UserId, User]:
        """Read several users' records; who has none is left out."""
        if not users:
            return {}
        found = await self.store.read(*(Keys.user(user) for user in users))
        records = {user: user_in(found, user)[0] for user in users}
        return {user: record for user, record in records.items() if record is not None}

    async def write_user(self, user: UserId, record: User, revision: int) -> int:
        """Change a user's record; an offline one is kept for the retention only."""
        ttl_s = None if record.is_reachable else self._offline_retention_s
        return await self._counted(self.store.write(Keys.user(user), _encode(record), revision, ttl_s))

    async def write_pair(self, key: str, pair: Pair, revision: int) -> int:
        """Change a pair; one without a negotiation goes by itself."""
        ttl_s = None if pair.is_active else IDLE_PAIR_TTL_S
        return await self._counted(self.store.write(key, _encode(pair), revision, ttl_s))

    async def write_seat(self, room: RoomId, user: UserId, seat: Seat, revision: int) -> int:
        """Take a seat in a room; returns its revision, by which seats are counted."""
        return await self._counted(self.store.write(Keys.room(room, user), _encode(seat), revision))

    async def register(self, gateway: GatewayId, session: SessionId, user: UserId) -> None:
        """Note which user a session of a gateway belongs to, for the case that the gateway dies."""
        key, revision = Keys.session(gateway, session), 0
        for _ in range(MAX_TRIES):
            try:
                await self.store.write(key, user.encode(), revision)
                return
            except Conflict:  # noted already, or noted before and deleted: it came back to this gateway
                found = (await self.store.read(key, confirmed=True)).get(key, ABSENT)
            if found.value:
                return
            revision = found.revision
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {key}")

    async def is_registered(self, gateway: GatewayId, session: SessionId) -> bool:
        """Whether a session is noted: it lives, or its end is not carried out to the last yet."""
        key = Keys.session(gateway, session)
        return (await self.store.read(key)).get(key, ABSENT).value != b""

    async def forget(self, key: str) -> None:
        """Delete a key, whoever changes it meanwhile keeping his change."""
        record = (await self.store.read(key)).get(key)
        if record is None or not record.value:
            return
        try:
            await self.store.delete(key, record.revision)
        except Conflict:
            metrics.CAS_CONFLICTS.inc()

    async def _counted(self, writing: Awaitable[int]) -> int:
        try:
            return await writing
        except Conflict:
            metrics.CAS_CONFLICTS.inc()
            raise
