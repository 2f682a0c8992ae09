"""What cannot be resumed, and what a resuming token may do (docs/protocol.md#6-losing-the-connection)."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.aio.client import Client

from tests.support.frames import CANDIDATE, OFFER, Json, new_id
from tests.support.partitions import subjects_of
from tests.support.people import Person, establish
from tests.support.raw_client import Ended
from tests.support.resuming import OTHERS, SETTINGS, SOON_AWAY, ResumingPeople, id_of, up_to_the_end
from tests.support.system import System

MOST = 2048
"""Messages that are replayed to a session."""

NAMESPACE = "limits"


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {**SOON_AWAY, "NAMESPACE": NAMESPACE, "LIMITS": "off"}  # hundreds of messages to one user
    folder = tmp_path_factory.mktemp("limits")
    with System(nats_url, folder, gateways=2, routers=2, presences=2, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def brief(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that does not wait long for anybody to come back."""
    settings = {**SETTINGS, "RESUME_WINDOW": "2"}
    folder = tmp_path_factory.mktemp("brief")
    with System(nats_url, folder, gateways=2, presences=2, settings=settings) as running:
        yield running


@pytest.fixture
async def brief_people(brief: System) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(brief) as people:
        yield people


elsewhere = pytest.mark.parametrize("gateway", OTHERS.values(), ids=OTHERS)


async def send(sender: Person, to: Person, count: int) -> list[bytes]:
    said = [sender.say(CANDIDATE, to) for _ in range(count)]
    for frame in said:
        await sender.hears_ack(frame)
    return said


@elsewhere
async def test_2048_missed_messages_come_again(people: ResumingPeople, gateway: int) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = await send(alice, bob, MOST)
    again = await people.resumed(bob, id_of(had), gateway=gateway)
    await again.hear_all(missed)
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(alice, again)


@elsewhere
async def test_of_more_missed_messages_the_newest_come_and_no_call_ends(
    people: ResumingPeople, gateway: int
) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = await send(alice, bob, MOST + 10)
    again = await people.resumed(bob, id_of(had), gateway=gateway)
    assert again.welcome["sessionId"] == bob.welcome["sessionId"]
    await again.hear_all(missed[10:])
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(alice, again)
    await again.relays(CANDIDATE, alice)


async def test_one_who_sends_too_much_displaces_nothing_of_others(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    eve = await people.in_room("eve")
    await establish(eve, bob)
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice, eve)
    flood, said = [], []
    for number in range(300):
        flood.append(eve.say(CANDIDATE, bob, {"candidate": f"{number} {'x' * 64_000}"}))
        await eve.hears_ack(flood[-1])
        said += await send(alice, bob, 1)
    again = await people.resumed(bob, id_of(had))
    heard = [await again.hear_frame()]
    while heard[-1] != said[-1]:
        heard.append(await again.hear_frame())
    assert [frame for frame in heard if frame in said] == said
    kept = [frame for frame in heard if frame in flood]
    assert 0 < len(kept) < len(flood)
    assert kept == flood[-len(kept) :]
    for other in (alice, eve):
        await people.hears_status(other, bob, "online")
    await again.relays(CANDIDATE, alice)  # the call goes on


