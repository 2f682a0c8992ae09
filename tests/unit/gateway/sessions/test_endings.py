"""How presence is told of ends: those of one moment together, and one by one if it knows no other way."""

import asyncio
from typing import Final

import pytest

from gateway.sessions.endings import AT_ONCE, TOGETHER, Endings
from tests.unit.gateway.sessions.scene import Scene
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import EndSession

PATIENCE_S: Final = 3.0


def end(number: int) -> EndSession:
    """The end of some connection."""
    return EndSession(UserId(f"user-{number}"), ConnectionId(f"c-{number}"), resumable=True)


def tell(endings: Endings, *numbers: int) -> list[asyncio.Future[None]]:
    """Let connections end, all in one turn of the event loop."""
    return [asyncio.ensure_future(endings.tell(end(number), PATIENCE_S)) for number in numbers]


def sizes(scene: Scene) -> list[int]:
    """How many ends each request was about."""
    return [1 + len(ask.also) for ask in scene.requests(EndSession) if isinstance(ask, EndSession)]


async def test_ends_of_one_moment_are_told_together(scene: Scene) -> None:
    scene.presence.reply(EndSession, Done(100))
    endings = Endings(scene.presence, scene.tasks)

    await asyncio.gather(*tell(endings, *range(TOGETHER + 6)))

    assert sizes(scene) == [TOGETHER, 6]
    assert scene.ends() == [end(number) for number in range(TOGETHER + 6)]
    assert scene.presence.patience == [PATIENCE_S] * 2


async def test_a_single_end_is_told_as_it_always_was(scene: Scene) -> None:
    await asyncio.gather(*tell(Endings(scene.presence, scene.tasks), 1))
    assert scene.presence.asked == [end(1)]


async def test_what_ends_while_much_is_told_waits_and_is_told_together(scene: Scene) -> None:
    scene.presence.reply(EndSession, Done(100))
    scene.presence.may_answer.clear()
    endings = Endings(scene.presence, scene.tasks)
    telling = []
    for number in range(AT_ONCE + 3):
        telling += tell(endings, number)
        await scene.settles()
    assert sizes(scene) == [1] * AT_ONCE

    scene.presence.may_answer.set()
    await asyncio.gather(*telling)

    assert sizes(scene) == [1] * AT_ONCE + [3]


async def test_an_end_that_is_not_due_any_more_is_not_told(scene: Scene) -> None:
    scene.presence.reply(EndSession, Done(100))
    scene.presence.may_answer.clear()
    endings = Endings(scene.presence, scene.tasks)
    telling = []
    for number in range(AT_ONCE):
        telling += tell(endings, number)
        await scene.settles()
    are_back: list[bool] = []
    waiting = asyncio.ensure_future(endings.tell(end(AT_ONCE), PATIENCE_S, lambda: not are_back))
    await scene.settles()

    are_back.append(True)
    scene.presence.may_answer.set()
    await asyncio.gather(*telling, waiting)

    assert scene.ends() == [end(number) for number in range(AT_ONCE)]


async def test_a_presence_that_knows_no_batches_is_told_one_by_one(scene: Scene) -> None:
    endings = Endings(scene.presence, scene.tasks)  # it answers `Done`, as version 0.1.0 does

    await asyncio.gather(*tell(endings, 1, 2, 3))
    assert sizes(scene) == [3, 1, 1]
    assert scene.ends() == [end(1), end(2), end(3), end(2), end(3)]

    await asyncio.gather(*tell(endings, 4, 5))
    assert sizes(scene) == [3, 1, 1, 1, 1]


async def test_without_an_answer_each_of_them_is_told_so(scene: Scene) -> None:
    scene.presence.reply(EndSession, None, Done(2))
    endings = Endings(scene.presence, scene.tasks)

    for telling in tell(endings, 1, 2):
        with pytest.raises(NoAnswer):
            await telling
    await asyncio.gather(*tell(endings, 1, 2))

    assert sizes(scene) == [2, 2]


async def test_one_that_waits_no_more_disturbs_no_other(scene: Scene) -> None:
    scene.presence.reply(EndSession, Done(2))
    scene.presence.may_answer.clear()
    gone, here = tell(Endings(scene.presence, scene.tasks), 1, 2)
    await scene.settles()
    gone.cancel()
    await asyncio.wait((gone,))

    scene.presence.may_answer.set()

    await here
