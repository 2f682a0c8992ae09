"""Which permissions a router may cache, and when it must drop them."""

import itertools

import pytest

from router.grants import MAX_GRANTS, Grant, Grants
from tieline.wire.ids import CallId, FrameDigest, SessionId, UserId

ALICE, BOB, CAROL, DAVE = (UserId(name) for name in ("alice", "bob", "carol", "dave"))
HERS, HIS = SessionId("hers"), SessionId("his")
CALL = CallId("now")
HELD = frozenset((FrameDigest(b"held"),))


def grant(until: float = 105, session: SessionId = HERS) -> Grant:
    return Grant(session, HIS, until, HELD)


def granted(*pairs: tuple[UserId, UserId]) -> Grants:
    """Grants that have been granted, one after the other."""
    grants = Grants()
    for user, target in pairs:
        grants.answered(grants.ask(user, target), grant())
    return grants


def found(grants: Grants, *pairs: tuple[UserId, UserId]) -> list[bool]:
    return [grants.find(user, HERS, target, 100) is not None for user, target in pairs]


def test_a_grant_is_found_until_it_ends() -> None:
    grants = granted((ALICE, BOB))

    assert grants.find(ALICE, HERS, BOB, 100) == grant()
    assert grants.find(ALICE, HERS, BOB, 104.999) == grant()
    assert grants.find(ALICE, HERS, BOB, 105) is None


def test_a_grant_is_for_one_direction_of_one_session() -> None:
    grants = granted((ALICE, BOB))

    assert grants.find(BOB, HERS, ALICE, 100) is None
    assert grants.find(ALICE, HERS, CAROL, 100) is None
    assert grants.find(ALICE, SessionId("newer"), BOB, 100) is None
    assert grants.find(ALICE, HERS, BOB, 100) is not None


def test_a_grant_is_for_the_call_that_is_named_or_for_none_named() -> None:
    grants = granted((ALICE, BOB))
    ask = grants.ask(ALICE, CAROL)
    grants.answered(ask, grant()._replace(call=CALL))

    assert grants.find(ALICE, HERS, CAROL, 100, CALL) is not None
    assert grants.find(ALICE, HERS, CAROL, 100) is not None
    assert grants.find(ALICE, HERS, CAROL, 100, CallId("earlier")) is None
    assert grants.find(ALICE, HERS, BOB, 100, CALL) is not None  # an older presence names no calls


def test_a_question_alone_is_no_grant() -> None:
    grants = Grants()
    assert found(grants, (ALICE, BOB)) == [False]

    ticket = grants.ask(ALICE, BOB)
    assert found(grants, (ALICE, BOB)) == [False]
    grants.answered(ticket, None)

    assert found(grants, (ALICE, BOB)) == [False]
    assert len(grants) == 0


def test_a_newer_grant_replaces_the_older() -> None:
    grants = granted((ALICE, BOB))

    grants.answered(grants.ask(ALICE, BOB), grant(until=200))

    assert grants.find(ALICE, HERS, BOB, 150) == grant(until=200)
    assert len(grants) == 1


def test_an_answer_without_a_grant_leaves_the_one_there_is() -> None:
    grants = granted((ALICE, BOB))

    grants.answered(grants.ask(ALICE, BOB), None)

    assert found(grants, (ALICE, BOB)) == [True]


@pytest.mark.parametrize("changed", [ALICE, BOB])
def test_a_change_of_either_user_ends_both_directions(changed: UserId) -> None:
    grants = granted((ALICE, BOB), (BOB, ALICE))

    grants.drop(changed)

    assert found(grants, (ALICE, BOB), (BOB, ALICE)) == [False, False]
    assert len(grants) == 0
    assert grants.is_empty


def test_a_change_leaves_the_grants_of_others() -> None:
    grants = granted((ALICE, BOB), (CAROL, ALICE), (BOB, CAROL), (CAROL, DAVE))

    grants.drop(ALICE)

    assert found(grants, (ALICE, BOB), (CAROL, ALICE), (BOB, CAROL), (CAROL, DAVE)) == [
        False,
        False,
        True,
        True,
    ]


def test_changes_in_any_order_leave_nothing_behind() -> None:
    users = (ALICE, BOB, CAROL)
    for order in itertools.permutations(users):
        grants = granted(*itertools.permutations(users, 2))
        for user in order:
            grants.drop(user)
            pairs = [pair for pair in itertools.permutations(users, 2) if user in pair]
            assert not any(found(grants, *pairs))
        assert len(grants) == 0
        assert grants.is_empty


