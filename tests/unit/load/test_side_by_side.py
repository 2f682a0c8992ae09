"""Doing several things at once."""

import asyncio

import pytest

from tieline.load.side_by_side import side_by_side


async def test_what_comes_of_each_is_returned_in_order() -> None:
    all_have_begun = asyncio.Barrier(3)

    async def do(number: int) -> int:
        await all_have_begun.wait()
        return number * number

    assert await side_by_side(do(number) for number in range(3)) == [0, 1, 4]


async def test_one_that_fails_ends_the_others() -> None:
    cancelled: list[int] = []

    async def do(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(number)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("the first")

    with pytest.raises(LookupError, match="the first"):
        await side_by_side([do(0), fail(), do(2)])
    assert sorted(cancelled) == [0, 2]


async def test_of_nothing_comes_nothing() -> None:
    assert await side_by_side([]) == []
