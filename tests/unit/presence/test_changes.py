"""The loop in which every record is changed, with rules of the tests' own."""

import asyncio

import pytest

from presence.changes import Judged
from presence.record_codec import user_in
from presence.rules.change import Change, Facts, Step, Timer
from presence.rules.negotiated import Negotiation, WaitingOffer
from presence.rules.user import User
from presence.store import MAX_TRIES, StoreUnavailable
from tests.unit.presence.changing import (
    ALICE,
    BOB,
    CELLAR,
    HALL,
    HERS,
    KEY,
    Users,
    WatchedStore,
    another,
    changes_note,
    changes_nothing,
    process_of,
    renoted,
)
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import SUBJECTS
from tests.unit.presence.rules.frames import NOW, named
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import LeaveRoom
from tieline.wire.subjects import Keys


async def test_a_rule_is_asked_anew_on_what_somebody_else_has_written() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    watched.before[f"write {KEY}"] = lambda: process.changes.user(ALICE, changes_note(7))
    seen: list[int] = []

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        seen.append(user.session.note)
        return Change(Done(), renoted(user, user.session.note + 1))

    assert await other.changes.user(ALICE, rule) == Done()
    assert seen[1:] == [7]
    alice = await process.user("alice")
    assert alice is not None
    assert alice.session.note == 8


async def test_a_rule_that_never_gets_its_write_through_gives_up() -> None:
    process = await process_of("alice")
    busy = BusyStore(process.store, KEY)

    with pytest.raises(StoreUnavailable, match="alice"):
        await another(process, busy).changes.user(ALICE, changes_note(1))

    assert busy.refused == MAX_TRIES


async def test_a_rule_that_changes_nothing_writes_nothing() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    await another(process, watched).changes.user(ALICE, changes_nothing)

    assert watched.said == [f"read {KEY}", f"confirm {KEY}"]
    assert process.recorder.sent == []


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_rule_decides_on_what_the_leader_says_if_that_is_asked_for(confirmed: bool) -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    await another(process, watched).changes.user(ALICE, changes_nothing, confirmed=confirmed)

    assert watched.said == [*([] if confirmed else [f"read {KEY}"]), f"confirm {KEY}"]


async def test_a_timer_is_set_before_the_record_is_written() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)

    def rule(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        assert user is not None
        return Change(Done(), renoted(user, 1), timer=Timer("timer.x", 30))

    await another(process, watched).changes.user(ALICE, rule)

    assert watched.said == [f"read {KEY}", "put timer.x", f"write {KEY}"]
    assert process.store.time_to_live("timer.x") == 30


async def test_a_second_rule_decides_on_what_the_leader_says_of_the_users() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    users = f"{Keys.user(ALICE)} {Keys.user(BOB)}"
    pair = Keys.pair(ALICE, BOB)
    watched.before[f"confirm {users}"] = lambda: process.end("bob")
    seen: list[tuple[bool, bool]] = []
    offered = Negotiation(offers=(WaitingOffer(ALICE, named("offer"), NOW),))

    def look(stored: Negotiation | None, beside: Users) -> None:
        seen.append((stored is not None and stored.is_active, beside[BOB].is_reachable))

    def first(stored: Negotiation | None, beside: Users, _facts: Facts) -> Step[Negotiation]:
        look(stored, beside)
        return Change(Done(), offered, then=second)

    def second(stored: Negotiation | None, beside: Users, _facts: Facts) -> Step[Negotiation]:
        look(stored, beside)
        return Change(Refused("SECOND"))

    assert await other.changes.negotiation(ALICE, BOB, first) == Judged(Refused("SECOND"))
    assert seen == [(False, True), (True, False)]
    assert watched.said == [f"read {users} {pair}", f"write {pair}", f"confirm {users}"]


async def test_a_second_rule_that_loses_its_write_is_asked_anew_alone() -> None:
    process = await process_of("alice")
    watched = WatchedStore(process.store)
    other = another(process, watched)
    asked: list[str] = []

    async def meddle() -> None:
        await process.changes.user(ALICE, changes_note(9))

    def first(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        asked.append("first")
        watched.before[f"write {KEY}"] = nothing
        assert user is not None
        return Change(Done(), renoted(user, 1), then=second)

    def second(user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        asked.append("second")
        if len(asked) == 2:
            watched.before[f"write {KEY}"] = meddle
        assert user is not None
        return Change(Done(), renoted(user, 2))

    await other.changes.user(ALICE, first)

    assert asked == ["first", "second", "second"]


async def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize("refusal", [Refused("NO"), SessionGone(replaced=False)])
async def test_a_refusal_is_asked_for_again_on_what_the_leader_says(refusal: Refused | SessionGone) -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    keys = f"{Keys.user(ALICE)} {Keys.user(BOB)} {Keys.pair(ALICE, BOB)}"

    def rule(_stored: object, _beside: object, _facts: Facts) -> Step[Negotiation]:
        return Change(refusal)

    changes = another(process, watched).changes
    assert await changes.negotiation(ALICE, BOB, rule) == Judged(refusal)
    assert watched.said == [f"read {keys}", f"confirm {keys}"]


async def test_two_changes_of_one_record_at_once_are_both_made() -> None:
    process = await process_of("alice")
    await process.join("alice", "cellar")

    await asyncio.gather(
        *(another(process).ask(LeaveRoom(ALICE, HERS, room)) for room in (HALL, CELLAR)),
        another(process).changes.user(ALICE, changes_nothing),
    )

    record, _ = user_in(await process.store.read(KEY), KEY)
    assert record is not None
    assert record.rooms == {}
    assert len({sent for sent in process.recorder.sent if sent.subject == SUBJECTS.event("left")}) == 2
