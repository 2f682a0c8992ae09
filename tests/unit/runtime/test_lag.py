import asyncio
import time

from tests.support.waiting import until
from tieline.runtime.lag import measure_lag
from tieline.runtime.metrics import EVENT_LOOP_LAG


def over_a_tenth() -> float:
    """How many measurements were above a tenth of a second."""
    samples = {
        sample.labels["le"]: sample.value
        for sample in next(iter(EVENT_LOOP_LAG.collect())).samples
        if sample.name.endswith("_bucket")
    }
    return samples["+Inf"] - samples["0.1"]


async def test_a_loop_that_was_held_up_is_late() -> None:
    measuring = asyncio.create_task(measure_lag(every_s=0))
    await asyncio.sleep(0)
    before = over_a_tenth()
    busy_until = time.perf_counter() + 0.3
    while time.perf_counter() < busy_until:
        pass
    await until(lambda: over_a_tenth() > before)
    measuring.cancel()
