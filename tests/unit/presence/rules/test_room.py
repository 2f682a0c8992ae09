"""How a user joins a room, leaves it, and asks who is in it; and who counts as a member."""

import msgspec
import pytest

from presence.rules import room
from presence.rules.change import Change, Facts, ListRoom, Prepare, Step
from presence.rules.effects import (
    Changed,
    EndCallsWithoutRoom,
    MemberCame,
    MemberWent,
    StatusChanged,
    UserEffect,
)
from presence.rules.room import UNCLAIMED_MS, StoredEntry
from presence.rules.user import NOBODY, NOBODYS, Membership, RosterEntry, User
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import FIRST_ENTRY, away, began, ended, prepared
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell, RoomMembers
from tieline.wire.replies import Member

ALICE, BOB, CAROL, DAN = (UserId(name) for name in ("alice", "bob", "carol", "dan"))
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
S1 = SessionId("alice-s1")
IN_HALL = began(opening("alice", "hall"))
LATER = NOW + 10_000

GONE = pytest.mark.parametrize(
    ("user", "replaced"),
    [(None, False), (ended(IN_HALL), False), (began(opening("alice", number=2)), True)],
    ids=["unknown", "ended", "replaced"],
)


def joins(user: User | None, facts: Facts | None = None) -> Step[User]:
    """Decide on joining the cellar."""
    return room.join(JoinRoom(ALICE, S1, CELLAR), user, {}, facts or Facts(LATER))


def leaves(user: User | None, where: RoomId = HALL) -> Step[User]:
    """Decide on leaving a room."""
    return room.leave(LeaveRoom(ALICE, S1, where), user, {}, Facts(LATER))


def lists(user: User | None, where: RoomId = HALL) -> Step[User]:
    """Decide on asking who is in a room."""
    return room.list_members(ListMembers(ALICE, S1, where), user, {}, Facts(LATER))


@GONE
def test_a_session_that_is_gone_joins_leaves_and_learns_nothing(user: User | None, replaced: bool) -> None:
    gone = Change[User](SessionGone(replaced))
    assert joins(user) == leaves(user) == lists(user) == gone


@pytest.mark.parametrize("user", [IN_HALL, away(IN_HALL)], ids=["online", "away"])
def test_of_a_member_the_room_is_told_once_more(user: User) -> None:
    told = room.retell(Retell(ALICE, HALL), user, {}, Facts(LATER), is_logged=False)
    assert told == Change(Done(), user, (MemberCame(HALL, FIRST_ENTRY, LATER, again=True),))


def test_of_who_is_no_member_the_room_is_told_that_once_more() -> None:
    for user, where, reason in ((IN_HALL, CELLAR, "left"), (ended(IN_HALL), HALL, "disconnected")):
        told = room.retell(Retell(ALICE, where), user, {}, Facts(LATER), is_logged=True)
        assert isinstance(told, Change)
        (effect,) = told.effects
        assert isinstance(effect, MemberWent)
        assert (effect.room, effect.reason, effect.again) == (where, reason, True)


@pytest.mark.parametrize("user", [IN_HALL, ended(IN_HALL)], ids=["elsewhere", "offline"])
def test_of_who_has_not_been_a_member_lately_nobody_is_told(user: User) -> None:
    where = CELLAR if user.is_reachable else HALL
    assert room.retell(Retell(ALICE, where), user, {}, Facts(LATER), is_logged=False) == Change(Done())


@pytest.mark.parametrize("user", [None, NOBODY], ids=["no record", "nobody's"])
def test_of_who_has_gone_for_long_the_room_is_told_that(user: User | None) -> None:
    went = MemberWent(HALL, NOBODYS, 0, "disconnected", LATER, again=True)
    told = room.retell(Retell(ALICE, HALL), user, {}, Facts(LATER), is_logged=True)
    assert told == Change(Done(), NOBODY, (went,))


@pytest.mark.parametrize("user", [None, NOBODY], ids=["no record", "nobody's"])
def test_of_who_was_perhaps_never_there_nobody_is_told(user: User | None) -> None:
    assert room.retell(Retell(ALICE, HALL), user, {}, Facts(LATER), is_logged=False) == Change(Done())


def test_before_a_room_is_joined_an_entry_is_made() -> None:
    assert joins(IN_HALL) == Prepare(S1, rooms=(CELLAR,))


def test_what_another_step_had_prepared_does_not_serve() -> None:
    assert joins(IN_HALL, Facts(LATER, Prepare(S1, rooms=(HALL,)), entries={HALL: 3})) == joins(IN_HALL)


@pytest.mark.parametrize(("knows", "reason"), [(True, "TOO_MANY_ROOMS"), (False, "ROOM_FULL")])
def test_who_is_in_enough_rooms_joins_no_other(knows: bool, reason: str) -> None:
    ask = JoinRoom(ALICE, S1, CELLAR, knows_too_many_rooms=knows)
    refused = Change[User](Refused(reason))
    assert room.join(ask, IN_HALL, {}, Facts(LATER), max_rooms=1) == refused
    assert room.join(ask, IN_HALL, {}, Facts(LATER), max_rooms=2) == joins(IN_HALL)


def test_who_is_in_enough_rooms_may_join_them_again() -> None:
    again = JoinRoom(ALICE, S1, HALL)
    assert room.join(again, IN_HALL, {}, Facts(LATER), max_rooms=1) == Change(ListRoom(HALL))


