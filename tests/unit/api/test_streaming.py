"""Following the events with the typed client: from connection to connection, and what ends it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Event, EventData
from tieline.wire import server_sent

EVENT = (
    b'{"id":"e","type":"tieline.member.joined","subject":"room/r","time":"t",'
    b'"data":{"room":"r","user":"u"},"new":1}'
)
READ = Event(
    id="e", type="tieline.member.joined", subject="room/r", time="t", data=EventData(room="r", user="u")
)

DENIED = {"title": "No", "status": 403, "detail": "no", "reason": "SCOPE_MISSING"}


class Broken(httpx.AsyncByteStream):
    """A body that breaks off behind what it has."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        raise httpx.ReadError("the line is lost")


class Line:
    """Answers each request for the stream with the next of these, and with the last one from then on."""

    def __init__(self, *answers: httpx.Response | bytes | Exception) -> None:
        self._answers = [*answers]
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, content=answer) if isinstance(answer, bytes) else answer

    def backend(self, patience_s: float = 10.0) -> Backend:
        return Backend("http://api", "k", patience_s=patience_s, transport=httpx.MockTransport(self))

    @property
    def places(self) -> list[str | None]:
        return [request.headers.get("last-event-id") for request in self.requests]


async def test_a_lost_connection_goes_on_behind_the_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.api.streaming.BETWEEN_S", 0.0)
    line = Line(
        httpx.Response(
            200, stream=Broken(server_sent.opening(5), server_sent.event(6, EVENT), b"id: 7\ndata")
        ),
        server_sent.heartbeat(9) + server_sent.end(9, "stopping"),
        httpx.ConnectError("nobody"),
        httpx.Response(503),
        server_sent.event(10, EVENT),
        httpx.Response(403, json=DENIED),
    )
    async with line.backend() as backend:
        events = backend.events()
        assert [await anext(events), await anext(events)] == [READ, READ]
        with pytest.raises(Refused, match="SCOPE_MISSING"):
            await anext(events)
    assert line.places == [None, "6", "9", "9", "9", "10"]


async def test_it_is_asked_for_whom_and_from_where() -> None:
    line = Line(httpx.Response(403, json=DENIED))
    async with line.backend() as backend:
        with pytest.raises(Refused):
            await anext(backend.events(user="a/b", room="r", after=3))
    (request,) = line.requests
    assert request.url.raw_path in (b"/v1/events?user=a%2Fb&room=r", b"/v1/events?user=a/b&room=r")
    assert line.places == ["3"]


async def test_what_is_gone_is_told_and_what_is_not_understood_passed_over() -> None:
    line = Line(
        server_sent.gap(4) + server_sent.event(1, b"garbage") + b"event: new\ndata: {}\n\n",
        httpx.Response(403, json=DENIED),
    )
    lost: list[int] = []
    async with line.backend() as backend:
        with pytest.raises(Refused):
            await anext(backend.events(on_gap=lost.append))
    assert lost == [4]


@pytest.mark.parametrize(
    "answer", [httpx.ConnectError("nobody"), httpx.Response(502), httpx.Response(404), b"x" * 2_000_000]
)
async def test_where_nobody_answers_it_is_said(answer: httpx.Response | bytes | Exception) -> None:
    async with Line(answer).backend(patience_s=0) as backend:
        with pytest.raises(Unavailable):
            await anext(backend.events())
