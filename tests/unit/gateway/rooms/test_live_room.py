"""One room: what is taken up when, and what members are told of it."""

import json

import pytest

from gateway.rooms.leavers import LATE_LOOKS
from gateway.rooms.live_room import MAX_SINGLE, MAX_TOLD, LiveRoom
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, HALL, JOINED_AT, Client, change, live, short
from tieline.wire.ids import UserId
from tieline.wire.internal.rooms import RoomMembers
from tieline.wire.replies import Member

DAN = UserId("dan")


def members(*users: UserId) -> RoomMembers:
    """A list of members that is older than every change."""
    return RoomMembers(tuple(Member(user, "online", True, 1) for user in users), tuple(0 for _ in users))


def test_what_is_pushed_waits_until_nothing_older_is_missing() -> None:
    hall = LiveRoom(HALL)
    assert not hall.is_whole
    assert not hall.take(change(5, BOB), 0)
    assert hall.catch_up([change(3, ALICE), change(5, BOB)], 4, 0)
    assert hall.is_whole
    assert [one.number for one in hall.log.since(0)] == [3, 5]
    assert (hall.number, hall.whole_to) == (5, 4)
    hall.hold()
    hall.hold()
    assert not hall.take(change(8, ALICE, "left"), 0)
    assert hall.catch_up([], 7, 0)
    assert hall.log.number == 8
    assert not hall.catch_up([], 9, 0)


def test_a_room_in_which_nothing_has_changed_goes_as_far_as_was_read() -> None:
    hall = LiveRoom(HALL)
    hall.catch_up([], 7, 0)
    assert hall.number == 7


def test_an_update_while_the_room_is_read_brings_nobody_anew() -> None:
    """Who comes in then, behind Alice and before the room is known, has her in its list."""
    hall, bob, carol = LiveRoom(HALL), Client(BOB), Client(CAROL)
    hall.take(change(9, ALICE, "updated", is_silent=True), 0)
    hall.catch_up([change(4, ALICE), change(7, BOB)], 8, 0)
    bob.seats.enter(hall, 5)
    carol.seats.enter(hall, 3)
    for client in (bob, carol):
        client.seats.tell()
    assert bob.words() == []
    assert carol.words() == ["7: bob joined", "9: alice joined"]


def test_who_has_come_is_told_though_a_signal_came_in_between() -> None:
    """What is stored before the signal is told first, which is not the update that hides her coming."""
    hall, bob = LiveRoom(HALL), Client(BOB)
    hall.catch_up([], 3, 0)
    bob.seats.enter(hall, 3)
    hall.take(change(6, ALICE), 0)
    hall.take(change(9, ALICE, "updated"), 0)
    hall.take(change(5, CAROL), 0)
    bob.seats.tell(8)
    bob.seats.tell()
    assert "9: alice joined" in bob.words()


def test_what_is_told_late_is_told_with_all_that_is_newer() -> None:
    hall = live(change(3, ALICE))
    carol = Client(CAROL)
    carol.seats.enter(hall, hall.number)
    hall.take(change(9, ALICE, "left", reason="left"), 0)
    carol.seats.tell()
    assert carol.words() == ["9: alice left"]
    hall.catch_up([change(5, BOB)], 9, 0)
    carol.seats.tell()
    late, again = carol.heard()
    # A list that went as far as 9 may lack it; it is not left out as one that is older than the list.
    assert short(late["requestId"]) == "room-5-after-4"
    assert (late["data"]["number"], late["data"]["userId"]) == (9, BOB)
    assert (short(again["requestId"]), again["data"]["number"]) == ("room-9", 9)


def test_a_slower_node_s_push_is_told_late() -> None:
    hall, carol, dan = live(change(3, ALICE)), Client(CAROL), Client(UserId("dan"), batches=True)
    for client in (carol, dan):
        client.seats.enter(hall, hall.number)
    hall.take(change(9, ALICE, "left", reason="left"), 0)
    for client in (carol, dan):
        client.seats.tell()
        client.heard()
    assert hall.take(change(5, BOB), 0)
    assert not hall.take(change(5, BOB), 0)
    for client in (carol, dan):
        client.seats.tell()
    assert carol.words() == ["9: bob joined", "9: alice left"]
    assert dan.words() == ["9: joined bob, left alice, updated "]


