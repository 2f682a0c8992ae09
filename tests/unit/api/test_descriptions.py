"""Every body of the document, and every field, says what it means."""

from typing import Any

from litestar import Litestar
from litestar.testing import RequestFactory

from api.examples import WithExamples
from api.resources.users import user_routes
from tests.support.api import FakePresence, client_of
from tests.unit.api.test_examples import document as document  # the fixture
from tieline.wire.internal.backend import Affected


def schemas(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def test_every_body_and_every_field_says_what_it_means(document: dict[str, Any]) -> None:
    silent = [
        f"{name}.{field}"
        for name, schema in schemas(document).items()
        for field, described in {"": schema, **schema.get("properties", {})}.items()
        if not described.get("description")
    ]
    assert not silent


def test_a_field_says_what_its_docstring_does_by_its_name_in_json(document: dict[str, Any]) -> None:
    revoked = schemas(document)["User"]["properties"]["voiceRevoked"]
    assert revoked["description"] == "Whether this API has taken that from it."


def test_what_is_said_of_a_type_stands_before_what_is_said_of_a_field(document: dict[str, Any]) -> None:
    banned = schemas(document)["User"]["properties"]["bannedUntil"]
    assert banned["description"] == "Unix milliseconds. Absent: it is not banned."


def test_the_document_is_written_once() -> None:
    app = Litestar([], openapi_config=None, logging_config=None)  # else it would have all of a process logged
    request, plugin = RequestFactory(app).get("/"), WithExamples(path="/")
    first, second = [plugin.render(request, {"paths": {}, "components": {"schemas": {}}}) for _ in range(2)]
    assert first is second


async def test_who_reads_the_document_twice_reads_the_same() -> None:
    async with client_of(user_routes(FakePresence(Affected(0)))) as client:
        first, second = [(await client.get("/openapi.json")).content for _ in range(2)]
    assert first == second
