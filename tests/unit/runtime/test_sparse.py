"""A line and a count instead of a line each."""

import logging

import pytest

from tests.support.waiting import until
from tieline.runtime.sparse import Sparse

_log = logging.getLogger("test.sparse")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object, object]]:
    return [
        (record.getMessage(), vars(record)["times"], vars(record).get("of"))
        for record in caplog.records
        if record.name == _log.name
    ]


async def test_the_first_time_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    Sparse(_log, "it happened").note(of="a")
    assert lines(caplog) == [("it happened", 1, "a")]
    assert caplog.records[0].levelno == logging.WARNING


async def test_many_times_are_a_line_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    sparse = Sparse(_log, "it happened", logging.ERROR, every_s=0.01)
    for number in range(1000):
        sparse.note(of=number)
    await until(lambda: len(lines(caplog)) == 2)
    assert lines(caplog) == [("it happened", 1, 0), ("it happened", 999, 999)]
    assert caplog.records[0].levelno == logging.ERROR


async def test_after_a_quiet_time_the_first_is_told_at_once_again(caplog: pytest.LogCaptureFixture) -> None:
    sparse = Sparse(_log, "it happened", every_s=0.01)
    sparse.note(of="a")
    await until(lambda: sparse.is_quiet)
    sparse.note(of="b")
    assert lines(caplog) == [("it happened", 1, "a"), ("it happened", 1, "b")]
