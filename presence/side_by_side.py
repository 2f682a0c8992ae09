"""Wait for several things that do not depend on each other, in the time of the slowest."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar, cast

ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")
OtherT = TypeVar("OtherT")


async def side_by_side(*awaited: Awaitable[ResultT]) -> list[ResultT]:
    """Await all; returns their results in order, or raises the last failure when all have ended.

    What is sent on one connection is sent in the order of the arguments.
    """
    if len(awaited) <= 1:  # which needs no task
        return [await each for each in awaited]
    results: list[ResultT] = []
    failure: BaseException | None = None
    for outcome in await asyncio.gather(*awaited, return_exceptions=True):
        if isinstance(outcome, BaseException):
            failure = outcome
        else:
            results.append(outcome)
    if failure is not None:
        raise failure
    return results


def batched(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    """List items in batches of a size, the last of which may be smaller."""
    left = iter(items)
    while batch := list(itertools.islice(left, size)):
        yield batch


async def some_at_once(
    carry_out: Callable[[ItemT], Awaitable[ResultT]], items: Sequence[ItemT], at_once: int
) -> list[ResultT]:
    """Carry something out for each item, for so many of them side by side. See `side_by_side`.

    Each is tried, also when another one fails.
    """
    slots = asyncio.Semaphore(at_once)

    async def take(item: ItemT) -> ResultT:
        async with slots:
            return await carry_out(item)

    return await side_by_side(*(take(item) for item in items))


async def beside(one: Awaitable[ResultT], *others: Awaitable[object]) -> ResultT:
    """Await one thing, and others whose results nobody wants, of which there are mostly none."""
    if not others:  # which needs no task
        return await one
    result, _ = await both(one, *others)
    return result


async def both(
    one: Awaitable[ResultT], other: Awaitable[OtherT], *others: Awaitable[object]
) -> tuple[ResultT, OtherT]:
    """Await two things of different kinds, and others whose results nobody wants. See `side_by_side`.

    Each is a task from here on: none is left that was never awaited, whenever all this is cancelled.
    """
    outcomes = await asyncio.gather(one, other, *others, return_exceptions=True)
    for outcome in reversed(outcomes):
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("tuple[ResultT, OtherT]", tuple(outcomes[:2]))
