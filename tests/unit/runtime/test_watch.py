"""Readiness, held to what a process needs."""

import asyncio
from collections.abc import Iterator

from tests.support.waiting import until
from tieline.runtime.ops import Ready
from tieline.runtime.watch import hold_while_unwell

REASON = "the mailbox does not store"


class Needed:
    """Something that is well as often as a test says, and then for good; None is a bug."""

    def __init__(self, ready: Ready, *answers: bool | None) -> None:
        self._answers: Iterator[bool | None] = iter(answers)
        self._ready = ready
        self.seen: list[str] = []
        """Why the process was not ready, each time before it asked."""

    async def is_well(self) -> bool:
        """Answer."""
        self.seen.append(self._ready.why_not())
        answer = next(self._answers, True)
        if answer is None:
            raise ValueError
        return answer


async def reasons(ready: Ready, *answers: bool | None) -> list[str]:
    """Ask until every answer has been acted on; returns the reasons that were held after each."""
    needed = Needed(ready, *answers)
    watching = asyncio.create_task(hold_while_unwell(ready, REASON, needed.is_well, every_s=0))
    await until(lambda: len(needed.seen) > len(answers))
    watching.cancel()
    return needed.seen[1 : len(answers) + 1]


async def test_a_bug_is_no_word_that_all_is_well_and_ends_nothing() -> None:
    assert await reasons(Ready(), None, None, None, True) == ["", REASON, REASON, ""]


async def test_what_fails_twice_in_a_row_is_believed_and_heals() -> None:
    assert await reasons(Ready(), False, False, False, True) == ["", REASON, REASON, ""]


async def test_what_fails_once_is_not_believed() -> None:
    assert await reasons(Ready(), False, True, False, True) == ["", "", "", ""]


async def test_a_bug_counts_as_a_failure_and_it_is_asked_on() -> None:
    ready = Ready()
    needed = Needed(ready, True)

    async def is_well() -> bool:
        if len(needed.seen) in (1, 2):
            needed.seen.append(ready.why_not())
            raise ZeroDivisionError
        return await needed.is_well()

    watching = asyncio.create_task(hold_while_unwell(ready, REASON, is_well, every_s=0))
    await until(lambda: len(needed.seen) > 4)
    watching.cancel()
    assert needed.seen[:5] == ["", "", "", REASON, ""]


async def test_other_reasons_stay() -> None:
    ready = Ready("stopping")
    assert await reasons(ready, False, False, True) == ["stopping"] * 3
    ready.clear("stopping")
    assert ready.why_not() == ""
