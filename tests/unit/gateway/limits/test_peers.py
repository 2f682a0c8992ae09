"""Which of the others are remembered to whom a user sends, and for how long."""

from gateway.limits.limit import Limit
from gateway.limits.peers import FEW_PEERS, MAX_ANSWERS, MAX_PEERS, Peers
from gateway.limits.rate import rate
from gateway.limits.rates import Rates
from tests.unit.gateway.limits.test_user_budget import BOB, CAROL, RATES, budget
from tieline.wire.ids import UserId

FOUR = RATES._replace(pair_messages=rate(2, 4))
"""Messages to one other user at once."""


def test_who_is_sent_least_is_forgotten_first() -> None:
    alice, met = budget(FOUR)
    for _ in range(4):
        alice.carry(BOB, 10, 50.0)
    for number in range(3 * MAX_PEERS):
        alice.carry(UserId(f"user{number}"), 10, 50.0)
    alice.carry(BOB, 10, 50.0)
    assert met == [Limit.PAIR]


def test_little_is_kept_of_many_who_are_owed_nothing() -> None:
    alice, _ = budget(Rates())
    for number in range(3 * MAX_PEERS):
        alice.carry(UserId(f"user{number}"), 10, 50.0 + number)
    assert alice.peers <= FEW_PEERS


def test_all_are_kept_who_are_owed_something() -> None:
    alice, met = budget(FOUR)
    for number in range(MAX_PEERS):
        for _ in range(4):
            alice.carry(UserId(f"user{number}"), 10, 50.0)
    assert met == []
    for number in range(MAX_PEERS):
        alice.carry(UserId(f"user{number}"), 10, 60.0)
    assert alice.peers == MAX_PEERS


def test_an_answer_that_was_sent_before_is_known() -> None:
    peers = Peers()
    sent = [(BOB, b"one"), (BOB, b"one"), (CAROL, b"one"), (BOB, b"two"), (BOB, b"one")]
    assert [peers.answers_again(to, frame) for to, frame in sent] == [False, True, False, False, False]


def test_an_answer_is_known_again_unless_many_others_came_since() -> None:
    peers = Peers()
    assert not peers.answers_again(BOB, b"yes")
    assert peers.answers_again(BOB, b"yes")
    assert not peers.answers_again(BOB, b"no")
    for number in range(MAX_ANSWERS):
        assert not peers.answers_again(UserId(f"user{number}"), b"yes")
    assert not peers.answers_again(BOB, b"no")
