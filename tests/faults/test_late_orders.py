"""A presence process stands still amid orders; their callers order the opposite; then it goes on.

When it stands still is random: `TIELINE_FUZZ_SEED` has the same moments again, and `TIELINE_LATE_ROUNDS` says
how often all of it is tried.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import pytest

from api.callers import entry
from presence.once import CLAIM_MS
from presence.rules.orders import WAITED_MS
from tests.support.frames import new_id
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.seed import SAME_AGAIN, SEED
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Changed

KEY: Final = "a key for tests, of which the API has the hash"
USERS: Final = 24
PRESENT: Final = 6
"""Of these are connected."""

ROUNDS: Final = int(os.environ.get("TIELINE_LATE_ROUNDS") or 1)

STOPS: Final = 3
"""In a round: what goes on late is waited for once, after the last one."""

STILL_S: Final = 2.0
"""How long a process stands still while the opposite is ordered: the other one carries most of that out, and
no gateway's lease runs out."""

SOON_S: Final = 0.2
"""Within so long after the first order a process stands still: few orders are numbered then, or most are."""

IMPATIENT_S: Final = 0.3
"""So long a caller waits that gives up: longer than most orders take where nothing stands still."""

pytestmark = pytest.mark.timeout(100)

Outcome = Changed | Refused


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


async def impatient(system: System, room: str, user: str) -> None:
    """Have a user added, by somebody who does not wait for long."""
    async with backend_of(system, IMPATIENT_S) as backend:
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(IMPATIENT_S):
                await backend.add_member(room, user)


async def insisted(order: Callable[[], Awaitable[Changed]]) -> Outcome:
    """Order something, however long it takes until that is answered."""
    while True:
        try:
            return await order()
        except Refused as refused:
            return refused
        except Unavailable:
            continue


async def added(backend: Backend, room: str, user: str) -> Outcome:
    return await insisted(lambda: backend.add_member(room, user, once=f"in-{room}-{user}"))


async def removed(backend: Backend, room: str, user: str) -> Outcome:
    return await insisted(lambda: backend.remove_member(room, user, once=f"out-{room}-{user}"))


def is_overtaken(outcome: Outcome) -> bool:
    """Whether an order was overtaken: for nothing else one is refused here."""
    if isinstance(outcome, Changed):
        return False
    assert (outcome.problem.status, outcome.problem.reason) == (409, "OVERTAKEN")
    return True


async def connected_and_not(people: People) -> list[str]:
    """Return users of whom some are connected."""
    connected = [(await people.connect("here")).user for _ in range(PRESENT)]
    return connected + [new_id("away") for _ in range(USERS - PRESENT)]


async def carries_out_all(system: System) -> None:
    """Wait until all presence processes have done what they were asked, also what claims made wait."""

    def is_idle() -> bool:
        return all(
            each.is_ready() and not each.count("tieline_jobs_waiting") for each in system.all("presence")
        )

    await asyncio.sleep(CLAIM_MS / 1000 + WAITED_MS / 1000)
    await until_true(lambda: asyncio.to_thread(is_idle))


async def listed(backend: Backend, room: str) -> set[str]:
    return {each.user async for each in backend.members(room)}


async def agree(backend: Backend, users: Sequence[str], rooms: Sequence[str]) -> dict[str, set[str]]:
    """Return the members of each room; what is told of each user must be the same."""
    members = {room: await listed(backend, room) for room in rooms}
    for user in users:
        seen = await backend.user(user)
        among = {room for room in rooms if user in members[room]}
        assert {room for room in seen.given if room in members} == among
        assert {room for room in seen.rooms if room in members} == (
            among if seen.status == "online" else set()
        )
    return members


@pytest.mark.parametrize("nth", range(ROUNDS))
async def test_who_is_removed_stays_out_whoever_goes_on_adding_it(system: System, nth: int) -> None:
    chance = random.Random(f"{SEED} {nth}")
    said = f"{SAME_AGAIN}, round {nth}"
    rooms = [new_id("room") for _ in range(STOPS)]
    async with People(system) as people, backend_of(system) as backend:
        users = await connected_and_not(people)
        for room in rooms:
            slow = chance.choice(system.all("presence"))
            async with asyncio.TaskGroup() as orders:
                adding = [orders.create_task(impatient(system, room, user)) for user in users]
                await asyncio.sleep(chance.uniform(0, SOON_S))
                with slow.frozen():
                    await asyncio.wait(adding)
                    removing = [orders.create_task(removed(backend, room, user)) for user in users]
                    await asyncio.wait(removing, timeout=STILL_S)
            assert not any(is_overtaken(each.result()) for each in removing), said
        await carries_out_all(system)
        assert await agree(backend, users, rooms) == {room: set() for room in rooms}, said


@pytest.mark.parametrize("nth", range(ROUNDS))
async def test_an_order_that_was_overtaken_says_so(system: System, nth: int) -> None:
    """Nobody gives up here: of two orders at the same time either may be the later one."""
    chance = random.Random(f"{SEED} {nth}")
    said = f"{SAME_AGAIN}, round {nth}"
    overtaken: dict[str, set[str]] = {}
    """Who was not added, by rooms."""
    stayed: dict[str, set[str]] = {}
    """Who was not removed."""
    async with People(system) as people, backend_of(system) as backend:
        users = await connected_and_not(people)
        while len(overtaken) < STOPS and not any(overtaken.values()):
            room, slow = new_id("room"), chance.choice(system.all("presence"))
            async with asyncio.TaskGroup() as orders:
                adding = [orders.create_task(added(backend, room, user)) for user in users]
                await asyncio.wait(adding, return_when=asyncio.FIRST_COMPLETED)
                with slow.frozen():
                    removing = [orders.create_task(removed(backend, room, user)) for user in users]
                    await asyncio.wait(removing, timeout=STILL_S)
            overtaken[room] = {
                user for user, each in zip(users, adding, strict=True) if is_overtaken(each.result())
            }
            stayed[room] = {
                user for user, each in zip(users, removing, strict=True) if is_overtaken(each.result())
            }
        assert any(overtaken.values()), said
        await carries_out_all(system)
        for room, members in (await agree(backend, users, [*overtaken])).items():
            assert not overtaken[room] & members, said
            assert stayed[room] <= members, said