def test_what_is_late_is_told_to_who_is_further_by_a_signal() -> None:
    hall, carol = live(change(3, ALICE)), Client(CAROL)
    carol.seats.enter(hall, 8)
    hall.catch_up([change(5, BOB)], 9, 0)
    carol.seats.tell()
    assert carol.words() == ["5: bob joined"]


def test_of_whom_all_is_told_late_that_is_not_left_out() -> None:
    hall, carol = live(change(3, ALICE)), Client(CAROL)
    carol.seats.enter(hall, hall.number)
    hall.take(change(9, ALICE, "left", reason="left"), 0)
    hall.catch_up([change(5, BOB, "updated", is_silent=True)], 9, 0)
    carol.seats.tell()
    assert carol.words() == ["9: bob joined", "9: alice left"]


def test_of_whom_the_joining_is_not_told_all_is_told() -> None:
    hall, carol = live(change(3, ALICE)), Client(CAROL)
    carol.seats.enter(hall, hall.number)
    came_anew = change(7, ALICE, "updated", is_silent=True, joined_at=JOINED_AT + 1)
    hall.catch_up([change(5, BOB, "updated", status="away"), came_anew], 9, 0)
    carol.seats.tell()
    assert carol.words() == ["5: bob joined", "5: bob away", "7: alice joined"]
    for number in range(10, 10 + MAX_SINGLE):
        hall.take(change(number, ALICE, "updated", status="away" if number % 2 else "online"), 0)
    hall.take(change(300, UserId("dan")), 0)
    hall.take(change(301, UserId("dan"), "updated", is_silent=True), 0)
    carol.seats.tell()
    assert carol.words() == [f"{9 + MAX_SINGLE}: alice away", "301: dan joined"]


def test_what_is_read_before_it_is_pushed_is_told_as_it_is() -> None:
    hall, carol = live(change(3, ALICE), change(4, BOB)), Client(CAROL)
    carol.seats.enter(hall, hall.number)
    silent = change(7, ALICE, "updated", is_silent=True)
    hall.catch_up([silent, change(8, BOB, "updated", status="away")], 6, 0)
    carol.seats.tell()
    assert carol.words() == ["8: bob away"]
    assert not hall.take(silent, 0)
    hall.take(change(9, DAN), 0)
    carol.seats.tell()
    assert carol.words() == ["9: dan joined"]


def test_of_a_member_by_the_list_alone_an_update_is_told_as_it_is() -> None:
    hall, carol = LiveRoom(HALL), Client(CAROL)
    hall.catch_up([], 4, 0)
    hall.list_members(RoomMembers((Member(BOB, "online", True, JOINED_AT),), (1,)))
    carol.seats.enter(hall, hall.number)
    hall.catch_up([change(7, ALICE, "updated"), change(8, BOB, "updated", status="away")], 6, 0)
    carol.seats.tell()
    assert carol.words() == ["7: alice joined", "8: bob away"]


def test_who_has_left_and_is_updated_has_come_anew() -> None:
    hall, carol = live(change(3, ALICE), change(4, BOB, "left")), Client(CAROL)
    carol.seats.enter(hall, hall.number)
    hall.catch_up([change(7, BOB, "updated", status="away", joined_at=0)], 6, 0)
    carol.seats.tell()
    assert carol.words() == ["7: bob joined", "7: bob away"]


def test_members_that_are_told_the_same_are_told_the_same_bytes() -> None:
    hall = live()
    alice, bob, carol = Client(ALICE), Client(BOB), Client(CAROL, batches=True)
    for client in (alice, bob, carol):
        client.seats.enter(hall, 0)
    hall.take(change(5, UserId("dan")), 0)
    for client in (alice, bob, carol):
        client.seats.tell()
    assert alice.written[0] is bob.written[0]
    assert carol.words() == ["5: joined dan, left , updated "]


