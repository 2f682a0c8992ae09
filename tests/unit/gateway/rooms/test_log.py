"""What a gateway keeps of a room's log."""

from gateway.rooms.log import MAX_RECENT, RoomLog
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, change
from tieline.wire.ids import SessionId, UserId


def numbers(log: RoomLog, position: int, up_to: int | None = None) -> list[int]:
    return [one.number for one in log.since(position, up_to)]


def test_every_change_that_was_pushed_is_there_in_order() -> None:
    log = RoomLog()
    assert log.add(change(3, ALICE), 0)
    assert log.add(change(5, BOB), 0)
    assert log.add(change(9, ALICE, "left"), 0)
    assert numbers(log, 0) == [3, 5, 9]
    assert numbers(log, 3) == [5, 9]
    assert numbers(log, 0, up_to=5) == [3, 5]
    assert (log.number, log.last_of(ALICE), log.last_of(CAROL)) == (9, 9, 0)


def test_what_comes_once_more_is_not_taken() -> None:
    log = RoomLog()
    first = change(3, ALICE)
    log.add(first, 0)
    assert not log.add(first, 0)
    assert not log.add(change(2, ALICE), 0)


def test_a_change_with_another_number_is_still_the_same() -> None:
    log = RoomLog()
    again = change(3, ALICE)
    log.add(again, 0)
    assert not log.add(type(again)(8, ALICE, again.entry, again.event, 8, again.nonce), 0)
    assert log.number == 3


def test_of_what_was_read_the_last_change_of_each_user_is_there() -> None:
    log = RoomLog()
    missing = log.catch_up([change(9, ALICE, "left"), change(5, BOB)], 0)
    assert [one.number for one in missing] == [5, 9]
    assert numbers(log, 0) == [5, 9]
    log.add(change(12, BOB, "left"), 0)
    assert numbers(log, 9) == [12]
    assert numbers(log, 4) == [9, 12]


def test_what_was_missing_takes_its_place_among_what_was_pushed() -> None:
    log = RoomLog()
    log.add(change(3, ALICE), 0)
    log.add(change(9, BOB), 0)
    assert [one.number for one in log.catch_up([change(3, ALICE), change(5, CAROL)], 0)] == [5]
    assert numbers(log, 0) == [3, 5, 9]
    assert log.number == 9
    assert log.catch_up([], 0) == []


def test_what_is_kept_is_there_whole_if_it_is_not_much() -> None:
    log = RoomLog()
    log.catch_up([change(5, ALICE, "updated"), change(4, BOB)], 0)
    assert numbers(log, 0) == [4, 5]
    log.add(change(7, BOB, "left"), 0)
    history = [change(5, ALICE, "updated"), change(3, ALICE), change(4, BOB), change(9, CAROL)]
    log.remember(history)
    assert numbers(log, 0) == [3, 4, 5, 7]
    assert log.number == 7
    assert log.add(change(9, CAROL), 0)
    assert numbers(log, 0) == [3, 4, 5, 7, 9]
    log.forget(0)
    assert numbers(log, 0) == [3, 4, 5, 7, 9]
    log.forget(1)
    assert numbers(log, 0) == []


def test_what_is_known_already_stays_whatever_the_stream_keeps() -> None:
    log = RoomLog()
    log.catch_up([change(3, CAROL)], 0)
    log.add(change(4, ALICE), 0)
    log.add(change(5, ALICE, "updated"), 0)
    log.remember([])
    assert numbers(log, 0) == [3, 4, 5]


def test_what_was_found_late_is_told_also_when_much_has_come_since() -> None:
    log = RoomLog()
    log.add(change(8, ALICE), 0)
    log.add(change(10, BOB), 0)
    log.catch_up([change(9, CAROL)], 0)
    for number in range(11, 10 + MAX_RECENT):
        log.add(change(number, UserId(f"user-{number}")), 0)
    assert numbers(log, 8)[:2] == [9, 10]


