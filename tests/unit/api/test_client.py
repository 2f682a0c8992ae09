"""The client of the backend's API: what it asks, how often, and what comes of it."""

from collections.abc import Awaitable, Callable

import httpx
import msgspec
import pytest

from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Changed, Member, Room, Statistics, Token, TokenOrder, User

CHANGED = {"affected": 1}
USER = {
    "user": "a/b",
    "status": "online",
    "rooms": [],
    "given": [],
    "voice": True,
    "voiceRevoked": False,
    "calls": [],
}


class Line:
    """Answers requests with these, one after the other, the last again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = [*answers]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    def backend(self, patience_s: float = 10.0) -> Backend:
        return Backend("http://api/", "k", patience_s=patience_s, transport=httpx.MockTransport(self))

    @property
    def asked(self) -> list[str]:
        return [
            f"{each.method} {each.url.raw_path.decode()} {each.content.decode()}" for each in self.requests
        ]


Ask = Callable[[Backend], Awaitable[object]]


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda api: api.add_member("r 1", "a/b"), "PUT /v1/rooms/r%201/members/a%2Fb "),
        (lambda api: api.remove_member("r", "u"), "DELETE /v1/rooms/r/members/u "),
        (lambda api: api.kick_member("r", "u", 5), 'POST /v1/rooms/r/members/u/kick {"seconds":5}'),
        (lambda api: api.remove_member(".", ".."), "DELETE /v1/rooms/%2E/members/%2E%2E "),
        (lambda api: api.close_room("r"), 'POST /v1/rooms/r/close {"seconds":0}'),
        (lambda api: api.disconnect_user("u"), "POST /v1/users/u/disconnect "),
        (lambda api: api.ban_user("u", 60), 'PUT /v1/users/u/ban {"seconds":60}'),
        (lambda api: api.unban_user("u"), "DELETE /v1/users/u/ban "),
        (lambda api: api.set_voice("u", False), 'PUT /v1/users/u/voice {"allowed":false}'),
        (lambda api: api.end_call("u", "v", "1"), 'POST /v1/users/u/calls/v/end {"call":"1"}'),
        (lambda api: api.message_user("u", [1]), 'POST /v1/users/u/messages {"data":[1]}'),
        (lambda api: api.message_room("r", None), 'POST /v1/rooms/r/messages {"data":null}'),
    ],
)
async def test_a_change_is_asked_for_with_a_key_of_its_own(ask: Ask, asked: str) -> None:
    line = Line(httpx.Response(200, json=CHANGED))
    async with line.backend() as api:
        assert await ask(api) == Changed(affected=1)
        await ask(api)
    assert line.asked == [asked] * 2
    assert all(request.headers["authorization"] == "Bearer k" for request in line.requests)
    assert len({request.headers["idempotency-key"] for request in line.requests}) == 2


async def test_a_change_has_the_name_that_is_given() -> None:
    line = Line(httpx.Response(200, json=CHANGED))
    async with line.backend() as api:
        await api.disconnect_user("u", once="mine")
    assert line.requests[0].headers["idempotency-key"] == "mine"


async def test_what_there_is_is_read() -> None:
    counted = {"gateways": 1, "sessions": 2, "rooms": 3, "members": 4, "calls": 5}
    line = Line(
        httpx.Response(200, json=USER),
        httpx.Response(200, json={"room": "r", "members": 2}),
        httpx.Response(200, json={"user": "u", "status": "away", "voice": False, "given": True}),
        httpx.Response(200, json=counted),
        httpx.Response(201, json={"token": "t", "expiresAt": 7}),
    )
    async with line.backend() as api:
        assert await api.user("a/b") == msgspec.convert(USER, User)
        assert await api.room("r") == Room(room="r", members=2)
        assert await api.member("r", "u") == Member(user="u", status="away", voice=False, given=True)
        assert await api.statistics() == msgspec.convert(counted, Statistics)
        assert await api.mint_token(TokenOrder(user="u")) == Token(token="t", expires_at=7)


async def test_lists_are_read_page_by_page() -> None:
    line = Line(
        httpx.Response(200, json={"rooms": [{"room": "a", "members": 1}], "count": 2, "next": "a b"}),
        httpx.Response(200, json={"rooms": [{"room": "c", "members": 1}], "count": 2}),
    )
    async with line.backend() as api:
        assert [room.room async for room in api.rooms()] == ["a", "c"]
    assert line.asked == ["GET /v1/rooms ", "GET /v1/rooms?after=a%20b "] or line.asked[1].endswith(
        "after=a+b "
    )


async def test_members_are_read_page_by_page() -> None:
    one = {"status": "online", "voice": True, "given": False}
    line = Line(
        httpx.Response(200, json={"members": [{"user": "a", **one}], "count": 2, "next": "a"}),
        httpx.Response(200, json={"members": [{"user": "b", **one}], "count": 2}),
    )
    async with line.backend() as api:
        assert [member.user async for member in api.members("r")] == ["a", "b"]
    assert line.asked == ["GET /v1/rooms/r/members ", "GET /v1/rooms/r/members?after=a "]


async def test_a_refusal_is_raised_with_its_problem() -> None:
    problem = {"title": "Conflict", "status": 409, "detail": "full", "reason": "ROOM_FULL"}
    async with Line(httpx.Response(409, json=problem)).backend() as api:
        with pytest.raises(Refused, match="ROOM_FULL: full") as refused:
            await api.add_member("r", "u")
    assert refused.value.problem.status == 409


async def test_what_nobody_answers_is_sent_again_with_the_same_key() -> None:
    line = Line(httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200, json=CHANGED))
    async with line.backend() as api:
        assert await api.disconnect_user("u") == Changed(affected=1)
    assert len({request.headers["idempotency-key"] for request in line.requests}) == 1
    assert len(line.requests) == 3


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), httpx.Response(503)])
async def test_what_nobody_answers_for_long_is_unavailable(answer: httpx.Response | Exception) -> None:
    async with Line(answer).backend(patience_s=0) as api:
        with pytest.raises(Unavailable, match="http://api/v1/: "):
            await api.disconnect_user("u")


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="<html>")])
async def test_an_answer_of_something_else_is_none(answer: httpx.Response) -> None:
    async with Line(answer).backend() as api:
        with pytest.raises(Unavailable, match="no answer of the API's"):
            await api.statistics()


async def test_a_room_that_is_being_closed_is_asked_about_until_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tieline.api.client.BETWEEN_S", 0)
    line = Line(
        httpx.Response(202, json={"affected": 300, "left": 700}),
        httpx.Response(503),
        httpx.Response(202, json={"affected": 800, "left": 200}),
        httpx.Response(200, json={"affected": 1000}),
    )
    async with line.backend() as api:
        assert await api.close_room("r") == Changed(affected=1000)
    assert len({request.headers["idempotency-key"] for request in line.requests}) == 1
    assert len(line.requests) == 4


async def test_who_closes_a_room_waits_no_longer_than_it_wants() -> None:
    line = Line(httpx.Response(202, json={"affected": 300, "left": 700}))
    async with line.backend(patience_s=0) as api:
        assert await api.close_room("r", once="mine") == Changed(affected=300, left=700)
    assert line.requests[0].headers["idempotency-key"] == "mine"
