"""How far each member has been told, in all its rooms together."""

from gateway.client.frames import Framed
from gateway.rooms.changes import position_in
from gateway.rooms.live_room import MAX_SINGLE
from gateway.rooms.seats import Seats
from tests.unit.gateway.rooms.hall import (
    ALICE,
    BOB,
    CAROL,
    CELLAR,
    HALL,
    Client,
    change,
    live,
    messages_in,
    nonce_of,
    short,
)
from tieline.wire.ids import ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.rooms import RoomMembers

DAN = UserId("dan")


def test_all_rooms_are_told_together_in_the_order_of_their_numbers() -> None:
    hall, cellar = live(), live(room=CELLAR)
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    alice.seats.enter(cellar, 0)
    cellar.take(change(5, BOB, room=CELLAR), 0)
    hall.take(change(7, CAROL), 0)
    cellar.take(change(9, CAROL, room=CELLAR), 0)
    alice.seats.tell()
    assert alice.words() == ["5: bob joined", "7: carol joined", "9: carol joined"]


def test_a_batch_before_others_does_not_say_that_all_is_told() -> None:
    hall, cellar, attic = live(), live(room=CELLAR), live(room=RoomId("attic"))
    alice = Client(ALICE, batches=True)
    for room in (hall, cellar):
        alice.seats.enter(room, 0)
    alice.seats.enter(attic, 0).wait_for_list()
    cellar.take(change(5, BOB, room=CELLAR), 0)
    hall.take(change(7, CAROL), 0)
    cellar.take(change(9, CAROL, room=CELLAR), 0)
    attic.take(change(8, BOB, room=attic.name), 0)
    attic.list_members(RoomMembers((), ()))
    alice.seats.tell()
    names = [message["requestId"] for message in alice.heard()]
    assert [short(name) for name in names] == ["room-7-after-4", "room-8-list-after-4", "room-9"]
    assert [position_in(name) for name in names] == [
        (7, 4, nonce_of(7)),
        (8, 4, nonce_of(8)),
        (9, 9, nonce_of(9)),
    ]


def test_before_a_signal_only_what_is_older_is_told() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    for number, user in ((5, BOB), (7, CAROL)):
        hall.take(change(number, user), 0)
    alice.seats.tell(before=7)
    assert alice.words() == ["5: bob joined"]
    alice.seats.tell(before=7)
    assert alice.words() == []
    alice.seats.tell()
    assert alice.words() == ["7: carol joined"]


def test_nothing_is_told_while_something_older_may_be_missing() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.seats.enter(hall, 0)
    hall.take(change(5, BOB), 0)
    alice.is_held = True
    alice.seats.tell()
    assert alice.words() == []
    alice.is_held = False
    alice.seats.tell()
    assert alice.words() == ["5: bob joined"]


def test_what_was_missed_of_rooms_stands_in_its_place_among_frames() -> None:
    hall = live()
    alice = Client(ALICE)
    alice.is_held = True
    alice.seats.enter(hall, 2)
    for number, user in ((2, BOB), (5, BOB), (6, CAROL), (9, CAROL)):
        hall.take(change(number, user, "updated", status="away" if number % 2 else "online"), 0)
    woven = alice.seats.weave([b"a", b"b", b"c"], [3, 7, 8], 2)
    assert [type(one) for one in woven] == [bytes, Framed, bytes, bytes]
    assert [one["data"]["number"] for one in messages_in(woven[1])] == [5, 6]
    alice.is_held = False
    alice.seats.tell()
    assert alice.words() == ["9: carol away"]


def test_a_connection_that_is_gone_has_no_seats() -> None:
    hall, cellar = live(), live(room=CELLAR)
    alice = Client(ALICE)
    for room in (hall, cellar):
        alice.seats.enter(room, 0)
    alice.seats.leave(HALL)
    alice.seats.leave(HALL)
    assert (len(hall.seats), len(cellar.seats)) == (0, 1)
    alice.seats.leave_all()
    assert len(cellar.seats) == 0


