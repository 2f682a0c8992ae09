"""A presence process stands still amid orders; their callers order the opposite; then it goes on."""

import asyncio
from collections.abc import Iterator

import pytest

from api.callers import entry
from presence.once import CLAIM_MS
from presence.rules.orders import WAITED_MS
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Changed

KEY = "a key for tests, of which the API has the hash"
USERS = 24
PRESENT = 6
"""Of these are connected."""

ROUNDS = 4


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("late-orders")
    settings = {"API_KEYS": entry("tests", KEY)}
    with System(
        nats_url, folder, gateways=1, routers=1, presences=2, apis=1, settings=settings
    ) as running_system:
        yield running_system


def backend_of(system: System, patience_s: float = 10.0) -> Backend:
    return Backend(f"http://{HOST}:{system.all('api')[0].port}", KEY, patience_s=patience_s)


async def given_up(system: System, room: str, user: str) -> None:
    """Have a user added, by somebody who does not wait for long."""
    async with backend_of(system, 0.3) as backend:
        try:
            async with asyncio.timeout(0.3):
                await backend.add_member(room, user)
        except (TimeoutError, Unavailable):
            return


async def insisted(backend: Backend, room: str, user: str, once: str) -> Changed:
    """Have a user removed, however long that takes."""
    while True:
        try:
            return await backend.remove_member(room, user, once=once)
        except Unavailable:
            continue


async def carries_out_all(system: System) -> None:
    """Wait until all presence processes have done what they were asked, also what claims made wait."""

    def is_idle() -> bool:
        return all(
            each.is_ready() and not each.count("tieline_jobs_waiting") for each in system.all("presence")
        )

    await asyncio.sleep(CLAIM_MS / 1000 + WAITED_MS / 1000)
    await until_true(lambda: asyncio.to_thread(is_idle))


async def test_who_is_removed_stays_out_whoever_goes_on_adding_it(system: System) -> None:
    users = [f"user-{number}" for number in range(USERS)]
    async with People(system) as people, backend_of(system) as backend:
        for user in users[:PRESENT]:
            await people.connect(user)
        for number in range(ROUNDS):
            room, slow = f"room-{number}", system.all("presence")[number % 2]
            adding = [asyncio.create_task(given_up(system, room, user)) for user in users]
            await asyncio.wait(adding, return_when=asyncio.FIRST_COMPLETED, timeout=0.02 * (number + 1))
            with slow.frozen():
                await asyncio.gather(*adding)
                removing = (insisted(backend, room, user, f"{room}-{user}") for user in users)
                await asyncio.gather(*removing)
            await carries_out_all(system)
            assert [each.user async for each in backend.members(room)] == [], f"round {number}"
            for user in users:
                seen = await backend.user(user)
                assert room not in (*seen.given, *seen.rooms)


async def test_an_order_that_was_overtaken_says_so(system: System) -> None:
    slow, other = system.all("presence")
    async with backend_of(system) as backend:
        with slow.frozen():
            adding = [
                asyncio.create_task(backend.add_member("hall", f"late-{number}", once=f"add-{number}"))
                for number in range(USERS)
            ]
            await asyncio.sleep(0.5)
            assert await asyncio.to_thread(other.is_ready)
            removing = (
                insisted(backend, "hall", f"late-{number}", f"out-{number}") for number in range(USERS)
            )
            await asyncio.gather(*removing)
        outcomes = await asyncio.gather(*adding, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, Refused)
                assert (outcome.problem.status, outcome.problem.reason) == (409, "OVERTAKEN")
        await carries_out_all(system)
        assert [each.user async for each in backend.members("hall")] == []
