"""Every operation of the document has an example, which is what its schema says."""

from typing import Any

import msgspec
import pytest

from api.examples import EXAMPLES, with_examples
from api.resources.calls import call_routes
from api.resources.events import event_routes
from api.resources.messages import message_routes
from api.resources.rooms import room_routes
from api.resources.statistics import statistics_routes
from api.resources.tokens import token_routes
from api.resources.users import user_routes
from api.resources.webhooks import webhook_routes
from tests.support.api import FakePresence, client_of
from tests.unit.api.resources.test_webhooks import FakeBucket
from tests.unit.api.told import FakeStream, following
from tieline.event_stream import News
from tieline.runtime.guard import BackgroundTasks
from tieline.tokens import MadeFor
from tieline.wire.internal.backend import Affected


@pytest.fixture
async def document() -> dict[str, Any]:
    """The document of all that there is."""
    presence = FakePresence(Affected(0))
    async with BackgroundTasks() as tasks:
        routes = [
            *room_routes(presence),
            *user_routes(presence),
            *call_routes(presence),
            *message_routes(presence),
            *statistics_routes(presence),
            *event_routes(following(FakeStream(News()), tasks)),
            *webhook_routes(FakeBucket(), may_be_private=False),
            *token_routes("", MadeFor()),
        ]
        async with client_of(routes) as client:
            read: dict[str, Any] = (await client.get("/openapi.json")).json()
    return read


def operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def test_every_operation_has_an_example_and_no_other_has(document: dict[str, Any]) -> None:
    assert operations(document).keys() == EXAMPLES.keys()


def test_every_body_and_every_answer_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        statuses = [status for status in operation["responses"] if status.startswith("2")]
        bodies.append(operation["responses"][min(statuses)])
        for body in bodies:
            for form in body.get("content", {}).values():
                assert form.get("examples"), name
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] != "path" or parameter["examples"], name


def test_the_examples_are_those_of_the_service(document: dict[str, Any]) -> None:
    kick = operations(document)["kickMember"]
    (request,) = kick["requestBody"]["content"]["application/json"]["examples"].values()
    (answer,) = kick["responses"]["200"]["content"]["application/json"]["examples"].values()
    assert (request["value"], answer["value"]) == ({"seconds": 300}, {"affected": 1})


def test_examples_are_put_in_once_however_often_that_is_done(document: dict[str, Any]) -> None:
    before = msgspec.json.encode(document)
    assert msgspec.json.encode(with_examples(document)) == before
