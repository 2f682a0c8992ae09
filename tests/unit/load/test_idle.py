"""`tieline.load.idle`: sessions that only exist."""

import os

import pytest

from tests.unit.load.small_relay import relaying
from tieline.load import idle
from tieline.load.faults import Faults
from tieline.load.idle import REUSED, is_reused, measure_idle
from tieline.load.measurement import Measurement


async def test_every_session_is_opened_and_closed_without_faults() -> None:
    measured = Measurement(lambda: {"relay": [os.getpid()]})
    async with relaying() as target:
        await measure_idle(target, 20, 0.01, measured)
    figures = measured.figures()
    assert figures.faults == Faults()
    assert figures.count == 20
    assert figures.latency_ms is None
    assert abs(figures.kib["relay"]) < 1000  # of this process, which is both ends
    assert figures.cpu_per == "1,000 connections in 0 s"


@pytest.mark.parametrize(
    ("kib", "reused"),
    [({}, False), ({"gateway": 13.2, "router": 0.4}, False), ({"gateway": 0.1, "router": 0.6}, True)],
)
def test_memory_of_earlier_connections_is_known_by_its_size(kib: dict[str, float], reused: bool) -> None:
    assert is_reused(kib) is reused


async def test_memory_that_is_there_already_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "resident_kib", lambda _pid: 50_000.0)
    measured = Measurement(lambda: {"relay": [os.getpid()]})
    async with relaying() as target:
        await measure_idle(target, 20, 0.01, measured)
    assert REUSED in measured.figures().notes
