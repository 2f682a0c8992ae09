"""The budgets of a gateway's users: one a user, and kept for a while."""

import gc

import pytest

from gateway.limits import users as module
from gateway.limits.connects import Wait
from gateway.limits.limit import Limit
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS
from gateway.limits.users import KEPT_S, Users
from tieline.wire.ids import UserId

ALICE, BOB = UserId("alice"), UserId("bob")
RATES = NO_LIMITS._replace(units=rate(10, 100), connects=rate(0.5, 1))


def known(users: Users) -> set[UserId]:
    """The users who have a budget."""
    gc.collect()
    return {budget.user for budget in users}


def test_all_connections_of_a_user_have_one_budget() -> None:
    users = Users(RATES)
    first = users.of(ALICE, 50.0)
    assert users.of(ALICE, 51.0) is first
    assert users.of(BOB, 51.0) is not first


def test_who_comes_back_finds_what_is_left() -> None:
    users = Users(RATES)
    users.of(ALICE, 50.0).charge(119, 50.0)
    assert users.of(ALICE, 51.0).wait_s(51.0) == pytest.approx(1.0)


def test_a_budget_is_forgotten_when_nobody_has_it_for_long() -> None:
    users = Users(RATES)
    users.of(ALICE, 50.0)
    users.of(BOB, 50.0 + KEPT_S - 1)
    assert known(users) == {ALICE, BOB}
    users.of(BOB, 50.0 + KEPT_S)
    assert known(users) == {BOB}


def test_a_session_keeps_the_budget_of_its_user() -> None:
    users = Users(RATES)
    here = users.of(ALICE, 50.0)
    users.of(BOB, 50.0 + 10 * KEPT_S)
    assert users.of(ALICE, 50.0 + 10 * KEPT_S) is here


def test_the_end_of_a_session_keeps_its_budget_for_a_while() -> None:
    users = Users(RATES)
    later = 50.0 + 10 * KEPT_S
    users.keep(users.of(ALICE, 50.0), later)
    users.of(BOB, later + KEPT_S - 1)
    assert known(users) == {ALICE, BOB}


def test_so_many_are_kept_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    users = Users(RATES)
    for number in range(5):
        users.of(UserId(f"user{number}"), 50.0)
    assert known(users) == {UserId("user2"), UserId("user3"), UserId("user4")}


def test_a_user_may_connect_so_often() -> None:
    users = Users(RATES)
    assert [users.may_connect(ALICE, resumes=False, now=50.0) for _ in range(2)] == [
        None,
        Wait(Limit.CONNECTS, 2.0),
    ]
    assert users.may_connect(BOB, resumes=True, now=50.0) is None


def test_it_is_told_who_meets_a_limit() -> None:
    met: list[tuple[UserId, Limit]] = []
    users = Users(RATES, lambda user, limit: met.append((user, limit)))
    for _ in range(2):
        users.may_connect(ALICE, resumes=False, now=50.0)
    assert met == [(ALICE, Limit.CONNECTS)]
