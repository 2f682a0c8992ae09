"""What a frame costs."""

import pytest

from gateway.client.budget import price_of_frame
from gateway.limits.user_budget import BYTES_A_UNIT


@pytest.mark.parametrize(
    ("size", "is_control", "price"),
    [
        (0, False, 1.0),
        (BYTES_A_UNIT, False, 1.0),
        (65_536, False, 8.0),
        (0, True, 0.25),
        (125, True, 0.25),
        (65_536, True, 8.0),
    ],
)
def test_a_frame_costs_by_what_it_is_and_how_long_it_is(size: int, is_control: bool, price: float) -> None:
    assert price_of_frame(size, is_control) == price
