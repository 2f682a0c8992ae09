"""Rooms that the backend alone gives, while gateways stand still, tokens change and clients come back.

Its users are in four partitions, and no token names one of these rooms.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from api.callers import entry
from tests.support.frames import new_id, token
from tests.support.http_get import HOST
from tests.support.people import Person
from tests.support.resuming import SETTINGS, ResumingPeople
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.api import Backend, Unavailable

KEY = "a key for tests of given rooms, of which the API has the hash"
BRIEF = {**SETTINGS, "GATEWAY_LEASE": "2", "RESUME_WINDOW": "1", "PARTITIONS": "4"}
"""Sessions end soon whose gateway stands still."""


@pytest.fixture(scope="module")
def brief(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("given")
    with System(
        nats_url,
        folder,
        gateways=2,
        presences=2,
        apis=1,
        settings=BRIEF,
        own_settings={"api": {"API_KEYS": entry("tests", KEY)}},
    ) as running:
        yield running


@pytest.fixture
async def backend(brief: System) -> AsyncIterator[Backend]:
    async with Backend(f"http://{HOST}:{brief.all('api')[0].port}", KEY) as found:
        yield found


@pytest.fixture
async def guests(brief: System) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(brief) as people:
        yield people


async def hear(person: Person) -> tuple[str, Any]:
    """Wait for the next message; what tells somebody that it was put in has no number."""
    heard = json.loads(await person.connection.receive())
    return heard["cmd"], heard["data"]


async def put_in(backend: Backend, room: str, *people: Person) -> None:
    """Put people into a room one after the other, each of whom hears of itself and of those who follow."""
    for count, person in enumerate(people, 1):
        assert (await backend.add_member(room, person.user)).affected == 1
        for there in people[: count - 1]:
            await there.hears_joined(room, person.user)
        assert await hear(person) == ("MEMBER_JOINED", {"room": room, "userId": person.user})


async def given(backend: Backend, room: str, user: str) -> None:
    """Give a user a room while a presence process stands still: until that is answered, as backends do."""
    once = new_id("once")
    while True:
        try:
            await backend.add_member(room, user, once=once)
        except Unavailable:
            continue
        return


async def listed(person: Person, room: str) -> set[str]:
    """Ask who is in a room."""
    reply = await person.asks("MEMBERS", {"room": room})
    return {member["userId"] for member in reply["members"]}


async def hears_last(person: Person, room: str) -> str:
    """Hear what it is told of itself until nothing more comes; returns the last of that."""
    last = ""
    while True:
        try:
            async with asyncio.timeout(0.5):
                cmd, data = await hear(person)
        except TimeoutError:
            return last
        assert (data["room"], data["userId"]) == (room, person.user)
        last = cmd


@pytest.mark.parametrize("place", [None, ""], ids=["version 1", "places"])
async def test_who_is_put_out_and_in_quickly_is_there(
    guests: ResumingPeople, backend: Backend, place: str | None
) -> None:
    room = new_id("room")
    anna = await guests.come("anna", place=place)
    for _ in range(30):
        await backend.add_member(room, anna.user)
        await backend.kick_member(room, anna.user)
        await backend.add_member(room, anna.user)
    assert [member.user async for member in backend.members(room)] == [anna.user]
    assert await hears_last(anna, room) == "MEMBER_JOINED"
    assert await listed(anna, room) == {anna.user}


async def test_a_newer_token_changes_nothing_of_given_rooms(
    guests: ResumingPeople, backend: Backend, brief: System
) -> None:
    room = new_id("room")
    anna, ben = await guests.come("anna"), await guests.come("ben", gateway=1)
    await put_in(backend, room, anna, ben)
    await anna.asks("REFRESH_TOKEN", {"token": token(anna.user, {"rooms": []})})
    with brief.all("gateway")[0].frozen():
        await ben.hears("MEMBER_UPDATED", {"room": room, "userId": anna.user, "status": "away"})
        await ben.hears_left(room, anna.user, "disconnected")
    await ben.hears_joined(room, anna.user)
    assert await listed(anna, room) == {anna.user, ben.user}


async def test_what_changes_while_its_gateway_stands_still_it_is_told(
    guests: ResumingPeople, backend: Backend, brief: System
) -> None:
    old, newer = new_id("old"), new_id("new")
    anna, ben = await guests.come("anna"), await guests.come("ben", gateway=1)
    await put_in(backend, old, ben, anna)
    with brief.all("gateway")[0].frozen():
        await ben.hears("MEMBER_UPDATED", {"room": old, "userId": anna.user, "status": "away"})
        await ben.hears_left(old, anna.user, "disconnected")
        await backend.kick_member(old, anna.user)
        await backend.add_member(newer, anna.user)
    told = {(cmd, data["room"]) for cmd, data in [await hear(anna), await hear(anna)]}
    assert told == {("MEMBER_LEFT", old), ("MEMBER_JOINED", newer)}
    assert await listed(anna, newer) == {anna.user}
    await anna.asks_in_vain("MEMBERS", {"room": old}, "NOT_IN_SAME_ROOM")


async def test_who_is_put_in_while_it_seems_away_is_told_when_it_is_not(
    guests: ResumingPeople, backend: Backend, brief: System
) -> None:
    old, newer = new_id("old"), new_id("new")
    anna, ben = await guests.come("anna"), await guests.come("ben", gateway=1)
    await put_in(backend, old, ben, anna)
    frozen, _ = brief.all("presence")
    with brief.all("gateway")[0].frozen():
        await ben.hears("MEMBER_UPDATED", {"room": old, "userId": anna.user, "status": "away"})
        with frozen.frozen():
            await given(backend, newer, anna.user)

    async def is_told() -> bool:
        cmd, data = await hear(anna)
        return (cmd, data["room"]) == ("MEMBER_JOINED", newer)

    await until_true(is_told)
    assert await listed(anna, newer) == {anna.user}
