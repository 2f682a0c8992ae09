"""What cannot be understood is counted each time, and said once a second."""

import logging

import pytest

from tests.support.metrics import value_of
from tieline.runtime import metrics
from tieline.runtime.unreadable import MAX_SHOWN, Unreadable


async def test_each_is_counted_and_the_first_is_said_in_part(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = Unreadable(logging.getLogger("test"))
    counted = metrics.UNREADABLE_MESSAGES.labels("record")
    before = value_of(counted)
    for _ in range(1_000):
        unreadable.note("record", ValueError("x" * 10_000))
    assert value_of(counted) == before + 1_000
    (said,) = caplog.records
    assert said.getMessage() == "dropped: of another version, or forged"
    assert vars(said)["what"] == "record"
    assert len(vars(said)["error"]) == MAX_SHOWN
    assert said.exc_info is None
