"""`tieline webhooks` over a real broker: what is listed, shown, told again, and what it says if it cannot."""

import asyncio
import json

import msgspec
import pytest

from presence.event_stream import make_event_stream
from tests.broker.webhooks.conftest import SUBJECTS
from tests.support.nats_server import NatsServer
from tieline.cli.__main__ import main
from tieline.cli.exits import EXIT_OK, EXIT_UNUSABLE
from tieline.event_stream import EventStream
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.webhook_bucket import Bucket, make_bucket
from tieline.wire import webhooks
from tieline.wire.webhooks import DeadLetter, Endpoint, EndpointId, Keys, Progress

ONE = EndpointId("one")


@pytest.fixture
def environ(pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    monkeypatch.setenv("TIELINE_NAMESPACE", SUBJECTS.namespace)


@pytest.fixture
async def requests(broker: Broker) -> Requests:
    asking = Requests(broker, SUBJECTS.replies("webhooks", "1"))
    await asking.start()
    return asking


async def furnished(broker: Broker, requests: Requests) -> Bucket:
    """One endpoint with two dead letters."""
    await make_event_stream(broker, SUBJECTS, "memory", 1, 3600, 1 << 20)
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    bucket = Bucket(requests, SUBJECTS.webhooks())
    endpoint = Endpoint(ONE, "https://backend.example", ("secret",), ("call.*",), is_paused=True)
    await bucket.write(Keys.endpoint(ONE), webhooks.encode(endpoint), 0)
    await bucket.write(Keys.progress(ONE), webhooks.encode(Progress(9, (8, 9))), 0)
    for sequence in (4, 5):
        event = {"id": f"e{sequence}", "type": "tieline.call.offered", "subject": "call/a", "time": "now"}
        letter = DeadLetter(ONE, sequence, 0, msgspec.Raw(json.dumps(event).encode()))
        await bucket.put(Keys.dead(ONE, sequence), webhooks.encode(letter), 60)
    return bucket


async def tieline(*words: str) -> int:
    """Run the command in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(main, ["webhooks", *words])


@pytest.mark.usefixtures("environ")
async def test_endpoints_and_dead_letters_are_shown_and_told_again(
    broker: Broker, requests: Requests, capsys: pytest.CaptureFixture[str]
) -> None:
    await furnished(broker, requests)
    assert await tieline("list") == EXIT_OK
    listed = capsys.readouterr().out
    assert listed == "one  https://backend.example  waiting 2  dead 2  call.*  paused\n"
    assert await tieline("dead", "one") == EXIT_OK
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["e4", "e5"]
    assert await tieline("replay", "one", "--sequence", "5") == EXIT_OK
    assert capsys.readouterr().out == "1 of 2 dead letters are told to one again\n"
    (again,) = await EventStream(requests, SUBJECTS).read(0)
    assert again.event is not None
    assert (again.only_for, again.event.id) == ("one", "e5")
    assert await tieline("list") == EXIT_OK
    assert "dead 1" in capsys.readouterr().out


@pytest.mark.usefixtures("environ")
async def test_what_one_of_the_same_name_left_behind_is_not_its_own(
    broker: Broker, requests: Requests, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = await furnished(broker, requests)
    key = Keys.endpoint(ONE)
    await bucket.remove(key, (await bucket.read_one(key)).revision)
    assert await tieline("dead", "one") == EXIT_OK
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert await tieline("replay", "one") == EXIT_UNUSABLE
    assert "no webhook 'one'" in capsys.readouterr().err
    anew = Endpoint(ONE, "https://backend.example", ("secret",), made="anew", since=9)
    await bucket.write(key, webhooks.encode(anew), (await bucket.read_one(key)).revision)
    assert await tieline("list") == EXIT_OK
    assert capsys.readouterr().out == "one  https://backend.example  waiting 0  dead 0  all events\n"
    assert await tieline("replay", "one") == EXIT_OK
    assert capsys.readouterr().out == "0 of 0 dead letters are told to one again\n"
    assert await EventStream(requests, SUBJECTS).read(0) == []


@pytest.mark.usefixtures("environ")
async def test_where_there_is_nothing_it_says_so_beside_the_output(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    await make_bucket(broker, SUBJECTS.webhooks(), "memory", 1)
    assert await tieline("list") == EXIT_OK
    listed = capsys.readouterr()
    assert (listed.out, "TIELINE_WEBHOOK_URL" in listed.err) == ("", True)
    assert await tieline("dead", "one") == EXIT_OK
    assert capsys.readouterr() == ("", "tieline webhooks: no dead letters of 'one'\n")


@pytest.mark.usefixtures("environ", "broker")
async def test_without_a_bucket_it_says_what_may_be_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert await tieline("list") != EXIT_OK
    told = capsys.readouterr().err
    assert told.startswith(
        "tieline webhooks: no answer about endpoint.*, progress.*, dead.*.*: does no webhook worker run"
    )
