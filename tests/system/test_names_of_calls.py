"""Calls have names, for clients that ask (docs/protocol.md#calls-have-names); for others nothing is new."""

import json
from typing import Any, Final

from tests.support import frames
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, Json, new_id
from tests.support.people import People, Person

CALLS: Final = {"calls": "1"}


async def two_who_name(people: People) -> tuple[Person, Person]:
    """Let two users enter the room who ask for the names of calls."""
    return await people.enter("alice", options=CALLS), await people.enter("bob", options=CALLS)


def says(sender: Person, cmd: str, to: Person, call: str = "") -> Json:
    """Send a message that may name a call; returns it."""
    named = {"call": call} if call else {}
    data: dict[str, Any] = {"from": sender.user, "to": to.user, "data": {"sdp": new_id("sdp")}, **named}
    frame = frames.command(cmd, data)
    sender.connection.send(frame)
    said: Json = json.loads(frame)
    return said


async def relays(sender: Person, cmd: str, to: Person, call: str = "") -> str:
    """Send a message that passes; its sender and who gets it are told of one call, which is returned."""
    said = says(sender, cmd, to, call)
    ack = await sender.hear()
    assert (ack["requestId"], ack["ack"]) == (said["requestId"], "relayed")
    told: str = (await to.hear())["data"].pop("call")
    assert ack.get("call", told) == told
    assert len(told) == 16
    return told


async def is_refused(sender: Person, cmd: str, to: Person, call: str) -> tuple[str, str | None]:
    """Send a message that is refused for the call that it names; returns its fate, and the call there is."""
    said = says(sender, cmd, to, call)
    error = await sender.hear()
    assert (error["requestId"], error["code"], error["reason"]) == (
        said["requestId"],
        1000,
        "NO_MATCHING_OFFER",
    )
    return error["fate"], error.get("call")


async def test_a_late_answer_to_the_call_before_is_not_taken_for_the_next(people: People) -> None:
    alice, bob = await two_who_name(people)
    first = await relays(alice, OFFER, bob)
    assert await relays(alice, HANGUP, bob, first) == first
    second = await relays(alice, OFFER, bob)
    assert second != first
    assert await is_refused(bob, ANSWER, alice, first) == ("replaced", second)
    assert await relays(bob, ANSWER, alice, second) == second
    assert await is_refused(bob, ANSWER, alice, second) == ("answered", second)
    await people.hear_nothing(alice, bob)


async def test_a_late_hangup_of_the_call_before_does_not_end_the_next(people: People) -> None:
    alice, bob = await two_who_name(people)
    first = await relays(alice, OFFER, bob)
    await relays(bob, ANSWER, alice, first)
    await relays(alice, CANDIDATE, bob, first)  # routers may let more through unasked now
    await relays(alice, HANGUP, bob, first)
    assert await is_refused(bob, HANGUP, alice, first) == ("ended", None)
    second = await relays(alice, OFFER, bob)
    for cmd in (HANGUP, CANDIDATE, OFFER):
        assert await is_refused(bob, cmd, alice, first) == ("replaced", second)
    await relays(bob, ANSWER, alice, second)
    await relays(bob, CANDIDATE, alice, second)
    assert await is_refused(bob, CANDIDATE, alice, first) == ("replaced", second)
    await people.hear_nothing(alice, bob)


async def test_who_does_not_ask_gets_what_it_always_got(people: People) -> None:
    alice, bob = await people.enter("alice", options=CALLS), await people.enter("bob")
    assert alice.welcome["data"]["offerTimeout"] == 60
    assert "offerTimeout" not in bob.welcome["data"]
    frame = frames.command(OFFER, {"from": alice.user, "to": bob.user, "data": None, "call": None})
    alice.connection.send(frame)
    call = (await alice.hear())["call"]
    assert await bob.hear_frame() == frame
    held = frames.command(CANDIDATE, {"from": bob.user, "to": alice.user, "data": 1, "call": {"his": "own"}})
    bob.connection.send(held)
    await bob.hears_ack(held, "held")
    answer = bob.say(ANSWER, alice)
    await bob.hears_ack(answer)
    for sent in (answer, held):
        expected = json.loads(sent)
        expected["data"]["call"] = call
        assert await alice.hear() == expected
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    odd = frames.command(HANGUP, {"from": bob.user, "to": alice.user, "data": 1, "call": "of an older call"})
    bob.connection.send(odd)
    await bob.hears_ack(odd)
    assert (await alice.hear())["data"]["call"] == call


async def test_the_servers_hangup_says_of_which_call_it_is(people: People) -> None:
    alice, bob = await two_who_name(people)
    call = await relays(alice, OFFER, bob)
    await bob.connection.drop()
    while (heard := await alice.hear())["cmd"] != HANGUP:
        pass
    assert heard["data"] == {
        "from": bob.user,
        "to": alice.user,
        "data": {"reason": "disconnected", "server": True},
        "call": call,
    }


async def test_what_is_replayed_says_of_which_call_it_is(people: People) -> None:
    resumes = {**CALLS, "resume": ""}
    alice = await people.enter("alice", options=CALLS)
    bob = await people.enter("bob", options=resumes)
    call = await relays(alice, OFFER, bob)
    last = await relays(alice, OFFER, bob, call)
    assert last == call
    await bob.connection.drop()
    missed = says(alice, OFFER, bob, call)
    assert (await alice.hear())["call"] == call
    unnamed = says(alice, HANGUP, bob)
    assert (await alice.hear())["call"] == call
    again = {**CALLS, "resume": bob.welcome["data"]["resumeToken"]}
    back = await people.connect("bob", user=bob.user, claims={"join": [people.room]}, options=again)
    assert back.welcome["data"]["resumed"]
    replayed = [await back.hear() for _ in range(4)]
    unnamed["data"]["call"] = call
    assert replayed[2:] == [missed, unnamed]
    assert {frame["data"]["call"] for frame in replayed} == {call}
