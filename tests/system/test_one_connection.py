"""A user has one live connection: a newer one replaces the older (docs/protocol.md#1-connecting)."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.cast import Cast, Person, establish
from tests.support.frames import CANDIDATE, new_id
from tests.system.conftest import everywhere

AT_ONCE = 12
PAIRS = 12
RETURNS = 12


async def replace(cast: Cast, old: Person, gateway: int, join: Sequence[str] = ()) -> Person:
    """Connect the user of `old` once more."""
    port = cast.ports[gateway % len(cast.ports)]
    return await cast.connect("again", user=old.user, port=port, claims={"join": join})


async def replaced(old: Person) -> None:
    end = await old.line.ended()
    assert (end.code, end.reason) == (4500, "replaced by a newer connection")


@pytest.mark.parametrize("gateway", [0, 1])
async def test_the_older_connection_is_closed_and_the_newer_one_works(cast: Cast, gateway: int) -> None:
    alice = await cast.enter("alice")  # on gateway 0
    new = await replace(cast, alice, gateway, join=[cast.room])
    await replaced(alice)
    cast.present.remove(alice)
    await cast.meet(new)
    bob = await cast.enter("bob")
    await establish(new, bob)
    await establish(bob, new)


@pytest.mark.parametrize("gateway", [0, 1])
async def test_the_others_hear_that_the_older_session_has_ended(cast: Cast, gateway: int) -> None:
    alice, bob = await cast.call()
    new = await replace(cast, alice, gateway)
    assert new.welcome["data"]["sessionId"] != alice.welcome["data"]["sessionId"]
    assert new.welcome["data"]["rooms"] == []
    await replaced(alice)
    await bob.hears_hangup(alice.user, "disconnected")
    await bob.hears_left(cast.room, alice.user, "disconnected")
    await bob.is_refused(CANDIDATE, new, "NOT_IN_SAME_ROOM")
    await cast.hear_nothing(bob)
    await new.pings()


@everywhere
async def test_the_end_of_the_older_connection_does_not_end_the_newer_session(cast: Cast) -> None:
    alice = await cast.enter("alice")
    new = await replace(cast, alice, 1, join=[cast.room])
    await alice.line.drop()  # without answering the close
    bob = await cast.connect("bob")
    roster = await bob.asks("JOIN", {"room": cast.room})
    assert [member["userId"] for member in roster["members"]] == [alice.user, bob.user]
    await new.hears_joined(cast.room, bob.user)
    await establish(bob, new)


async def test_what_the_older_connection_still_sends_counts_no_more(cast: Cast) -> None:
    alice, bob = await cast.two()
    new = await replace(cast, alice, 1, join=[cast.room])
    alice.say("WEBRTC_OFFER", bob)
    await replaced(alice)
    await bob.hears_left(cast.room, alice.user, "disconnected")
    await bob.hears_joined(cast.room, alice.user)
    await cast.hear_nothing(bob, new)


async def test_of_many_connections_at_once_one_lives_and_the_others_are_replaced(cast: Cast) -> None:
    user = new_id("alice")
    async with asyncio.TaskGroup() as connecting:
        attempts = [connecting.create_task(cast.connect("alice", user=user)) for _ in range(AT_ONCE)]
    people = [attempt.result() for attempt in attempts]
    async with asyncio.TaskGroup() as listening:
        living = {listening.create_task(person.line.ended()): person for person in people}
        while len(living) > 1:
            ended, _ = await asyncio.wait(living, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                assert task.result().code == 4500
                del living[task]
        ((listener, survivor),) = living.items()
        listener.cancel()
    await survivor.pings()
    await survivor.asks("JOIN", {"room": cast.room})


async def test_whoever_comes_back_at_once_is_heard_to_go_and_to_come(cast: Cast) -> None:
    """The end of the old session and the beginning of the new one meet, in all their parts."""
    async with asyncio.TaskGroup() as meeting:
        for number in range(PAIRS):
            meeting.create_task(come_back_again_and_again(cast, f"{cast.room}-{number}"))


async def come_back_again_and_again(cast: Cast, room: str) -> None:
    alice = await cast.connect("alice", claims={"join": [room]})
    bob = await cast.connect("bob", claims={"join": [room]})
    await alice.hears_joined(room, bob.user)
    for number in range(RETURNS):
        await establish(*((alice, bob) if number % 2 else (bob, alice)))
        if number % 4:
            await bob.line.drop()
        bob = await cast.connect("bob", user=bob.user, claims={"join": [room]})
        await alice.hears_hangup(bob.user, "disconnected")
        await alice.hears_left(room, bob.user, "disconnected")
        await alice.hears_joined(room, bob.user)