def test_what_is_told_is_the_same_whatever_signals_came_before() -> None:
    hall = live()
    clients = [Client(UserId(f"u{number}"), batches=number % 2 == 0) for number in range(4)]
    for number, client in enumerate(clients):
        client.seats.enter(hall, 0)
        client.last_sequence = number
    hall.take(change(5, UserId("dan")), 0)
    for client in clients:
        client.seats.tell()
    assert len({id(client.written[0]) for client in clients}) == 2


def test_one_s_own_changes_are_told_to_the_others_alone() -> None:
    hall = live()
    alice, bob = Client(ALICE), Client(BOB, batches=True)
    alice.seats.enter(hall, 0)
    bob.seats.enter(hall, 0)
    hall.take(change(5, ALICE, "updated", status="away"), 0)
    hall.take(change(6, BOB, "updated", status="away"), 0)
    hall.take(change(7, BOB, "updated"), 0)
    alice.seats.tell()
    bob.seats.tell()
    assert alice.words() == ["6: bob away", "7: bob online"]
    assert bob.words() == ["5: joined , left , updated alice"]
    hall.take(change(9, ALICE, "updated", status="away"), 0)
    alice.seats.tell()
    assert alice.words() == []


def test_what_only_lists_show_is_told_in_batches_alone() -> None:
    hall = live()
    alice, bob = Client(ALICE), Client(BOB, batches=True)
    alice.seats.enter(hall, 0)
    bob.seats.enter(hall, 0)
    hall.take(change(5, CAROL, "updated", is_silent=True), 0)
    alice.seats.tell()
    bob.seats.tell()
    assert alice.words() == []
    assert bob.words() == ["5: joined , left , updated carol"]


def test_of_very_many_changes_the_last_of_each_user_is_told() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    for number in range(1, MAX_SINGLE + 2):
        hall.take(change(number, BOB, "updated", status="away" if number % 2 else "online"), 0)
    hall.take(change(MAX_SINGLE + 2, CAROL), 0)
    alice.seats.tell()
    assert alice.words() == [f"{MAX_SINGLE + 1}: bob away", f"{MAX_SINGLE + 2}: carol joined"]


def test_frames_are_kept_for_a_few_positions_only() -> None:
    hall = live()
    for number in range(1, MAX_TOLD + 3):
        hall.take(change(number, BOB, "updated", status="away" if number % 2 else "online"), 0)
    for number in range(MAX_TOLD + 2):
        client = Client(ALICE)
        client.seats.enter(hall, number)
        client.seats.tell()
        assert len(client.heard()) == min(MAX_TOLD + 2 - number, MAX_TOLD + 2)


def test_who_leaves_has_no_seat_any_more() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    hall.take(change(5, BOB, "left", reason="left"), 0)
    assert alice.seats.of(HALL) is not None
    hall.take(change(6, ALICE, "left", reason="left"), 0)
    assert alice.seats.of(HALL) is None
    assert hall.seats == {}


def test_a_session_that_was_ended_may_be_registered_again() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    hall.take(change(5, ALICE, "left", reason="disconnected"), 0)
    hall.take(change(6, ALICE), 0)
    hall.take(change(7, BOB), 0)
    alice.seats.tell()
    assert alice.words() == ["7: bob joined"]


def test_who_is_put_out_is_told_so_and_nothing_after() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    hall.take(change(5, BOB), 0)
    hall.take(change(6, ALICE, "left", reason="kicked", tells_user=True), 0)
    hall.take(change(7, CAROL), 0)
    alice.seats.tell()
    assert alice.words() == ["5: bob joined", "6: alice kicked"]
    assert alice.seats.of(HALL) is None


def test_a_room_whose_log_was_lost_begins_anew() -> None:
    hall = live(change(50, BOB))
    hall.list_members(members(BOB))
    alice = Client(ALICE)
    alice.seats.enter(hall, 50)
    hall.begin_anew()
    assert hall.roster is None
    hall.take(change(3, CAROL), 0)
    alice.seats.tell()
    assert alice.words() == ["3: carol joined"]


