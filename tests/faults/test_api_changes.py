"""API processes, and a node of the broker, die amid changes: each that is answered is made, and made once."""

import asyncio
from collections.abc import Iterator

import pytest

from api.callers import entry
from tests.support.cluster import Cluster
from tests.support.http_get import HOST
from tests.support.system import SECRET, System
from tests.support.waiting import PATIENCE_S, until, until_true
from tieline.api import Backend, Unavailable
from tieline.client import AppMessage, Client, connect
from tieline.tokens import make_token

KEY = "a key for tests, of which the API has the hash"
CHANGES = 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.plain(tmp_path_factory.mktemp("cluster")) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="module")
def system(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"REPLICAS": "3", "API_KEYS": entry("tests", KEY)}
    folder = tmp_path_factory.mktemp("system")
    with System(
        cluster.url, folder, gateways=1, routers=1, presences=2, apis=2, settings=settings
    ) as running_system:
        yield running_system


class Changes:
    """Sends numbered messages and adds members, through whichever API process answers, until each is made."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self.made = 0

    async def make(self, name: str) -> None:
        """Send the messages in their order, each with a key of its own, and add a member with each."""
        for number in range(CHANGES):
            await self._insist(f"{name}-{number}", name, number)
            self.made += 1

    async def _insist(self, once: str, name: str, number: int) -> None:
        for nth in range(number, number + 100):
            async with Backend(self._urls[nth % len(self._urls)], KEY, patience_s=1.0) as backend:
                try:
                    await backend.message_user("hearer", f"{name} {number}", once=f"{once}-m")
                    await backend.add_member(f"{name}-room", f"user-{number}", once=f"{once}-a")
                except Unavailable:
                    continue
                return
        raise AssertionError(f"{once} was not made")

    async def progress(self) -> None:
        """Wait for some more to be made."""
        target = self.made + CHANGES // 4
        await until(lambda: self.made >= target)


async def heard(hearer: Client) -> list[str]:
    """Take all messages, which are as many as were sent."""
    told: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in hearer.events():
            if isinstance(event, AppMessage):
                told.append(event.data)
                if len(told) == CHANGES:
                    return told
    raise AssertionError(f"only {len(told)} came")


@pytest.mark.parametrize("dying", ["api", "node"])
async def test_what_is_answered_is_made_and_made_once(cluster: Cluster, system: System, dying: str) -> None:
    urls = [f"http://{HOST}:{process.port}" for process in system.all("api")]
    token = make_token(SECRET, "hearer", ["hall"])
    changes = Changes(urls)
    async with connect(f"ws://{HOST}:{system.ports[0]}/ws", token, resume=True) as hearer:
        making = asyncio.create_task(changes.make(dying))
        await changes.progress()
        if dying == "api":
            system.all("api")[0].kill()
            await changes.progress()
            system.add("api")
        else:
            node = cluster.nodes[0]
            node.kill()
            await changes.progress()
            node.start()
        await making
        assert await heard(hearer) == [f"{dying} {number}" for number in range(CHANGES)]
    async with Backend(f"http://{HOST}:{system.all('api')[-1].port}", KEY) as backend:
        members = [member.user async for member in backend.members(f"{dying}-room")]
    assert sorted(members) == sorted(f"user-{number}" for number in range(CHANGES))
    if dying == "node":
        await until_true(lambda: asyncio.to_thread(lambda: cluster.is_whole))
