"""What a router may remember of presence's word, and when it must forget it."""

import itertools

import pytest

from router.grants import MAX_LEASES, Lease, Leases
from tieline.wire.ids import FrameDigest, SessionId, UserId

ALICE, BOB, CAROL, DAVE = (UserId(name) for name in ("alice", "bob", "carol", "dave"))
HERS, HIS = SessionId("hers"), SessionId("his")
HELD = frozenset((FrameDigest(b"held"),))


def lease(until: float = 105, session: SessionId = HERS) -> Lease:
    return Lease(session, HIS, until, HELD)


def granted(*pairs: tuple[UserId, UserId]) -> Leases:
    """Leases that have been granted, one after the other."""
    leases = Leases()
    for user, target in pairs:
        leases.answered(leases.ask(user, target), lease())
    return leases


def found(leases: Leases, *pairs: tuple[UserId, UserId]) -> list[bool]:
    return [leases.find(user, HERS, target, 100) is not None for user, target in pairs]


# Finding. -------------------------------------------------------------------------------------------


def test_a_lease_is_found_as_it_was_granted_until_it_ends() -> None:
    leases = granted((ALICE, BOB))

    assert leases.find(ALICE, HERS, BOB, 100) == lease()
    assert leases.find(ALICE, HERS, BOB, 104.999) == lease()
    assert leases.find(ALICE, HERS, BOB, 105) is None


def test_a_lease_is_that_of_one_direction_of_one_session_only() -> None:
    leases = granted((ALICE, BOB))

    assert leases.find(BOB, HERS, ALICE, 100) is None
    assert leases.find(ALICE, HERS, CAROL, 100) is None
    assert leases.find(ALICE, SessionId("newer"), BOB, 100) is None
    assert leases.find(ALICE, HERS, BOB, 100) is not None


def test_without_a_grant_there_is_none_and_a_question_alone_is_no_grant() -> None:
    leases = Leases()
    assert found(leases, (ALICE, BOB)) == [False]

    ticket = leases.ask(ALICE, BOB)
    assert found(leases, (ALICE, BOB)) == [False]
    leases.answered(ticket, None)

    assert found(leases, (ALICE, BOB)) == [False]
    assert len(leases) == 0


def test_a_newer_grant_takes_the_place_of_the_older() -> None:
    leases = granted((ALICE, BOB))

    leases.answered(leases.ask(ALICE, BOB), lease(until=200))

    assert leases.find(ALICE, HERS, BOB, 150) == lease(until=200)
    assert len(leases) == 1


def test_an_answer_without_a_lease_leaves_the_one_there_is() -> None:
    leases = granted((ALICE, BOB))

    leases.answered(leases.ask(ALICE, BOB), None)

    assert found(leases, (ALICE, BOB)) == [True]


# Forgetting. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [ALICE, BOB])
def test_a_change_of_either_user_ends_the_leases_of_both_directions(changed: UserId) -> None:
    leases = granted((ALICE, BOB), (BOB, ALICE))

    leases.drop(changed)

    assert found(leases, (ALICE, BOB), (BOB, ALICE)) == [False, False]
    assert len(leases) == 0


def test_a_change_leaves_the_leases_of_others() -> None:
    leases = granted((ALICE, BOB), (CAROL, ALICE), (BOB, CAROL), (CAROL, DAVE))

    leases.drop(ALICE)

    assert found(leases, (ALICE, BOB), (CAROL, ALICE), (BOB, CAROL), (CAROL, DAVE)) == [
        False,
        False,
        True,
        True,
    ]


def test_every_order_of_changes_ends_every_lease_and_leaves_nothing_behind() -> None:
    users = (ALICE, BOB, CAROL)
    for order in itertools.permutations(users):
        leases = granted(*itertools.permutations(users, 2))
        for user in order:
            leases.drop(user)
            pairs = [pair for pair in itertools.permutations(users, 2) if user in pair]
            assert not any(found(leases, *pairs))
        assert len(leases) == 0
        assert leases._peers == {}


def test_a_lease_of_a_user_with_himself_which_no_gateway_asks_for_is_forgotten_like_any_other() -> None:
    leases = granted((ALICE, ALICE), (ALICE, BOB))

    leases.drop(ALICE)

    assert len(leases) == 0
    assert leases._peers == {}


def test_a_change_of_somebody_unknown_changes_nothing() -> None:
    leases = granted((ALICE, BOB))

    leases.drop(CAROL)
    leases.drop(CAROL)

    assert found(leases, (ALICE, BOB)) == [True]


def test_a_lease_can_be_granted_again_after_a_change() -> None:
    leases = granted((ALICE, BOB))
    leases.drop(BOB)

    leases.answered(leases.ask(ALICE, BOB), lease())
    assert found(leases, (ALICE, BOB)) == [True]
    leases.drop(BOB)

    assert found(leases, (ALICE, BOB)) == [False]


def test_everything_is_forgotten_when_changes_may_have_been_missed() -> None:
    leases = granted((ALICE, BOB), (CAROL, DAVE))
    under_way = leases.ask(BOB, CAROL)

    leases.drop_all()
    leases.answered(under_way, lease())

    assert found(leases, (ALICE, BOB), (CAROL, DAVE), (BOB, CAROL)) == [False] * 3
    assert len(leases) == 0


# Questions under way. -------------------------------------------------------------------------------


@pytest.mark.parametrize("changed", [ALICE, BOB])
def test_an_answer_that_may_be_older_than_a_change_yields_no_lease(changed: UserId) -> None:
    leases = Leases()
    ticket = leases.ask(ALICE, BOB)

    leases.drop(changed)
    leases.answered(ticket, lease())

    assert found(leases, (ALICE, BOB)) == [False]


def test_a_change_of_somebody_else_spoils_no_question() -> None:
    leases = Leases()
    ticket = leases.ask(ALICE, BOB)

    leases.drop(CAROL)
    leases.answered(ticket, lease())

    assert found(leases, (ALICE, BOB)) == [True]


def test_a_question_asked_after_the_change_yields_a_lease_even_if_an_older_one_is_under_way() -> None:
    leases = Leases()
    older = leases.ask(ALICE, BOB)
    leases.drop(BOB)
    newer = leases.ask(ALICE, BOB)

    leases.answered(newer, lease(until=110))
    leases.answered(older, lease(until=120))

    assert leases.find(ALICE, HERS, BOB, 100) == lease(until=110)


def test_a_question_that_was_answered_is_spoiled_no_more() -> None:
    leases = Leases()
    ticket = leases.ask(ALICE, BOB)
    leases.answered(ticket, None)

    leases.drop(ALICE)
    leases.drop_all()

    assert not ticket.spoiled


# Bounds. --------------------------------------------------------------------------------------------


def test_past_the_most_that_is_remembered_it_starts_afresh() -> None:
    leases = Leases()
    for number in range(MAX_LEASES):
        leases.answered(leases.ask(UserId(f"{number}"), BOB), lease())
    under_way = leases.ask(CAROL, DAVE)
    assert len(leases) == MAX_LEASES

    leases.answered(leases.ask(ALICE, BOB), lease())
    leases.answered(under_way, lease())

    assert len(leases) == 1
    assert found(leases, (ALICE, BOB), (UserId("0"), BOB), (CAROL, DAVE)) == [True, False, False]
