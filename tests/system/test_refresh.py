"""REFRESH_TOKEN: staying connected with a newer token (docs/protocol.md#3-commands, #5-errors)."""

import time

import pytest

from tests.support import frames
from tests.support.frames import CANDIDATE, OFFER, new_id, token
from tests.support.people import People, Person, establish
from tests.system.conftest import everywhere


async def refresh(person: Person, **claims: object) -> int:
    """Refresh a token; returns when the newer one ends, in Unix milliseconds."""
    reply = await person.asks("REFRESH_TOKEN", {"token": token(person.user, claims)})
    assert reply.keys() == {"expiresAt"}
    return int(reply["expiresAt"])


async def hears_and_is_told(person: Person, *events: tuple[str, object], **claims: object) -> None:
    """Refresh a token, and expect these events in this order, with the reply anywhere between them."""
    frame = frames.command("REFRESH_TOKEN", {"token": token(person.user, claims)})
    person.connection.send(frame)
    coming, is_answered = list(events), False
    while coming or not is_answered:
        heard = await person.hear()
        if heard["cmd"] == "REFRESH_TOKEN":
            assert frames.names_of(frame).items() <= heard.items()
            is_answered = heard["code"] == 200
            assert is_answered
        else:
            assert (heard["cmd"], heard["data"]) == coming.pop(0)


@everywhere
async def test_a_refreshed_client_stays_when_its_first_token_ends(people: People) -> None:
    ends = int(time.time()) + 3
    alice = await people.connect("alice", claims={"exp": ends})
    bob = await people.connect("bob", claims={"exp": ends})
    for person in (alice, bob):
        await person.hears("TOKEN_EXPIRING", {"expiresAt": ends * 1000})
    later = ends + 1000
    assert await refresh(alice, exp=later) == later * 1000
    assert (await bob.connection.ended()).code == 4501
    await alice.pings()


async def test_the_clock_follows_the_newer_token_also_to_an_earlier_end(people: People) -> None:
    alice = await people.connect("alice")
    ends = int(time.time()) + 2
    await refresh(alice, exp=ends)
    await alice.hears("TOKEN_EXPIRING", {"expiresAt": ends * 1000})
    end = await alice.connection.ended()
    assert (end.code, end.reason) == (4501, "token expired")


@everywhere
async def test_a_room_that_the_newer_token_does_not_grant_is_left_at_once(people: People) -> None:
    alice, bob = await people.call()
    await hears_and_is_told(
        alice,
        (
            "WEBRTC_HANGUP",
            {"from": bob.user, "to": alice.user, "data": {"reason": "kicked", "server": True}},
        ),
        ("MEMBER_LEFT", {"room": people.room, "userId": alice.user, "reason": "kicked"}),
        rooms=[],
    )
    await bob.hears_hangup(alice.user, "kicked")
    await bob.hears_left(people.room, alice.user, "kicked")
    await alice.asks_in_vain("JOIN", {"room": people.room}, "ROOM_FORBIDDEN")
    await bob.is_refused(CANDIDATE, alice, "NOT_IN_SAME_ROOM")
    await refresh(alice, rooms=[people.room])
    assert len((await alice.asks("JOIN", {"room": people.room}))["members"]) == 2
    await bob.hears_joined(people.room, alice.user)
    await establish(alice, bob)


async def test_a_call_goes_on_in_a_room_that_is_still_granted(people: People) -> None:
    alice, bob = await people.call()
    other = new_id("room")
    await alice.asks("JOIN", {"room": other})
    await bob.asks("JOIN", {"room": other})
    await alice.hears_joined(other, bob.user)
    left = ("MEMBER_LEFT", {"room": people.room, "userId": alice.user, "reason": "kicked"})
    await hears_and_is_told(alice, left, rooms=[other])
    await bob.hears_left(people.room, alice.user, "kicked")
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)


async def test_what_the_newer_token_says_of_voice_counts_at_once(people: People) -> None:
    alice, bob = await people.two()
    await refresh(alice, voice=False)
    await alice.is_refused(OFFER, bob, "NO_VOICE_PERMISSION")
    members = (await bob.asks("MEMBERS", {"room": people.room}))["members"]
    assert {member["userId"]: member["voice"] for member in members} == {alice.user: False, bob.user: True}
    await refresh(alice)
    await alice.relays(OFFER, bob)


@pytest.mark.parametrize(
    "bad", [token("alice", secret="another secret that is quite as long as ours is"), "rubbish", ""]
)
async def test_a_bad_token_changes_nothing(people: People, bad: str) -> None:
    alice, bob = await people.call()
    await alice.asks_in_vain("REFRESH_TOKEN", {"token": bad}, "BAD_TOKEN")
    await alice.asks_in_vain("REFRESH_TOKEN", {"token": token(bob.user)}, "SENDER_MISMATCH")
    await alice.asks_in_vain("REFRESH_TOKEN", {}, "BAD_MESSAGE")
    await alice.relays(CANDIDATE, bob)
