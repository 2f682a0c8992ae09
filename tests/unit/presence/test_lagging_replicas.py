"""Reads may be answered by a replica that lags a moment behind: nobody is forgotten because of that.

Here each read is answered once with what was there before the last thing happened, and then as it is.
"""

from collections.abc import Mapping

import pytest

from presence.records import MAX_LOOKS
from presence.store import NOTHING_KNOWN, Dated, ListedStore, Record, StoreUnavailable
from tests.contract.fake_store import matches
from tests.unit.presence.presence_process import PresenceProcess, refusal_in
from tests.unit.presence.requests import opening, registering
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CloseRoom,
    EndCall,
    LookAtRoom,
    MessageRoom,
    RemoveMember,
    RoomSeen,
)
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomMembers
from tieline.wire.internal.sessions import EndSession
from tieline.wire.subjects import Keys

ALICE, HALL, CELLAR, HERS = UserId("alice"), RoomId("hall"), RoomId("cellar"), SessionId("alice-s1")


class LaggingStore:
    """A store whose replica has not seen what has happened since `falls_behind`."""

    def __init__(self, store: ListedStore, looks: int = 1) -> None:
        self._store = store
        self._looks = looks
        self._then: dict[str, Record] = {}
        self._answered: dict[tuple[str, ...], int] = {}
        self.write = store.write
        self.put = store.put
        self.keys = store.keys
        self.delete = store.delete

    async def falls_behind(self) -> None:
        """Let the replica stay at what is there now."""
        self._then = await self._store.read(">")

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`; the leader never lags."""
        looks = self._answered.get(keys, 0)
        if confirmed or looks == self._looks:
            return await self._store.read(*keys, confirmed=confirmed, known=known)
        self._answered[keys] = looks + 1
        return {
            name: record for name, record in self._then.items() if any(matches(name, key) for key in keys)
        }

    async def read_now(self, *keys: str) -> dict[str, Record]:
        """See `CurrentStore.read_now`."""
        return await self._store.read(*keys)

    async def read_few_now(self, most: int, *keys: str) -> dict[str, Record] | None:
        """See `CurrentStore.read_few_now`."""
        few = await self._store.read_few(most, *keys)
        return None if few is None else dict(few.found)

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        return Dated(await self.read(*keys), 0)

    async def read_few(self, most: int, *keys: str) -> Dated | None:
        """See `ListedStore.read_few`."""
        found = await self.read(*keys)
        return Dated(found, 0) if len(found) <= most else None


async def behind(first: PresenceProcess, *, looks: int = 1, max_members: int = 1000) -> PresenceProcess:
    """Return another process, which sees for so many looks only what is there now."""
    lagging = LaggingStore(first.store, looks)
    await lagging.falls_behind()
    other = PresenceProcess(max_members=max_members)
    other.store, other.clock, other.recorder = first.store, first.clock, first.recorder
    return other.over(lagging, current=lagging)


def members_in(reply: PresenceReply) -> list[str]:
    """List who is in a roster."""
    assert isinstance(reply, RoomMembers)
    return [line.user_id for line in reply.members]


async def test_a_member_who_came_just_before_is_told_and_listed() -> None:
    first = PresenceProcess()
    for user in ("alice", "bob"):
        await first.open(opening(user))
    lagging = await behind(first)
    await first.join("bob", "hall")

    assert members_in(await lagging.ask(JoinRoom(ALICE, HERS, HALL))) == ["alice", "bob"]
    assert first.heard_by("bob") == ["alice joined hall"]


async def test_a_room_that_was_filled_just_before_is_full() -> None:
    first = PresenceProcess()
    for user in ("alice", "bob"):
        await first.open(opening(user))
    lagging = await behind(first, max_members=1)
    await first.join("bob", "hall")

    assert refusal_in(await lagging.ask(JoinRoom(ALICE, HERS, HALL))) == "ROOM_FULL"


async def test_an_offer_made_just_before_the_end_ends() -> None:
    first = PresenceProcess()
    for user in ("alice", "bob"):
        await first.open(opening(user, "hall"))
    lagging = await behind(first)
    await first.signal("bob", "alice", "OFFER", "offer")
    first.recorder.sent.clear()

    await lagging.end("alice")

    assert first.heard_by("bob") == ["hangup of alice: disconnected", "alice left hall: disconnected"]
    assert not (await first.pair("alice", "bob")).is_active


async def test_a_session_that_began_just_before_may_do_everything() -> None:
    first = PresenceProcess()
    lagging = await behind(first)
    await first.open(opening("alice"))

    assert members_in(await lagging.ask(JoinRoom(ALICE, HERS, HALL))) == ["alice"]


async def test_a_session_that_began_just_before_may_end() -> None:
    first = PresenceProcess()
    lagging = await behind(first)
    await first.open(opening("alice"))

    await lagging.ask(EndSession(ALICE, ConnectionId("alice-c1"), resumable=False))

    alice = await first.user("alice")
    assert alice is not None
    assert not alice.is_reachable


async def test_a_room_that_was_joined_just_before_may_be_left() -> None:
    first = PresenceProcess()
    await first.open(opening("alice"))
    lagging = await behind(first)
    await first.join("alice", "hall")

    assert await lagging.ask(LeaveRoom(ALICE, HERS, HALL)) == Done()

    alice = await first.user("alice")
    assert alice is not None
    assert alice.rooms == {}


@pytest.mark.parametrize("again", [False, True])
async def test_a_gateway_is_told_the_truth_about_its_session(again: bool) -> None:
    first = PresenceProcess()
    if again:
        await first.open(opening("alice"))
        await first.end("alice")
    lagging = await behind(first)
    await first.open(opening("alice", number=2))

    registered = await lagging.ask(registering(opening("alice", number=2), {}))
    replaced = await lagging.ask(registering(opening("alice"), {}))

    assert registered == Done()
    assert replaced == SessionGone(replaced=True)


async def test_a_replica_that_stays_behind_is_given_up() -> None:
    first = PresenceProcess()
    await first.open(opening("alice", "hall"))
    lagging = await behind(first, looks=MAX_LOOKS)

    with pytest.raises(StoreUnavailable, match=Keys.user(ALICE)):
        await lagging.end("alice")

    assert not await is_told(first)
    await lagging.over(first.store).ask(ListMembers(ALICE, HERS, HALL))
    assert await is_told(first)


async def test_who_came_just_before_is_out_when_a_room_is_closed() -> None:
    first = PresenceProcess()
    await first.open(opening("bob", "hall"))
    lagging = await behind(first, looks=3)
    await first.open(opening("alice", "hall"))

    assert await lagging.ask(CloseRoom("1", 60.0, HALL)) == Affected(2)

    alice = await first.user("alice")
    assert alice is not None
    assert alice.rooms == {}


async def test_who_was_given_a_closed_room_just_before_is_no_member() -> None:
    first = PresenceProcess()
    lagging = await behind(first, looks=3)
    await first.ask(AddMember("1", 60.0, ALICE, HALL))

    await lagging.ask(CloseRoom("2", 60.0, HALL))

    assert Keys.given(HALL, ALICE) not in first.store.contents()
    opened = await first.open(opening("alice"))
    assert HALL not in opened.rooms


async def test_who_was_given_a_room_just_before_is_listed() -> None:
    first = PresenceProcess()
    lagging = await behind(first)
    await first.ask(AddMember("1", 60.0, ALICE, HALL))

    seen = await lagging.ask(LookAtRoom(HALL))

    assert isinstance(seen, RoomSeen)
    assert [one.user for one in seen.members] == [ALICE]


async def test_who_came_just_before_gets_the_message_to_a_room() -> None:
    first = PresenceProcess()
    await first.open(opening("bob", "hall"))
    lagging = await behind(first, looks=3)
    await first.open(opening("alice", "hall"))

    assert await lagging.ask(MessageRoom("1", 60.0, HALL, b"{}")) == Affected(2)


async def test_a_call_that_began_just_before_is_ended() -> None:
    first = PresenceProcess()
    for user in ("alice", "bob"):
        await first.open(opening(user, "hall"))
    lagging = await behind(first, looks=3)
    await first.signal("alice", "bob", "OFFER", "offer")

    assert await lagging.ask(EndCall("1", 60.0, ALICE, UserId("bob"))) == Affected(1)

    assert not (await first.pair("alice", "bob")).is_active


async def is_told(process: PresenceProcess) -> bool:
    """Whether nothing is left to be told of Alice's last change."""
    alice = await process.user("alice")
    assert alice is not None
    return alice.pending == ()


async def knows_what_came_after(order: Ban | RemoveMember, *, hears: bool) -> PresenceProcess:
    """Return a process that knows Alice, on a replica that lacks what another one decides about her."""
    knows = PresenceProcess(watches=True)
    await knows.open(opening("alice", "hall"))
    replica = LaggingStore(knows.store)
    await replica.falls_behind()
    assert knows.watch is not None
    knows.watch.lags = lambda: not hears
    assert isinstance(await PresenceProcess(beside=knows).ask(order), Affected)
    return knows.over(replica)


@pytest.mark.parametrize("hears", [True, False])
async def test_who_was_kept_out_just_before_does_not_come_in(hears: bool) -> None:
    knows = await knows_what_came_after(RemoveMember("1", 60.0, ALICE, CELLAR, kept_out_s=30.0), hears=hears)
    assert refusal_in(await knows.join("alice", "cellar")) == "ROOM_FORBIDDEN"


@pytest.mark.parametrize("hears", [True, False])
async def test_who_was_banned_just_before_begins_no_session(hears: bool) -> None:
    knows = await knows_what_came_after(Ban("1", 60.0, ALICE, 60.0), hears=hears)
    assert refusal_in(await knows.ask(opening("alice", "hall", number=2))) == "BANNED"
