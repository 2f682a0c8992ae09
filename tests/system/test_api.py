"""The backend's API of a system that runs: what clients see of it, and what its document says, tried out."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

import tieline.client
from api.callers import entry
from tests.support.haproxy import shipped_haproxy
from tests.support.hearing import next_of
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.process import Process
from tests.support.raw_client import Refused as Forbidden
from tests.support.secured import Prepared
from tests.support.system import SECRET, Service, System
from tests.support.waiting import PATIENCE_S, until, until_true, within
from tieline.api import Backend, Refused
from tieline.api.bodies import TokenOrder
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.exits import EXIT_INTERRUPTED
from tieline.client import (
    AppMessage,
    Client,
    Denied,
    Hangup,
    MemberJoined,
    MemberLeft,
    Offer,
    connect,
)
from tieline.tokens import make_token

NOT_IN_SCHEMAS = [positive_data_acceptance]
"""What an id is no pattern says: of any Unicode, only what is seen (docs/protocol.md#2-envelope)."""

KEY = "a key for tests of the API, of which it has the hash"

STREAMS = "tieline_api_event_streams"


@pytest.fixture(scope="module")
def served(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two of each, and two API processes."""
    folder = tmp_path_factory.mktemp("api")
    keys = {"API_KEYS": entry("tests", KEY)}
    with System(
        nats_url,
        folder,
        gateways=2,
        routers=1,
        presences=2,
        apis=2,
        settings={"EVENTS": "on"},
        own_settings={"api": keys},
    ) as system:
        yield system


@pytest.fixture
async def backend(served: System) -> AsyncIterator[Backend]:
    async with Backend(url_of(served), KEY) as found:
        yield found


def url_of(system: System, nth: int = 0) -> str:
    return f"http://{HOST}:{system.all('api')[nth].port}"


def client(system: System, user: str, *join: str, gateway: int = 0) -> AbstractAsyncContextManager[Client]:
    """Connect somebody whose token names these rooms at most."""
    token = make_token(SECRET, user, [], join=join)
    return connect(f"ws://{HOST}:{system.ports[gateway]}/ws", token, resume=True)


async def test_a_room_may_belong_to_the_backend_alone(served: System, backend: Backend) -> None:
    await backend.add_member("given", "anna")
    async with client(served, "anna") as anna, client(served, "ben", gateway=1) as ben:
        assert anna.welcome.rooms == ("given",)
        assert (await backend.add_member("given", "ben")).affected == 1
        told = [await next_of(ben, MemberJoined) for _ in range(2)]
        assert [(event.room, event.user_id) for event in told] == [("given", "ben"), ("given", "anna")]
        members = [member.user async for member in backend.members("given")]
        assert members == ["anna", "ben"]
        await anna.call("ben", {"sdp": "1"})
        assert (await next_of(ben, Offer)).sender == "anna"


async def test_who_is_kicked_from_a_room_loses_its_calls(served: System, backend: Backend) -> None:
    async with client(served, "carl", "hall") as carl, client(served, "dora", "hall", gateway=1) as dora:
        await carl.call("dora", {"sdp": "1"})
        await next_of(dora, Offer)
        assert (await backend.kick_member("hall", "carl", 60)).affected == 1
        assert (await next_of(dora, Hangup)).reason == "kicked"
        left = await next_of(carl, MemberLeft)
        assert (left.user_id, left.reason) == ("carl", "kicked")
        with pytest.raises(tieline.client.Refused, match="ROOM_FORBIDDEN"):
            await carl.join("hall")


async def test_who_is_disconnected_is_closed_with_4502(served: System, backend: Backend) -> None:
    async with client(served, "emil", "hall") as emil:
        assert (await backend.disconnect_user("emil")).affected == 1
        with pytest.raises(AssertionError):
            await next_of(emil, AppMessage)
        assert emil.closed is not None
        assert emil.closed.code == 4502
    assert (await backend.user("emil")).status == "offline"


async def test_a_message_an_end_and_a_ban_are_as_the_protocol_has_them(
    served: System, backend: Backend
) -> None:
    async with People(served) as people:
        alice = await people.connect("alice")
        await backend.message_user(alice.user, {"for": "alice"})
        await alice.hears("MESSAGE", {"data": {"for": "alice"}})
        await backend.disconnect_user(alice.user)
        end = await alice.connection.ended()
        assert (end.code, end.reason) == (4502, "kicked")
        await backend.ban_user(alice.user, 60)
        with pytest.raises(Forbidden) as banned:
            await people.connect("alice", user=alice.user)
        said = json.loads(banned.value.answer.body)
        assert said == {"code": 403, "msg": "用户已被禁止连接", "reason": "BANNED"}


async def test_who_is_banned_is_not_let_in(served: System, backend: Backend) -> None:
    await backend.ban_user("fritz", 60)
    with pytest.raises(Denied) as denied:
        async with client(served, "fritz"):
            pass
    assert (denied.value.code, denied.value.reason) == (403, "BANNED")
    await backend.unban_user("fritz")
    async with client(served, "fritz"):
        assert (await backend.user("fritz")).status == "online"


async def test_messages_come_in_order_and_once(served: System, backend: Backend) -> None:
    async with client(served, "greta", "talk") as greta, Backend(url_of(served, 1), KEY) as other:
        for number in range(3):
            await backend.message_room("talk", number, once=f"greta-{number}")
            await other.message_room("talk", number, once=f"greta-{number}")
        await backend.message_user("greta", "last")
        told = [await next_of(greta, AppMessage) for _ in range(4)]
    assert [(event.data, event.room) for event in told] == [
        (0, "talk"),
        (1, "talk"),
        (2, "talk"),
        ("last", None),
    ]


async def test_of_two_messages_under_one_key_at_once_one_comes(served: System, backend: Backend) -> None:
    async with client(served, "gert") as gert, Backend(url_of(served, 1), KEY) as other:
        for number in range(10):
            first = backend.message_user("gert", f"{number} a", once=f"gert-{number}")
            second = other.message_user("gert", f"{number} b", once=f"gert-{number}")
            replies = await asyncio.gather(first, second, return_exceptions=True)
            (refused,) = [reply for reply in replies if isinstance(reply, BaseException)]
            assert isinstance(refused, Refused)
            assert refused.problem.reason == "KEY_USED"
        await backend.message_user("gert", "last")
        told = [(await next_of(gert, AppMessage)).data for _ in range(11)]
    assert [str(data).split()[0] for data in told] == [*map(str, range(10)), "last"]


async def told(of: System | Service, *, until: bytes, after: str = "") -> str:
    """Follow the events at one process until these bytes have come; returns all that has."""
    port = of.port if isinstance(of, Service) else of.all("api")[0].port
    headers = {"Authorization": f"Bearer {KEY}", **({"Last-Event-ID": after} if after else {})}
    so_far = b""
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient() as http,
        http.stream("GET", f"http://{HOST}:{port}/v1/events", headers=headers, timeout=None) as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_bytes():
            so_far += piece
            if until in so_far:
                break
    return so_far.decode()


async def test_what_happens_is_followed_at_any_process(served: System, backend: Backend) -> None:
    (begun,) = re.findall(r"^id: (\d+)", await told(served, until=b"\n\n"), re.MULTILINE)
    async with client(served, "kurt", "follow") as kurt, client(served, "lena", "follow"):
        await kurt.call("lena", {"sdp": "1"})
        events = backend.events(room="follow", after=int(begun))
        found = [await within(anext(events)) for _ in range(3)]
        assert [(each.type, each.data.user or each.data.caller) for each in found] == [
            ("tieline.member.joined", "kurt"),
            ("tieline.member.joined", "lena"),
            ("tieline.call.offered", "kurt"),
        ]
        assert found[2].data.rooms == ["follow"]
    async with Backend(url_of(served, 1), KEY) as other:
        event = await within(anext(other.events(user="lena", after=int(found[2].sequence))))
    assert event.data.call == found[2].data.call or event.data.user == "lena"


@pytest.mark.needs("haproxy", "openssl")
async def test_the_shipped_balancer_takes_backends_too(served: System, tmp_path: Path) -> None:
    pem = Prepared(tmp_path).folder / "public/tls.pem"
    gateway, api = ((each.port, each.ops_port) for each in (served.all("gateway")[0], served.all("api")[0]))
    with shipped_haproxy(tmp_path, gateway, pem, api) as ports:
        url = f"http://{HOST}:{ports.api}"
        async with Backend(url, KEY) as backend, httpx.AsyncClient(base_url=url) as caller:

            async def is_known() -> bool:  # as soon as the balancer knows that the API is ready
                return (await caller.get("/openapi.json")).status_code == 200

            await until_true(is_known)
            await backend.add_member("balanced", "nora")
            assert [member.user async for member in backend.members("balanced")] == ["nora"]
            following = asyncio.ensure_future(anext(backend.events(room="balanced")))
            await until_true(lambda: asyncio.to_thread(lambda: served.count("api", STREAMS) == 1))
            async with client(served, "nora"):
                assert (await within(following)).data.user == "nora"


async def test_who_follows_is_told_until_either_ends(served: System, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    with served.extra("api") as api:

        async def follow_it(count: int) -> None:
            await until_true(lambda: asyncio.to_thread(lambda: api.count(STREAMS) == count))

        address = {API_URL_VARIABLE: f"http://{HOST}:{api.port}", API_KEY_VARIABLE: KEY}
        command = [sys.executable, "-m", "tieline.cli", "tail", "--user", "mona"]
        tail = Process(command, tmp_path / "log", stdout=shown, environ={**os.environ, **address})
        try:
            await follow_it(1)
            async with client(served, "mona", "tailed"):
                await until(lambda: "member.joined    mona  in tailed\n" in shown.read_text())
            tail.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(tail.wait) == EXIT_INTERRUPTED
            assert tail.output == ""
        finally:
            tail.end()
        await follow_it(0)
        following = asyncio.create_task(told(api, until=b"event: end"))
        await follow_it(1)
        api.terminate()
        assert '{"reason":"stopping"}' in await following
        assert await asyncio.to_thread(api.wait) == 0


async def test_a_call_is_ended_for_both(served: System, backend: Backend) -> None:
    async with client(served, "hans", "end") as hans, client(served, "ida", "end") as ida:
        await hans.call("ida", {"sdp": "1"})
        offer = await next_of(ida, Offer)
        (call,) = (await backend.user("ida")).calls
        assert (call.peer, call.call) == ("hans", offer.call)
        with pytest.raises(Refused, match="NO_SUCH_CALL"):
            await backend.end_call("hans", "ida", "another")
        await backend.end_call("hans", "ida", offer.call)
        assert (await next_of(hans, Hangup)).reason == (await next_of(ida, Hangup)).reason == "kicked"


async def test_a_minted_token_lets_its_user_in(served: System, backend: Backend) -> None:
    token = await backend.mint_token(TokenOrder(user="jan", join=["mint"]))
    async with connect(f"ws://{HOST}:{served.ports[0]}/ws", token.token) as jan:
        assert jan.welcome.rooms == ("mint",)


def test_the_document_says_what_is_so(served: System) -> None:
    """Schemathesis tries what the document allows, and what it does not, and compares the answers with it."""
    follows = served.add("api", API_EVENT_STREAMS="0")  # a stream of events that is let in never ends: 503
    schema = schemathesis.openapi.from_url(f"http://{HOST}:{follows.port}/openapi.json")
    served.add("webhooks")  # who makes the bucket of webhooks
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) == 22
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        def tried(case: Any) -> None:
            headers = {"Authorization": f"Bearer {KEY}"}
            follows_events = case.operation.path == "/v1/events"
            excluded = [*NOT_IN_SCHEMAS, not_a_server_error] if follows_events else NOT_IN_SCHEMAS
            case.call_and_validate(headers=headers, excluded_checks=excluded)

        tried()
