"""Those who have gone from a room: what they may lack, and up to where."""

from gateway.rooms.changes import Change
from gateway.rooms.leavers import LATE_LOOKS, Leavers
from gateway.rooms.log import RoomLog
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, change


def log_of(*changes: Change) -> RoomLog:
    """Make the log of a room of which these have been read: the last change of each user."""
    log = RoomLog()
    log.catch_up(changes, 0, 0)
    return log


def test_while_nobody_has_gone_nothing_is_lacking() -> None:
    leavers = Leavers()
    assert (leavers.up_to, leavers.up_to_besides(ALICE)) == (0, 0)


def test_what_counts_is_who_may_say_that_it_was_told_the_most() -> None:
    leavers, log = Leavers(), log_of()
    for member, up_to in ((ALICE, 5), (BOB, 9), (BOB, 8), (CAROL, 7)):
        assert leavers.add(log, member, up_to, up_to) == []
    assert leavers.up_to == 9
    assert [leavers.up_to_besides(user) for user in (ALICE, BOB, CAROL)] == [9, 7, 9]
    leavers.add(log, BOB, 12, 12)
    assert (leavers.up_to, leavers.up_to_besides(BOB)) == (12, 7)
    leavers.lack_nothing()
    assert (leavers.up_to, leavers.up_to_besides(ALICE), leavers.up_to_besides(BOB)) == (0, 0, 0)


def test_who_goes_lacks_what_lies_between_and_nothing_of_its_own() -> None:
    log = log_of(change(3, ALICE), change(5, BOB), change(8, CAROL))
    assert Leavers().add(log, ALICE, 2, 6) == [BOB]
    assert Leavers().add(log, BOB, 3, 6) == []
    assert Leavers().add(log_of(change(5, BOB, "left", tells_user=True)), BOB, 3, 6) == [BOB]


def test_an_update_that_is_newer_may_hide_who_has_come_before() -> None:
    log = log_of(change(8, BOB, "updated"))
    assert Leavers().add(log, ALICE, 3, 6) == [BOB]
    assert Leavers().add(log, ALICE, 8, 9) == []


def test_what_was_told_late_who_goes_may_lack_once() -> None:
    leavers, log = Leavers(), log_of(change(3, CAROL), change(9, BOB))
    leavers.note_late(log, ALICE, 2, 5)
    assert leavers.add(log, ALICE, 5, 2) == [], "which does not say that it was told it"
    assert leavers.add(log, CAROL, 5, 5) == [], "whose own it is"
    assert leavers.add(log, ALICE, 5, 5) == [CAROL]
    assert leavers.add(log, ALICE, 5, 5) == []


def test_what_was_told_late_has_arrived_after_some_looks() -> None:
    leavers, log = Leavers(), log_of(change(3, CAROL))
    for looks, lacking in ((LATE_LOOKS, [CAROL]), (LATE_LOOKS + 1, [])):
        leavers.note_late(log, ALICE, 2, 5)
        for _ in range(looks):
            leavers.look()
        assert leavers.add(log, ALICE, 5, 5) == lacking