def test_a_list_takes_up_what_is_newer() -> None:
    hall = live(change(5, BOB, "left"))
    assert hall.listed() is None
    roster = hall.list_members(members(ALICE, BOB))
    assert len(roster) == 1
    hall.take(change(6, CAROL), 0)
    assert len(roster) == 2


def test_who_waits_for_a_list_is_told_nothing_else_before_it() -> None:
    hall = live(change(5, BOB))
    alice = Client(ALICE, batches=True)
    alice.seats.enter(hall, 0).wait_for_list()
    alice.seats.tell()
    assert alice.words() == []
    hall.list_members(members(ALICE))
    alice.seats.tell()
    assert short(alice.heard()[0]["requestId"]) == "room-5-list"
    hall.take(change(6, CAROL), 0)
    alice.seats.tell()
    assert alice.words() == ["6: joined carol, left , updated "]


def test_of_what_is_found_late_those_who_have_gone_are_told_once_more() -> None:
    hall = live(change(1, BOB))
    hall.list_members(members(BOB))
    alice = Client(ALICE)
    alice.seats.enter(hall, 1)
    alice.last_sequence = 5  # a signal, before which 3 should have been told
    assert alice.seats.told_up_to == 5
    assert alice.seats.leave_all() == [(HALL, 1)]
    assert hall.lose_member(ALICE, 1, 5) == []
    hall.catch_up([change(3, CAROL), change(6, BOB, "updated")], 7, 0)
    assert hall.lacking == [CAROL]
    hall.lacking.clear()
    hall.catch_up([change(9, CAROL, "left")], 10, 0)
    assert hall.lacking == []


def test_who_has_gone_lacks_nothing_of_its_own() -> None:
    hall = live(change(3, ALICE), change(4, BOB, "left", reason="kicked", tells_user=True))
    assert hall.lose_member(ALICE, 1, 9) == [BOB]
    assert hall.lose_member(BOB, 1, 6) == [ALICE, BOB]
    hall.note_late(CAROL, 1, 6)
    assert hall.lose_member(ALICE, 5, 6) == [BOB]
    assert hall.lose_member(BOB, 5, 6) == [ALICE], "which was noted still"


def test_nor_what_is_found_of_it_later() -> None:
    hall = live(change(1, BOB))
    hall.lose_member(ALICE, 1, 5)
    hall.lose_member(ALICE, 1, 8)
    hall.take(change(4, ALICE), 0)
    assert hall.lacking == []
    hall.lose_member(BOB, 1, 7)
    hall.take(change(6, ALICE, "updated"), 0)
    assert hall.lacking == [ALICE], "which another one lacks"
    hall.take(change(8, ALICE, "updated"), 0)
    hall.lacking.clear()
    hall.lose_member(CAROL, 1, 12)
    hall.take(change(9, CAROL), 0)
    assert hall.lacking == []


def test_an_update_may_hide_that_a_user_has_joined() -> None:
    hall = live(change(1, BOB))
    hall.lose_member(ALICE, 1, 5)
    hall.catch_up([change(6, CAROL, "updated")], 7, 0)
    assert hall.lacking == [CAROL], "nothing is known of it"
    hall.lacking.clear()
    hall.list_members(members(BOB))
    hall.lose_member(ALICE, 7, 8)
    hall.catch_up([change(9, DAN, "updated"), change(10, BOB, "updated")], 11, 0)
    assert hall.lacking == [DAN], "who was not there before"


def test_what_comes_late_was_not_told_to_those_who_have_gone() -> None:
    hall = live(change(1, BOB))
    assert hall.lose_member(ALICE, 1, 5) == []
    assert hall.take(change(4, CAROL), 0)
    assert hall.lacking == [CAROL]