def test_no_event_says_that_all_is_told_that_others_stand_for() -> None:
    hall, cellar = live(change(2, BOB), change(9, BOB, "updated", status="away")), live(room=CELLAR)
    alice = Client(ALICE)
    alice.seats.enter(hall, 1)
    cellar.take(change(5, CAROL, room=CELLAR), 0)
    cellar.take(change(8, BOB, status="away", room=CELLAR), 0)
    alice.seats.enter(cellar, 3)
    alice.seats.tell()
    names = [short(message["requestId"]) for message in alice.heard()]
    assert names == ["room-5-after-1", "room-8-after-1", "room-8-after-1", "room-9-after-8", "room-9"]


def test_what_was_told_before_a_signal_is_not_told_again() -> None:
    hall = live(change(2, BOB))
    alice = Client(ALICE)
    alice.seats.enter(hall, 2)
    alice.last_sequence = 7
    for number in range(8, 8 + MAX_SINGLE + 1):
        hall.take(change(number, CAROL, "updated", status="away" if number % 2 else "online"), 0)
    hall.take(change(900, BOB, "left"), 0)
    alice.seats.tell()
    names = [short(message["requestId"]) for message in alice.heard()]
    assert names == [f"room-{7 + MAX_SINGLE + 1}-after-7", "room-900"]
    hall.catch_up([change(6, DAN)], 901, 0)
    alice.seats.tell()
    assert [position_in(message["requestId"]) for message in alice.heard()[:1]] == [(6, 5, nonce_of(6))]


def places_of(client: Client) -> list[tuple[str, str]]:
    """The place and the name of each event that a client was told."""
    return [(message["place"], short(message["requestId"])) for message in client.heard()]


def test_an_event_has_a_place_for_who_asks() -> None:
    hall = live()
    asks, asks_nothing = Client(ALICE, places=True), Client(BOB)
    for client in (asks, asks_nothing):
        client.seats.enter(hall, 0)
    hall.take(change(5, CAROL, status="away"), 0)
    for client in (asks, asks_nothing):
        client.seats.tell()
    assert places_of(asks) == [("4", "room-5-after-4"), ("5", "room-5")]
    assert ["place" in message for message in asks_nothing.heard()] == [False, False]


def test_batches_of_several_rooms_say_how_far_all_have_been_told() -> None:
    hall, cellar = live(), live(room=CELLAR)
    alice = Client(ALICE, batches=True, places=True)
    for room in (hall, cellar):
        alice.seats.enter(room, 0)
    for number, room in ((5, cellar), (7, hall), (9, cellar)):
        room.take(change(number, BOB if number == 5 else CAROL, room=room.name), 0)
    alice.seats.tell()
    assert places_of(alice) == [("4", "room-7-after-4"), ("9", "room-9")]


def test_what_many_are_told_alike_gets_its_places_once() -> None:
    hall = live()
    clients = [Client(UserId(f"u{number}"), batches=True, places=True) for number in range(3)]
    for client in clients:
        client.seats.enter(hall, 0)
    hall.take(change(5, BOB), 0)
    for client in clients:
        client.seats.tell()
    assert len({id(client.written[0]) for client in clients}) == 1
    assert places_of(clients[0]) == [("5", "room-5")]


def test_no_place_is_beyond_a_room_that_is_not_told_yet() -> None:
    hall, cellar = live(), live(room=CELLAR)
    alice = Client(ALICE, batches=True, places=True)
    alice.seats.enter(hall, 3)
    alice.seats.owed.owe(CELLAR, 3)
    hall.take(change(5, BOB), 0)
    alice.seats.tell()
    assert places_of(alice) == [("5-3", "room-5")]
    assert alice.seats.reached(6) == 3

    cellar.take(change(4, CAROL, room=CELLAR), 0)
    alice.seats.enter(cellar, 3)
    alice.seats.tell()
    assert places_of(alice) == [("4", "room-4")]
    assert alice.seats.reached(6) == 6


def test_a_list_that_is_awaited_holds_places_back_until_it_is_told() -> None:
    hall = live()
    alice = Client(ALICE, batches=True, places=True)
    alice.seats.enter(hall, 0).wait_for_list()
    hall.take(change(5, BOB), 0)
    alice.seats.tell()
    assert alice.heard() == []
    assert alice.seats.reached(6) == 0

    hall.list_members(RoomMembers((), ()))
    alice.seats.tell()
    assert places_of(alice) == [("5", "room-5-list")]
    assert alice.seats.reached(6) == 6


