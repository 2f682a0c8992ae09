"""How a negotiation begins, goes on and ends (docs/protocol.md#3-commands)."""

import asyncio
import json

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, ack, command, names_of, new_id, refusal
from tests.support.people import People, Person, establish

PAIRS = 12
OFFERS = 4
MEMBER_LEFT = "MEMBER_LEFT"

MANY = 12
"""More candidates than there are routers, so that each of them has a permission cached."""


async def trickle(one: Person, other: Person) -> None:
    """Have every router cache that the two may trickle."""
    for _ in range(MANY):
        await one.relays(CANDIDATE, other)
        await other.relays(CANDIDATE, one)


async def test_offers_that_cross_are_both_forwarded(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await bob.relays(OFFER, alice)
    await people.hear_nothing(alice, bob)


@pytest.mark.parametrize("first", [0, 1])
async def test_either_answer_to_crossed_offers_establishes(people: People, first: int) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await bob.relays(OFFER, alice)
    one, other = (alice, bob) if first == 0 else (bob, alice)
    await one.relays(ANSWER, other)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await other.relays(ANSWER, one)  # the other offer waits still
    await other.is_refused(ANSWER, one, "NO_MATCHING_OFFER")


async def test_a_new_offer_in_an_established_call_leaves_it_established(people: People) -> None:
    alice, bob = await people.call()
    await alice.relays(OFFER, bob)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await bob.relays(ANSWER, alice)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(OFFER, alice)
    await alice.relays(ANSWER, bob)
    await people.hear_nothing(alice, bob)


async def test_a_new_offer_replaces_the_waiting_one(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await alice.relays(OFFER, bob)
    await bob.relays(ANSWER, alice)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")


@pytest.mark.parametrize("reason", ["hangup", "decline", "busy", "cancel", "我的理由"])
async def test_either_side_ends_an_offer_that_waits(people: People, reason: str) -> None:
    alice, bob = await people.two()
    for one, other in ((alice, bob), (bob, alice)):
        await alice.relays(OFFER, bob)
        await one.relays(HANGUP, other, {"reason": reason})
        for cmd in (CANDIDATE, HANGUP, ANSWER):
            await alice.is_refused(cmd, bob, "NO_MATCHING_OFFER")
            await bob.is_refused(cmd, alice, "NO_MATCHING_OFFER")
    await establish(bob, alice)


async def test_a_hangup_ends_an_established_call_at_once(people: People) -> None:
    alice, bob = await people.two()
    for one, other in ((alice, bob), (bob, alice)):
        await establish(alice, bob)
        await trickle(alice, bob)
        await one.relays(HANGUP, other)
        for cmd in (CANDIDATE, HANGUP, ANSWER):
            await alice.is_refused(cmd, bob, "NO_MATCHING_OFFER")
            await bob.is_refused(cmd, alice, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


async def test_of_two_hangups_at_once_one_ends_the_call(people: People) -> None:
    alice, bob = await people.two()
    for _ in range(MANY):
        await establish(alice, bob)
        hers, his = alice.say(HANGUP, bob), bob.say(HANGUP, alice)
        first = await alice.hear_frame()
        if json.loads(first) == ack(hers, "relayed"):
            passed, refused, heard = hers, his, [await bob.hear_frame(), await bob.hear_frame()]
        else:
            passed, refused, heard = his, hers, [first, await alice.hear_frame()]
            await bob.hears_ack(his)
        assert passed in heard
        assert refusal("NO_MATCHING_OFFER", names_of(refused)) in map(json.loads, heard)
    await people.hear_nothing(alice, bob)


async def test_a_hangup_ends_a_renegotiation_too(people: People) -> None:
    alice, bob = await people.call()
    await alice.relays(OFFER, bob)
    await bob.relays(HANGUP, alice)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")


async def test_a_call_does_not_end_another(people: People) -> None:
    alice, bob = await people.call()
    carol = await people.enter("carol")
    await establish(carol, alice)
    await alice.relays(HANGUP, bob)
    await alice.relays(CANDIDATE, carol)
    await carol.connection.drop()
    await alice.hears_hangup(carol.user, "disconnected")
    for other in (alice, bob):
        await other.hears_left(people.room, carol.user, "disconnected")
    await people.hear_nothing(alice, bob)


@pytest.mark.parametrize("waiting", [True, False], ids=["waiting", "established"])
async def test_to_leave_the_last_room_in_common_ends_the_negotiation(people: People, waiting: bool) -> None:
    alice, bob = await people.two()
    await (alice.relays(OFFER, bob) if waiting else establish(alice, bob))
    await alice.asks("LEAVE", {"room": people.room})
    await bob.hears_hangup(alice.user, "left")
    await bob.hears_left(people.room, alice.user, "left")
    await alice.asks("JOIN", {"room": people.room})  # a user who has left hears nothing of it
    await bob.hears_joined(people.room, alice.user)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


async def test_to_leave_one_of_two_rooms_in_common_ends_nothing(people: People) -> None:
    alice, bob = await people.call()
    second = new_id("room")
    await alice.asks("JOIN", {"room": second})
    await bob.asks("JOIN", {"room": second})
    await alice.hears_joined(second, bob.user)
    await alice.asks("LEAVE", {"room": people.room})
    await bob.hears_left(people.room, alice.user, "left")
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await bob.asks("LEAVE", {"room": second})
    await alice.hears_hangup(bob.user, "left")
    await alice.hears_left(second, bob.user, "left")
    await bob.is_refused(CANDIDATE, alice, "NOT_IN_SAME_ROOM")


@pytest.mark.parametrize("leaver", [0, 1])
async def test_whoever_left_can_trickle_no_more_nor_be_trickled_to(people: People, leaver: int) -> None:
    alice, bob = await people.call()
    await trickle(alice, bob)
    one, other = (alice, bob) if leaver == 0 else (bob, alice)
    await one.asks("LEAVE", {"room": people.room})
    theirs = other.say(CANDIDATE, one)  # before any event is read
    await one.is_refused(CANDIDATE, other, "NOT_IN_SAME_ROOM")
    heard = [await other.hear() for _ in range(3)]  # the answer, and what the mailbox and the room's log tell
    assert refusal("NOT_IN_SAME_ROOM", names_of(theirs)) in heard
    assert {"room": people.room, "userId": one.user, "reason": "left"} in [it["data"] for it in heard]
    (hangup,) = (it["data"] for it in heard if it["cmd"] == HANGUP)
    assert hangup == {"from": one.user, "to": other.user, "data": {"reason": "left", "server": True}}


async def test_to_whom_was_disconnected_nobody_trickles(people: People) -> None:
    alice, bob = await people.call()
    await trickle(alice, bob)
    await bob.connection.drop()
    await alice.hears_hangup(bob.user, "disconnected")
    candidate = alice.say(CANDIDATE, bob)  # at once
    heard = [await alice.hear() for _ in range(2)]  # in either order
    assert refusal("TARGET_OFFLINE", names_of(candidate)) in heard
    assert {"room": people.room, "userId": bob.user, "reason": "disconnected"} in [it["data"] for it in heard]


async def test_a_new_session_takes_over_no_permission(people: People) -> None:
    alice, bob = await people.call()
    await trickle(alice, bob)
    new = await people.connect("bob", user=bob.user, claims={"join": [people.room]})
    await new.is_refused(CANDIDATE, alice, "NO_MATCHING_OFFER")
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(people.room, bob.user, "disconnected")
    await alice.hears_joined(people.room, bob.user)
    await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, new)


@pytest.mark.parametrize("waiting", [True, False], ids=["waiting", "established"])
async def test_the_peers_of_whom_was_disconnected_hear_of_it(people: People, waiting: bool) -> None:
    alice, bob = await people.two()
    carol = await people.enter("carol")
    await (alice.relays(OFFER, bob) if waiting else establish(alice, bob))
    await (carol.relays(OFFER, alice) if waiting else establish(carol, alice))
    await alice.connection.drop()
    for peer in (bob, carol):
        await peer.hears_hangup(alice.user, "disconnected")
        await peer.hears_left(people.room, alice.user, "disconnected")
    await people.hear_nothing(bob, carol)


@pytest.mark.parametrize("way", ["LEAVE", "drop"])
async def test_an_offer_to_a_user_who_is_just_leaving_ends_as_any_other(people: People, way: str) -> None:
    async with asyncio.TaskGroup() as meeting:
        for number in range(PAIRS):
            meeting.create_task(offer_and_go_again_and_again(people, f"{people.room}-{number}", way))


async def offer_and_go_again_and_again(people: People, room: str, way: str) -> None:
    alice = await people.connect("alice", claims={"join": [room]})
    bob = await people.connect("bob", claims={"join": [room]})
    await alice.hears_joined(room, bob.user)
    for number in range(MANY):
        for _ in range(OFFERS):
            alice.say(OFFER, bob)
        heard = [await hear_kind(alice) for _ in range(number % OFFERS)]
        if way == "drop":
            await bob.connection.drop()
        else:
            bob.connection.send(command("LEAVE", {"room": room}))
        while (
            heard.count("ack") + heard.count("refusal") < OFFERS
            or MEMBER_LEFT not in heard
            or ("ack" in heard and HANGUP not in heard)
        ):  # what ends an offer may come behind the answers to those after it
            heard.append(await hear_kind(alice))
        assert heard.count(HANGUP) == ("ack" in heard)
        if way == "drop":
            bob = await people.connect("bob", user=bob.user, claims={"join": [room]})
        else:
            bob.connection.send(command("JOIN", {"room": room}))
            while (await bob.hear())["cmd"] != "JOIN":  # offers may be under way still
                pass
        await alice.hears_joined(room, bob.user)
        await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")


async def hear_kind(person: Person) -> str:
    """Hear what kind of message comes next."""
    message = await person.hear()
    return "ack" if "ack" in message else "refusal" if "reason" in message else str(message["cmd"])