def test_more_than_is_kept_one_by_one_is_not_remembered() -> None:
    log = RoomLog()
    log.catch_up([change(MAX_RECENT + 2, ALICE, "updated")], 0)
    log.remember(change(number, ALICE, "updated") for number in range(1, MAX_RECENT + 3))
    assert numbers(log, 0) == [MAX_RECENT + 2]
    assert not log.has_each_since(0)


def test_the_change_by_which_a_session_joined_is_found() -> None:
    log = RoomLog()
    log.remember([])
    for one in (change(3, ALICE), change(4, BOB), change(5, ALICE, "updated")):
        log.add(one, 0)
    assert log.joined_at(ALICE, SessionId("alice-s")) == 3
    assert log.joined_at(ALICE, SessionId("another")) == log.joined_at(CAROL, SessionId("carol-s")) == 0


def test_who_is_far_behind_is_told_the_last_of_each_user() -> None:
    log = RoomLog()
    for number in range(1, MAX_RECENT + 2):
        log.add(change(number, ALICE, "updated", status="away" if number % 2 else "online"), 0)
    assert len(numbers(log, 1)) == MAX_RECENT
    assert numbers(log, 0) == [MAX_RECENT + 1]


def test_what_is_old_is_forgotten() -> None:
    log = RoomLog()
    log.add(change(1, ALICE), 0)
    log.add(change(2, BOB), 5)
    log.forget(before=1)
    assert numbers(log, 0) == numbers(log, 1) == [2]
    log.forget(before=9)
    assert numbers(log, 0) == []
    assert log.number == 2
    assert log.add(change(3, UserId("dan")), 9)


def test_an_update_may_hide_that_its_user_has_come() -> None:
    log = RoomLog()
    log.catch_up([change(3, ALICE), change(5, BOB, "updated")], 0)
    assert [one.number for one in log.hidden_since(2)] == [5]
    assert log.hidden_since(5) == []
    log.add(change(7, BOB, "updated", status="away"), 0)
    log.catch_up([change(8, CAROL)], 0)
    log.add(change(9, CAROL, "updated", joined_at=2_000), 0)
    assert [one.number for one in log.hidden_since(4)] == [7, 9]
    assert [one.number for one in log.hidden_since(6)] == [9], "Bob was there when 5 was stored"
    assert log.may_have_come(BOB, 4)
    assert not log.may_have_come(BOB, 5)


def test_nothing_is_hidden_where_each_change_is_known() -> None:
    log = RoomLog()
    log.add(change(5, BOB, "updated"), 0)
    assert log.hidden_since(2) == []
    log.add(change(6, BOB, "left"), 0)
    log.add(change(7, BOB, "updated"), 0)
    log.catch_up([change(4, ALICE)], 0)
    assert [one.number for one in log.hidden_since(5)] == [7], "for Bob had left"


def test_of_two_changes_the_revision_says_which_is_older() -> None:
    log = RoomLog()
    log.add(change(3, ALICE, revision=30), 0)
    assert log.is_overtaken(change(4, ALICE, "left", revision=20))
    assert not log.is_overtaken(change(4, ALICE, "left", revision=30))
    assert not log.is_overtaken(change(2, ALICE, "left", revision=20)), "it is stored before"
    assert not log.is_overtaken(change(4, BOB, "left", revision=20))
    log.forget_revisions()
    assert not log.is_overtaken(change(4, ALICE, "left", revision=20))


def test_a_change_is_known_under_whatever_number() -> None:
    log = RoomLog()
    log.add(change(3, ALICE), 0)
    assert log.has(change(8, ALICE, revision=3))
    assert not log.has(change(8, ALICE))
    assert not log.has(change(8, BOB))


def test_what_is_late_is_not_remembered_unless_it_was_taken() -> None:
    log = RoomLog()
    log.catch_up([change(3, ALICE, late_s=61), change(6, BOB)], 0)
    log.remember([change(2, BOB, late_s=61), change(3, ALICE, late_s=61), change(6, BOB)])
    assert numbers(log, 0) == [3, 6]