def test_who_goes_amid_what_is_told_late_may_lack_it() -> None:
    hall = live(change(1, BOB))
    alice, dan = Client(ALICE), Client(UserId("dan"))
    for client in (alice, dan):
        client.seats.enter(hall, 1)
        client.last_sequence = 5
    hall.catch_up([change(3, CAROL), change(6, BOB, "updated")], 7, 0)
    alice.seats.tell()
    assert alice.words() == ["3: carol joined", "6: bob online"], "that Bob has come it was told"
    assert dan.seats.leave_all() == [(HALL, 1)]
    assert hall.lose_member(ALICE, 1, 5) == [CAROL], "which it was not told at all"
    assert hall.lose_member(ALICE, 6, 6) == [], "what was told once more is not told again"


def test_who_goes_may_not_know_whom_a_newer_update_hides() -> None:
    hall = live(change(3, CAROL), change(8, BOB, "updated"))
    assert hall.lose_member(ALICE, 2, 6) == [CAROL, BOB]
    assert hall.lose_member(ALICE, 3, 6) == [BOB]
    assert hall.lose_member(ALICE, 8, 9) == []


def test_a_batch_that_is_told_late_is_no_older_than_a_list() -> None:
    hall = live(change(3, BOB))
    hall.list_members(members())
    alice = Client(ALICE, batches=True)
    seat = alice.seats.enter(hall, hall.number)
    hall.take(change(9, CAROL), 0)
    alice.seats.tell()
    assert alice.words() == ["9: joined carol, left , updated "]
    assert seat.list_up_to() == 9
    hall.catch_up([change(5, ALICE, "left", reason="left", tells_user=True)], 9, 0)
    alice.seats.tell()
    assert alice.words() == ["9: joined , left alice, updated "]
    assert hall.seats == {}


def test_what_was_told_late_has_arrived_after_a_while() -> None:
    hall = live(change(1, BOB))
    alice = Client(ALICE)
    alice.seats.enter(hall, 1)
    alice.last_sequence = 5
    hall.catch_up([change(3, CAROL)], 7, 0)
    alice.seats.tell()
    for _ in range(LATE_LOOKS):
        hall.look(-1)
    assert hall.lose_member(ALICE, 3, 5) == [CAROL]
    hall.note_late(ALICE, 2, 5)
    for _ in range(LATE_LOOKS + 1):
        hall.look(-1)
    assert hall.lose_member(ALICE, 3, 5) == []


def test_what_is_told_in_order_is_not_late() -> None:
    hall = live(change(1, BOB))
    alice = Client(ALICE)
    alice.seats.enter(hall, 1)
    hall.take(change(3, CAROL), 0)
    alice.seats.tell(4)
    alice.last_sequence = 4
    hall.take(change(6, CAROL, "left"), 0)
    alice.seats.tell()
    assert alice.seats.leave_all() == [(HALL, 6)]
    assert hall.lose_member(ALICE, 6, 6) == []


@pytest.mark.parametrize("batches", [False, True])
def test_who_is_back_is_not_told_that_it_was_put_out_before(batches: bool) -> None:
    hall = live(change(2, ALICE), change(3, BOB))
    hall.take(change(4, ALICE, "left", reason="kicked", tells_user=True), 0)
    hall.take(change(5, CAROL), 0)
    hall.take(change(6, ALICE), 0)
    alice = Client(ALICE, batches=batches)
    alice.seats.enter(hall, 3)  # it has had nothing since that has a number
    alice.seats.tell()
    said = json.dumps(alice.heard())
    assert "carol" in said
    assert "alice" not in said
    assert alice.seats.of(HALL) is not None


def test_who_was_put_out_is_told_though_that_is_told_once_more() -> None:
    hall = live(change(2, ALICE))
    alice = Client(ALICE)
    alice.seats.enter(hall, 2)
    hall.take(change(4, ALICE, "left", reason="kicked", tells_user=True), 0)
    hall.take(change(5, ALICE, "left", reason="left"), 0)
    alice.seats.tell()
    assert alice.words() == ["4: alice kicked"]
    assert alice.seats.of(HALL) is None


