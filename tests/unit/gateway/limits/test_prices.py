"""What things cost, and what a user who asks for nothing else may ask for."""

import pytest

from gateway.client.budget import MESSAGE
from gateway.limits import prices
from gateway.limits.rates import Rates
from tieline.wire.envelope import SIGNAL_COMMANDS


def test_only_signals_that_cost_more_than_a_candidate_have_a_price() -> None:
    assert set(SIGNAL_COMMANDS) - set(prices.SIGNALS) == {"WEBRTC_ICE_CANDIDATE"}
    assert all(price > 0 for price in prices.SIGNALS.values())


@pytest.mark.parametrize(
    ("price", "a_second"),
    [
        (0.0, 50),
        (prices.OFFER, 5),
        (prices.ANSWER_AGAIN, 4),
        (prices.JOIN + 1_000 * prices.JOIN_MEMBER, 1),
        (prices.LIST + 1_000 * prices.LIST_MEMBER, 3),
    ],
    ids=["candidates", "offers", "answers again", "joins of a thousand", "lists of a thousand"],
)
def test_so_many_of_a_kind_are_asked_for_in_a_second_at_most(price: float, a_second: int) -> None:
    assert 1 / (Rates().units.each_s * (MESSAGE + price)) <= a_second