def test_a_grant_of_a_user_to_itself_is_dropped_too() -> None:
    """No gateway asks for one."""
    grants = granted((ALICE, ALICE), (ALICE, BOB))

    grants.drop(ALICE)

    assert len(grants) == 0
    assert grants.is_empty


def test_a_change_of_an_unknown_user_changes_nothing() -> None:
    grants = granted((ALICE, BOB))

    grants.drop(CAROL)
    grants.drop(CAROL)

    assert found(grants, (ALICE, BOB)) == [True]


def test_a_grant_can_be_given_again_after_a_change() -> None:
    grants = granted((ALICE, BOB))
    grants.drop(BOB)

    grants.answered(grants.ask(ALICE, BOB), grant())
    assert found(grants, (ALICE, BOB)) == [True]
    grants.drop(BOB)

    assert found(grants, (ALICE, BOB)) == [False]


def test_everything_is_dropped_if_changes_may_be_missed() -> None:
    grants = granted((ALICE, BOB), (CAROL, DAVE))
    under_way = grants.ask(BOB, CAROL)

    grants.drop_all()
    grants.answered(under_way, grant())

    assert found(grants, (ALICE, BOB), (CAROL, DAVE), (BOB, CAROL)) == [False] * 3
    assert len(grants) == 0
    assert grants.is_empty


@pytest.mark.parametrize("changed", [ALICE, BOB])
def test_an_answer_older_than_a_change_yields_no_grant(changed: UserId) -> None:
    grants = Grants()
    ticket = grants.ask(ALICE, BOB)

    grants.drop(changed)
    grants.answered(ticket, grant())

    assert found(grants, (ALICE, BOB)) == [False]


def test_an_answer_may_grant_both_directions() -> None:
    grants = Grants()
    back = Grant(HIS, HERS, 105, HELD)
    grants.answered(grants.ask(ALICE, BOB), grant(), back)
    assert grants.find(BOB, HIS, ALICE, 100) == back
    assert found(grants, (ALICE, BOB)) == [True]

    grants.drop(ALICE)
    assert grants.is_empty
    grants.answered(grants.ask(ALICE, BOB), None, back)
    assert (grants.find(BOB, HIS, ALICE, 100), *found(grants, (ALICE, BOB))) == (back, False)


@pytest.mark.parametrize("changed", [ALICE, BOB])
def test_a_change_spoils_what_is_granted_in_either_direction(changed: UserId) -> None:
    grants = Grants()
    ticket = grants.ask(ALICE, BOB)

    grants.drop(changed)
    grants.answered(ticket, grant(), Grant(HIS, HERS, 105, HELD))

    assert grants.is_empty


def test_a_change_of_another_user_spoils_no_question() -> None:
    grants = Grants()
    ticket = grants.ask(ALICE, BOB)

    grants.drop(CAROL)
    grants.answered(ticket, grant())

    assert found(grants, (ALICE, BOB)) == [True]


def test_a_question_after_a_change_yields_a_grant() -> None:
    """Even if an older question is still under way."""
    grants = Grants()
    older = grants.ask(ALICE, BOB)
    grants.drop(BOB)
    newer = grants.ask(ALICE, BOB)

    grants.answered(newer, grant(until=110))
    grants.answered(older, grant(until=120))

    assert grants.find(ALICE, HERS, BOB, 100) == grant(until=110)


def test_an_answered_question_is_spoiled_no_more() -> None:
    grants = Grants()
    ticket = grants.ask(ALICE, BOB)
    grants.answered(ticket, None)

    grants.drop(ALICE)
    grants.drop_all()

    assert not ticket.spoiled


def test_past_the_limit_everything_is_dropped() -> None:
    grants = Grants()
    for number in range(MAX_GRANTS):
        grants.answered(grants.ask(UserId(f"{number}"), BOB), grant())
    under_way = grants.ask(CAROL, DAVE)
    assert len(grants) == MAX_GRANTS

    grants.answered(grants.ask(ALICE, BOB), grant())
    grants.answered(under_way, grant())

    assert len(grants) == 1
    assert found(grants, (ALICE, BOB), (UserId("0"), BOB), (CAROL, DAVE)) == [True, False, False]
