"""Calls that go on while one of the two comes and goes (docs/protocol.md#6-losing-the-connection)."""

import asyncio
import json
from collections.abc import Iterator

import nats
import pytest

from tests.support.frames import ANSWER, CANDIDATE, OFFER, ack
from tests.support.partitions import subjects_of
from tests.support.people import establish
from tests.support.resuming import SOON_AWAY, ResumingPeople, id_of
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.wire.ids import SessionId, UserId

STREAMED = 600
"""Messages that are sent while their receiver comes and goes."""

SUBJECTS = subjects_of("resumed-calls")

COMINGS = 12
"""How often it comes while they are sent."""


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("calls")
    # One user sends STREAMED messages to one other, at once.
    settings = {**SOON_AWAY, "NAMESPACE": SUBJECTS.namespace, "PAIR_LIMIT": str(60 * STREAMED)}
    with System(nats_url, folder, gateways=2, routers=2, presences=2, settings=settings) as running:
        yield running


async def test_an_offer_to_somebody_away_is_there_when_he_comes_back(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.in_room("bob")
    await people.lose(bob, alice)
    offer = alice.say(OFFER, bob)
    await alice.hears_ack(offer)
    held = [await alice.holds(bob) for _ in range(3)]
    again = await people.resumed(bob, "", gateway=1)
    assert await again.hear_frame() == offer
    await people.hears_status(alice, bob, "online")
    answer = again.say(ANSWER, alice)
    await again.hear_all(held, besides=[answer])
    assert await alice.hear_frame() == answer
    await people.hear_nothing(alice, again)


async def test_of_offers_to_somebody_away_the_last_is_kept(people: ResumingPeople, nats_url: str) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.in_room("bob")
    await people.lose(bob, alice)
    for _ in range(4):
        offer = alice.say(OFFER, bob)
        await alice.hears_ack(offer)
    broker = await nats.connect(nats_url)

    async def is_alone() -> bool:
        pattern = SUBJECTS.user(UserId(bob.user), SessionId(bob.welcome["sessionId"]))
        mailbox = SUBJECTS.parts()[SUBJECTS.place_of(UserId(bob.user))].mailbox()
        info = await broker.jetstream().stream_info(mailbox, subjects_filter=pattern)
        return info.state.subjects == {pattern: 1}

    await until_true(is_alone)
    await broker.close()
    again = await people.resumed(bob, "", gateway=1)
    assert await again.hear_frame() == offer
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(alice, again)


async def test_held_candidates_survive_the_callee(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.in_room("bob")
    offer = await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(3)]
    own = await bob.holds(alice)
    await people.lose(bob, alice)
    bob = await people.resumed(bob, id_of(offer), gateway=1)
    await people.hears_status(alice, bob, "online")
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    await alice.hear_all([answer, own])
    await people.hear_nothing(alice, bob)


async def test_held_candidates_survive_the_caller(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.in_room("bob")
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(3)]
    own = await bob.holds(alice)
    await people.lose(alice, bob)
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    alice = await people.resumed(alice, "", gateway=0)
    await people.hears_status(bob, alice, "online")
    await alice.hears_joined(people.room, bob.user)
    await alice.hear_all([answer, own])
    await people.hear_nothing(alice, bob)


async def test_messages_that_keep_coming_have_no_gap_and_no_repetition(people: ResumingPeople) -> None:
    alice = await people.come("alice", gateway=1, claims={"join": [people.room]})
    bob = await people.in_room("bob")
    await alice.hears_joined(people.room, bob.user)
    await establish(alice, bob)
    heard: list[bytes] = []
    said: list[bytes] = []

    async def say() -> None:
        for _ in range(STREAMED):
            frame = alice.say(CANDIDATE, bob)
            said.append(frame)
            while (answer := await alice.hear())["cmd"] == "MEMBER_UPDATED":
                pass
            assert answer == ack(frame, "relayed")

    async def come_and_go() -> None:
        nonlocal bob
        last = ""
        while len(heard) < STREAMED:
            frame = await bob.hear_frame()
            if json.loads(frame)["cmd"] != CANDIDATE:
                continue
            heard.append(frame)
            last = id_of(frame)
            if len(heard) % (STREAMED // COMINGS) == 0:
                if len(heard) % 2:
                    await bob.connection.drop()
                bob = await people.resumed(bob, last, gateway=len(heard) % 3 % 2)

    async with asyncio.TaskGroup() as both:
        both.create_task(say())
        both.create_task(come_and_go())
    assert heard == said
