"""The four WEBRTC commands: what passes, and the rules in their order (docs/protocol.md#3-commands)."""

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, new_id, signal
from tests.support.people import People, Person, establish
from tests.system.conftest import everywhere

COMMANDS = (OFFER, ANSWER, CANDIDATE, HANGUP)


@everywhere
async def test_a_whole_call(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob, {"type": "offer", "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"})
    held = [await alice.holds(bob, {"candidate": f"candidate:{number}"}) for number in range(3)]
    answer = bob.say(ANSWER, alice, {"type": "answer", "sdp": "v=0\r\n"})
    await bob.hear_all(held, besides=[answer])
    assert await alice.hear_frame() == answer
    for _ in range(3):
        await alice.relays(CANDIDATE, bob)
        await bob.relays(CANDIDATE, alice)
    await bob.relays(HANGUP, alice, {"reason": "hangup"})
    await people.hear_nothing(alice, bob)


@everywhere
async def test_a_call_by_clients_that_speak_only_the_webrtc_commands(people: People) -> None:
    alice, bob = [await people.enter(name, acks=False) for name in ("alice", "bob")]
    await establish(alice, bob)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await people.hear_nothing(alice, bob)


@everywhere
async def test_people_in_different_rooms_cannot_call_each_other(people: People) -> None:
    alice = await people.enter("alice")
    mallory = await people.connect("mallory", claims={"join": [new_id("elsewhere")]})
    for cmd in COMMANDS:
        await mallory.is_refused(cmd, alice, "NOT_IN_SAME_ROOM")
    await people.hear_nothing(alice)


async def test_nobody_calls_somebody_unknown(people: People) -> None:
    alice = await people.enter("alice")
    for cmd in COMMANDS:
        await alice.is_refused(cmd, new_id("nobody"), "NOT_IN_SAME_ROOM")


async def test_one_room_in_common_among_many_is_enough(people: People) -> None:
    alice = await people.connect("alice", claims={"join": [new_id("hers"), people.room]})
    bob = await people.connect("bob", claims={"join": [people.room, new_id("his")]})
    await alice.hears_joined(people.room, bob.user)
    await establish(alice, bob)


@everywhere
async def test_whoever_has_gone_is_offline_and_not_a_stranger(people: People) -> None:
    alice, bob = await people.two()
    await bob.connection.close()
    await alice.hears_left(people.room, bob.user, "disconnected")
    for cmd in COMMANDS:
        await alice.is_refused(cmd, bob, "TARGET_OFFLINE")


async def test_whoever_comes_back_without_a_room_is_a_stranger(people: People) -> None:
    alice, bob = await people.two()
    await bob.connection.close()
    await alice.hears_left(people.room, bob.user, "disconnected")
    await alice.is_refused(OFFER, bob, "TARGET_OFFLINE")
    await people.connect("bob", user=bob.user)
    await alice.is_refused(OFFER, bob, "NOT_IN_SAME_ROOM")


async def test_whoever_left_the_room_before_going_is_a_stranger(people: People) -> None:
    alice, bob = await people.two()
    await bob.asks("LEAVE", {"room": people.room})
    await alice.hears_left(people.room, bob.user, "left")
    await bob.connection.close()
    await alice.is_refused(OFFER, bob, "NOT_IN_SAME_ROOM")


async def test_without_the_right_to_voice_one_may_answer_but_not_offer(people: People) -> None:
    alice = await people.enter("alice")
    bob = await people.enter("bob", claims={"voice": False})
    await bob.is_refused(OFFER, alice, "NO_VOICE_PERMISSION")
    await establish(alice, bob)
    await bob.is_refused(OFFER, alice, "NO_VOICE_PERMISSION")
    await bob.relays(CANDIDATE, alice)
    await bob.relays(HANGUP, alice)


@pytest.mark.parametrize("cmd", [ANSWER, CANDIDATE, HANGUP])
async def test_without_an_offer_there_is_nothing_to_go_on_with(people: People, cmd: str) -> None:
    alice, bob = await people.two()
    await alice.is_refused(cmd, bob, "NO_MATCHING_OFFER")
    await bob.is_refused(cmd, alice, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


async def test_an_offer_to_one_is_no_offer_to_another(people: People) -> None:
    alice, bob = await people.two()
    carol = await people.enter("carol")
    await alice.relays(OFFER, bob)
    for cmd in (ANSWER, CANDIDATE, HANGUP):
        await carol.is_refused(cmd, alice, "NO_MATCHING_OFFER")
        await alice.is_refused(cmd, carol, "NO_MATCHING_OFFER")
    await bob.relays(ANSWER, alice)
    await carol.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")


async def test_nobody_answers_an_offer_of_his_own(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await alice.is_refused(ANSWER, bob, "NO_MATCHING_OFFER")
    await people.hear_nothing(bob)


async def test_an_offer_is_answered_once(people: People) -> None:
    alice, bob = await people.call()
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await alice.is_refused(ANSWER, bob, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)


@pytest.mark.parametrize("cmd", COMMANDS)
async def test_nobody_speaks_for_somebody_else(people: People, cmd: str) -> None:
    alice, bob = await people.two()
    mallory = await people.enter("mallory")
    for sender, to in ((alice, bob), (bob, bob), (bob, mallory)):
        frame = signal(cmd, sender.user, to.user)
        mallory.connection.send(frame)
        await mallory.hears_refusal("SENDER_MISMATCH", frame)
    await people.hear_nothing(alice, bob, mallory)


@pytest.mark.parametrize("cmd", COMMANDS)
async def test_nobody_signals_to_himself(people: People, cmd: str) -> None:
    alice = await people.enter("alice")
    await alice.is_refused(cmd, alice, "BAD_MESSAGE")


async def test_the_form_is_checked_before_the_sender(people: People) -> None:
    alice = await people.enter("alice")
    frame = b'{"requestId":"r","module":"ROOM","cmd":"WEBRTC_OFFER","data":{"from":"somebody","to":"bob"}}'
    alice.connection.send(frame)
    await alice.hears_refusal("BAD_MESSAGE", frame)


async def test_the_sender_is_checked_before_the_room(people: People) -> None:
    alice = await people.enter("alice")
    frame = signal(OFFER, new_id("somebody"), new_id("stranger"))
    alice.connection.send(frame)
    await alice.hears_refusal("SENDER_MISMATCH", frame)


async def test_the_room_is_checked_before_the_right_to_voice(people: People) -> None:
    alice = await people.enter("alice", claims={"voice": False})
    await alice.is_refused(OFFER, new_id("stranger"), "NOT_IN_SAME_ROOM")


async def test_the_right_to_voice_is_checked_before_the_target(people: People) -> None:
    alice = await people.enter("alice", claims={"voice": False})
    bob = await gone(people, alice)
    await alice.is_refused(OFFER, bob, "NO_VOICE_PERMISSION")


@pytest.mark.parametrize("cmd", [ANSWER, CANDIDATE, HANGUP])
async def test_the_target_is_looked_for_before_the_offer(people: People, cmd: str) -> None:
    alice = await people.enter("alice")
    bob = await gone(people, alice)
    await alice.is_refused(cmd, bob, "TARGET_OFFLINE")


async def gone(people: People, witness: Person) -> Person:
    """Somebody who has been in the room."""
    bob = await people.enter("bob")
    await bob.connection.drop()
    await witness.hears_left(people.room, bob.user, "disconnected")
    return bob
