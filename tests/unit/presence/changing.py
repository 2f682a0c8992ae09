"""Records that are changed by rules of the tests' own, on a store that writes down what it is asked."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from presence.rules.change import Change, Facts, Rule, Step
from presence.rules.effects import Changed, CloseConnection, MemberCame, MemberWent
from presence.rules.user import User
from presence.store import NOTHING_KNOWN, Dated, ListedStore, Record
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.subjects import Keys

ALICE, BOB, HALL, CELLAR = UserId("alice"), UserId("bob"), RoomId("hall"), RoomId("cellar")

HERS = SessionId("alice-s1")

KEY = Keys.user(ALICE)

Users = Mapping[UserId, User]


class WatchedStore:
    """A store that writes down what was asked of it, and lets a test do something first.

    Its sentences and those of a recorder can be one list, which is then in the order of events.
    """

    def __init__(self, store: ListedStore) -> None:
        self._store = store
        self.said: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        """What is done once, before that is asked for."""

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        await self._note(f"{'confirm' if confirmed else 'read'} {' '.join(keys)}")
        return await self._store.read(*keys, confirmed=confirmed, known=known)

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        await self._note(f"read {' '.join(keys)}")
        return await self._store.read_dated(*keys)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`."""
        await self._note(f"read {' '.join(keys)}")
        return await self._store.read_few(most, *keys)

    async def keys(self, *patterns: str) -> list[str]:
        """See `ListedStore.keys`."""
        if patterns:
            await self._note(f"list {' '.join(patterns)}")
        return await self._store.keys(*patterns)

    async def write(
        self, key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        """See `Store.write`."""
        await self._note(f"{'write' if confirm else 'settle'} {key}")
        return await self._store.write(key, value, revision, ttl_s, confirm=confirm)

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        await self._note(f"put {key}")
        return await self._store.put(key, value, ttl_s, leaves_marker=leaves_marker)

    async def delete(self, key: str, revision: int) -> None:
        """See `Store.delete`."""
        await self._note(f"delete {key}")
        await self._store.delete(key, revision)
        self.said.append(f"deleted {key}")

    async def _note(self, what: str) -> None:
        self.said.append(what)
        if what in self.before:
            await self.before.pop(what)()


async def process_of(*opened: str) -> PresenceProcess:
    """A process in which these users are connected, and in the hall."""
    process = PresenceProcess()
    for user in opened:
        await process.open(opening(user, "hall"))
    process.recorder.sent.clear()
    return process


def another(process: PresenceProcess, store: ListedStore | None = None) -> PresenceProcess:
    """Another process over the same store, or one around it, that sends to the same others."""
    other = PresenceProcess()
    other.store, other.clock, other.life = process.store, process.clock, process.life
    other.recorder = process.recorder
    return other.over(store or process.store)


def renoted(user: User, note: int) -> User:
    """Change something that means nothing here."""
    return msgspec.structs.replace(user, sessions=(msgspec.structs.replace(user.session, note=note),))


def changes_note(note: int, *effects: Changed | CloseConnection | MemberCame | MemberWent) -> Rule[User]:
    """Make a rule that changes something, with these effects."""

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        return Change(Done(), renoted(user, note), effects)

    return rule


def changes_nothing(_user: User | None, _beside: object, _facts: Facts) -> Step[User]:
    """Answer, and leave the record as it is."""
    return Change(Done())


async def pending_of(process: PresenceProcess, user: str) -> tuple[object, ...]:
    """What is still to be told of a user's last change."""
    record = await process.user(user)
    assert record is not None
    return record.pending
