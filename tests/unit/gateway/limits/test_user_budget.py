"""What one user may still ask for: who waits, who is refused, and who is closed."""

import pytest

from gateway.limits.connects import Wait
from gateway.limits.limit import Limit
from gateway.limits.rate import UNLIMITED, Rate, rate
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.usage import Used
from gateway.limits.user_budget import MOST_OWED_S, Account, UserBudget
from tieline.wire.ids import UserId

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")

RATES = NO_LIMITS._replace(units=rate(10, 100))


def budget(rates: Rates = RATES) -> tuple[UserBudget, list[Limit]]:
    """A budget of Alice's, and the limits that she meets."""
    made, met = UserBudget(ALICE, rates), list[Limit]()
    made.on_limited = met.append
    return made, met


def flood(alice: UserBudget, since: float, until: float) -> float:
    """Let somebody send as soon as it is read; returns when it was read last."""
    now = since
    while now < until:
        alice.charge(32, now)
        now += max(alice.wait_s(now), 0.001)
    return now


def test_a_burst_passes_and_what_is_more_waits() -> None:
    alice, met = budget()
    alice.charge(99, 50.0)
    assert (alice.wait_s(50.0), met) == (0, [])
    alice.charge(20, 50.0)
    assert alice.wait_s(50.0) == pytest.approx(2.0)
    assert met == [Limit.RATE]
    assert alice.wait_s(52.0) == 0


def test_it_is_told_once_that_a_user_is_over_its_limit() -> None:
    alice, met = budget()
    flood(alice, 50.0, 59.0)
    assert met == [Limit.RATE]
    alice.charge(1, 100.0)
    flood(alice, 200.0, 209.0)
    assert met == [Limit.RATE] * 2


def test_who_goes_on_for_ten_seconds_floods() -> None:
    alice, _ = budget()
    now = flood(alice, 50.0, 59.0)
    assert not alice.has_gone_on(now)
    now = flood(alice, now, 61.0)
    assert alice.has_gone_on(now)


def test_who_makes_a_break_does_not_flood() -> None:
    alice, _ = budget()
    now = flood(alice, 50.0, 59.0) + 1.0
    assert not alice.has_gone_on(now)
    now = flood(alice, now + 0.5, 66.0)
    assert not alice.has_gone_on(now)


def test_a_long_burst_of_old_is_no_flood() -> None:
    alice, _ = budget()
    alice.charge(150, 50.0)
    assert not alice.has_gone_on(500.0)
    alice.charge(1, 500.0)
    assert not alice.has_gone_on(500.0)


def test_bytes_are_counted_beside_messages() -> None:
    alice, met = budget(RATES._replace(size=rate(1000, 10_000)))
    alice.charge(1, 50.0)
    alice.carry(BOB, 12_000, 50.0)
    assert (alice.wait_s(50.0), met) == (2.0, [Limit.BYTES])


def test_bytes_over_the_limit_for_ten_seconds_are_a_flood() -> None:
    alice, _ = budget(RATES._replace(size=rate(1000, 10_000)))
    now = 50.0
    while now < 61.0:
        alice.charge(1, now)
        alice.carry(BOB, 2000, now)
        now += max(alice.wait_s(now), 0.001)
    assert alice.has_gone_on(now)


@pytest.mark.parametrize("other", [UNLIMITED, rate(1e6, 1e8)], ids=["without", "with"])
def test_who_talks_on_after_a_burst_with_one_limit_does_not_flood(other: Rate) -> None:
    alice = UserBudget(ALICE, NO_LIMITS._replace(units=rate(10, 100), size=other))
    for _ in range(101):
        alice.charge(1.0, 50.0)
    for tenth in range(1, 1_000):  # half of what it may
        alice.charge(0.5, 50.0 + tenth / 10)
        alice.carry(BOB, 100, 50.0 + tenth / 10)
    assert not alice.has_gone_on(150.0)


