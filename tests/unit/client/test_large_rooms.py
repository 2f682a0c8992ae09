"""Lists and changes of rooms as an application gets them, in whatever order they come.

The same for the browser's client: `tests.browser.test_rooms`.
"""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.support.waiting import within
from tests.unit.client.lists import changed, listed
from tests.unit.client.reading import next_of
from tests.unit.client.resuming_gateways import REFUSED, Backend, FixedJitter, Gateway
from tieline.client import (
    Event,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Refused,
    Rejoined,
    Roster,
    SessionLost,
    SessionReset,
    connect,
)

ROOM = "demo"


def users(roster: Roster) -> list[str]:
    return [member.user_id for member in roster.members]


def said(events: list[Event]) -> list[str]:
    """What events say of members."""
    words = []
    for event in events:
        assert isinstance(event, MemberJoined | MemberLeft | MemberUpdated)
        words.append(f"{type(event).__name__} {event.user_id} {event.number}")
    return words


def asked(backend: Backend, cmd: str) -> list[Any]:
    frames = [json.loads(frame) for frame in backend.received["ann"]]
    return [frame["data"] for frame in frames if frame["cmd"] == cmd]


async def loses_its_session(request: Awaitable[Roster]) -> None:
    with pytest.raises(SessionLost):
        await request


async def change(backend: Backend, data: Any) -> None:
    await backend.say("ann", "ROOM_CHANGED", data, f"room-{data['number']}")


async def test_a_list_in_pages_is_fetched_whole(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann:
        backend.lists = [
            listed(5, "ann", "bob", count=5, next="b"),
            listed(6, "cat", "dan", count=5, next="d"),
            listed(6, "eve", count=5),
        ]
        roster = await ann.join(ROOM)
        assert users(roster) == ["ann", "bob", "cat", "dan", "eve"]
        assert (roster.number, roster.count, roster.next) == (5, None, "")
        assert asked(backend, "MEMBERS") == [{"room": ROOM, "after": page} for page in "bd"]
        backend.lists = [listed(7, "ann", count=2, next="a"), listed(7, "bob", count=2)]
        assert users(await ann.members(ROOM)) == ["ann", "bob"]
        gone = ["MemberLeft cat 7", "MemberLeft dan 7", "MemberLeft eve 7"]
        assert said(await next_of(ann, 3)) == gone


async def test_what_changes_between_two_pages_is_not_lost(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann, asyncio.TaskGroup() as tasks:
        backend.lists = [listed(5, "ann", "bob", count=4, next="b")]
        backend.ignored.add("MEMBERS")
        joining = tasks.create_task(ann.join(ROOM))
        await backend.received_from("ann", 2)
        await change(backend, changed(7, joined="eve", left="bob"))
        await backend.answer("ann", listed(7, "cat", "eve", count=4))
        assert users(await within(joining)) == ["ann", "cat", "eve"]
        assert said(await next_of(ann, 2)) == ["MemberLeft bob 7", "MemberJoined eve 7"]


@pytest.mark.parametrize(("number", "members"), [(5, ["ann", "cat"]), (9, ["ann", "bob"])])
async def test_of_an_event_and_a_later_list_the_newer_counts(
    backend: Backend, gateway: Gateway, number: int, members: list[str]
) -> None:
    async with connect(gateway.url, "ann") as ann, asyncio.TaskGroup() as tasks:
        backend.ignored.add("JOIN")
        joining = tasks.create_task(ann.join(ROOM))
        await backend.received_from("ann", 1)
        await change(backend, changed(8, joined="cat", left="bob"))
        await backend.answer("ann", listed(number, "ann", "bob"))
        assert users(await within(joining)) == members


async def test_of_a_list_and_a_later_event_the_newer_counts(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann:
        backend.lists = [listed(5, "ann", "bob")]
        await ann.join(ROOM)
        await change(backend, changed(4, joined="cat", left="bob"))
        await change(backend, changed(6, joined="dan"))
        assert said(await next_of(ann, 1)) == ["MemberJoined dan 6"]


async def test_a_server_without_numbers_is_believed_as_it_speaks(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann:
        backend.lists = [listed(0, "ann", "bob"), listed(0, "ann", "cat")]
        assert users(await ann.join(ROOM)) == ["ann", "bob"]
        assert users(await ann.members(ROOM)) == ["ann", "cat"]
        await backend.say("ann", "MEMBER_JOINED", {"room": ROOM, "userId": "cat"}, "1")
        await backend.say("ann", "MEMBER_LEFT", {"room": ROOM, "userId": "bob", "reason": "left"}, "2")
        assert said(await next_of(ann, 2)) == ["MemberJoined cat 0", "MemberLeft bob 0"]


async def test_a_list_after_a_resume_is_told_as_what_has_changed(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann:
        backend.lists = [listed(5, "ann", "bob")]
        await ann.join(ROOM)
        backend.cut("ann")
        await next_of(ann, 2)
        backend.lists = [listed(8, "dan", count=3)]
        await backend.say("ann", "ROOM_CHANGED", listed(8, "ann", "cat", count=3, next="c"), "room-8-list")
        told = ["MemberLeft bob 8", "MemberJoined cat 8", "MemberJoined dan 8"]
        assert said(await next_of(ann, 3)) == told


async def test_a_page_that_is_refused_fails_the_list(backend: Backend, gateway: Gateway) -> None:
    async with connect(gateway.url, "ann") as ann:
        backend.lists = [listed(5, "ann", "bob", count=4, next="b")]
        backend.refusals["MEMBERS"] = [(REFUSED, "NOT_IN_SAME_ROOM")]
        with pytest.raises(Refused, match="NOT_IN_SAME_ROOM"):
            await ann.join(ROOM)


async def test_no_list_is_made_of_the_pages_of_two_sessions(
    backend: Backend, gateway: Gateway, jitter: FixedJitter
) -> None:
    async with connect(gateway.url, "ann", resume=True, jitter=jitter) as ann, asyncio.TaskGroup() as tasks:
        await ann.join(ROOM)
        backend.lists = [listed(5, "ann", count=2, next="a")]
        backend.ignored.add("MEMBERS")
        joining = tasks.create_task(loses_its_session(ann.join(ROOM)))
        await backend.received_from("ann", 3)
        backend.forget("ann")
        backend.cut("ann")
        await within(joining)
        _, reset, rejoined = await next_of(ann, 3)
        assert isinstance(reset, SessionReset)
        assert isinstance(rejoined, Rejoined)
        assert users(rejoined.roster) == ["ann"]
