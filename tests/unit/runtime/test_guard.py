"""A bug inside a guard ends nothing but its own block."""

import asyncio
import logging

import pytest

from tieline.runtime.guard import Guard, bug_guard

_log = logging.getLogger("test.guard")


def test_a_bug_ends_its_block_and_is_handed_over() -> None:
    errors: list[Exception] = []
    guard = Guard(errors.append)
    reached: list[int] = []

    for number in range(3):
        with guard:
            if number == 1:
                raise LookupError(number)
            reached.append(number)

    assert reached == [0, 2]
    assert [(type(error), error.args) for error in errors] == [(LookupError, (1,))]


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_what_ends_a_task_or_the_process_is_let_through(ending: type[BaseException]) -> None:
    errors: list[Exception] = []

    with pytest.raises(ending), Guard(errors.append):
        raise ending

    assert errors == []


def test_an_error_of_the_handler_itself_is_let_through() -> None:
    def fail(error: Exception) -> None:
        raise RuntimeError("the handler") from error

    with pytest.raises(RuntimeError, match="the handler"), Guard(fail):
        raise LookupError


def test_a_bug_is_counted_and_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[str] = []

    with bug_guard(_log, "a bug", lambda: counted.append("one"), op="join"):
        raise LookupError("of ours")

    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("test.guard", logging.ERROR, "a bug")
    assert vars(record)["op"] == "join"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
    assert record.exc_info[2] is not None
    assert counted == ["one"]


def test_without_a_bug_nothing_is_counted_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[str] = []

    with bug_guard(_log, "a bug", lambda: counted.append("one")):
        pass

    assert (caplog.records, counted) == ([], [])
