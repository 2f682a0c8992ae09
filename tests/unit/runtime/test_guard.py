"""A bug inside a guard ends nothing but its own block."""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from tieline.runtime.guard import BackgroundTasks, Guard, bug_guard, keep_going

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


async def fails() -> int:
    raise LookupError("a bug")


async def test_a_task_that_meets_a_bug_takes_no_other_along(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def works(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async with BackgroundTasks() as tasks:
        tasks.create_task(works(1))
        failing = tasks.create_task(fails())
        tasks.create_task(works(2))
        await asyncio.wait([failing])
        tasks.create_task(works(3))

    assert done == [1, 2, 3]
    assert failing.cancelled()
    assert caplog.messages == ["task ended: a bug"]
    assert vars(caplog.records[0])["task"] == "fails"


async def test_a_group_of_faults_ends_no_other_task_either(caplog: pytest.LogCaptureFixture) -> None:
    async def group() -> None:
        async with asyncio.TaskGroup() as inner:
            inner.create_task(fails())
            inner.create_task(fails())

    async with BackgroundTasks() as tasks:
        tasks.create_task(group())
    assert caplog.messages == ["task ended: a bug"]


async def test_a_background_task_has_its_result_and_may_be_cancelled() -> None:
    async def gives() -> int:
        return 7

    async with BackgroundTasks() as tasks:
        giving = tasks.create_task(gives())
        never_begun = tasks.create_task(gives())
        never_begun.cancel()
        waiting = tasks.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        waiting.cancel()
    assert giving.result() == 7
    assert never_begun.cancelled()
    assert waiting.cancelled()


class ClosedOnce(Coroutine[Any, Any, int]):
    """A coroutine as mypyc compiles it: to close it when it has ended is an error."""

    def __init__(self, coro: Coroutine[Any, Any, int]) -> None:
        self._coro: Coroutine[Any, Any, int] | None = coro

    def __await__(self) -> Generator[Any, Any, int]:
        try:
            return (yield from self._running().__await__())
        finally:
            self._coro = None

    def send(self, value: object) -> Any:
        return self._running().send(value)

    def throw(self, *error: Any) -> Any:
        return self._running().throw(*error)

    def close(self) -> None:
        self._running().close()
        self._coro = None

    def _running(self) -> Coroutine[Any, Any, int]:
        if self._coro is None:
            raise AttributeError("it has ended")
        return self._coro


async def test_only_a_task_that_never_began_is_closed() -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))

    async def gives() -> int:
        await asyncio.sleep(0)
        return 7

    async with BackgroundTasks() as tasks:
        giving = tasks.create_task(ClosedOnce(gives()))
        failing = tasks.create_task(ClosedOnce(fails()))
        never_begun = ClosedOnce(gives())
        tasks.create_task(never_begun).cancel()
        stopped = tasks.create_task(ClosedOnce(gives()))
        await asyncio.sleep(0)
        stopped.cancel()
    assert giving.result() == 7
    assert failing.cancelled()
    with pytest.raises(AttributeError, match="it has ended"):
        never_begun.close()
    assert said == []


async def test_a_loop_goes_on_after_whatever_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = [LookupError(), ExceptionGroup("several", [OSError()]), TimeoutError()]
    ended = asyncio.Event()

    async def loop() -> None:
        if faults:
            raise faults.pop()
        ended.set()
        await asyncio.Event().wait()

    going = asyncio.create_task(keep_going(_log, "the loop paused: a bug", loop, 0))
    await ended.wait()
    assert caplog.messages == ["the loop paused: a bug"] * 3
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
