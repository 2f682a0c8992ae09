"""A client that does not read costs only itself (docs/protocol.md#5-errors: 4000), and loses nothing."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.frames import CANDIDATE
from tests.support.people import Person, establish
from tests.support.resuming import SETTINGS, ResumingPeople, id_of, up_to_the_end
from tests.support.system import System
from tests.support.waiting import until

SMALL_BUFFER = 4096
"""Bytes that the kernel keeps for a client that does not read."""

LARGE = "x" * 60_000

OVERFLOW = 120
"""Large messages: 7 MB, more than the gateway keeps for a client together with both kernels."""

FLOOD = 2_000
"""Large messages: 120 MB."""

MOST_GROWTH_BYTES = 48 * 1024 * 1024
"""Of a gateway's memory by a flood: a few outboxes of 1 MiB, and what an allocator keeps."""


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("slow")
    with System(nats_url, folder, gateways=2, settings={**SETTINGS, "LIMITS": "off"}) as running:
        yield running


def closed_as_slow(system: System) -> float:
    return system.count("gateway", "tieline_sessions_closed_total", code="4000")


async def sleeper(people: ResumingPeople) -> Person:
    """Let somebody come to the room who will not read what comes."""
    bob = await people.come("bob", gateway=0, claims={"join": [people.room]}, receive_buffer=SMALL_BUFFER)
    await people.meet(bob)
    return bob


async def test_a_client_that_does_not_read_is_closed_and_resumes(
    people: ResumingPeople, system: System
) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await sleeper(people)
    await establish(alice, bob)
    had = await alice.relays(CANDIDATE, bob)
    before = closed_as_slow(system)
    sent = [alice.say(CANDIDATE, bob, LARGE + str(nth)) for nth in range(OVERFLOW)]
    acked = 0
    while acked < OVERFLOW:
        heard = await alice.hear()
        acked += heard.get("ack") == "relayed"
        assert heard.get("ack") == "relayed" or heard["data"]["status"] == "away"
    await until(lambda: closed_as_slow(system) > before)
    got, _ = await up_to_the_end(bob)
    assert got == sent[: len(got)]  # what the gateway had handed over before
    again = await people.resumed(bob, id_of([had, *got][-1]))
    await again.hear_all(sent[len(got) :])


async def test_the_memory_of_the_gateway_stays_bounded(people: ResumingPeople, system: System) -> None:
    """While somebody does not read, others talk as ever."""
    alice = await people.in_room("alice", gateway=1)
    bob = await sleeper(people)
    await establish(alice, bob)
    async with ResumingPeople(system) as other:
        carol, dave = await other.in_call()
        before = memory(system)
        async with asyncio.TaskGroup() as talking:
            flood = talking.create_task(send_large(alice, bob, FLOOD))
            while not flood.done():
                await carol.relays(CANDIDATE, dave)
                await dave.relays(CANDIDATE, carol)
        assert memory(system) - before < MOST_GROWTH_BYTES
    assert closed_as_slow(system) >= 1


async def send_large(sender: Person, to: Person, count: int) -> None:
    for nth in range(count):
        frame = sender.say(CANDIDATE, to, LARGE + str(nth))
        while (heard := await sender.hear()).get("cmd") != CANDIDATE:
            assert heard["cmd"] == "MEMBER_UPDATED"
        assert heard["requestId"] == id_of(frame)
        assert heard["ack"] == "relayed"


def memory(system: System) -> float:
    """The resident memory of all gateways, in bytes."""
    return system.count("gateway", "tieline_process_resident_memory_bytes")
