"""Who is in a room, by lists and changes in whatever order; and what the application is told of it."""

import pytest

from tieline.client.events import MemberJoined, MemberLeft, MemberUpdated
from tieline.client.rosters import Change, RoomEvent, Rosters, batch, single
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import Left, Member, RoomChanged, Roster

A, B = RoomId("a"), RoomId("b")
ANN, BOB, CAT, DAN, EVE = (UserId(name) for name in ("ann", "bob", "cat", "dan", "eve"))


def member(user: UserId, status: str = "online") -> Member:
    return Member(user, "away" if status == "away" else "online", voice=True, joined_at=1)


def listed(number: int, *users: UserId, more: str = "") -> Roster:
    """Make a list or a page of it, on which oneself is first."""
    return Roster(A, tuple(member(user) for user in (ANN, *users)), number, next=more)


def changed(number: int, *, joined: str = "", left: str = "", away: str = "", room: RoomId = A) -> Change:
    """Make a batch; several users have spaces between them."""
    came, gone, updated = ([UserId(name) for name in names.split()] for names in (joined, left, away))
    return batch(
        RoomChanged(
            room,
            number,
            [member(user) for user in came],
            [Left(user, "left") for user in gone],
            [member(user, "away") for user in updated],
        ),
        "r",
    )


def rosters(*rooms: RoomId) -> Rosters:
    return Rosters(ANN, rooms)


def take(known: Rosters, *pages: Roster, is_news: bool = False) -> tuple[list[str], list[RoomEvent]]:
    """Take a list of which nothing changes on its way; returns who is in it, and the events of it."""
    listing = known.begin(A, is_news=is_news)
    for page in pages:
        listing.add(page)
    roster, events = known.finish(listing, "list")
    return [one.user_id for one in roster.members], events


def test_a_batch_is_one_event_for_each_member() -> None:
    came = [member(BOB), member(CAT, "away")]
    told = batch(RoomChanged(A, 7, came, [Left(DAN, "disconnected")], [member(EVE, "away")]), "r")
    assert told.events == (
        MemberLeft(A, DAN, "disconnected", "r", 7),
        MemberJoined(A, BOB, "r", 7),
        MemberJoined(A, CAT, "r", 7),
        MemberUpdated(A, CAT, "away", "r", 7),
        MemberUpdated(A, EVE, "away", "r", 7),
    )
    assert rosters().hear(told) == told.events


def test_an_event_that_is_older_than_the_list_is_none() -> None:
    known = rosters()
    assert take(known, listed(5, BOB)) == (["ann", "bob"], [])
    assert known.hear(changed(4, left="bob", joined="cat")) == ()
    assert known.hear(single(MemberLeft(A, BOB, "left", "r", 4))) == ()
    newer = changed(6, left="bob", joined="cat")
    assert known.hear(newer) == newer.events


def test_events_of_other_rooms_do_not_matter() -> None:
    known = rosters()
    take(known, listed(5, BOB))
    other = changed(4, left="bob", room=B)
    listing = known.begin(A)
    assert known.hear(other) == other.events
    listing.add(listed(6, BOB))
    assert known.finish(listing)[0] == listed(6, BOB)


def test_what_ends_where_the_list_ends_is_told_if_it_is_news() -> None:
    known = rosters()
    take(known, listed(5, BOB, CAT))
    assert known.hear(changed(5, left="cat dan", joined="bob eve", away="bob")) == (
        MemberLeft(A, CAT, "left", "r", 5),
        MemberJoined(A, EVE, "r", 5),
        MemberUpdated(A, BOB, "away", "r", 5),
    )
    assert known.hear(changed(5, left="cat", joined="eve", away="bob")) == ()


def test_an_event_before_an_older_list_is_applied_to_it() -> None:
    known = rosters()
    listing = known.begin(A)
    early = changed(8, left="bob", joined="cat", away="dan")
    assert known.hear(early) == early.events
    assert listing.add(listed(5, BOB, DAN)) == ""
    roster, events = known.finish(listing)
    assert roster == Roster(A, (member(ANN), member(DAN, "away"), member(CAT)), 5)
    assert events == []


def test_an_event_before_a_newer_list_is_not_applied_to_it() -> None:
    known = rosters()
    listing = known.begin(A)
    known.hear(changed(8, left="bob", joined="cat"))
    listing.add(listed(9, BOB))
    assert known.finish(listing)[0] == listed(9, BOB)


def test_what_changes_between_two_pages_is_applied_to_the_whole() -> None:
    known = rosters()
    listing = known.begin(A)
    assert listing.add(listed(5, BOB, more="b")) == "b"
    change = changed(7, left="bob", joined="eve")
    assert known.hear(change) == change.events
    assert listing.add(Roster(A, (member(CAT), member(EVE)), 7, count=4)) == ""
    assert known.finish(listing)[0] == Roster(A, (member(ANN), member(CAT), member(EVE)), 5)


def test_a_list_without_a_number_is_left_as_it_came() -> None:
    known = rosters(A)
    listing = known.begin(A)
    left = single(MemberLeft(A, BOB, "left", "r"))
    assert known.hear(left) == left.events
    listing.add(listed(0, BOB))
    assert known.finish(listing) == (listed(0, BOB), [])
    assert take(known, listed(0, CAT)) == (["ann", "cat"], [])
    assert known.hear(left) == left.events


def test_a_single_event_without_a_number_always_counts() -> None:
    known = rosters()
    listing = known.begin(A)
    known.hear(single(MemberLeft(A, BOB, "left", "r")))
    listing.add(listed(5, BOB, CAT))
    assert known.finish(listing)[0] == listed(5, CAT)
    again = single(MemberJoined(A, CAT, "r"))
    assert known.hear(again) == again.events


