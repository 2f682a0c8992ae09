"""`tieline.load.arrivals`: users who come, and stay."""

import pytest

from tests.unit.load.small_relay import relaying
from tieline.load.arrivals import measure_arrivals
from tieline.load.client import LoadError
from tieline.load.faults import Faults
from tieline.load.measurement import Measurement


async def test_users_arrive_for_as_long_as_was_asked() -> None:
    measured = Measurement()
    async with relaying() as target:
        await measure_arrivals(target, 2, 0.2, 1_000_000, measured)
    figures = measured.figures()
    assert figures.faults == Faults()
    assert figures.count > 2
    assert figures.per_second == figures.count / figures.seconds


async def test_it_ends_when_as_many_are_there_as_may_be() -> None:
    measured = Measurement()
    async with relaying() as target:
        await measure_arrivals(target, 3, 1000, 20, measured)
    assert measured.figures().count == 20


async def test_one_who_is_not_welcomed_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr("tests.unit.load.small_relay.WELCOME", b"{}")
    async with relaying() as target:
        with pytest.raises(LoadError, match="no answer in time: WELCOME of load_"):
            await measure_arrivals(target, 1, 0.2, 10, Measurement())
