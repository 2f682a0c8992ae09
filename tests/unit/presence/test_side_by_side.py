"""Waiting for several things at once."""

import asyncio
import gc

import pytest

from presence.side_by_side import beside, both, side_by_side, some_at_once


class Waits:
    """Things that end when a test says so, and remember in which order they began and ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.gates = {name: asyncio.Event() for name in "abc"}

    async def wait(self, name: str, failure: Exception | None = None) -> str:
        """Wait for a gate; then return, or fail."""
        self.began.append(name)
        try:
            await self.gates[name].wait()
        finally:
            self.ended.append(name)
        if failure is not None:
            raise failure
        return name.upper()

    def open(self, *names: str) -> None:
        """Let these end."""
        for name in names:
            self.gates[name].set()


def others() -> set[asyncio.Task[object]]:
    """The tasks that run beside this one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def turns() -> None:
    """Let others do what they can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_nothing_is_waited_for_at_once() -> None:
    assert await side_by_side() == []


async def test_results_are_in_the_order_of_the_arguments() -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(side_by_side(*(waits.wait(name) for name in "abc")))
    await turns()
    assert waits.began == ["a", "b", "c"]
    waits.open("c", "a")
    await turns()
    assert not waiting.done()
    waits.open("b")
    assert await waiting == ["A", "B", "C"]


async def test_a_failure_is_raised_when_all_have_ended() -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(
        side_by_side(waits.wait("a"), waits.wait("b", EOFError()), waits.wait("c"))
    )
    waits.open("b")
    await turns()
    assert not waiting.done()
    waits.open("a", "c")
    with pytest.raises(EOFError):
        await waiting
    assert sorted(waits.ended) == ["a", "b", "c"]
    assert others() == set()


async def test_of_several_failures_that_of_the_last_argument_is_raised() -> None:
    waits = Waits()
    waits.open("a", "b", "c")
    with pytest.raises(KeyError):
        await side_by_side(waits.wait("a", EOFError()), waits.wait("b", KeyError()), waits.wait("c"))


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_cancelling_ends_all_and_leaves_no_task(count: int) -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(side_by_side(*(waits.wait(name) for name in "abc"[:count])))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert sorted(waits.ended) == list("abc"[:count])
    assert others() == set()


async def test_both_results_come_in_their_order() -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(both(waits.wait("a"), waits.wait("b")))
    waits.open("b")
    await turns()
    assert not waiting.done()
    waits.open("a")
    assert await waiting == ("A", "B")


@pytest.mark.parametrize(
    ("first", "second", "raised"),
    [
        (EOFError(), None, EOFError),
        (None, KeyError(), KeyError),
        (EOFError(), KeyError(), KeyError),
    ],
)
async def test_a_failure_of_one_of_both_is_raised_when_both_have_ended(
    first: Exception | None, second: Exception | None, raised: type[Exception]
) -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(both(waits.wait("a", first), waits.wait("b", second)))
    waits.open("a" if first else "b")
    await turns()
    assert not waiting.done()
    waits.open("a", "b")
    with pytest.raises(raised):
        await waiting
    assert sorted(waits.ended) == ["a", "b"]
    assert others() == set()


async def test_so_many_are_carried_out_at_a_time_and_no_more() -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(some_at_once(waits.wait, "abc", 2))
    await turns()
    assert waits.began == ["a", "b"]
    waits.open("b")
    await turns()
    assert waits.began == ["a", "b", "c"]
    waits.open("a", "c")
    assert await waiting == ["A", "B", "C"]


async def test_one_that_fails_does_not_keep_the_others_from_their_turn() -> None:
    waits = Waits()
    waits.open("a", "b", "c")

    async def fail_first(name: str) -> str:
        return await waits.wait(name, ValueError(name) if name == "a" else None)

    with pytest.raises(ValueError, match="a"):
        await some_at_once(fail_first, "abc", 1)
    assert waits.ended == ["a", "b", "c"]


async def test_of_several_things_one_result_is_wanted() -> None:
    waits = Waits()
    waits.open("a", "b", "c")
    assert await beside(waits.wait("a"), waits.wait("b"), waits.wait("c")) == "A"
    assert waits.ended == ["a", "b", "c"]
    assert await beside(waits.wait("a")) == "A"


async def test_what_fails_beside_is_raised_when_all_have_ended() -> None:
    waits = Waits()
    waits.open("a", "b")
    with pytest.raises(ValueError, match="b fails"):
        await beside(waits.wait("a"), waits.wait("b", ValueError("b fails")))
    assert waits.ended == ["a", "b"]


@pytest.mark.parametrize("iterations", range(1, 5))
async def test_whenever_it_is_cancelled_nothing_is_left_unawaited(iterations: int) -> None:
    waits = Waits()
    waiting = asyncio.ensure_future(beside(waits.wait("a"), waits.wait("b"), waits.wait("c")))
    for _ in range(iterations):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not others()
    gc.collect()  # a coroutine that was never awaited fails the test