@pytest.mark.parametrize("batches", [False, True])
def test_who_is_out_and_back_before_it_was_told_keeps_its_seat(batches: bool) -> None:
    hall = live(change(2, ALICE), change(3, BOB))
    alice = Client(ALICE, batches=batches)
    alice.seats.enter(hall, 3)
    hall.take(change(4, ALICE, "left", reason="kicked", tells_user=True), 0)
    hall.take(change(5, ALICE), 0)
    hall.take(change(6, CAROL), 0)
    alice.seats.tell(6)
    alice.seats.tell()
    said = json.dumps(alice.heard())
    assert "carol" in said
    assert "alice" not in said
    hall.take(change(7, ALICE, "left", reason="kicked", tells_user=True), 0)
    alice.seats.tell()
    assert "alice" in json.dumps(alice.heard())
    assert alice.seats.of(HALL) is None


def test_what_was_decided_before_what_is_known_changes_nothing() -> None:
    hall = live(change(3, ALICE), change(5, BOB))
    hall.list_members(members(ALICE, BOB))
    alice, bob = Client(ALICE), Client(BOB)
    for client in (alice, bob):
        client.seats.enter(hall, hall.number)
    hall.take(change(7, ALICE, "updated", status="away", revision=30), 0)
    hall.take(change(8, ALICE, "updated", revision=40), 0)
    for client in (alice, bob):
        client.seats.tell()
        client.heard()
    assert not hall.take(change(9, ALICE, "left", tells_user=True, revision=20), 0)
    assert not hall.catch_up([change(10, BOB, "left", revision=4)], 10, 0)
    for client in (alice, bob):
        client.seats.tell()
        assert client.heard() == []
    assert hall.lacking == [], "what is newer is known, and nobody is asked"
    assert alice.seats.of(HALL) is not None
    assert [hall.is_in(user) for user in (ALICE, BOB)] == [True, True]


def test_what_is_stored_late_is_asked_for_once_more() -> None:
    hall, carol = live(), Client(CAROL)
    carol.seats.enter(hall, hall.number)
    late = change(3, ALICE, revision=20, late_s=61)
    assert not hall.take(late, 0)
    assert hall.lacking == [ALICE]
    assert not hall.take(change(4, BOB, "left", revision=21, late_s=61), 0)
    assert hall.lacking == [ALICE, BOB]
    assert hall.take(change(6, ALICE, "left", reason="left", revision=30), 0)
    assert hall.take(change(7, BOB, revision=31, late_s=61), 0), "it was asked for"
    carol.seats.tell()
    assert carol.words() == ["6: alice left", "7: bob joined"]
    assert hall.lacking == [ALICE, BOB]


def test_of_several_stored_late_nothing_older_than_one_is_believed() -> None:
    hall = live()
    for number, revision in ((3, 20), (4, 18), (5, 19)):
        assert not hall.take(change(number, ALICE, "left", revision=revision, late_s=61), 0)
    assert hall.take(change(6, ALICE, revision=21, late_s=61), 0)


def test_what_is_read_late_is_asked_for_and_what_is_known_is_not() -> None:
    hall = live(change(3, ALICE, late_s=59), change(5, BOB, late_s=61))
    assert [one.user for one in hall.log.since(0)] == [ALICE]
    assert hall.lacking == [BOB]
    hall.take(change(6, CAROL), 0)
    for number in (6, 9):
        hall.catch_up([change(number, CAROL, revision=6, late_s=100)], 9, 0)
    assert hall.lacking == [BOB]
    hall.look(-1)
    hall.catch_up([change(10, BOB, revision=5, late_s=61)], 10, 0)
    assert hall.lacking == [BOB, BOB], "what was told since may have been lost"


def test_revisions_of_another_time_are_not_compared() -> None:
    hall = live(change(3, ALICE, revision=900))
    hall.list_members(members(ALICE))
    assert not hall.take(change(4, ALICE, "left", revision=8), 0)
    hall.forget_roster()
    assert hall.roster is None
    assert hall.take(change(5, ALICE, "left", revision=9), 0)
    assert not hall.take(change(6, ALICE, revision=8), 0)


def test_a_change_that_has_been_read_is_not_taken_up_again() -> None:
    hall = live(change(7, BOB))
    assert not hall.take(change(5, CAROL), 0)
    assert hall.take(change(8, CAROL), 0)
