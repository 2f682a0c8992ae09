"""The example's outbox: what is written down is done, in order, whoever fails in between."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import pytest

from examples.chat import outbox as outbox_module
from examples.chat.database import open_database
from examples.chat.outbox import Changes, NotNow, Outbox
from tieline.api import Backend

PATIENCE_S = 10.0


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(open_database(":memory:")) as opened:
        yield opened


@asynccontextmanager
async def working(outbox: Outbox) -> AsyncIterator[None]:
    """Have the outbox do what there is to do while the block runs."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(outbox.run())
        yield
        running.cancel()


class Elsewhere:
    """What tasks are done by: remembers them, and fails when told so."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = [*fails]
        self.done: list[tuple[list[Any], str]] = []
        self.asked: list[str] = []

    async def __call__(self, task: Sequence[Any], once: str) -> None:
        self.asked.append(once)
        if self.fails:
            raise self.fails.pop(0)
        self.done.append(([*task], once))

    @property
    def tasks(self) -> list[list[Any]]:
        return [task for task, _ in self.done]


async def test_tasks_are_done_in_the_order_in_which_they_stand(database: sqlite3.Connection) -> None:
    elsewhere = Elsewhere()
    outbox = Outbox(database, "lane", elsewhere)
    async with working(outbox):
        with database:
            outbox.put("first", 1)
            last = outbox.put("second", None)
        assert await outbox.done(last, PATIENCE_S)
    assert elsewhere.tasks == [["first", 1], ["second", None]]
    assert database.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


async def test_what_was_rolled_back_is_not_done(database: sqlite3.Connection) -> None:
    elsewhere = Elsewhere()
    outbox = Outbox(database, "lane", elsewhere)

    def fail() -> None:
        with database:
            outbox.put("never")
            raise KeyError

    async with working(outbox):
        with pytest.raises(KeyError):
            fail()
        with database:
            last = outbox.put("but this")
        assert await outbox.done(last, PATIENCE_S)
    assert elsewhere.tasks == [["but this"]]


async def test_what_an_earlier_process_has_left_is_done_first(database: sqlite3.Connection) -> None:
    with database:
        Outbox(database, "lane", Elsewhere()).put("left")
        Outbox(database, "another", Elsewhere()).put("of another lane")
    elsewhere = Elsewhere()
    outbox = Outbox(database, "lane", elsewhere)
    with database:
        last = outbox.put("new")
    async with working(outbox):
        assert await outbox.done(last, PATIENCE_S)
    assert elsewhere.tasks == [["left"], ["new"]]
    assert len({once for _, once in elsewhere.done}) == 2


async def test_a_task_that_fails_is_done_again_by_the_same_name(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "AGAIN_S", 0.0)
    elsewhere = Elsewhere(NotNow("away"), NotNow("still away"))
    outbox = Outbox(database, "lane", elsewhere)
    with database:
        number = outbox.put("stubborn")
    assert not await outbox.done(number, 0.0)
    async with working(outbox):
        assert await outbox.done(number, PATIENCE_S)
    assert elsewhere.tasks == [["stubborn"]]
    assert len(elsewhere.asked) == 3
    assert len({*elsewhere.asked}) == 1


class Api:
    """An API that answers with these, one after the other, the last again and again."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = [*statuses]
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        self.asked.append((f"{request.method} {path}", request.headers["idempotency-key"]))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 200:
            return httpx.Response(200, json={"affected": 1})
        problem = {"title": "no", "status": status, "detail": "no", "reason": "NO"}
        return httpx.Response(status, json=problem)

    def backend(self) -> Backend:
        return Backend("http://api", "key", patience_s=0.0, transport=httpx.MockTransport(self))


@pytest.mark.parametrize("statuses", [(503, 200), (401, 403, 200), (500, 200)])
async def test_a_change_is_asked_for_until_it_is_made(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, statuses: tuple[int, ...]
) -> None:
    monkeypatch.setattr(outbox_module, "AGAIN_S", 0.0)
    api = Api(*statuses)
    async with api.backend() as backend:
        changes = Changes(database, backend)
        with database:
            number = changes.make(Backend.add_member, "room", "ada")
        async with working(changes):
            assert await changes.done(number, PATIENCE_S)
    assert len(api.asked) == len(statuses)
    assert len({*api.asked}) == 1
    assert api.asked[0][0] == "PUT /v1/rooms/room/members/ada"


async def test_a_change_that_is_refused_holds_up_no_other(database: sqlite3.Connection) -> None:
    api = Api(409, 200)
    async with api.backend() as backend:
        changes = Changes(database, backend)
        with database:
            changes.make(Backend.add_member, "room", "ada")
            number = changes.make(Backend.set_voice, "ada", False)
        async with working(changes):
            assert await changes.done(number, PATIENCE_S)
    assert [asked for asked, _ in api.asked] == ["PUT /v1/rooms/room/members/ada", "PUT /v1/users/ada/voice"]
