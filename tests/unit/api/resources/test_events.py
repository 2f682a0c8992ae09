"""What happens, over HTTP: who may follow, and what is answered where nobody can."""

import asyncio
import time

import jwt
import pytest

from api.following import Following
from api.resources.events import event_routes
from api.signed_tokens import AUDIENCE
from tests.support.api import READING_KEY, SECRET, WITH_KEY, client_of
from tests.support.waiting import until
from tests.unit.api.told import FakeStream, following, joined


@pytest.fixture
def all_of_them(stream: FakeStream, tasks: asyncio.TaskGroup) -> Following:
    return following(stream, tasks, most=1)


async def test_what_came_since_is_told_in_a_form_that_every_client_reads(
    stream: FakeStream, all_of_them: Following
) -> None:
    before = stream.tell(joined("alice"))
    place = stream.tell(joined("bob"))
    asked = {"Last-Event-ID": str(before), **WITH_KEY}
    async with client_of(event_routes(all_of_them)) as client, asyncio.TaskGroup() as asking:
        answering = asking.create_task(client.get("/v1/events", headers=asked))
        await until(lambda: stream.readings > 1)
        all_of_them.end()
        answer = await answering
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    opening, event, end = answer.text.removesuffix("\n\n").split("\n\n")
    assert opening == f"retry: 1000\nid: {before}"
    assert event.startswith(f'id: {place}\ndata: {{"id":"bob"')
    assert end == f'id: {place}\nevent: end\ndata: {{"reason":"stopping"}}'


async def test_nobody_follows_for_longer_than_its_token_is_good(all_of_them: Following) -> None:
    claims = {"aud": AUDIENCE, "sub": "page", "exp": time.time() + 1, "scope": "events:read"}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    async with client_of(event_routes(all_of_them)) as client:
        answer = await client.get("/v1/events", headers={"Authorization": f"Bearer {token}"})
    assert answer.text.endswith('event: end\ndata: {"reason":"expired"}\n\n')


async def test_following_has_a_scope_of_its_own(all_of_them: Following) -> None:
    async with client_of(event_routes(all_of_them)) as client:
        answer = await client.get("/v1/events", headers={"Authorization": f"Bearer {READING_KEY}"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "SCOPE_MISSING")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?user=%00", {}),
        ("?room=", {}),
        ("?room=%20", {}),
        ("", {"Last-Event-ID": "x"}),
        ("", {"Last-Event-ID": "-1"}),
        ("", {"Last-Event-ID": "1" * 20}),
    ],
)
async def test_what_names_nothing_is_refused(
    query: str, headers: dict[str, str], all_of_them: Following
) -> None:
    async with client_of(event_routes(all_of_them)) as client:
        answer = await client.get(f"/v1/events{query}", headers={**headers, **WITH_KEY})
    assert answer.status_code == 400


async def test_where_nobody_can_follow_it_is_said_why(stream: FakeStream, all_of_them: Following) -> None:
    async with client_of(event_routes(all_of_them)) as client:

        async def refused() -> tuple[int, str]:
            answer = await client.get("/v1/events", headers=WITH_KEY)
            return answer.status_code, answer.json()["reason"]

        stream.is_away = True
        assert await refused() == (503, "UNAVAILABLE")
        stream.is_there = False
        assert await refused() == (501, "NO_EVENTS")
        stream.is_away, stream.is_there = False, True
        with await all_of_them.begin(None, "", ""):
            assert await refused() == (503, "TOO_MANY_FOLLOWERS")
