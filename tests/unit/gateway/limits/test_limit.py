"""The names of the limits."""

from gateway.limits.limit import Limit
from tieline import metrics
from tieline.runtime.metrics import exposition


def test_every_limit_is_counted_from_the_start() -> None:
    text = exposition().decode()
    assert metrics.LIMITED is not None
    for limit in Limit:
        assert f'tieline_limited_total{{limit="{limit.value}"}} ' in text