@pytest.mark.parametrize(
    ("before", "also"), [(IN_HALL, ()), (away(IN_HALL), (StatusChanged(at=LATER),))], ids=["online", "away"]
)
def test_a_user_who_joins_is_a_member_and_the_others_are_told(
    before: User, also: tuple[UserEffect, ...]
) -> None:
    entered = msgspec.structs.replace(
        before, rooms={CELLAR: Membership(LATER, FIRST_ENTRY), HALL: before.rooms[HALL]}
    )
    effects = (MemberCame(CELLAR, FIRST_ENTRY, LATER), *also)
    assert joins(before, prepared(joins(before), LATER)) == Change(ListRoom(CELLAR), entered, effects)


def test_a_room_that_is_full_is_not_joined() -> None:
    full = prepared(joins(IN_HALL), LATER, full=[CELLAR])
    assert joins(IN_HALL, full) == Change(Refused("ROOM_FULL"))


def test_joining_again_gives_the_roster_and_changes_nothing() -> None:
    assert joins(began(opening("alice", "cellar"))) == Change(ListRoom(CELLAR))


def test_leaving_ends_a_membership_and_calls_without_a_room() -> None:
    assert leaves(IN_HALL) == Change(
        Done(),
        msgspec.structs.replace(IN_HALL, rooms={}),
        (
            Changed(ALICE),
            EndCallsWithoutRoom("left", f"left-{FIRST_ENTRY}", LATER),
            MemberWent(HALL, S1, FIRST_ENTRY, "left", LATER),
        ),
    )


def test_leaving_one_room_keeps_the_others() -> None:
    step = leaves(began(opening("alice", "hall", "cellar")))
    assert isinstance(step, Change)
    assert step.record is not None
    assert step.record.rooms.keys() == {CELLAR}


def test_leaving_a_room_without_being_there_is_done_already() -> None:
    assert leaves(IN_HALL, CELLAR) == Change(Done())


def test_a_member_is_told_who_the_members_are() -> None:
    assert lists(IN_HALL) == lists(away(IN_HALL)) == Change(ListRoom(HALL))


def test_nobody_else_is_told_who_the_members_are() -> None:
    assert lists(IN_HALL, CELLAR) == Change(Refused("NOT_IN_SAME_ROOM"))


@pytest.mark.parametrize(
    ("user", "held"),
    [
        (IN_HALL, True),
        (away(IN_HALL), True),
        (None, False),
        (ended(IN_HALL), False),
        (began(opening("alice", "cellar")), False),
        (began(opening("alice", "hall", number=2)), False),
    ],
    ids=["online", "away", "unknown", "offline", "in another room", "there in another session"],
)
def test_an_entry_counts_while_its_session_is_in_the_room(user: User | None, held: bool) -> None:
    assert room.is_held(user, RosterEntry(S1, NOW), HALL) is held


def test_an_entry_is_kept_for_the_same_session_while_it_is_young() -> None:
    stored = RosterEntry(S1, NOW)
    assert room.may_be_kept(stored, RosterEntry(S1, NOW + UNCLAIMED_MS // 2 - 1))
    assert not room.may_be_kept(stored, RosterEntry(S1, NOW + UNCLAIMED_MS // 2))
    assert not room.may_be_kept(stored, RosterEntry(SessionId("alice-s2"), NOW))


def test_an_entry_without_a_record_is_left_behind_after_a_while() -> None:
    entry = RosterEntry(S1, NOW)
    assert not room.is_left_behind(None, entry, HALL, NOW + UNCLAIMED_MS - 1)
    assert room.is_left_behind(None, entry, HALL, NOW + UNCLAIMED_MS)
    assert not room.is_left_behind(IN_HALL, entry, HALL, NOW + UNCLAIMED_MS)


def test_the_roster_lists_members_by_time_and_name() -> None:
    users = {
        DAN: began(opening("dan", "hall")),
        CAROL: away(began(opening("carol", "hall", voice=False), now=LATER)),
        BOB: began(opening("bob", "hall"), now=LATER),
    }
    entries = [StoredEntry(user, RosterEntry(users[user].session.id, NOW), 1) for user in (CAROL, BOB, DAN)]
    assert room.roster(HALL, entries, users) == RoomMembers(
        (
            Member(DAN, "online", True, NOW),
            Member(BOB, "online", True, LATER),
            Member(CAROL, "away", False, LATER),
        )
    )


def test_the_roster_lists_nobody_whose_id_makes_it_unreadable() -> None:
    """Version 0.1 let such users in; what a gateway cannot read is no answer to it."""
    users = {UserId(name): began(opening(name, "hall")) for name in ("alice", "zero\u200dwidth", "blank ")}
    entries = [StoredEntry(user, RosterEntry(users[user].session.id, NOW), 1) for user in users]
    listed = room.roster(HALL, entries, users)
    assert [member.user_id for member in listed.members] == [ALICE]
    asked = ListMembers(ALICE, S1, HALL)
    assert codec.read_answer(asked, codec.encode(listed)) == listed


@pytest.mark.parametrize(
    "users",
    [{}, {ALICE: ended(IN_HALL)}, {ALICE: began(opening("alice", "cellar"))}],
    ids=["unknown", "offline", "in another room"],
)
def test_the_roster_lists_nobody_whose_entry_does_not_count(users: dict[UserId, User]) -> None:
    entries = [StoredEntry(ALICE, RosterEntry(S1, NOW), 1)]
    assert room.roster(HALL, entries, users) == RoomMembers(())
