"""Rooms and members over HTTP: what presence is asked, and what a backend is told."""

from typing import Any

import httpx
import pytest

from api.resources.rooms import room_routes
from tests.support.api import WITH_KEY, FakePresence, client_of
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    CloseRoom,
    ListRooms,
    LookAtRoom,
    MemberSeen,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
)
from tieline.wire.internal.directions import BackendOrder, PresenceReply

HALL, ALICE = RoomId("hall"), UserId("alice")
THERE = MemberSeen(ALICE, "online", True, 7, False)
MEMBER = {"user": "alice", "status": "online", "voice": True, "given": False, "joinedAt": 7}


async def asked(
    method: str, path: str, reply: PresenceReply, json: object = None
) -> tuple[FakePresence, httpx.Response]:
    presence = FakePresence(reply)
    async with client_of(room_routes(presence)) as client:
        body: dict[str, Any] = {} if json is None else {"json": json}
        return presence, await client.request(method, f"/v1{path}", headers=WITH_KEY, **body)


async def test_rooms_are_listed_in_pages() -> None:
    presence, answer = await asked("GET", "/rooms?after=a&limit=2", RoomsSeen(((HALL, 3),), 9, "hall"))
    assert answer.json() == {"rooms": [{"room": "hall", "members": 3}], "count": 9, "next": "hall"}
    assert presence.asked == [ListRooms(after="a", limit=2)]


async def test_the_last_page_has_no_next() -> None:
    _, answer = await asked("GET", "/rooms", RoomsSeen((), 0, ""))
    assert answer.json() == {"rooms": [], "count": 0}


async def test_a_room_is_there_while_somebody_is() -> None:
    _, answer = await asked("GET", "/rooms/hall", RoomSeen((THERE,), 3, has_more=True))
    assert answer.json() == {"room": "hall", "members": 3}
    _, answer = await asked("GET", "/rooms/hall", RoomSeen((), 0, has_more=False))
    assert (answer.status_code, answer.json()["reason"]) == (404, "NO_SUCH_ROOM")


async def test_members_are_listed_in_pages() -> None:
    path = "/rooms/hall/members?after=a&limit=1"
    presence, answer = await asked("GET", path, RoomSeen((THERE,), 2, has_more=True))
    assert answer.json() == {"members": [MEMBER], "count": 2, "next": "alice"}
    assert presence.asked == [LookAtRoom(HALL, after="a", limit=1)]


async def test_one_member_is_looked_at() -> None:
    presence, answer = await asked("GET", "/rooms/hall/members/alice", RoomSeen((THERE,), 2, has_more=False))
    assert answer.json() == MEMBER
    assert presence.asked == [LookAtRoom(HALL, only="alice")]
    _, answer = await asked("GET", "/rooms/hall/members/alice", RoomSeen((), 2, has_more=False))
    assert (answer.status_code, answer.json()["reason"]) == (404, "NO_SUCH_MEMBER")


@pytest.mark.parametrize(
    ("method", "path", "json", "order"),
    [
        ("PUT", "/rooms/hall/members/alice", None, AddMember("", 60.0, ALICE, HALL)),
        ("DELETE", "/rooms/hall/members/alice", None, RemoveMember("", 60.0, ALICE, HALL)),
        ("POST", "/rooms/hall/members/alice/kick", {}, RemoveMember("", 60.0, ALICE, HALL)),
        ("POST", "/rooms/hall/members/alice/kick", {"seconds": 5}, RemoveMember("", 60.0, ALICE, HALL, 5.0)),
        ("POST", "/rooms/hall/close", {"seconds": 5}, CloseRoom("", 60.0, HALL, 5.0)),
    ],
)
async def test_a_change_is_asked_of_presence(
    method: str, path: str, json: object, order: BackendOrder
) -> None:
    presence, answer = await asked(method, path, Affected(1), json)
    assert (answer.status_code, answer.json()) == (200, {"affected": 1})
    (asked_for,) = presence.asked
    assert type(asked_for) is type(order)
    assert _fields(asked_for) == _fields(order)


async def test_a_room_that_is_still_being_closed_is_accepted_to_be() -> None:
    _, answer = await asked("POST", "/rooms/hall/close", Affected(300, left=700), {})
    assert (answer.status_code, answer.json()) == (202, {"affected": 300, "left": 700})


def _fields(order: Any) -> list[object]:
    return [getattr(order, name) for name in order.__struct_fields__ if name != "once"]


@pytest.mark.parametrize("json", [{"seconds": -1}, {"seconds": 1e12}, {"second": 1}, [], "x"])
async def test_a_time_that_makes_no_sense_is_refused(json: object) -> None:
    presence, answer = await asked("POST", "/rooms/hall/members/alice/kick", Affected(1), json)
    assert answer.status_code == 400
    assert presence.asked == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", f"after={'a' * 129}"])
async def test_a_page_that_makes_no_sense_is_refused(query: str) -> None:
    presence, answer = await asked("GET", f"/rooms?{query}", RoomsSeen((), 0, ""))
    assert answer.status_code == 400
    assert presence.asked == []