def test_messages_to_one_user_hold_back_the_sender() -> None:
    alice, met = budget(RATES._replace(pair_messages=rate(2, 4)))
    for _ in range(4):
        alice.carry(BOB, 10, 50.0)
    alice.carry(CAROL, 10, 50.0)
    assert (alice.wait_s(50.0), met) == (0, [])
    alice.carry(BOB, 10, 50.0)
    assert (alice.wait_s(50.0), met) == (0.5, [Limit.PAIR])
    assert not alice.has_gone_on(70.0)


def test_bytes_to_one_user_hold_back_the_sender() -> None:
    alice, met = budget(RATES._replace(pair_size=rate(100, 1000)))
    alice.carry(BOB, 1200, 50.0)
    alice.carry(BOB, 100, 50.0)
    assert (alice.wait_s(50.0), met) == (3.0, [Limit.PAIR_BYTES])


def test_offers_over_the_limit_are_refused_one_by_one() -> None:
    alice, met = budget(RATES._replace(offers=rate(1, 3), pair_offers=UNLIMITED))
    assert [alice.may_offer(BOB, 50.0) for _ in range(5)] == [True, True, True, False, False]
    assert met == [Limit.OFFERS] * 2
    assert alice.may_offer(BOB, 51.0)
    assert not alice.may_offer(CAROL, 51.0)
    assert alice.wait_s(51.0) == 0


def test_offers_to_one_user_leave_those_to_others() -> None:
    alice, met = budget(RATES._replace(offers=rate(1, 9), pair_offers=rate(1, 2)))
    assert [alice.may_offer(BOB, 50.0) for _ in range(3)] == [True, True, False]
    assert met == [Limit.PAIR_OFFERS]
    assert alice.may_offer(CAROL, 50.0)


def test_newer_tokens_over_the_limit_are_refused() -> None:
    alice, met = budget(RATES._replace(refreshes=rate(0.1, 2)))
    assert [alice.may_refresh(50.0) for _ in range(3)] == [True, True, False]
    assert met == [Limit.REFRESHES]
    assert alice.may_refresh(60.0)


def test_a_user_is_in_so_many_rooms_at_most() -> None:
    alice, met = budget(RATES._replace(rooms=2))
    assert [alice.may_join(rooms) for rooms in (0, 1, 2)] == [True, True, False]
    assert met == [Limit.ROOMS]
    assert budget(RATES)[0].may_join(7000)


def test_who_was_closed_for_flooding_owes_it_elsewhere_too() -> None:
    alice, _ = budget()
    alice.charge(50, 50.0)
    alice.closed_for_flooding(50.0)
    assert alice.account(50.0) == Account(35.0, 35.0)


def test_it_is_told_each_time_that_somebody_may_not_connect() -> None:
    alice, met = budget(RATES._replace(connects=rate(0.5, 2)))
    for _ in range(4):
        alice.connect(resumes=False, now=50.0)
    assert met == [Limit.CONNECTS] * 2
    alice.closed_for_flooding(50.0)
    alice.connect(resumes=False, now=50.0)
    assert met[2:] == [Limit.FLOODING]


def test_who_has_no_limit_of_messages_owes_none_for_flooding() -> None:
    alice, _ = budget(NO_LIMITS._replace(size=rate(1000, 10_000)))
    alice.closed_for_flooding(50.0)
    assert alice.account(50.0) == Account(0.0, 0.0)
    assert alice.connect(resumes=False, now=50.0) == Wait(Limit.FLOODING, 30.0)


def test_who_was_closed_for_flooding_begins_with_a_break() -> None:
    alice, _ = budget()
    now = flood(alice, 50.0, 61.0)
    assert alice.has_gone_on(now)
    alice.closed_for_flooding(now)
    assert not alice.has_gone_on(now)
    alice.charge(1, now + 35.0)
    assert not alice.has_gone_on(now + 40.0)


