"""What members who have gone may lack is told once more, when presence can be asked."""

import asyncio
from typing import Final

from gateway.rooms import retelling
from gateway.rooms.retelling import Retelling
from tests.unit.gateway.rooms.hall import ALICE, BOB, CELLAR, HALL
from tieline.runtime.requests import NoAnswer
from tieline.wire.internal.rooms import Retell

SILENT: Final = NoAnswer("presence")


class Presence:
    """Takes requests, as many at first without an answer as it is told to."""

    def __init__(self, silent_for: int = 0) -> None:
        self.asked: list[Retell] = []
        self._silent_for = silent_for

    async def ask(self, request: Retell) -> None:
        """Answer, or do not."""
        self.asked.append(request)
        await asyncio.sleep(0)
        if len(self.asked) <= self._silent_for:
            raise SILENT


async def test_each_is_told_once_however_often_it_is_wanted() -> None:
    presence = Presence()
    async with asyncio.TaskGroup() as tasks:
        telling = Retelling(presence.ask, tasks)
        telling.want(HALL, [])
        telling.want(HALL, [ALICE, BOB])
        telling.want(HALL, [BOB])
        telling.want(CELLAR, [BOB])
    assert presence.asked == [Retell(ALICE, HALL), Retell(BOB, HALL), Retell(BOB, CELLAR)]


async def test_without_an_answer_it_is_tried_again() -> None:
    presence = Presence(silent_for=1)
    async with asyncio.TaskGroup() as tasks:
        Retelling(presence.ask, tasks).want(HALL, [ALICE, BOB])
    assert presence.asked == [Retell(ALICE, HALL), Retell(BOB, HALL), Retell(ALICE, HALL)]


async def test_a_presence_that_never_answers_is_given_up() -> None:
    presence = Presence(silent_for=100)
    async with asyncio.TaskGroup() as tasks:
        Retelling(presence.ask, tasks, retry_s=0).want(HALL, [ALICE])
    assert len(presence.asked) == retelling.TRIES


async def test_no_more_wait_than_there_is_room_for() -> None:
    presence = Presence()
    async with asyncio.TaskGroup() as tasks:
        telling = Retelling(presence.ask, tasks, most=1)
        telling.want(HALL, [ALICE, BOB])
    assert presence.asked == [Retell(ALICE, HALL)]


async def test_a_gateway_that_stops_waits_for_no_silent_presence() -> None:
    presence = Presence(silent_for=100)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        telling = Retelling(presence.ask, tasks, retry_s=1_000)
        telling.want(HALL, [ALICE])
        await telling.stop(within_s=0)
        telling.want(HALL, [BOB])
    assert BOB not in [request.user for request in presence.asked]


async def test_a_gateway_that_stops_has_the_rest_told() -> None:
    presence = Presence()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        telling = Retelling(presence.ask, tasks)
        telling.want(HALL, [ALICE, BOB])
        await telling.stop(within_s=10)
    assert presence.asked == [Retell(ALICE, HALL), Retell(BOB, HALL)]
