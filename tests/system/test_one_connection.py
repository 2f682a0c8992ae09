"""A user has one live connection: a newer one replaces the older (docs/protocol.md#1-connecting)."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.frames import CANDIDATE, new_id
from tests.support.people import People, Person, establish
from tests.support.raw_client import Refused
from tests.system.conftest import everywhere

AT_ONCE = 12
PAIRS = 12
RETURNS = 12


async def replace(people: People, old: Person, gateway: int, join: Sequence[str] = ()) -> Person:
    """Connect the user of `old` once more."""
    port = people.ports[gateway % len(people.ports)]
    return await people.connect("again", user=old.user, port=port, claims={"join": join})


async def replaced(old: Person) -> None:
    end = await old.connection.ended()
    assert (end.code, end.reason) == (4500, "replaced by a newer connection")


@pytest.mark.parametrize("gateway", [0, 1])
async def test_the_older_connection_is_closed_and_the_newer_one_works(people: People, gateway: int) -> None:
    alice = await people.enter("alice")  # on gateway 0
    new = await replace(people, alice, gateway, join=[people.room])
    await replaced(alice)
    people.present.remove(alice)
    await people.meet(new)
    bob = await people.enter("bob")
    await establish(new, bob)
    await establish(bob, new)


@pytest.mark.parametrize("gateway", [0, 1])
async def test_the_others_hear_that_the_older_session_has_ended(people: People, gateway: int) -> None:
    alice, bob = await people.call()
    new = await replace(people, alice, gateway)
    assert new.welcome["data"]["sessionId"] != alice.welcome["data"]["sessionId"]
    assert new.welcome["data"]["rooms"] == []
    await replaced(alice)
    await bob.hears_hangup(alice.user, "disconnected")
    await bob.hears_left(people.room, alice.user, "disconnected")
    await bob.is_refused(CANDIDATE, new, "NOT_IN_SAME_ROOM")
    await people.hear_nothing(bob)
    await new.pings()


@everywhere
async def test_the_older_connection_does_not_end_the_newer_session(people: People) -> None:
    alice = await people.enter("alice")
    new = await replace(people, alice, 1, join=[people.room])
    await alice.connection.drop()  # without answering the close
    bob = await people.connect("bob")
    roster = await bob.asks("JOIN", {"room": people.room})
    assert [member["userId"] for member in roster["members"]] == [alice.user, bob.user]
    await new.hears_joined(people.room, bob.user)
    await establish(bob, new)


async def test_what_the_older_connection_still_sends_counts_no_more(people: People) -> None:
    alice, bob = await people.two()
    new = await replace(people, alice, 1, join=[people.room])
    alice.say("WEBRTC_OFFER", bob)
    await replaced(alice)
    await bob.hears_left(people.room, alice.user, "disconnected")
    await bob.hears_joined(people.room, alice.user)
    await people.hear_nothing(bob, new)


async def test_of_many_connections_at_once_only_one_stays(people: People) -> None:
    """Of those that wait side by side only the newest does: it is the one that its user wants."""
    user = new_id("alice")
    attached: list[Person] = []
    refused: list[int] = []

    async def connect() -> None:
        try:
            attached.append(await people.connect("alice", user=user))
        except Refused as refusal:
            refused.append(refusal.answer.status)

    async with asyncio.TaskGroup() as connecting:
        for _ in range(AT_ONCE):
            connecting.create_task(connect())
    assert set(refused) <= {429}
    async with asyncio.TaskGroup() as listening:
        living = {listening.create_task(person.connection.ended()): person for person in attached}
        while len(living) > 1:
            ended, _ = await asyncio.wait(living, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                assert task.result().code == 4500
                del living[task]
        ((listener, survivor),) = living.items()
        listener.cancel()
    await survivor.pings()
    await survivor.asks("JOIN", {"room": people.room})


async def test_whoever_comes_back_at_once_is_heard_to_go_and_to_come(people: People) -> None:
    """The end of the old session and the beginning of the new one meet, in all their parts."""
    async with asyncio.TaskGroup() as meeting:
        for number in range(PAIRS):
            meeting.create_task(come_back_again_and_again(people, f"{people.room}-{number}"))


async def come_back_again_and_again(people: People, room: str) -> None:
    alice = await people.connect("alice", claims={"join": [room]})
    bob = await people.connect("bob", claims={"join": [room]})
    await alice.hears_joined(room, bob.user)
    for number in range(RETURNS):
        await establish(*((alice, bob) if number % 2 else (bob, alice)))
        if number % 4:
            await bob.connection.drop()
        bob = await people.connect("bob", user=bob.user, claims={"join": [room]})
        await alice.hears_hangup(bob.user, "disconnected")
        await alice.hears_left(room, bob.user, "disconnected")
        await alice.hears_joined(room, bob.user)
