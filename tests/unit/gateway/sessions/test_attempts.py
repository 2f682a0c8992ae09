"""One user's attempts to connect: two under way, one that waits, and the newest is it."""

from gateway.sessions.attempts import MOST_OF_A_USER, Attempt, Attempts
from tests.unit.gateway.sessions.scene import Arriving, admitted


def attempt() -> tuple[Arriving, Attempt]:
    client = Arriving()
    return client, Attempt(client.connection, client.response, admitted())


def full() -> tuple[Attempts, Attempt]:
    """Have as many of a user's attempts under way as may be; one of them is returned."""
    attempts = Attempts()
    first = [attempt()[1] for _ in range(MOST_OF_A_USER)]
    assert all(attempts.begin(one) for one in first)
    return attempts, first[0]


def test_a_few_are_under_way_and_no_more() -> None:
    attempts, _ = full()

    assert not attempts.begin(attempt()[1])


def test_the_end_of_one_makes_room_for_another() -> None:
    attempts, one = full()
    assert attempts.done(one) is None

    assert attempts.begin(attempt()[1])


def test_the_newest_waits_and_the_older_one_does_not_any_more() -> None:
    attempts, one = full()
    (_, older), (_, newer) = attempt(), attempt()
    assert attempts.wait(older) is None
    assert attempts.wait(newer) is older
    assert attempts.waiting == 1

    assert attempts.done(one) is newer
    assert attempts.waiting == 0
    assert not attempts.begin(older)  # the newer one has the place


def test_one_that_has_gone_does_not_get_the_place() -> None:
    attempts, one = full()
    client, waiting = attempt()
    attempts.wait(waiting)
    client.lose()

    assert attempts.done(one) is None
    assert attempts.begin(attempt()[1])
