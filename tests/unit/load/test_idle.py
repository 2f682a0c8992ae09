"""`tieline.load.idle`: sessions that only exist."""

import os

from tests.unit.load.small_relay import relaying
from tieline.load.faults import Faults
from tieline.load.idle import measure_idle


async def test_every_session_is_opened_and_closed_without_faults() -> None:
    async with relaying() as target:
        kib, faults = await measure_idle(target, 20, os.getpid())
    assert faults == Faults()
    assert abs(kib) < 1000  # of this process, which is both ends
