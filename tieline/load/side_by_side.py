"""Do several things at once, none of which makes sense without the others."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def side_by_side(doing: Iterable[Coroutine[None, None, ResultT]]) -> list[ResultT]:
    """Do all at once; returns what comes of each, in order.

    Raises:
        Exception: what the first that failed has raised; the others are cancelled then.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in doing]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
