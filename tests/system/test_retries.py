"""The very same frame again is a retry: the same answer, and nothing twice (docs/protocol.md#2-envelope)."""

import json

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, ack, names_of, signal
from tests.support.people import People, Person
from tests.system.conftest import everywhere


async def again(person: Person, frame: bytes, kind: str = "relayed") -> None:
    """Send a frame that was sent before; it is acknowledged as the first time."""
    person.connection.send(frame)
    await person.hears_ack(frame, kind)


async def back(people: People, person: Person, others: list[Person]) -> Person:
    """Connect a user anew, in the room, in place of his connection."""
    new = await people.connect("again", user=person.user, claims={"join": [people.room]})
    await person.connection.ended()
    for other in others:
        await other.hears_left(people.room, person.user, "disconnected")
        await other.hears_joined(people.room, person.user)
    return new


async def test_a_repeated_offer_is_acknowledged_again_and_delivered_once(people: People) -> None:
    alice, bob = await people.two()
    offer = await alice.relays(OFFER, bob)
    await again(alice, offer)
    answer = await bob.relays(ANSWER, alice)
    await again(alice, offer)  # which offers nothing anew
    await again(bob, answer)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


async def test_a_repeated_candidate_is_delivered_once(people: People) -> None:
    alice, bob = await people.call()
    for _ in range(8):  # asked of presence, then passed on cached permissions
        frame = await alice.relays(CANDIDATE, bob)
        await again(alice, frame)
        await again(alice, frame)
    await people.hear_nothing(alice, bob)


@everywhere
async def test_a_repeated_held_candidate_is_held_once(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(3)]
    for frame in held:
        await again(alice, frame, "held")
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    assert await alice.hear_frame() == answer
    for _ in range(3):  # now that there is a permission to be cached
        await alice.relays(CANDIDATE, bob)
        for frame in held:
            await again(alice, frame, "held")
    await again(bob, answer)
    await people.hear_nothing(alice, bob)


async def test_a_repeated_hangup_ends_nothing_more(people: People) -> None:
    alice, bob = await people.call()
    hangup = await alice.relays(HANGUP, bob)
    await again(alice, hangup)
    await alice.relays(OFFER, bob)
    await again(alice, hangup)
    await bob.relays(ANSWER, alice)
    await people.hear_nothing(alice, bob)


async def test_a_repeated_offer_after_the_call_calls_nobody(people: People) -> None:
    alice, bob = await people.two()
    offer = await alice.relays(OFFER, bob)
    await bob.relays(HANGUP, alice)
    await again(alice, offer)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


async def test_after_the_call_a_repeated_candidate_is_acked_as_before(people: People) -> None:
    alice, bob = await people.call()
    frame = await alice.relays(CANDIDATE, bob)
    await bob.relays(HANGUP, alice)
    await again(alice, frame)
    await people.hear_nothing(alice, bob)


async def test_a_repetition_on_another_connection_is_a_repetition(people: People) -> None:
    alice, bob = await people.two()
    offer = await alice.relays(OFFER, bob)
    held = await alice.holds(bob)
    new = await people.connect("again", user=alice.user, claims={"join": [people.room]})
    await alice.connection.ended()
    await bob.hears_hangup(alice.user, "disconnected")
    await bob.hears_left(people.room, alice.user, "disconnected")
    await bob.hears_joined(people.room, alice.user)
    await again(new, offer)
    await again(new, held, "held")
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await people.hear_nothing(new, bob)


async def test_a_repeated_hangup_on_another_connection_is_a_repetition(people: People) -> None:
    alice, bob = await people.call()
    hangup = await alice.relays(HANGUP, bob)
    new = await back(people, alice, [bob])
    await again(new, hangup)
    await people.hear_nothing(new, bob)


async def test_a_refused_frame_is_tried_anew(people: People) -> None:
    alice, bob = await people.two()
    candidate = await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
    answer = await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    hangup = await bob.is_refused(HANGUP, alice, "NO_MATCHING_OFFER")
    await alice.relays(OFFER, bob)
    await again(alice, candidate, "held")
    bob.connection.send(answer)
    await bob.hear_all([candidate], besides=[answer])
    assert await alice.hear_frame() == answer
    await again(bob, hangup)
    assert await alice.hear_frame() == hangup
    await people.hear_nothing(alice, bob)


async def test_two_frames_with_one_request_id_are_two_messages(people: People) -> None:
    alice, bob = await people.call()
    first = signal(CANDIDATE, alice.user, bob.user, {"number": 1})
    second = json.dumps({**json.loads(first), "data": {"from": alice.user, "to": bob.user, "data": 2}})
    for frame in (first, second.encode()):
        alice.connection.send(frame)
        await alice.hears_ack(frame)
        assert await bob.hear_frame() == frame
    assert names_of(first) == names_of(second.encode())


async def test_the_same_data_in_another_frame_is_another_message(people: People) -> None:
    alice, bob = await people.call()
    frame = await alice.relays(CANDIDATE, bob)
    for other in (frame + b" ", b" " + frame):
        alice.connection.send(other)
        assert await alice.hear() == ack(frame, "relayed")
        assert await bob.hear_frame() == other
