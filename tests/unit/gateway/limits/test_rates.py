"""The limits that are on by default, and none."""

from gateway.limits.rate import UNLIMITED, Rate
from gateway.limits.rates import NO_LIMITS, Rates
from tieline.wire.limits import MAX_MISSED


def test_off_lifts_every_limit() -> None:
    assert [limit for limit in NO_LIMITS if limit != UNLIMITED] == [0]


def test_every_limit_is_on_by_default() -> None:
    rates = [limit for limit in Rates() if isinstance(limit, Rate)]
    assert len(rates) == len(Rates()) - 1
    assert all(limit.each_s > 0 and limit.holds_s > 0 for limit in rates)
    assert Rates().rooms == 100


def test_one_sender_alone_does_not_fill_a_mailbox() -> None:
    pair, kept_s = Rates().pair_messages, 75
    assert (pair.holds_s + kept_s) / pair.each_s < MAX_MISSED
