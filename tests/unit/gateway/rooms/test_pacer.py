"""When members are told: a room at a pace, and a few members before others have the loop."""

import pytest

from gateway.rooms.live_room import LiveRoom
from gateway.rooms.pacer import LOOK_EVERY, PACE_A_MEMBER_S, PACE_S, PAUSE_S, SLICE_S, Pacer
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.rooms.hall import ALICE, BOB, CAROL, CELLAR, Client, change, live
from tieline.wire.ids import UserId


class Telling:
    """A pacer whose time passes when a test says so."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._seconds = 0.0
        self.look_costs = 0.0
        """Seconds that pass between two looks at the clock."""
        self.pacer = Pacer(self.clock.loop, self._look)

    def _look(self) -> float:
        self._seconds += self.look_costs
        return self._seconds


def crowd(room: LiveRoom, count: int = 1) -> list[Client]:
    """Let so many clients have a seat in a room."""
    clients = [Client(UserId(f"user{number}")) for number in range(count)]
    for client in clients:
        client.seats.enter(room, room.number)
    return clients


def test_the_first_change_is_told_at_once_and_the_next_ones_together() -> None:
    telling, hall = Telling(), live()
    client, *_ = crowd(hall, 200)
    hall.take(change(1, ALICE), 0)
    telling.pacer.touch(hall)
    telling.clock.advance(0)
    assert client.words() == ["1: alice joined"]
    for number, user in ((2, BOB), (3, CAROL)):
        hall.take(change(number, user), 0)
        telling.pacer.touch(hall)
    telling.clock.advance(PACE_S / 2)
    assert client.written == []
    assert telling.pacer.pending
    telling.clock.advance(PACE_S)
    assert len(client.written) == 1
    assert client.words() == ["2: bob joined", "3: carol joined"]
    assert not telling.pacer.pending
    assert telling.clock.is_idle


def test_what_comes_late_is_told_to_those_who_had_their_turn() -> None:
    telling, hall = Telling(), live()
    clients = crowd(hall, 2 * LOOK_EVERY)
    telling.look_costs = SLICE_S
    hall.take(change(9, ALICE), 0)
    telling.pacer.touch(hall)
    telling.clock.advance(0)
    assert 0 < sum(bool(client.words()) for client in clients) < len(clients)
    assert hall.take(change(5, BOB), 0)
    telling.pacer.touch(hall)
    telling.clock.advance(1)
    assert all("9: bob joined" in client.words() for client in clients)
    assert not telling.pacer.pending


def test_a_small_room_is_told_again_sooner_than_a_large_one() -> None:
    telling, small, large = Telling(), live(), live(room=CELLAR)
    (above, _), (below, *_) = crowd(small, 2), crowd(large, 100)
    for number, user in ((1, ALICE), (2, BOB)):
        for room in (large, small):
            room.take(change(number, user, room=room.name), 0)
            telling.pacer.touch(room)
        telling.clock.advance(0)
    telling.clock.advance(2 * PACE_A_MEMBER_S)
    assert above.words() == ["1: alice joined", "2: bob joined"]
    assert below.words() == ["1: alice joined"]
    telling.clock.advance(PACE_S)
    assert below.words() == ["2: bob joined"]


def test_a_room_that_waits_keeps_no_room_waiting_that_need_not() -> None:
    telling, hall, cellar = Telling(), live(), live(room=CELLAR)
    (above, *_), (below,) = crowd(hall, 100), crowd(cellar)
    for number, user in ((1, ALICE), (2, BOB)):
        hall.take(change(number, user), 0)
        telling.pacer.touch(hall)
        telling.clock.advance(0)
    assert telling.pacer.pending
    cellar.take(change(1, CAROL, room=CELLAR), 0)
    telling.pacer.touch(cellar)
    telling.clock.advance(0)
    assert below.words() == ["1: carol joined"]
    assert above.words() == ["1: alice joined"]


def test_one_room_does_not_wait_for_another() -> None:
    telling, hall, cellar = Telling(), live(), live(room=CELLAR)
    (above,), (below,) = crowd(hall), crowd(cellar)
    for room in (hall, cellar):
        room.take(change(1, ALICE, room=room.name), 0)
        telling.pacer.touch(room)
    telling.clock.advance(0)
    assert above.words() == below.words() == ["1: alice joined"]


def test_after_a_slice_of_time_others_have_the_loop() -> None:
    telling, hall = Telling(), live()
    clients = crowd(hall, 3 * LOOK_EVERY)
    telling.look_costs = SLICE_S
    hall.take(change(1, ALICE), 0)
    telling.pacer.touch(hall)
    told = []
    telling.clock.advance(0)
    for _ in range(3):
        told.append(sum(bool(client.written) for client in clients))
        telling.clock.advance(PAUSE_S)
    assert told == [LOOK_EVERY, 2 * LOOK_EVERY, 3 * LOOK_EVERY]
    assert not telling.pacer.pending


def test_what_changes_while_members_are_told_is_told_to_all() -> None:
    telling, hall = Telling(), live()
    clients = crowd(hall, 2 * LOOK_EVERY)
    telling.look_costs = SLICE_S
    hall.take(change(1, ALICE), 0)
    telling.pacer.touch(hall)
    telling.clock.advance(0)
    hall.take(change(2, BOB), 0)
    telling.pacer.touch(hall)
    telling.clock.advance(PACE_S + 4 * PAUSE_S)
    assert all(client.words() == ["1: alice joined", "2: bob joined"] for client in clients)
    assert not telling.pacer.pending


def test_a_room_that_is_dropped_is_not_waited_for() -> None:
    telling, hall = Telling(), live()
    (client,) = crowd(hall)
    hall.due_at = telling.clock.time() + PACE_S
    hall.take(change(1, ALICE), 0)
    telling.pacer.touch(hall)
    telling.pacer.drop(hall)
    telling.clock.advance(PACE_S)
    assert client.written == []
    assert telling.clock.is_idle


class Broken(Client):
    """A client that meets a bug whenever it is told something."""

    def write(self, frames: bytes) -> None:
        """Fail."""
        raise ZeroDivisionError(frames)


def test_a_bug_that_one_member_meets_keeps_nobody_else_waiting(caplog: pytest.LogCaptureFixture) -> None:
    telling, hall = Telling(), live()
    clients = crowd(hall, 3)
    Broken(BOB).seats.enter(hall, hall.number)
    last = Client(CAROL)
    last.seats.enter(hall, hall.number)
    for number in (1, 2):
        hall.take(change(number, ALICE if number == 1 else UserId("dan")), 0)
        telling.pacer.touch(hall)
        telling.clock.advance(1)
    assert [len(client.written) for client in (*clients, last)] == [2] * 4
    assert not telling.pacer.pending
    assert [record.getMessage() for record in caplog.records] == ["member not told: a bug"] * 2
