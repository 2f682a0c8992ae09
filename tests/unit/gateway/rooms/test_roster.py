"""Who is in a room, by a list and by the changes of the room's log, in whatever order they come."""

import json
import random
from typing import Any

import msgspec
import pytest

from gateway.client.pages import FIRST, Page, read_cursor
from gateway.rooms.roster import Roster
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, HALL, change
from tieline.wire.ids import UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.replies import Member, RosterPage


def listed(**revisions: int) -> RoomMembers:
    """A list in which each member's record has this revision; it joined at that moment."""
    members = (Member(UserId(user), "online", True, at) for user, at in revisions.items())
    return RoomMembers(tuple(members), tuple(revisions.values()))


def seen(page: RosterPage) -> dict[str, Any]:
    """What a client gets."""
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(page))
    decoded["members"] = [member["userId"] for member in decoded["members"]]
    return decoded


def names(roster: Roster) -> list[str]:
    found: list[str] = seen(roster.whole(0))["members"]
    return found


def test_a_list_and_what_is_newer_than_it() -> None:
    roster = Roster(HALL, listed(alice=5, bob=7), [change(6, ALICE, "left"), change(9, CAROL)])
    assert names(roster) == [BOB, CAROL]
    assert len(roster) == 2


def test_what_is_older_than_the_list_changes_nothing() -> None:
    roster = Roster(HALL, listed(alice=5, bob=7), [change(4, ALICE, "left"), change(7, BOB, "left")])
    assert names(roster) == [ALICE, BOB]


def test_who_left_is_not_there_again_by_an_older_change() -> None:
    roster = Roster(HALL, listed(alice=5), [change(8, ALICE, "left"), change(6, ALICE, "updated")])
    assert names(roster) == []
    roster.apply(change(9, ALICE))
    assert names(roster) == [ALICE]
    roster.apply(change(12, ALICE, "left"))
    roster.forget_gone()
    roster.apply(change(11, ALICE))
    assert names(roster) == [ALICE]


def test_a_member_is_listed_as_it_was_last() -> None:
    roster = Roster(HALL, listed(alice=5), [])
    roster.apply(change(6, ALICE, "updated", status="away"))
    (member,) = json.loads(msgspec.json.encode(roster.whole(0)))["members"]
    assert member["status"] == "away"
    assert roster.joined_at(ALICE) == 1_000
    assert roster.joined_at(BOB) is None


def test_a_whole_list_says_its_number_alone() -> None:
    roster = Roster(HALL, listed(bob=7, alice=5), [])
    assert seen(roster.whole(9)) == {"room": HALL, "members": [ALICE, BOB], "number": 9}


def test_pages_are_in_the_order_of_joining_and_then_of_names() -> None:
    roster = Roster(HALL, listed(carol=5, alice=5, bob=3, dan=9, eve=9), [])
    first = seen(roster.page(Page(limit=2), 9))
    assert first == {"room": HALL, "members": [BOB, ALICE], "number": 9, "count": 5, "next": "5.alice"}
    second = seen(roster.page(Page(read_cursor(first["next"]), 2), 9))
    assert second["members"] == [CAROL, "dan"]
    last = seen(roster.page(Page(read_cursor(second["next"]), 2), 9))
    assert (last["members"], last.get("next")) == (["eve"], None)


@pytest.mark.parametrize(
    ("page", "length"), [(None, 3), (FIRST, 3), (Page(limit=2), 2), (Page(read_cursor("2.bob"), 2), 1)]
)
def test_a_page_has_a_length(page: Page | None, length: int) -> None:
    assert Roster(HALL, listed(alice=1, bob=2, carol=3), []).length(page) == length


def test_who_goes_between_two_pages_moves_nobody() -> None:
    roster = Roster(HALL, listed(alice=1, bob=2, carol=3), [])
    first = seen(roster.page(Page(limit=1), 0))
    roster.apply(change(9, ALICE, "left"))
    assert seen(roster.page(Page(read_cursor(first["next"]), 1), 0))["members"] == [BOB]
    assert seen(roster.page(FIRST, 0))["members"] == [BOB, CAROL]


@pytest.mark.parametrize("seed", range(50))
def test_a_list_and_a_log_agree_whenever_the_list_was_read(seed: int) -> None:
    chance = random.Random(seed)
    users = [UserId(f"user{number}") for number in range(6)]
    there: dict[UserId, int] = {}
    changes, lists = [], [RoomMembers(())]
    for revision in range(1, 40):
        user = chance.choice(users)
        if user in there and chance.random() < 0.5:
            del there[user]
            changes.append(change(revision, user, "left"))
        else:
            changes.append(change(revision, user, "updated" if user in there else "joined"))
            there[user] = revision
        members = tuple(Member(user, "online", True, 1_000) for user in there)
        lists.append(RoomMembers(members, tuple(there.values())))
    known = chance.randrange(len(changes))
    read = chance.randrange(known, len(lists))
    roster = Roster(HALL, lists[read], changes[:known])
    for later in changes[known:]:
        roster.apply(later)
    assert sorted(names(roster)) == sorted(there)