async def test_messages_that_were_received_do_not_count_as_missed(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    for _ in range(MOST + 50):
        had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = await send(alice, bob, 3)
    again = await people.resumed(bob, id_of(had))
    await again.hear_all(missed)


async def test_a_session_ends_when_its_window_has_passed(brief_people: ResumingPeople) -> None:
    alice, bob = await brief_people.in_call()
    assert bob.welcome["resumeWindow"] == 2
    await brief_people.lose(bob, alice)
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(brief_people.room, bob.user, "disconnected")
    await alice.is_refused(OFFER, bob, "TARGET_OFFLINE")
    again = await brief_people.resume(bob, "")
    assert again.welcome["resumed"] is False
    assert again.welcome["sessionId"] != bob.welcome["sessionId"]
    assert again.welcome["rooms"] == []


async def test_a_window_that_was_left_in_time_ends_nothing(brief_people: ResumingPeople) -> None:
    alice, bob = await brief_people.in_call()
    carol = await brief_people.in_room("carol")
    await brief_people.lose(bob, alice, carol)
    bob = await brief_people.resumed(bob, "")
    for other in (alice, carol):
        await brief_people.hears_status(other, bob, "online")
    await brief_people.lose(carol, alice)  # whose window passes after bob's would have
    await alice.hears_left(brief_people.room, carol.user, "disconnected")
    assert await brief_people.statuses(alice) == {alice.user: "online", bob.user: "online"}
    frame = alice.say(CANDIDATE, bob)
    await alice.hears_ack(frame)
    await heard_up_to(bob, frame)


def shape(welcome: Json) -> Json:
    """What of a welcome is the same for every new session of a user."""
    return {name: value for name, value in welcome.items() if name not in ("sessionId", "resumeToken")}


async def test_a_token_that_is_not_the_sessions_says_nothing(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    lobby: Json = {"join": [new_id("lobby")]}
    (room,) = lobby["join"]
    dan = await people.come("dan", claims=lobby)

    async def goes(person: Person) -> None:
        """Close for good, and wait until presence knows: until then the session lives."""
        await dan.hears_joined(room, person.user)
        await person.connection.close(1000)
        await dan.hears_left(room, person.user, "disconnected")

    older = await people.come("carol", claims=lobby)
    await goes(older)
    carol = await people.come("carol", user=older.user, claims=lobby)
    plain = shape(carol.welcome)
    await goes(carol)
    tokens = {
        "another user's, who is online": alice.welcome["resumeToken"],
        "an older session's": older.welcome["resumeToken"],
        "one that ended": carol.welcome["resumeToken"],
        "another's public id": bob.welcome["sessionId"],
        "garbage": "x" * 32,
        "not ASCII": "用户",
        "long": "x" * 3000,
    }
    for kind, secret in tokens.items():
        again = await people.come("carol", user=older.user, resume=secret, last="x", claims=lobby)
        assert shape(again.welcome) == plain, kind
        assert again.welcome["resumeToken"] not in tokens.values()
        await again.pings()  # and heard nothing before
        await goes(again)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await people.hear_nothing(alice, bob)


async def test_a_wrong_token_does_not_save_the_older_session(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    again = await people.come("bob", user=bob.user, resume=bob.welcome["resumeToken"] + "x")
    assert again.welcome["resumed"] is False
    assert (await bob.connection.ended()).code == 4500
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(people.room, bob.user, "disconnected")
    with pytest.raises(Ended) as late:
        await people.resume(bob, "")
    assert late.value.code == 4500


@pytest.mark.parametrize("gateway", [0, 1], ids=["on its gateway", "on another gateway"])
async def test_a_device_that_wakes_ends_nothing(people: ResumingPeople, gateway: int) -> None:
    laptop = await people.come("alice", claims={"join": [people.room]})
    phone = await people.come("alice", user=laptop.user, claims={"join": [people.room]})
    assert (await laptop.connection.ended()).code == 4500
    bob = await people.come("bob", claims={"join": [people.room]})
    await phone.hears_joined(people.room, bob.user)
    await establish(phone, bob)

    with pytest.raises(Ended) as woken:
        await people.resume(laptop, "", gateway=gateway)

    assert woken.value.code == 4500
    await phone.relays(CANDIDATE, bob)
    taking_over = await people.come("alice", user=laptop.user)
    assert taking_over.welcome["resumed"] is False
    assert (await phone.connection.ended()).code == 4500


async def test_a_secret_is_stored_nowhere(people: ResumingPeople, nats_url: str) -> None:
    alice, bob = await people.in_call()
    await people.lose(bob, alice)
    bob = await people.resumed(bob, "")
    client = await nats.connect(nats_url)
    try:
        stored = await all_of_the_bucket(client)
    finally:
        await client.close()
    user = bob.user.encode()
    assert any(user in subject.encode() for subject, _ in stored)
    for person in (alice, bob):
        secret = person.welcome["resumeToken"].encode()
        assert not any(secret in data for _, data in stored)


async def all_of_the_bucket(client: Client) -> list[tuple[str, bytes]]:
    """Read every message that presence keeps."""
    jetstream = client.jetstream()
    found: list[tuple[str, bytes]] = []
    for part in subjects_of(NAMESPACE).parts():
        subscription = await jetstream.subscribe(f"$KV.{part.bucket()}.>", ordered_consumer=True)
        messages = [await subscription.next_msg()]
        while messages[-1].metadata.num_pending:
            messages.append(await subscription.next_msg())
        await subscription.unsubscribe()
        found += [(message.subject, message.data) for message in messages]
    return found


async def test_a_room_that_is_not_granted_any_more_is_left(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    other_room = new_id("room")
    carol = await people.come("carol", gateway=1, claims={"join": [other_room]})
    assert len((await bob.asks("JOIN", {"room": other_room}))["members"]) == 2
    await carol.hears_joined(other_room, bob.user)
    await establish(carol, bob)
    await people.lose(bob, alice)
    assert (await carol.hear())["cmd"] == "MEMBER_UPDATED"
    again = await people.resume(bob, "", claims={"rooms": [other_room]})
    assert again.welcome["resumed"] is True
    assert again.welcome["rooms"] == [other_room]
    await alice.hears_hangup(bob.user, "kicked")
    await alice.hears_left(people.room, bob.user, "kicked")
    status = {"room": other_room, "userId": bob.user, "status": "online"}
    await carol.hears("MEMBER_UPDATED", status)
    await alice.is_refused(OFFER, again, "NOT_IN_SAME_ROOM")
    await again.connection.close()


async def test_a_room_that_two_still_share_keeps_their_call(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    other_room = new_id("room")
    await alice.asks("JOIN", {"room": other_room})
    await bob.asks("JOIN", {"room": other_room})
    await alice.hears_joined(other_room, bob.user)
    had = await alice.relays(CANDIDATE, bob)
    again = await people.resume(bob, id_of(had), claims={"rooms": [other_room]})
    assert again.welcome["rooms"] == [other_room]
    await alice.hears_left(people.room, bob.user, "kicked")
    await alice.relays(CANDIDATE, again)
    await again.relays(CANDIDATE, alice)


@pytest.mark.parametrize("allowed", [True, False])
async def test_the_new_token_says_whether_voice_may_be_started(people: ResumingPeople, allowed: bool) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.come("bob", claims={"join": [people.room], "voice": not allowed})
    await alice.hears_joined(people.room, bob.user)
    await people.lose(bob, alice)
    again = await people.resume(bob, "", claims={"voice": allowed})
    await people.hears_status(alice, bob, "online")
    if allowed:
        await again.relays(OFFER, alice)
    else:
        await again.is_refused(OFFER, alice, "NO_VOICE_PERMISSION")
    members = (await alice.asks("MEMBERS", {"room": people.room}))["members"]
    assert {member["userId"]: member["voice"] for member in members}[bob.user] is allowed


async def test_two_who_resume_at_once_leave_one_connection(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    await people.lose(bob, alice)
    async with asyncio.TaskGroup() as both:
        attempts = [both.create_task(people.resumed(bob, "", gateway=nth % 2)) for nth in range(6)]
    async with asyncio.TaskGroup() as listening:
        waiting = {listening.create_task(up_to_the_end(task.result())): task.result() for task in attempts}
        while len(waiting) > 1:
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                assert task.result()[1].code == 4500
                del waiting[task]
        ((listener, survivor),) = waiting.items()
        listener.cancel()
    frame = alice.say(CANDIDATE, bob)
    await heard_up_to(survivor, frame)


async def heard_up_to(person: Person, frame: bytes) -> None:
    """Hear everything up to a message."""
    while await person.hear_frame() != frame:
        pass
