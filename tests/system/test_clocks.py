"""Processes whose clocks are minutes apart: nothing ends early, all judge alike, and it is said."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER
from tests.support.people import Person, establish
from tests.support.resuming import ResumingPeople, id_of
from tests.support.system import Kind, System
from tests.support.waiting import until

APART_S: Final = 150.0
"""Of each clock from the right one, either way: farther than the minute for which a frame is remembered."""

KINDS: Final[tuple[Kind, ...]] = ("presence", "router", "gateway")

CALLS: Final = 6
TIMES: Final = 4
"""That the same is said again, so that the process whose clock is ahead judges what the other has noted."""

SETTINGS: Final = {"AWAY_DELAY": "0", "OFFER_TIMEOUT": "5", "VERIFY_TOKENS": "on"}


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("clocks")
    with System(nats_url, folder, gateways=0, routers=0, presences=0, settings=SETTINGS) as running:
        for kind in KINDS:
            for ahead_s in (APART_S, -APART_S):
                running.add(kind, clock_ahead_s=ahead_s)
        yield running


@pytest.fixture
async def people(system: System) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(system) as present:
        yield present


@pytest.mark.parametrize("kind", ["gateway", "presence"])
async def test_each_process_says_that_its_clock_differs(system: System, kind: Kind) -> None:
    def ahead_s() -> list[int]:
        return sorted(round(process.count("tieline_clock_ahead_seconds")) for process in system.all(kind))

    await until(lambda: ahead_s() == [-APART_S, APART_S])
    told = [line for line in system.events("the clock differs from the broker's") if line["service"] == kind]
    assert sorted(round(line["seconds_ahead"]) for line in told) == [-APART_S, APART_S]


async def test_what_is_said_again_is_a_retry_whoever_judges_it(people: ResumingPeople) -> None:
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    for _ in range(CALLS):
        await again(await alice.relays(OFFER, bob), alice)
        await again(await bob.relays(ANSWER, alice), bob)
        await again(await alice.relays(HANGUP, bob, {"reason": "hangup"}), alice)
    await people.hear_nothing(alice, bob)


async def again(frame: bytes, sender: Person) -> None:
    for _ in range(TIMES):
        sender.connection.send(frame)
        await sender.hears_ack(frame)


async def test_an_offer_waits_its_time_for_its_answer(people: ResumingPeople) -> None:
    """Whichever process takes the offer, the answer, and the end of its time."""
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    for _ in range(CALLS):
        await establish(alice, bob)
        await alice.relays(HANGUP, bob, {"reason": "hangup"})
    await alice.relays(OFFER, bob)
    for one, other in ((alice, bob), (bob, alice)):
        await one.hears_hangup(other.user, "timeout")


@pytest.mark.parametrize("gateway", [0, 1])
async def test_a_session_waits_to_be_resumed_wherever_it_was(people: ResumingPeople, gateway: int) -> None:
    alice = await people.in_room("alice", gateway=gateway)
    bob = await people.in_room("bob", gateway=1 - gateway)
    await alice.relays(OFFER, bob)
    last = await bob.relays(ANSWER, alice)
    await people.lose(alice, bob)
    missed = bob.say(CANDIDATE, alice)
    await bob.hears_ack(missed)
    alice = await people.resumed(alice, id_of(last), gateway=1 - gateway)
    assert await alice.hear_frame() == missed
    await people.hears_status(bob, alice, "online")
    await alice.relays(CANDIDATE, bob)
