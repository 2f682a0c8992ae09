"""`tieline.load.idle`: sessions that only exist."""

import os

from tests.unit.load.small_relay import relaying
from tieline.load.faults import Faults
from tieline.load.idle import measure_idle
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
