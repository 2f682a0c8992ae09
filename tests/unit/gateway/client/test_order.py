"""What may follow a message to a user whose outcome the client does not know."""

import pytest

from gateway.client.order import MOST, UNREAD_S, Order
from tieline.wire.ids import UserId

BOB, CAROL = UserId("bob"), UserId("carol")
FIRST, SECOND = b"first", b"second"


def interrupted(*users: UserId) -> Order:
    order = Order()
    for user in users or (BOB,):
        order.interrupt(user, FIRST)
    return order


def test_nothing_is_held_back_while_all_is_known() -> None:
    order = Order()

    assert order.lets_pass(BOB, FIRST, 0.0)
    assert order.take_ping() == b""


def test_what_follows_to_the_same_user_does_not_pass() -> None:
    order = interrupted()

    assert not order.lets_pass(BOB, SECOND, 1000.0)
    assert not order.lets_pass(BOB, SECOND, 1000.0)
    assert order.lets_pass(CAROL, SECOND, 0.0)


def test_the_message_itself_passes_and_then_all_that_follows() -> None:
    order = interrupted()

    assert order.lets_pass(BOB, FIRST, 0.0)
    assert order.lets_pass(BOB, SECOND, 0.0)


def test_a_client_that_has_read_the_answer_may_go_on_without_it() -> None:
    order = interrupted()

    order.on_pong(order.take_ping(), 10.0)

    assert not order.lets_pass(BOB, SECOND, 10.0)
    assert order.lets_pass(BOB, SECOND, 10.0 + UNREAD_S)
    assert order.lets_pass(BOB, FIRST, 10.0 + UNREAD_S)


def test_an_answer_is_asked_about_once() -> None:
    order = interrupted()

    assert order.take_ping()
    assert order.take_ping() == b""


def test_a_pong_says_nothing_of_later_answers() -> None:
    order = interrupted()
    ping = order.take_ping()
    order.interrupt(CAROL, FIRST)

    order.on_pong(ping, 0.0)

    assert order.lets_pass(BOB, SECOND, UNREAD_S)
    assert not order.lets_pass(CAROL, SECOND, UNREAD_S)
    order.on_pong(order.take_ping(), 1.0)
    assert order.lets_pass(CAROL, SECOND, 1.0 + UNREAD_S)


def test_a_message_that_fails_again_is_waited_for_again() -> None:
    order = interrupted()
    ping = order.take_ping()
    assert order.lets_pass(BOB, FIRST, 0.0)
    order.interrupt(BOB, FIRST)

    order.on_pong(ping, 0.0)

    assert not order.lets_pass(BOB, SECOND, 10.0)


@pytest.mark.parametrize("payload", [b"", b"read-", b"read-x", b"read-99", b"0x1.8p+3"])
def test_another_pong_means_nothing(payload: bytes) -> None:
    order = interrupted()

    order.on_pong(payload, 0.0)

    assert not order.lets_pass(BOB, SECOND, 10.0)


def test_the_second_pong_prolongs_nothing() -> None:
    order = interrupted()
    ping = order.take_ping()
    order.on_pong(ping, 0.0)

    order.on_pong(ping, 10.0)

    assert order.lets_pass(BOB, SECOND, UNREAD_S)


def test_only_so_many_users_are_remembered() -> None:
    users = [UserId(f"user-{number}") for number in range(MOST + 1)]
    order = interrupted(*users)

    assert order.lets_pass(users[0], SECOND, 0.0)
    assert not order.lets_pass(users[1], SECOND, 0.0)
    assert not order.lets_pass(users[-1], SECOND, 0.0)


def test_of_several_that_failed_together_the_first_counts() -> None:
    order = interrupted()
    order.interrupt(BOB, SECOND)

    assert order.is_interrupted(BOB)
    assert not order.lets_pass(BOB, SECOND, 0.0)
    assert order.lets_pass(BOB, FIRST, 0.0)
    assert not order.is_interrupted(BOB)
