"""A gateway that was taken for dead and is not: its sessions are registered again, no client reconnects."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from tests.support.frames import CANDIDATE
from tests.support.nats_server import NatsServer
from tests.support.partitions import buckets_of, mailboxes_of
from tests.support.people import Person, establish
from tests.support.resuming import SETTINGS, ResumingPeople, up_to_the_end
from tests.support.system import System
from tests.support.waiting import until

LEASE = {**SETTINGS, "GATEWAY_LEASE": "2"}


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("lease")
    with System(nats_url, folder, gateways=2, presences=2, settings=LEASE) as running:
        yield running


@pytest.fixture(scope="module")
def brief(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that does not wait long for a client to come back."""
    folder = tmp_path_factory.mktemp("brief")
    settings = {**LEASE, "RESUME_WINDOW": "1"}
    with System(nats_url, folder, gateways=2, presences=2, settings=settings) as running:
        yield running


async def test_a_gateway_that_stood_still_longer_than_its_lease(
    people: ResumingPeople, system: System
) -> None:
    alice, bob = await people.in_call()
    with system.all("gateway")[0].frozen():
        await people.hears_status(alice, bob, "away")
        missed = [alice.say(CANDIDATE, bob) for _ in range(5)]
        for frame in missed:
            await alice.hears_ack(frame)
    await bob.hear_all(missed)
    await people.hears_status(alice, bob, "online")
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await people.hear_nothing(alice, bob)


async def test_the_others_hear_of_each_time(people: ResumingPeople, system: System) -> None:
    alice, bob = await people.in_call()
    for _ in range(3):
        with system.all("gateway")[0].frozen():
            await people.hears_status(alice, bob, "away")
        await people.hears_status(alice, bob, "online")
        assert await people.statuses(alice) == {alice.user: "online", bob.user: "online"}
    await people.hear_nothing(alice, bob)


async def test_whoever_came_back_to_a_gateway_is_missed_when_it_dies(
    people: ResumingPeople, system: System
) -> None:
    with system.extra("gateway") as doomed:
        people.ports.append(doomed.port)
        alice = await people.in_room("alice", gateway=1)
        bob = await people.in_room("bob", gateway=2)
        for gateway in (0, 2):
            bob = await people.resumed(bob, "", gateway=gateway)
        doomed.kill()
        await people.hears_status(alice, bob, "away")


async def test_whoever_cannot_resume_is_closed_and_gone(people: ResumingPeople, system: System) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.connect("bob", claims={"join": [people.room]}, port=people.ports[0])
    await people.meet(bob)
    await establish(alice, bob)
    with system.all("gateway")[0].frozen():
        await alice.hears_hangup(bob.user, "disconnected")
        await alice.hears_left(people.room, bob.user, "disconnected")
    assert (await bob.connection.ended()).code == 4002
    await people.hear_nothing(alice)


async def test_a_gateway_that_stood_still_longer_than_the_window(brief: System) -> None:
    async with ResumingPeople(brief) as people:
        alice, bob = await people.in_call()
        with brief.all("gateway")[0].frozen():
            await people.hears_status(alice, bob, "away")
            await alice.hears_hangup(bob.user, "disconnected")
            await alice.hears_left(people.room, bob.user, "disconnected")
        await alice.hears_joined(people.room, bob.user)
        await establish(bob, alice)
        await people.hear_nothing(alice, bob)


async def test_whoever_has_resumed_elsewhere_meanwhile_stays_there(
    people: ResumingPeople, system: System
) -> None:
    alice, bob = await people.in_call()
    with system.all("gateway")[0].frozen():
        await people.hears_status(alice, bob, "away")
        again = await people.resumed(bob, "", gateway=1)
        await people.hears_status(alice, bob, "online")
        frame = alice.say(CANDIDATE, bob)
        await alice.hears_ack(frame)
        assert (await again.hear())["cmd"] == "WEBRTC_OFFER"
        assert await again.hear_frame() == frame
    _, end = await up_to_the_end(bob)
    assert end.code == 4500
    await again.relays(CANDIDATE, alice)
    await people.hear_nothing(alice, again)


@pytest.fixture
def alone(pip_nats: NatsServer, tmp_path: Path) -> Iterator[System]:
    """A system with a broker that no other test needs."""
    folder = tmp_path / "system"
    folder.mkdir()
    settings = {**LEASE, "NAMESPACE": "alone"}
    with System(pip_nats.url, folder, gateways=2, presences=2, settings=settings) as running:
        yield running


async def test_streams_that_are_deleted_are_made_and_filled_again(
    alone: System, pip_nats: NatsServer
) -> None:
    async with ResumingPeople(alone) as people:
        await people.in_call()
        client = await nats.connect(pip_nats.url)
        try:
            for stream in (*buckets_of("alone"), *mailboxes_of("alone")):
                assert await client.jetstream().delete_stream(stream)
        finally:
            await client.close()
        await everything_works_again(people, alone)


async def test_a_broker_that_comes_back_empty(alone: System, pip_nats: NatsServer, tmp_path: Path) -> None:
    async with ResumingPeople(alone) as people:
        await people.in_call()
        pip_nats.kill()
        shutil.rmtree(tmp_path / "jetstream")
        pip_nats.start()
        await everything_works_again(people, alone)


async def everything_works_again(people: ResumingPeople, system: System) -> None:
    """The two in the room are in it again, on the connections they had, and call each other."""
    alice, bob = people.present
    again = "tieline_sessions_registered_again_total"
    await until(lambda: all(gateway.count(again) for gateway in system.all("gateway")))  # one of them on each
    await until(lambda: all(process.is_ready() for process in system.processes))
    newcomer = await people.connect("newcomer", claims={"join": [people.room]})
    for person, other in ((alice, bob), (bob, alice)):
        await hears_of_joining(person, other, newcomer, people.room)
        members = (await person.asks("MEMBERS", {"room": people.room}))["members"]
        assert {member["userId"] for member in members} == {person.user, other.user, newcomer.user}
    await establish(alice, bob)
    await alice.relays(CANDIDATE, bob)
    await people.hear_nothing(alice, bob)


async def hears_of_joining(person: Person, other: Person, newcomer: Person, room: str) -> None:
    """Expect to hear that the newcomer has joined. That the other has, once more, may be heard before."""
    while (heard := await person.hear())["data"] == {"room": room, "userId": other.user}:
        assert heard["cmd"] == "MEMBER_JOINED"
    assert heard["cmd"] == "MEMBER_JOINED"
    assert heard["data"] == {"room": room, "userId": newcomer.user}