def test_a_later_list_is_told_as_events_which_then_come_no_more() -> None:
    known = rosters()
    take(known, listed(5, BOB, CAT))
    later = Roster(A, (member(ANN), member(CAT, "away"), member(DAN), member(EVE, "away")), 9)
    events = [
        MemberLeft(A, BOB, "left", "list", 9),
        MemberUpdated(A, CAT, "away", "list", 9),
        MemberJoined(A, DAN, "list", 9),
        MemberJoined(A, EVE, "list", 9),
        MemberUpdated(A, EVE, "away", "list", 9),
    ]
    assert take(known, later) == (["ann", "cat", "dan", "eve"], events)
    assert known.hear(changed(8, left="bob", joined="dan")) == ()
    assert take(known, later) == (["ann", "cat", "dan", "eve"], [])


@pytest.mark.parametrize(("is_news", "told"), [(False, []), (True, [MemberJoined(A, BOB, "list", 9)])])
def test_the_first_list_is_told_as_events_only_if_nobody_asked(is_news: bool, told: list[RoomEvent]) -> None:
    known = rosters(A)
    known.hear(changed(7, joined="cat dan"))
    known.hear(changed(8, away="dan"))
    left = MemberLeft(A, DAN, "left", "list", 9)
    assert take(known, listed(9, BOB, CAT), is_news=is_news) == (["ann", "bob", "cat"], [left, *told])


def test_oneself_is_never_told_of_as_joined_or_left() -> None:
    known = rosters()
    take(known, Roster(A, (member(ANN, "away"),), 5))
    assert take(known, listed(6)) == (["ann"], [])


def test_a_room_that_was_left_is_not_known_any_more() -> None:
    known = rosters()
    take(known, listed(5, BOB))
    listing, other = known.begin(A), known.begin(B)
    known.leave(A)
    assert (listing.is_void, other.is_void) == (True, False)
    listing.add(listed(6))
    assert known.finish(listing) == (listed(6), [])
    assert take(known, listed(7, CAT)) == (["ann", "cat"], [])


def test_a_room_that_is_joined_again_behind_the_leave_is_known() -> None:
    known = rosters()
    take(known, listed(5, BOB))
    before = known.begin(A)
    asked = known.asked()
    behind = known.begin(A)
    known.leave(A, asked)
    assert (before.is_void, behind.is_void) == (True, False)
    assert (known.may_meet(BOB), known.may_meet(BOB, asked)) == (True, False)
    behind.add(listed(6, CAT))
    assert known.finish(behind) == (listed(6, CAT), [])
    assert known.may_meet(CAT)
    old = changed(5, left="cat")
    assert known.hear(old) == ()


def test_kicked_meanwhile_one_is_in_no_list() -> None:
    known = rosters()
    take(known, listed(5, BOB))
    listing = known.begin(A)
    kicked = changed(8, left="ann")
    assert known.hear(kicked) == kicked.events
    listing.add(listed(6, CAT))
    assert known.finish(listing) == (Roster(A, (member(CAT),), 6), [])
    old = changed(4, joined="dan")
    assert known.hear(old) == old.events  # of a room that is not known nothing is old


def test_a_new_session_knows_nothing_of_the_old_one() -> None:
    known = rosters()
    take(known, listed(50, BOB))
    listing = known.begin(A)
    known.reset((A,))
    assert listing.is_void
    change = changed(7, joined="cat")
    assert known.hear(change) == change.events
    assert take(known, listed(9, BOB, CAT)) == (["ann", "bob", "cat"], [])


def test_an_abandoned_list_changes_nothing() -> None:
    known = rosters()
    take(known, listed(5, BOB))
    listing = known.begin(A)
    known.abandon(listing)
    known.abandon(listing)
    assert take(known, listed(6, BOB)) == (["ann", "bob"], [])


def test_whom_one_meets_nowhere_is_known_where_all_members_are() -> None:
    known = rosters()
    assert not known.may_meet(BOB)
    take(known, listed(5, BOB))
    assert (known.may_meet(BOB), known.may_meet(CAT)) == (True, False)
    asked = known.begin(B)
    assert known.may_meet(CAT), "of a room whose list is on its way nobody knows"
    known.leave(B)
    assert asked.is_void
    assert not known.may_meet(CAT)
    known.leave(A)
    assert not known.may_meet(BOB)
    assert rosters(B).may_meet(BOB), "nor of one that the token has joined"


def test_who_is_made_a_member_is_told_so_and_who_is_there() -> None:
    known = rosters()
    assert take(known, listed(5, BOB), is_news=True) == (
        ["ann", "bob"],
        [MemberJoined(A, ANN, "list", 5), MemberJoined(A, BOB, "list", 5)],
    )
    assert take(known, listed(6, BOB, CAT), is_news=True)[1] == [MemberJoined(A, CAT, "list", 6)]
    assert (known.may_meet(BOB), known.may_meet(DAN)) == (True, False)


def test_who_is_made_a_member_by_a_word_alone_may_meet_anybody_there() -> None:
    known = rosters()
    joined = single(MemberJoined(A, ANN, "r", 5))
    assert known.hear(joined) == joined.events
    assert known.may_meet(BOB), "of the members nobody knows"
    known.hear(single(MemberJoined(B, BOB, "r", 5)))
    assert known.hear(single(MemberLeft(A, ANN, "kicked", "r", 6)))
    assert not known.may_meet(BOB)
