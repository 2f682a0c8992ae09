"""The example tells Tieline again what that has lost, and nothing that it knows."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import msgspec
import pytest

from examples.chat.chat import Chat, Settings, mend
from examples.chat.database import ban_until, open_database, silence
from examples.chat.outbox import Changes, Outbox
from examples.chat.push import StandIn
from tieline.api import Backend, Unavailable


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """A chat with two members, and a user who may call nobody."""
    with closing(open_database(":memory:")) as opened:
        with opened:
            opened.execute("INSERT INTO chats VALUES ('team', 'ada')")
            opened.executemany("INSERT INTO members VALUES ('team', ?)", [("ada",), ("bo",)])
            silence(opened, "cy", True)
        yield opened


class Tieline:
    """An API that knows these members of the room, each given or not, and this of the user."""

    def __init__(self, members: dict[str, bool], **user: Any) -> None:
        self.members = members
        self.user = {"user": "cy", "status": "offline", "rooms": [], "given": [], "calls": [], "voice": True}
        self.user |= {"voiceRevoked": False, **user}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/users/cy":
            return httpx.Response(200, json=self.user)
        assert request.url.path == "/v1/rooms/team/members"
        members = [
            {"user": user, "status": "offline", "voice": True, "given": given}
            for user, given in self.members.items()
        ]
        return httpx.Response(200, json={"members": members, "count": len(members)})


async def mended(database: sqlite3.Connection, api: Tieline | httpx.Response) -> list[list[Any]]:
    """List what is to be told after a look at what Tieline knows."""

    def answer(request: httpx.Request) -> httpx.Response:
        return api(request) if isinstance(api, Tieline) else api

    transport = httpx.MockTransport(answer)
    async with Backend("http://api", "key", patience_s=0.0, transport=transport) as backend:

        async def never(*_: Any) -> None:
            raise AssertionError("nothing is pushed")

        changes, pushes = Changes(database, backend), Outbox(database, "push", never)
        await mend(Chat(Settings("", "", "", ()), database, backend, changes, pushes, StandIn()))
    rows = database.execute("SELECT task FROM outbox ORDER BY task").fetchall()
    return [msgspec.json.decode(row["task"]) for row in rows]


async def test_what_tieline_knows_is_not_told_again(database: sqlite3.Connection) -> None:
    known = Tieline({"ada": True, "bo": True}, voiceRevoked=True)
    assert await mended(database, known) == []


async def test_who_should_be_a_member_is_given_again_and_no_other(database: sqlite3.Connection) -> None:
    known = Tieline({"ada": False, "bo": True, "dee": True, "eve": False}, voiceRevoked=True)
    assert await mended(database, known) == [["add_member", "team", "ada"], ["remove_member", "team", "dee"]]


async def test_bans_and_voices_are_told_again(database: sqlite3.Connection) -> None:
    with database:
        ban_until(database, "cy", time.time() + 3_600)
    (ban, voice) = await mended(database, Tieline({"ada": True, "bo": True}))
    assert ban[:2] == ["ban_user", "cy"]
    assert 3_000 < ban[2] <= 3_600
    assert voice == ["set_voice", "cy", False]


async def test_a_ban_that_is_over_is_not_told(database: sqlite3.Connection) -> None:
    with database:
        silence(database, "cy", False)
        ban_until(database, "cy", time.time() - 1)
    assert await mended(database, Tieline({"ada": True, "bo": True})) == []
    assert await mended(database, Tieline({"ada": True, "bo": True}, voiceRevoked=True)) == [
        ["set_voice", "cy", True]
    ]


async def test_who_cannot_look_mends_nothing(database: sqlite3.Connection) -> None:
    with pytest.raises(Unavailable):
        await mended(database, httpx.Response(503))
    assert database.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0
