"""Losing the connection and taking the session up again (docs/protocol.md#6-losing-the-connection)."""

import json
from collections.abc import Iterator

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, ack
from tests.support.people import Person, establish
from tests.support.resuming import OTHERS, SETTINGS, ResumingPeople, id_of
from tests.support.system import System
from tieline.client.messages import split_place


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("resume")
    with System(nats_url, folder, gateways=2, routers=2, presences=2, settings=SETTINGS) as running:
        yield running


elsewhere = pytest.mark.parametrize("gateway", OTHERS.values(), ids=OTHERS)


async def test_a_client_that_cannot_resume_is_gone_with_its_connection(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.enter("bob")
    assert bob.welcome["data"]["resumed"] is False
    await establish(alice, bob)
    await bob.connection.drop()
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(people.room, bob.user, "disconnected")
    await alice.is_refused(OFFER, bob, "TARGET_OFFLINE")
    again = await people.come("bob", user=bob.user, resume=bob.welcome["data"]["resumeToken"])
    assert again.welcome["resumed"] is False


@elsewhere
async def test_who_cannot_resume_is_let_in_beside_its_own_old_line(
    people: ResumingPeople, gateway: int
) -> None:
    bob = await people.enter("bob")
    named = bob.welcome["data"]["resumeToken"]
    again = await people.come("bob", gateway=gateway, user=bob.user, resume=named)
    assert again.welcome["resumed"] is False
    end = await bob.connection.ended()
    assert (end.code, end.reason) == (4500, "replaced by a newer connection")


async def test_a_client_that_can_resume_is_away(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    assert bob.welcome["resumed"] is False
    assert bob.welcome["resumeWindow"] == 30
    await people.lose(bob, alice)
    assert await people.statuses(alice) == {alice.user: "online", bob.user: "away"}
    await people.hear_nothing(alice)


@elsewhere
async def test_a_client_that_is_back_at_once_was_never_away(people: ResumingPeople, gateway: int) -> None:
    alice, bob = await people.in_call()
    await bob.connection.drop()
    await people.resumed(bob, "", gateway=gateway)
    assert await people.statuses(alice) == {alice.user: "online", bob.user: "online"}
    await people.hear_nothing(alice)


async def test_a_client_that_closes_with_1000_is_gone_at_once(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    await bob.connection.close(1000)
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(people.room, bob.user, "disconnected")
    again = await people.resume(bob, "")
    assert again.welcome["resumed"] is False
    assert again.welcome["sessionId"] != bob.welcome["sessionId"]
    assert again.welcome["rooms"] == []


@pytest.mark.parametrize("code", [1001, 4000])
async def test_a_client_that_closes_otherwise_is_away(people: ResumingPeople, code: int) -> None:
    alice, bob = await people.in_call()
    await bob.connection.close(code)
    await people.hears_status(alice, bob, "away")


async def test_messages_to_somebody_away_cause_no_error(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    await people.lose(bob, alice)
    for cmd in (CANDIDATE, OFFER, CANDIDATE, HANGUP, OFFER):
        frame = alice.say(cmd, bob)
        await alice.hears_ack(frame)
    frame = alice.say(CANDIDATE, bob)
    await alice.hears_ack(frame, "held")


@elsewhere
async def test_a_session_is_taken_up_with_what_was_missed_in_order(
    people: ResumingPeople, gateway: int
) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = []
    for cmd in (CANDIDATE, OFFER, CANDIDATE, HANGUP):
        missed.append(alice.say(cmd, bob))
        await alice.hears_ack(missed[-1])
    again = await people.resumed(bob, id_of(had), gateway=gateway)
    await again.hear_all(missed)
    await people.hears_status(alice, bob, "online")
    assert await people.statuses(alice) == {alice.user: "online", bob.user: "online"}
    await establish(again, alice)
    await establish(alice, again)
    await people.hear_nothing(alice, again)


@pytest.mark.parametrize("last", ["", "never heard of", "用户"])
async def test_without_a_known_last_everything_kept_comes_again(people: ResumingPeople, last: str) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.come("bob", claims={"join": [people.room]})
    await alice.hears_joined(people.room, bob.user)
    offer = await alice.relays(OFFER, bob)
    await bob.relays(ANSWER, alice)
    had = [await alice.relays(CANDIDATE, bob) for _ in range(3)]
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await people.resumed(bob, last)
    await again.hear_all([offer, *had, missed])
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(alice, again)


@elsewhere
async def test_of_messages_of_one_name_the_oldest_is_the_last(people: ResumingPeople, gateway: int) -> None:
    alice, bob = await people.in_call()
    first = await alice.relays(CANDIDATE, bob)
    same = [
        json.dumps({**json.loads(first), "msg": f"of the same name: {number}"}).encode() for number in "23"
    ]
    alice.connection.send(same[0])
    await alice.hears_ack(same[0])
    assert await bob.hear_frame() == same[0]
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    alice.connection.send(same[1])
    await alice.hears_ack(same[1])
    again = await people.resumed(bob, id_of(first), gateway=gateway)
    await again.hear_all([same[0], missed, same[1]])
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(again)


@elsewhere
async def test_who_is_told_places_goes_on_at_the_last(people: ResumingPeople, gateway: int) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.come("bob", claims={"join": [people.room]}, place="")
    await alice.hears_joined(people.room, bob.user)
    sent = [alice.say(OFFER, bob)]
    for number in range(2):
        sent.append(json.dumps({**json.loads(sent[0]), "msg": f"of the same name: {number}"}).encode())
        alice.connection.send(sent[-1])
    had = [split_place(await bob.hear_frame()) for _ in sent]
    assert [frame for _, frame in had] == sent
    places = [place for place, _ in had]
    numbers = [int(place.partition("-")[0]) for place in places]
    assert numbers == sorted(set(numbers))
    for frame in sent:
        await alice.hears_ack(frame)
    await people.lose(bob, alice)
    sent.append(json.dumps({**json.loads(sent[0]), "msg": "and once more"}).encode())
    alice.connection.send(sent[-1])
    await alice.hears_ack(sent[-1])
    secret = bob.welcome["resumeToken"]
    for place, missed in ((places[0], sent[1:]), (places[2], sent[3:]), ("0", sent), ("x", sent)):
        again = await people.come(
            "bob", user=bob.user, gateway=gateway, resume=secret, last=id_of(sent[0]), place=place
        )
        assert again.welcome["resumed"] is True
        assert [split_place(await again.hear_frame())[1] for _ in missed] == missed


async def test_a_room_and_its_members_share_one_order_of_places(people: ResumingPeople) -> None:
    bob = await people.come("bob", claims={"join": [people.room]}, place="", batches=True)
    alice = await people.in_room("alice", gateway=1)
    joined = json.loads(await bob.hear_frame())
    offer = alice.say(OFFER, bob)
    await alice.hears_ack(offer)
    await alice.asks("LEAVE", {"room": people.room})
    heard = [joined, *[json.loads(await bob.hear_frame()) for _ in range(3)]]
    places = [int(each["place"]) for each in heard]
    assert [each["cmd"] for each in heard[:2]] == ["ROOM_CHANGED", OFFER]
    assert {each["cmd"] for each in heard[2:]} == {HANGUP, "ROOM_CHANGED"}
    assert places == sorted(set(places))
    await bob.connection.drop()
    for gateway, had in ((1, 0), (0, 1)):
        secret, place = bob.welcome["resumeToken"], str(places[had])
        again = await people.come(
            "bob", user=bob.user, gateway=gateway, resume=secret, place=place, batches=True
        )
        assert [json.loads(await again.hear_frame()) for _ in heard[had + 1 :]] == heard[had + 1 :]


async def test_an_event_may_be_the_last(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    await people.lose(alice, bob)
    again = await people.resumed(alice, "")
    event = (await bob.hear())["requestId"]
    await people.lose(bob, again_after_replay := await heard_up(again))
    frame = again_after_replay.say(CANDIDATE, bob)
    await again_after_replay.hears_ack(frame)
    bob = await people.resumed(bob, event)
    assert await bob.hear_frame() == frame


async def heard_up(person: Person) -> Person:
    """Hear the answer to the offer again, and who joined: what a new client without `last` gets."""
    for cmd in ("MEMBER_JOINED", ANSWER):
        assert (await person.hear())["cmd"] == cmd
    return person


async def test_a_session_is_taken_up_again_and_again(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    last = id_of(await alice.relays(CANDIDATE, bob))
    for gateway in (1, 1, 0, 1):
        await people.lose(bob, alice)
        missed = alice.say(CANDIDATE, bob)
        await alice.hears_ack(missed)
        bob = await people.resumed(bob, last, gateway=gateway)
        assert await bob.hear_frame() == missed
        await people.hears_status(alice, bob, "online")
        last = id_of(missed)
    await people.hear_nothing(alice, bob)


@elsewhere
async def test_an_old_connection_that_still_lives_is_closed(people: ResumingPeople, gateway: int) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    again = await people.resumed(bob, id_of(had), gateway=gateway)
    end = await bob.connection.ended()
    assert (end.code, end.reason) == (4500, "replaced by a newer connection")
    await establish(alice, again)  # who has heard of nothing
    await establish(again, alice)
    assert await people.statuses(alice) == {alice.user: "online", bob.user: "online"}
    await people.hear_nothing(alice, again)


async def test_what_a_sender_repeats_after_coming_back_comes_once(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    frames = [await bob.relays(cmd, alice) for cmd in (CANDIDATE, OFFER, CANDIDATE, HANGUP)]
    await people.lose(bob, alice)
    again = await people.resumed(bob, "", gateway=1)
    await people.hears_status(alice, bob, "online")
    assert (await again.hear())["cmd"] == OFFER
    for frame in frames:
        again.connection.send(frame)
        assert await again.hear() == ack(frame, "relayed")
    await people.hear_nothing(alice, again)


async def test_what_a_sender_repeats_comes_once_to_who_came_back(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await people.resumed(bob, id_of(had), gateway=1)
    assert await again.hear_frame() == missed
    await people.hears_status(alice, bob, "online")
    for frame in (had, missed):
        alice.connection.send(frame)
        await alice.hears_ack(frame)
    await people.hear_nothing(alice, again)


async def test_after_a_call_a_repeated_candidate_is_acked_a_new_one_not(
    people: ResumingPeople,
) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    alice = await people.resumed(alice, "", gateway=0)
    assert [(await alice.hear())["cmd"] for _ in range(3)] == ["MEMBER_JOINED", ANSWER, "MEMBER_UPDATED"]
    bob = await people.resumed(bob, id_of(had))
    assert await bob.hear_frame() == missed
    await people.hears_status(alice, bob, "online")
    await bob.relays(HANGUP, alice)
    for frame in (had, missed):
        alice.connection.send(frame)
        await alice.hears_ack(frame)
    await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
    await people.hear_nothing(alice, bob)
