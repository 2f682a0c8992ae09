"""The examples of the API's document, sent to a system that runs: it answers as they say."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import httpx
import pytest

from api.callers import entry
from tests.support.http_get import HOST
from tests.support.system import SECRET, System
from tests.support.waiting import PATIENCE_S
from tieline.client import Client, Offer, connect
from tieline.tokens import make_token

KEY = "a key for tests of the examples"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}

VARIES = {"joinedAt", "expiresAt", "token", "call"}
"""Fields that another time, or another call, gives another value."""

OF_A_STREAM = re.compile(
    r'(?m)^id: \d+$|(?<="id":")\w+|(?<="source":")[^"]+|(?<="time":")[^"]+|"sequence":"\d+"'
)
"""What varies in a stream of events."""


class Example(NamedTuple):
    """One operation, as its example has it."""

    method: str
    path: str
    request: Any
    status: int
    answer: Any


@pytest.fixture(scope="module")
def served(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("examples")
    keys = {"API_KEYS": entry("tests", KEY)}
    settings = {"EVENTS": "on", "STORAGE": "memory"}
    with System(nats_url, folder, apis=1, settings=settings, own_settings={"api": keys}) as system:
        system.add("webhooks")  # who makes the bucket of webhooks
        yield system


def url_of(system: System) -> str:
    return f"http://{HOST}:{system.all('api')[0].port}"


def examples(system: System) -> dict[str, Example]:
    """Read the examples of all operations."""
    document = httpx.get(f"{url_of(system)}/openapi.json").json()
    return {
        operation["operationId"]: _read(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _read(method: str, path: str, operation: dict[str, Any]) -> Example:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            (example,) = parameter["examples"].values()
            path = path.replace(f"{{{parameter['name']}}}", example["value"])
    assert "{" not in path
    status = min(status for status in operation["responses"] if status.startswith("2"))
    request = _only(operation.get("requestBody", {}))
    return Example(method, path, request, int(status), _only(operation["responses"][status]))


def _only(body: dict[str, Any]) -> Any:
    """Return the one example of a body, of the one form that it has; None: there is no body."""
    forms = [*body.get("content", {}).values()]
    if not forms:
        return None
    ((example,),) = ([*form["examples"].values()] for form in forms)
    return example["value"]


def unvarying(value: Any) -> Any:
    """Leave out what varies from time to time."""
    if isinstance(value, dict):
        return {name: ... if name in VARIES else unvarying(each) for name, each in value.items()}
    return [unvarying(each) for each in value] if isinstance(value, list) else value


class Story:
    """Tells the examples, and compares what is answered."""

    def __init__(self, system: System, http: httpx.AsyncClient) -> None:
        self.examples = examples(system)
        self.told: set[str] = set()
        self._http = http

    async def tell(self, *operations: str) -> None:
        """Send these examples, one after the other."""
        for operation in operations:
            self.told.add(operation)
            method, path, request, status, expected = self.examples[operation]
            answer = await self._http.request(method, path, json=request)
            assert answer.status_code == status, (operation, answer.text)
            found = answer.json() if answer.content else None
            assert unvarying(found) == unvarying(expected), operation

    async def follow(self, after: str) -> None:
        """Send the example of following, from a place on, and compare as much as it shows."""
        self.told.add("followEvents")
        method, path, _, status, expected = self.examples["followEvents"]
        headers, so_far = {"Last-Event-ID": after}, ""
        async with asyncio.timeout(PATIENCE_S), self._http.stream(method, path, headers=headers) as answer:
            assert answer.status_code == status
            async for piece in answer.aiter_text():
                so_far += piece
                if so_far.count("\n\n") >= expected.count("\n\n"):
                    break
        told = "\n\n".join(so_far.split("\n\n")[: expected.count("\n\n")]) + "\n\n"
        assert OF_A_STREAM.sub("...", told) == OF_A_STREAM.sub("...", expected)

    async def place(self) -> str:
        """Say how far the stream of events has got."""
        async with self._http.stream("GET", "/v1/events") as answer:
            async for piece in answer.aiter_text():
                if found := re.search(r"^id: (\d+)$", piece, re.MULTILINE):
                    return found[1]
        raise AssertionError("no place")


def client(system: System, user: str, *join: str) -> AbstractAsyncContextManager[Client]:
    return connect(f"ws://{HOST}:{system.ports[0]}/ws", make_token(SECRET, user, [], join=join))


async def has_offer(who: Client) -> Offer:
    async with asyncio.timeout(PATIENCE_S):
        async for event in who.events():
            if isinstance(event, Offer):
                return event
    raise AssertionError("no offer")


async def test_every_example_is_answered_as_it_stands(served: System) -> None:
    async with httpx.AsyncClient(base_url=url_of(served), headers=WITH_KEY, timeout=PATIENCE_S) as http:
        story = Story(served, http)
        place = await story.place()
        async with client(served, "user_123") as one:
            await story.tell("addMember")
            await story.follow(place)
            async with client(served, "user_456", "room_1") as other:
                await one.call("user_456", {"sdp": "1"})
                await has_offer(other)
                await other.answer("user_123", {"sdp": "2"})
                await story.tell("listRooms", "getRoom", "listMembers", "getMember", "getUser")
                await story.tell("getStatistics", "messageUser", "messageRoom", "endCall", "setVoice")
                await story.tell("removeMember")
                await http.put(story.examples["addMember"].path)
                await story.tell("kickMember", "closeRoom", "banUser", "unbanUser")
        async with client(served, "user_123"):
            await story.tell("disconnectUser")
        await story.tell("mintToken", "putWebhook", "listWebhooks", "deleteWebhook")
    assert story.told == story.examples.keys()
