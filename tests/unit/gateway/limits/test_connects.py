"""How often one user connects, and how long one is kept out that was closed for flooding."""

from gateway.limits.connects import MOST_OUT_S, Connects
from gateway.limits.limit import Limit
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS, Rates


def connects(rates: Rates = NO_LIMITS) -> tuple[Connects, list[Limit]]:
    """The attempts of somebody, and the limits that they meet."""
    return Connects(rates), []


def test_who_connects_too_often_waits() -> None:
    alice, met = connects(NO_LIMITS._replace(connects=rate(0.5, 2)))
    assert [alice.attempt(False, 50.0, met.append) for _ in range(4)] == [0, 0, 2.0, 2.0]
    assert met == [Limit.CONNECTS] * 2
    assert alice.attempt(True, 52.0, met.append) == 0


def test_who_resumes_too_often_may_begin_anew() -> None:
    alice, met = connects(NO_LIMITS._replace(resumes=rate(0.5, 1)))
    assert [alice.attempt(True, 50.0, met.append) for _ in range(2)] == [0, 2.0]
    assert met == [Limit.RESUMES]
    assert alice.attempt(False, 50.0, met.append) == 0


def test_who_is_kept_out_stays_out_longer_each_time() -> None:
    alice, met = connects()
    waits = []
    now = 50.0
    for _ in range(7):
        alice.keep_out(now)
        waits.append(alice.attempt(False, now, met.append))
        now += waits[-1]
        assert alice.attempt(False, now, met.append) == 0
    assert waits == [30, 60, 120, 240, 480, MOST_OUT_S, MOST_OUT_S]


def test_who_is_kept_out_ever_so_often_stays_out_no_longer() -> None:
    alice, met = connects()
    for _ in range(2_000):  # on as many connections
        alice.keep_out(50.0)
    assert alice.attempt(False, 50.0, met.append) == MOST_OUT_S
