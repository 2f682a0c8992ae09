"""The program of docs/backends.md that hears of calls: what it takes, and what it says.

Its commands, and the fixture that it prints, are run by tests/system/test_example.py.
"""

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.pages import program_of
from tests.unit.api.test_examples import document as document  # the fixture
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Call, of_call
from tieline.wire.ids import CallId, UserId
from tieline.wire.signatures import headers_of

ROOT = Path(__file__).parents[2]
SECRET = "another-secret-of-thirty-two-characters-or-more"


async def test_the_program_takes_each_event_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_WEBHOOK_SECRET", SECRET)
    program: dict[str, Any] = {"__name__": "hooks"}
    exec(program_of("python", "backends.md", "hooks.py"), program)
    call = Call(UserId("ada"), UserId("bo"), CallId("1"), reason="hangup")
    body = cloud_events.batch_of([cloud_events.encode(of_call("tieline", "call.ended", "1", 0, call))])
    signed = headers_of([SECRET], "msg_1", int(time.time()), body)
    transport = httpx.ASGITransport(program["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as worker:
        for _ in range(2):
            assert (await worker.post("/tieline", content=body, headers=signed)).status_code == 204
        assert (await worker.post("/tieline", content=body)).status_code == 401
    assert capsys.readouterr().out == "call.ended ada bo hangup\n"


def test_the_requests_of_the_page_are_those_of_the_document(document: dict[str, Any]) -> None:
    page = (ROOT / "docs/backends.md").read_text()
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`[A-Z]+.* /\S+`|`[A-Z]+ /\S+`) \|", page, re.MULTILINE)
    printed: set[tuple[str, str, str]] = set()
    for names, request in rows:
        *methods, last = request.replace("`", "").split(", ")
        method, path = last.split(" ")
        pairs = zip(re.findall(r"\w+", names), [*methods, method], strict=True)
        printed |= {(name, each, f"/v1{path}") for name, each in pairs}
    served = {
        (operation["operationId"], method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert {name for name, _, _ in printed} > {"addMember", "removeMember", "unbanUser", "endCall"}
    assert printed - served == set()


def test_every_operation_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs/backends.md").read_text()
    named = set(re.findall(r"`([a-z]+[A-Z]\w+)`", page)) - {"apiKey"}
    sources = [path.read_text() for path in (ROOT / "api/resources").glob("*.py")]
    operations = {name for source in sources for name in re.findall(r'operation_id="(\w+)"', source)}
    assert "kickMember" in named
    assert named - operations == set()
