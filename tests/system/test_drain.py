"""A gateway that is told to stop sends its clients away gently, and nothing is lost (issue of SIGTERM)."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.frames import CANDIDATE
from tests.support.people import establish
from tests.support.raw_client import Opcode, Refused
from tests.support.raw_client import frame as raw_frame
from tests.support.resuming import SETTINGS, ResumingPeople, id_of, up_to_the_end
from tests.support.system import Kind, Service, System
from tests.support.waiting import until

SPREAD_S = 0.3
JITTER_MS = 300

UNDER_WAY = 50
"""Messages that reach a gateway with the signal."""

FOREVER = "600"
"""Seconds: longer than any test waits."""


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("drain")
    with System(nats_url, folder, routers=2, presences=2, settings=SETTINGS) as running:
        yield running


class Scene(ResumingPeople):
    """People on a gateway that stays (0), and on one that is told to stop (1)."""

    def __init__(self, system: System, leaving: Service) -> None:
        super().__init__(system)
        self.leaving = leaving
        assert self.ports[1] == leaving.port


@pytest.fixture
async def scene(system: System, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    settings: dict[str, str] = getattr(request, "param", {"DRAIN_WAIT": "0", "DRAIN_SPREAD": str(SPREAD_S)})
    with system.extra("gateway", **settings) as gateway:
        async with Scene(system, gateway) as people:
            yield people


async def test_clients_are_asked_to_go_then_closed_and_lose_nothing(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.in_room("bob", gateway=1)
    await establish(alice, bob)
    scene.leaving.terminate()
    last = await bob.hears("RECONNECT", {"afterMs": 0, "jitterMs": JITTER_MS})
    frame = await alice.relays(CANDIDATE, bob)  # bob is served for as long as he stays
    assert last != id_of(frame)
    end = await bob.connection.ended()
    assert (end.code, end.reason) == (1012, "server restarting")
    await scene.hears_status(alice, bob, "away")
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await scene.resumed(bob, id_of(frame))
    assert await again.hear_frame() == missed
    await scene.hears_status(alice, bob, "online")
    await alice.relays(CANDIDATE, again)
    await again.relays(CANDIDATE, alice)
    assert scene.leaving.wait() == 0


async def test_whoever_goes_when_asked_to_is_not_closed(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.in_room("bob", gateway=1)
    await establish(alice, bob)
    scene.leaving.terminate()
    last = await bob.hears("RECONNECT", {"afterMs": 0, "jitterMs": JITTER_MS})
    again = await scene.resumed(bob, last)
    assert (await bob.connection.ended()).code == 4500
    await alice.relays(CANDIDATE, again)
    assert scene.leaving.wait() == 0


async def test_everybody_is_told_and_closed_one_after_the_other(scene: Scene) -> None:
    people = [await scene.come("somebody", gateway=1) for _ in range(20)]
    people += [await scene.connect("somebody", port=scene.leaving.port) for _ in range(20)]
    loop = asyncio.get_running_loop()
    scene.leaving.terminate()
    closed_at = []

    async def go_to_the_end(nth: int) -> None:
        assert (await people[nth].hear())["cmd"] == "RECONNECT"
        assert (await people[nth].connection.ended()).code == 1012
        closed_at.append(loop.time())

    async with asyncio.TaskGroup() as waiting:
        for nth in range(len(people)):
            waiting.create_task(go_to_the_end(nth))
    assert max(closed_at) - min(closed_at) > SPREAD_S / 2
    assert scene.leaving.wait() == 0


@pytest.mark.parametrize("scene", [{"DRAIN_WAIT": FOREVER}], indirect=True)
async def test_until_the_balancer_notices_clients_are_served(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.in_room("bob", gateway=1)
    await establish(alice, bob)
    assert scene.leaving.get("/readyz") == (200, "ready\n")
    scene.leaving.terminate()
    await until(lambda: scene.leaving.get("/readyz") == (503, "draining\n"))
    assert scene.leaving.get("/healthz") == (200, "alive\n")
    with pytest.raises(Refused) as refused:
        await scene.come("carol", gateway=1)
    assert refused.value.answer.status == 503
    assert int(refused.value.answer.headers["retry-after"]) > 0
    assert json.loads(refused.value.answer.body)["reason"] == "DRAINING"
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await scene.hear_nothing(alice, bob)
    scene.leaving.terminate()  # a second time
    assert scene.leaving.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("scene", [{"DRAIN_WAIT": "0", "DRAIN_SPREAD": FOREVER}], indirect=True)
async def test_a_second_signal_ends_it_in_the_middle(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.in_room("bob", gateway=1)
    await establish(alice, bob)
    frame = await alice.relays(CANDIDATE, bob)
    scene.leaving.terminate()
    assert (await bob.hear())["cmd"] == "RECONNECT"
    scene.leaving.terminate()
    assert scene.leaving.wait() == 128 + signal.SIGTERM
    assert (await bob.connection.ended()).code == 1006
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await scene.resumed(bob, id_of(frame))
    assert (await again.hear())["cmd"] == "RECONNECT"
    assert await again.hear_frame() == missed


async def test_clients_that_neither_go_nor_read_hold_nothing_up(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    for _ in range(5):
        await scene.come("somebody", gateway=1)  # a client that will not answer the close
    scene.leaving.terminate()
    assert await asyncio.to_thread(scene.leaving.wait) == 0
    await alice.pings()


async def test_a_client_that_goes_on_sending_holds_nothing_up(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.come("bob", gateway=1)  # a client that will not answer the close either
    scene.leaving.terminate()
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(asyncio.to_thread(scene.leaving.wait))
        while not ending.done():
            bob.connection.write(raw_frame(Opcode.PING, b""))
            await alice.pings()
    assert ending.result() == 0


@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_routers_and_presences_finish_what_they_have_begun(
    kind: Kind, nats_url: str, tmp_path: Path
) -> None:
    with System(nats_url, tmp_path, gateways=2, routers=2, presences=2, settings=SETTINGS) as system:
        async with ResumingPeople(system) as people:
            alice, bob = await people.in_call()
            stopped = system.all(kind)[0]
            asking = [each for each in (*system.all("gateway"), *system.all("router")) if each is not stopped]
            before = [each.count("tieline_request_retries_total") for each in asking]  # while they started
            said = []
            for nth in range(300):
                said.append(alice.say(CANDIDATE, bob))
                if nth == 100:
                    stopped.terminate()
                assert await bob.hear_frame() == said[-1]
            for frame in said:
                await alice.hears_ack(frame)
            assert stopped.wait() == 0
            assert [each.count("tieline_request_retries_total") for each in asking] == before


@pytest.mark.parametrize("scene", [{"DRAIN_WAIT": "0", "DRAIN_SPREAD": "0"}], indirect=True)
async def test_what_was_under_way_when_the_word_came_is_not_lost(scene: Scene) -> None:
    alice = await scene.in_room("alice", gateway=0)
    bob = await scene.in_room("bob", gateway=1)
    await establish(alice, bob)
    os.kill(scene.leaving.pid, signal.SIGSTOP)
    sent = [alice.say(CANDIDATE, bob) for _ in range(UNDER_WAY)]
    for frame in sent:
        await alice.hears_ack(frame)
    scene.leaving.terminate()
    os.kill(scene.leaving.pid, signal.SIGCONT)
    heard, end = await up_to_the_end(bob)
    assert end.code == 1012
    had = [frame for frame in heard if frame in sent]
    last = id_of(heard[-1]) if heard else ""
    again = await scene.resumed(bob, last)
    while len(had) < UNDER_WAY:
        frame = await again.hear_frame()
        if frame in sent:
            had.append(frame)
    assert had == sent
