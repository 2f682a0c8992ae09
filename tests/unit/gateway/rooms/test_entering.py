"""A client gets a seat in each of its rooms, once; what it may not have been told by then is not lost."""

from gateway.rooms.changes import Change
from gateway.rooms.entering import Back, enter, enter_late, lacks, owe
from gateway.rooms.live_room import LiveRoom
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, CELLAR, HALL, Client, change, live, short
from tieline.wire.ids import RoomId
from tieline.wire.internal.rooms import RoomMembers


def heard(*changes: Change, room: RoomId = HALL) -> LiveRoom:
    """A room of which every change is known."""
    found = live(room=room)
    for one in changes:
        found.take(one, 0)
    return found


def places_of(client: Client) -> list[tuple[str, str]]:
    """The place and the name of each event that a client was told."""
    return [(message["place"], short(message["requestId"])) for message in client.heard()]


def test_rooms_that_get_known_together_are_told_in_one_order() -> None:
    alice, back = Client(ALICE, places=True), Back(2)
    for name in (HALL, CELLAR):
        owe(alice.seats, name, back)
    hall, cellar = heard(change(5, BOB)), heard(change(4, CAROL, room=CELLAR), room=CELLAR)
    entered, hiding = enter_late(alice.seats, [hall, cellar], back)
    assert [seat.room for seat in entered] == [hall, cellar]
    assert hiding == []
    assert places_of(alice) == [("4", "room-4"), ("5", "room-5")]


def test_an_event_that_comes_behind_mail_has_its_place_there() -> None:
    alice, back = Client(ALICE, places=True), Back(2)
    owe(alice.seats, HALL, back)
    alice.last_sequence = 9
    hall = heard(change(5, BOB))
    enter_late(alice.seats, [hall], back)
    assert places_of(alice) == [("9-5", "room-5")]
    hall.take(change(11, CAROL), 0)
    alice.seats.tell()
    assert places_of(alice) == [("11", "room-11")]


def test_what_others_stand_for_is_not_told_before_the_last_of_them() -> None:
    alice, back = Client(ALICE), Back(2)
    owe(alice.seats, HALL, back)
    alice.last_sequence = 9
    enter_late(alice.seats, [live(change(5, BOB), change(7, CAROL))], back)
    assert [short(message["requestId"]) for message in alice.heard()] == ["room-5-after-2", "room-7"]


def test_places_say_both_where_less_was_had_of_rooms_than_mail() -> None:
    alice, back = Client(ALICE, places=True), Back(2, has_had=9)
    hall = live()
    enter(alice.seats, hall, back)
    for number, user in ((5, BOB), (6, CAROL)):
        hall.take(change(number, user), 0)
    woven = alice.seats.weave([b"mail"], [12], back.has_had)
    alice.written.append(woven[0])
    assert places_of(alice) == [("9-5", "room-5"), ("9-6", "room-6")]


def test_a_room_left_or_joined_meanwhile_is_not_entered_again() -> None:
    alice, back = Client(ALICE), Back(2)
    hall, cellar = heard(change(5, BOB)), heard(change(4, CAROL, room=CELLAR), room=CELLAR)
    for name in (HALL, CELLAR):
        owe(alice.seats, name, back)
    alice.seats.leave(HALL)
    seat = alice.seats.enter(cellar, cellar.number)
    assert enter_late(alice.seats, [hall, cellar], back) == ([], [])
    assert alice.seats.of(HALL) is None
    assert alice.seats.of(CELLAR) is seat
    assert alice.words() == []


def test_who_was_put_out_before_it_has_its_seat_is_told_that() -> None:
    alice, back = Client(ALICE, places=True), Back(2)
    for name in (HALL, CELLAR):
        owe(alice.seats, name, back)
    left = change(6, ALICE, "left", reason="left", tells_user=True)
    enter_late(alice.seats, [heard(change(5, BOB), left, change(7, CAROL))], back)
    assert alice.words() == ["5: bob joined", "6: alice left"]
    assert alice.seats.of(HALL) is None
    assert list(alice.seats.owed.rooms) == [CELLAR]


def test_who_left_before_it_has_its_seat_gets_none() -> None:
    alice, back = Client(ALICE, places=True), Back(2)
    owe(alice.seats, HALL, back)
    enter_late(alice.seats, [live(change(5, BOB), change(6, ALICE, "left", reason="left"))], back)
    assert alice.words() == []
    assert alice.seats.of(HALL) is None
    assert alice.seats.owed.floor is None


def test_who_has_left_before_what_it_was_told_has_its_seat() -> None:
    alice, bob = Client(ALICE), Client(BOB)
    hall = live(change(5, ALICE, "left", reason="left"), change(6, BOB, "left", reason="disconnected"))
    enter(alice.seats, hall, Back(5))
    enter(bob.seats, hall, Back(5))  # one that presence has ended may be registered again
    assert {seat.owner.user for seat in hall.seats.values()} == {ALICE, BOB}


def test_who_is_put_out_while_it_waits_for_a_list_is_told_that_alone() -> None:
    alice, back = Client(ALICE, batches=True, places=True), Back(None, wants_lists=True)
    hall = live(change(5, BOB))
    enter(alice.seats, hall, back)
    assert alice.seats.owed.floor == 0
    hall.take(change(7, ALICE, "left", reason="left", tells_user=True), 0)
    hall.list_members(RoomMembers((), ()))
    alice.seats.tell()
    assert alice.words() == ["7: joined , left alice, updated "]
    assert alice.seats.owed.floor is None
    assert hall.seats == {}


def test_a_room_where_an_update_may_hide_who_came_is_looked_up() -> None:
    alice, back = Client(ALICE), Back(2)
    owe(alice.seats, HALL, back)
    hall = live(change(5, BOB, "updated", status="away"))
    assert enter_late(alice.seats, [hall], back) == ([], [hall])
    assert list(alice.seats.owed.rooms) == [HALL]
    entered, hiding = enter_late(alice.seats, [hall], back, [hall])
    assert ([seat.room for seat in entered], hiding) == ([hall], [])


def test_one_s_own_update_hides_nobody() -> None:
    alice, back = Client(ALICE), Back(2)
    owe(alice.seats, HALL, back)
    _, hiding = enter_late(alice.seats, [live(change(5, ALICE, "updated"))], back)
    assert hiding == []


def test_who_goes_untold_of_a_room_lacks_what_came_before_mail() -> None:
    alice, asks = Client(ALICE), Client(BOB, places=True)
    for client in (alice, asks):
        owe(client.seats, HALL, Back(2))
        assert lacks(client.seats, HALL) is None
        client.last_sequence = 9
    assert lacks(alice.seats, HALL) == (2, 9)
    assert lacks(alice.seats, CELLAR) is None
    assert lacks(asks.seats, HALL) is None, "for its places say how far it was told"


def test_who_takes_from_a_list_what_it_was_owed_may_not_get_it() -> None:
    alice, hall = Client(ALICE), live(change(5, BOB), change(10, CAROL))
    owe(alice.seats, HALL, Back(2))
    alice.last_sequence = 9
    alice.seats.enter(hall, hall.number)
    assert alice.seats.leave_all() == [(HALL, 10)]
    assert hall.lose_member(ALICE, 10, 10) == [BOB]