def test_what_was_used_up_elsewhere_is_not_there() -> None:
    alice, _ = budget()
    alice.owe(6.0, 50.0)
    alice.charge(49, 50.0)
    assert alice.wait_s(50.0) == pytest.approx(1.0)


def test_what_was_used_up_here_counts_among_what_is_owed() -> None:
    alice, _ = budget()
    alice.charge(80, 50.0)
    alice.owe(6.0, 50.0)
    alice.charge(19, 50.0)
    assert alice.wait_s(50.0) == 0


def test_nobody_can_owe_without_bounds() -> None:
    alice, _ = budget()
    alice.owe(1e9, 50.0)
    assert alice.wait_s(50.0) == pytest.approx(MOST_OWED_S - 10.0 + 0.1)


def test_what_was_used_up_is_told_once() -> None:
    alice, _ = budget()
    alice.owe(6.0, 50.0)
    alice.charge(50, 50.0)
    alice.charge(20, 51.0)
    assert [alice.account(53.0), alice.account(53.0)] == [Account(7.0, 4.0), Account(0.0, 0.0)]
    alice.charge(10, 60.0)
    assert alice.account(70.0) == Account(1.0, 0.0)


def test_large_messages_use_up_more_than_small_ones() -> None:
    alice, _ = budget(RATES._replace(size=rate(8192, 100_000)))
    alice.carry(BOB, 8192, 50.0)
    assert alice.account(50.0) == Account(0.0, 0.0)
    alice.carry(BOB, 16_384, 50.0)
    assert alice.account(50.0) == pytest.approx((1.8, 1.8))


def test_who_is_not_limited_here_does_not_wait_for_what_it_owes() -> None:
    alice, _ = budget(NO_LIMITS)
    alice.owe(30.0, 50.0)
    alice.charge(1, 50.0)
    assert alice.wait_s(50.0) == 0


def test_bytes_wait_too_for_what_is_owed() -> None:
    alice, _ = budget(NO_LIMITS._replace(size=rate(1000, 10_000)))
    alice.owe(30.0, 50.0)
    assert alice.wait_s(50.0) == 20.0


def test_without_limits_nobody_ever_waits() -> None:
    alice, met = budget(NO_LIMITS)
    for _ in range(1000):
        alice.charge(100, 50.0)
        alice.carry(BOB, 65_536, 50.0)
        assert alice.may_offer(BOB, 50.0)
        assert alice.may_refresh(50.0)
        assert alice.connect(resumes=True, now=50.0) is None
    assert (alice.wait_s(50.0), alice.has_gone_on(50.0), met) == (0, False, [])


def test_nobody_need_be_told_of_a_limit() -> None:
    alice = UserBudget(ALICE, RATES)
    alice.charge(199, 50.0)
    assert alice.wait_s(50.0) == pytest.approx(10.0)


def test_who_lets_up_begins_its_ten_seconds_anew() -> None:
    alice, met = budget()
    now = flood(alice, 50.0, 61.0)
    assert alice.has_gone_on(now)
    alice.let_up(now)
    assert not alice.has_gone_on(now)
    now = flood(alice, now, now + 9.0)
    assert not alice.has_gone_on(now)
    assert alice.has_gone_on(flood(alice, now, now + 2.0))
    assert met == [Limit.RATE]


def test_who_is_not_over_its_limit_has_nothing_to_let_up() -> None:
    alice, _ = budget()
    alice.let_up(50.0)
    alice.charge(1, 50.0)
    assert not alice.has_gone_on(70.0)


def test_without_limits_what_is_done_is_counted_and_not_owed() -> None:
    alice, met = budget(NO_LIMITS)
    for now in (50.0, 51.0):
        alice.charge(1000, now)
        alice.carry(BOB, 1_000_000, now)
    assert (alice.usage.last_minute(51.0), alice.wait_s(51.0)) == (Used(2, 2_000_000, 2000.0), 0.0)
    assert (alice.account(51.0), alice.owes_s(51.0) <= 0, met) == (Account(0.0, 0.0), True, [])
