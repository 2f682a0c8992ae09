"""A broker with little room: nobody takes it from others, and when there is none everybody hears it."""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.js.api import StorageType

from tests.support.frames import ANSWER, CANDIDATE, OFFER
from tests.support.full_broker import fill, make_room, small_broker
from tests.support.nats_server import NatsServer
from tests.support.partitions import partitions, subjects_of
from tests.support.people import People, Person
from tests.support.system import Service, System
from tests.support.waiting import until
from tieline.runtime.broker import connect
from tieline.wire.ids import UserId

MIB = 1024 * 1024
ROOM = 24 * MIB
MAIL = 8 * MIB
FLOODERS, OFFERS = 25, 8
"""Offers of 64 KiB: half as much again as the mailbox holds, and no more of each than its limits let pass."""
UNHEARD = 12
"""Offers that the target has not read yet, at most: more than 1 MiB, and it is sent away as too slow."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[NatsServer]:
    with small_broker(tmp_path, ROOM) as server:
        yield server


@pytest.fixture
def system(small: NatsServer, tmp_path: Path) -> Iterator[System]:
    settings = {"MAILBOX_MAX_BYTES": str(MAIL)}
    with System(small.url, tmp_path, gateways=2, routers=2, presences=2, settings=settings) as running:
        yield running


@pytest.fixture
async def people(system: System) -> AsyncIterator[People]:
    async with People(system) as people:
        yield people


def is_unready(process: Service) -> bool:
    """Whether a process says that it should get no work."""
    return process.get("/readyz")[0] == 503


async def test_many_who_send_much_stop_nobody_s_messages(system: System, people: People) -> None:
    alice, bob = await people.call()
    flooders = [await people.connect("flooder", claims={"join": ["flood"]}) for _ in range(FLOODERS)]
    target = await people.connect("target", claims={"join": ["flood"]})

    unheard = asyncio.Semaphore(UNHEARD)

    async def flood(sender: Person) -> None:
        for number in range(OFFERS):
            await unheard.acquire()
            sender.say(OFFER, target, {"sdp": f"{number} {'x' * 64_000}"})
            heard = await sender.hear()
            while heard["cmd"] != OFFER:  # who else has come
                heard = await sender.hear()
            assert heard["code"] == 200, heard

    async def listen() -> None:
        offers = 0
        while offers < FLOODERS * OFFERS:
            if (await target.hear())["cmd"] == OFFER:
                offers += 1
                unheard.release()

    async with asyncio.TaskGroup() as flooding:
        flooding.create_task(listen())
        for sender in flooders:
            flooding.create_task(flood(sender))
        for _ in range(20):
            await alice.relays(CANDIDATE, bob)

    await alice.relays(CANDIDATE, bob)
    presence, *_ = system.all("presence")
    place = subjects_of(system.namespace).place_of(UserId(target.user))
    its, most = ("mailbox", MAIL) if partitions() == 1 else (f"mailbox-{place}", MAIL // partitions())
    await until(lambda: most / 2 < presence.count("tieline_stream_bytes", stream=its) <= most)
    assert all(process.is_ready() for process in system.processes)
    newcomers = await people.call()
    await newcomers[0].relays(CANDIDATE, newcomers[1])


async def test_without_any_room_every_sender_hears_it_and_it_heals(
    small: NatsServer, system: System, people: People
) -> None:
    alice = await people.enter("alice")
    bob = await people.enter("bob", acks=False)
    await alice.relays(OFFER, bob)
    await bob.relays(ANSWER, alice)
    another = await connect(small.url, "another")
    await fill(another, StorageType.FILE)

    for sender, target in ((alice, bob), (bob, alice)):
        for _ in range(3):
            frame = sender.say(CANDIDATE, target)
            await sender.hears_refusal("INTERNAL", frame)
    reasons = {
        "presence": "the bucket does not store: no session can begin\n",
        "router": "the mailbox does not store\n",
        "gateway": "the mailbox does not store\n",
    }
    for kind, reason in reasons.items():
        (one, *_) = [process for process in system.processes if process.kind == kind]
        await until(functools.partial(is_unready, one))
        assert one.get("/readyz")[1] in (reason, "presence does not answer: no session can begin\n")

    await make_room(another)
    await another.close()

    await until(lambda: all(process.is_ready() for process in system.processes))
    for sender, target in ((alice, bob), (bob, alice)):
        await sender.relays(CANDIDATE, target)
