"""How often one user connects, and how long one is kept out that was closed for flooding."""

from gateway.limits.connects import MOST_DEBT_S, MOST_OUT_S, Connects, Wait
from gateway.limits.limit import Limit
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS


def test_who_connects_too_often_waits() -> None:
    alice = Connects(NO_LIMITS._replace(connects=rate(0.5, 2)))
    waits = [alice.attempt(resumes=False, now=50.0) for _ in range(4)]
    assert waits == [None, None, *[Wait(Limit.CONNECTS, 2.0)] * 2]
    assert alice.attempt(resumes=True, now=52.0) is None


def test_who_resumes_too_often_may_begin_anew() -> None:
    alice = Connects(NO_LIMITS._replace(resumes=rate(0.5, 1)))
    assert [alice.attempt(resumes=True, now=50.0) for _ in range(2)] == [None, Wait(Limit.RESUMES, 2.0)]
    assert alice.attempt(resumes=False, now=50.0) is None


def test_who_is_kept_out_stays_out_longer_each_time() -> None:
    alice = Connects(NO_LIMITS)
    waits = []
    now = 50.0
    for _ in range(7):
        alice.keep_out(now)
        wait = alice.attempt(resumes=False, now=now)
        assert wait is not None
        assert wait.limit is Limit.FLOODING
        waits.append(wait.seconds)
        now += wait.seconds
        assert alice.attempt(resumes=False, now=now) is None
    assert waits == [30, 60, 120, 240, 480, MOST_OUT_S, MOST_OUT_S]


def test_who_is_kept_out_ever_so_often_stays_out_no_longer() -> None:
    alice = Connects(NO_LIMITS)
    for _ in range(2_000):  # on as many connections
        alice.keep_out(50.0)
    assert alice.attempt(resumes=False, now=50.0) == Wait(Limit.FLOODING, MOST_OUT_S)


def test_who_is_over_the_limit_by_much_does_not_connect_meanwhile() -> None:
    alice = Connects(NO_LIMITS._replace(connects=rate(0.5, 1)))
    for resumes in (False, True):
        assert alice.attempt(resumes, 50.0, MOST_DEBT_S + 7) == Wait(Limit.RATE, 7.0)
    assert alice.attempt(resumes=False, now=50.0, debt_s=MOST_DEBT_S) is None  # and nothing was counted