def test_a_list_behind_mail_has_its_place_there() -> None:
    hall = live(change(5, BOB))
    hall.list_members(RoomMembers((), ()))
    alice = Client(ALICE, batches=True, places=True)
    alice.seats.enter(hall, 0).wait_for_list()
    alice.last_sequence = 9
    alice.seats.tell()
    assert places_of(alice) == [("9-5", "room-5-list")]


def test_what_stands_before_a_list_says_not_that_it_was_told() -> None:
    hall, cellar = live(change(5, BOB)), live(room=CELLAR)
    hall.list_members(RoomMembers((), ()))
    alice = Client(ALICE, batches=True, places=True)
    alice.seats.enter(hall, 0).wait_for_list()
    alice.seats.enter(cellar, 3)
    cellar.take(change(4, CAROL, room=CELLAR), 0)
    alice.seats.tell()
    assert places_of(alice) == [("3-0", "room-4-after-3"), ("5", "room-5-list")]


def test_who_goes_amid_a_list_may_lack_what_it_says() -> None:
    hall = live(change(5, BOB))
    hall.list_members(RoomMembers((), ()))
    asks, asks_nothing = Client(ALICE, batches=True, places=True), Client(CAROL, batches=True)
    for client in (asks, asks_nothing):
        client.seats.enter(hall, 0).wait_for_list()
        client.last_sequence = 9
    asks.seats.tell()
    assert hall.lose_member(ALICE, 9, 9) == [], "for its places say that it had not had the list"
    asks_nothing.seats.tell()
    assert hall.lose_member(ALICE, 9, 9) == [BOB]


def test_a_list_before_older_frames_says_not_that_they_came() -> None:
    hall, cellar = live(change(50, BOB)), live(change(60, BOB, room=CELLAR), room=CELLAR)
    for room in (hall, cellar):
        room.list_members(RoomMembers((), ()))
    alice = Client(ALICE, batches=True, places=True)
    for room in (hall, cellar):
        alice.seats.enter(room, 0).wait_for_list()
    woven = alice.seats.weave([b"mail 10", b"mail 20"], [10, 20], 0)
    assert [type(one) for one in woven] == [Framed, bytes, bytes]
    lists = messages_in(woven[0])
    assert [(one["place"], short(one["requestId"])) for one in lists] == [
        ("9-0", "room-50-list-after-9"),
        ("9", "room-60-list-after-9"),
    ]
    assert [position_in(one["requestId"]) for one in lists] == [
        (50, 9, nonce_of(50)),
        (60, 9, nonce_of(60)),
    ]


def test_a_room_that_is_left_holds_no_place_back() -> None:
    alice = Client(ALICE, places=True)
    alice.seats.owed.owe(HALL, 0)
    alice.seats.leave(HALL)
    assert alice.seats.reached(6) == 6


def test_who_is_listed_less_than_it_was_told_elsewhere_is_told_again() -> None:
    hall = live(change(5, BOB))
    asks, asks_nothing = Client(ALICE), Client(CAROL)
    seat = asks.seats.enter(hall, 9)
    asks_nothing.seats.enter(hall, 9)
    assert seat.list_up_to() == 5
    for number in (8, 10):
        hall.take(change(number, UserId(f"late-{number}")), 0)
    for client in (asks, asks_nothing):
        client.seats.tell()
    assert [short(one["requestId"]) for one in asks.heard()] == ["room-8", "room-10"]
    assert [short(one["requestId"]) for one in asks_nothing.heard()] == ["room-10"]


def test_whose_seat_is_taken_away_is_noted_where_its_rooms_are() -> None:
    put_out: list[RoomId] = []
    sink = Client(ALICE)
    seats = Seats(
        ALICE, SessionId("alice-s"), ConnectionId("alice-c"), sink, batches=False, on_put_out=put_out.append
    )
    seats.enter(live(), 0)
    seats.put_out(HALL)
    assert put_out == [HALL]
    assert seats.of(HALL) is None


def test_a_seat_is_ending_when_its_member_was_put_out() -> None:
    hall, alice = live(), Client(ALICE)
    seat = alice.seats.enter(hall, 0)
    assert not seat.is_ending
    hall.take(change(5, ALICE, "left", reason="kicked", tells_user=True), 0)
    assert seat.is_ending
