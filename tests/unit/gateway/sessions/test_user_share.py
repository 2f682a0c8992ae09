"""Which part of its work a gateway does for one user."""

import asyncio

import pytest

from gateway.limits.rates import NO_LIMITS
from gateway.limits.users import Users
from gateway.sessions.user_share import PART, heaviest_share, measure_user_share
from tests.support.metrics import value_of
from tests.support.waiting import until
from tieline import metrics
from tieline.wire.ids import UserId


def users_with(*units: float) -> Users:
    users = Users(NO_LIMITS)
    now = asyncio.get_running_loop().time()
    for number, spent in enumerate(units):
        users.of(UserId(f"user{number}"), now).charge(spent, now)
    return users


@pytest.mark.parametrize(
    ("units", "share"), [((), 0), ((5,), 1), ((30, 60, 10), 0.6), ((1,) * 4 * PART, 1 / (4 * PART))]
)
async def test_the_share_is_that_of_the_user_that_has_most(units: tuple[float, ...], share: float) -> None:
    assert await heaviest_share(users_with(*units)) == pytest.approx(share)


async def test_the_share_is_a_metric() -> None:
    measuring = asyncio.ensure_future(measure_user_share(users_with(3, 1), every_s=0))
    await until(lambda: value_of(metrics.HEAVIEST_USER_SHARE) == 0.75)
    measuring.cancel()
