"""What a rule wants before it decides is there then, whatever has become of it since."""

from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.room import UNCLAIMED_MS
from presence.rules.user import User
from tests.unit.presence.changing import (
    ALICE,
    CELLAR,
    HALL,
    HERS,
    KEY,
    WatchedStore,
    another,
    changes_note,
    process_of,
    renoted,
)
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import GatewayId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.rooms import JoinRoom, RoomJoined, RoomMembers
from tieline.wire.subjects import Keys


async def test_after_a_conflict_what_is_prepared_is_looked_for_and_found() -> None:
    process = await process_of()
    await process.open(opening("alice"))
    watched = WatchedStore(process.store)
    other = another(process, watched)
    watched.before[f"write {KEY}"] = lambda: process.changes.user(ALICE, changes_note(7))
    wanted = Prepare(HERS, GatewayId("g9"), (HALL, CELLAR))
    asked: list[Facts] = []

    def rule(user: User | None, _beside: object, facts: Facts) -> Step[User]:
        asked.append(facts)
        if facts.prepared != wanted:
            return wanted
        assert user is not None
        return Change(Done(), renoted(user, facts.note))

    await other.changes.user(ALICE, rule, rooms=wanted.rooms)

    note = Keys.session(GatewayId("g9"), HERS)
    assert [said for said in watched.said if said.startswith("write")] == [
        f"write {note}",
        f"write {Keys.room(HALL, ALICE)}",
        f"write {Keys.room(CELLAR, ALICE)}",
        f"write {KEY}",
        f"write {note}",  # which is there
        f"write {KEY}",
    ]
    found = await process.store.read(note, *(Keys.room(room, ALICE) for room in wanted.rooms))
    entries = {room: found[Keys.room(room, ALICE)].revision for room in wanted.rooms}
    prepared = (NOW, wanted, found[note].revision, entries)
    nothing: tuple[object, ...] = (NOW, None, 0, {})
    assert [(one.now, one.prepared, one.note, one.entries) for one in asked] == [
        nothing,
        prepared,
        nothing,
        prepared,
    ]
    assert [one.revision for one in asked] == [one.read[KEY][1] for one in asked]
    assert asked[0].revision < asked[2].revision


async def test_an_entry_that_was_swept_meanwhile_is_made_again() -> None:
    process = await process_of("bob")
    await process.open(opening("alice"))
    watched = WatchedStore(process.store)
    entry = Keys.room(HALL, ALICE)

    async def sweep() -> None:
        await process.store.delete(entry, (await process.store.read(entry))[entry].revision)

    watched.before[f"write {KEY}"] = sweep

    reply = await another(process, watched).ask(JoinRoom(ALICE, HERS, HALL))

    assert isinstance(reply, RoomMembers)
    assert [member.user_id for member in reply.members] == ["alice", "bob"]
    assert entry in process.store.contents()
    assert process.heard_by("bob") == ["alice joined hall"]


async def test_who_stood_still_looks_whether_its_entry_was_swept() -> None:
    process = await process_of()
    await process.open(opening("alice"))
    watched = WatchedStore(process.store)
    entry = Keys.room(HALL, ALICE)

    async def sweep() -> None:
        process.clock.pass_s(UNCLAIMED_MS / 1000)
        await process.store.delete(entry, (await process.store.read(entry))[entry].revision)

    watched.before[f"write {KEY}"] = sweep
    slow = another(process, watched)
    slow.do_all_hear = True

    assert await slow.ask(JoinRoom(ALICE, HERS, HALL, hears=True)) == RoomJoined(1)
    assert process.store.contents()[entry]
