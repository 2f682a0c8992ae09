"""Rooms as clients see them that take batches and pages, and absences that cost nobody its session.

docs/protocol.md#a-rooms-changes-and-large-rooms
"""

import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support import frames
from tests.support.frames import Json
from tests.support.people import Person
from tests.support.resuming import SETTINGS, ResumingPeople
from tests.support.system import System

TURNS: Final = 300
"""Changes of a room while a member is away: more than it is told one by one."""


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("rooms")
    settings = {**SETTINGS, "LIMITS": "off"}  # one user comes and goes more often than it may
    with System(nats_url, folder, gateways=2, routers=1, presences=2, settings=settings) as running:
        yield running


async def changes(person: Person, *, until: int) -> list[Json]:
    """Hear batches up to a number of changes; returns what they say."""
    heard: list[Json] = []
    while sum(len(data[kind]) for data in heard for kind in ("joined", "left", "updated")) < until:
        message = await person.hear()
        assert message["cmd"] == "ROOM_CHANGED"
        heard.append(message["data"])
    return heard


async def test_who_takes_batches_hears_of_members_whole(people: ResumingPeople) -> None:
    alice = await people.come("alice", batches=True)
    listed = await alice.asks("JOIN", {"room": people.room})
    assert (listed["count"], [one["userId"] for one in listed["members"]]) == (1, [alice.user])
    bob = await people.come("bob", gateway=1)
    await bob.asks("JOIN", {"room": people.room})
    (batch,) = await changes(alice, until=1)
    assert [one["userId"] for one in batch["joined"]] == [bob.user]
    assert batch["joined"][0].keys() == {"userId", "status", "voice", "joinedAt"}
    assert batch["number"] > listed["number"]
    await bob.asks("LEAVE", {"room": people.room})
    (batch,) = await changes(alice, until=1)
    assert batch["left"] == [{"userId": bob.user, "reason": "left"}]


async def test_a_list_comes_in_pages_to_whoever_asks(people: ResumingPeople) -> None:
    crowd = [await people.come(f"user{number}", gateway=number % 2) for number in range(5)]
    for person in crowd:
        await person.asks("JOIN", {"room": people.room})
    reader = await people.come("reader", batches=True)
    await reader.asks("JOIN", {"room": people.room})
    found: list[str] = []
    page: Json = {"next": ""}
    while "next" in page:
        after = {"after": page["next"]} if page["next"] else {}
        page = await reader.asks("MEMBERS", {"room": people.room, "limit": 2, **after})
        assert page["count"] == 6
        found += [one["userId"] for one in page["members"]]
    assert found == [*(person.user for person in crowd), reader.user]
    for argument, value in (("after", "nowhere"), ("limit", 0)):
        asked = {"room": people.room, argument: value}
        await reader.asks_in_vain("MEMBERS", asked, "BAD_MESSAGE", argument=argument)


async def test_comings_and_goings_end_nobody_s_absence(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    had = await alice.relays(frames.CANDIDATE, bob)
    mallory = await people.come("mallory", claims={"join": [people.room]})
    await alice.hears_joined(people.room, mallory.user)
    await bob.hears_joined(people.room, mallory.user)
    await people.lose(bob, alice, mallory)
    for number in range(TURNS):
        await mallory.asks(("LEAVE", "JOIN")[number % 2], {"room": people.room})
    missed = alice.say(frames.CANDIDATE, bob)
    again = await people.resumed(bob, json.loads(had)["requestId"], gateway=1)
    heard = [await again.hear()]
    while heard[-1]["cmd"] != frames.CANDIDATE:
        assert heard[-1]["cmd"] in {"MEMBER_JOINED", "MEMBER_LEFT"}
        assert heard[-1]["data"]["userId"] == mallory.user
        heard.append(await again.hear())
    assert heard[-1]["requestId"] == json.loads(missed)["requestId"]
    again.say(frames.CANDIDATE, alice)
    while (await alice.hear())["cmd"] != frames.CANDIDATE:
        pass


async def test_who_has_lost_its_place_gets_a_list(people: ResumingPeople) -> None:
    bob = await people.in_room("bob", gateway=1)
    alice = await people.come("alice", batches=True)
    await alice.asks("JOIN", {"room": people.room})
    await bob.hears_joined(people.room, alice.user)
    token = alice.welcome["resumeToken"]
    await alice.connection.drop()
    await people.hears_status(bob, alice, "away")
    again = await people.come("alice", user=alice.user, resume=token, last="no such message", batches=True)
    assert again.welcome["resumed"]
    message = await again.hear()
    assert message["cmd"] == "ROOM_CHANGED"
    assert [one["userId"] for one in message["data"]["members"]] == [bob.user, alice.user]
    assert message["data"]["count"] == 2
