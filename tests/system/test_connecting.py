"""Who gets in, and how it is said to those who do not (docs/protocol.md#1-connecting)."""

import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from tests.support import frames
from tests.support.frames import new_id, token
from tests.support.people import People
from tests.support.raw_client import HttpAnswer, RawClient, Refused, upgrade
from tests.support.system import PREVIOUS_SECRET, System
from tests.support.waiting import until_true
from tests.system.conftest import everywhere

DENIALS = {
    "MALFORMED": (400, "请求格式错误"),
    "HEADERS_TOO_LARGE": (431, "请求头过大"),
    "UNAUTHORIZED": (401, "令牌无效"),
    "NOT_FOUND": (404, "路径不存在"),
    "UPGRADE_REQUIRED": (426, "需要升级为 WebSocket 连接"),
    "FULL": (503, "服务器连接已满"),
}


def is_denied(answer: HttpAnswer, reason: str) -> None:
    status, msg = DENIALS[reason]
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(answer.body) == {"code": status, "msg": msg, "reason": reason}


_hosts = (str(address) for address in ipaddress.ip_network("127.1.0.0/16"))
"""Addresses of this machine: one that has come often with bad tokens is answered otherwise."""


async def refused(port: int, request: bytes) -> HttpAnswer:
    """Send a request that is refused; the connection ends with the answer."""
    client = await RawClient.dial(port, source=next(_hosts))
    try:
        client.write(request)
        answer = await client.read_answer()
        await client.ended()
    finally:
        await client.drop()
    return answer


async def welcomed(people: People, target: str, headers: Sequence[tuple[str, str]] = ()) -> str:
    """Connect, and return the user id that the gateway names."""
    client = await RawClient.open(people.ports[0], target, headers)
    try:
        user = json.loads(await client.receive())["data"]["userId"]
        assert isinstance(user, str)
        return user
    finally:
        await client.drop()


def bearer(user: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token(user)}")


def subprotocol(user: str) -> tuple[str, str]:
    return ("Sec-WebSocket-Protocol", f"tieline.v1, bearer.{token(user)}")


@everywhere
async def test_welcome_is_exactly_as_promised(people: People) -> None:
    alice = await people.connect("alice", claims={"join": [people.room]})
    data = alice.welcome["data"]
    assert alice.welcome == {
        "requestId": "",
        "module": "ROOM",
        "cmd": "WELCOME",
        "code": 200,
        "msg": "success",
        "data": {
            "userId": alice.user,
            "sessionId": data["sessionId"],
            "resumeToken": data["resumeToken"],
            "resumed": False,
            "rooms": [people.room],
            "resumeWindow": 30,
            "pingInterval": 25,
            "maxMessageBytes": 65536,
        },
    }
    bob = await people.connect("bob")
    assert bob.welcome["data"]["rooms"] == []
    secrets = [
        data["sessionId"],
        data["resumeToken"],
        *(bob.welcome["data"][key] for key in ("sessionId", "resumeToken")),
    ]
    assert len(set(secrets)) == 4
    assert all(isinstance(secret, str) and secret for secret in secrets)


async def test_a_token_may_stand_in_any_of_three_places(people: People) -> None:
    user = new_id("alice")
    assert await welcomed(people, "/ws", [bearer(user)]) == user
    assert await welcomed(people, "/ws", [("authorization", f"bearer {token(user)}")]) == user
    assert await welcomed(people, "/ws", [subprotocol(user)]) == user
    assert await welcomed(people, f"/ws?token={token(user)}") == user


async def test_header_goes_before_subprotocol_goes_before_query(people: People) -> None:
    first, second, third = new_id("first"), new_id("second"), new_id("third")
    everywhere = f"/ws?token={token(third)}"
    assert await welcomed(people, everywhere, [bearer(first), subprotocol(second)]) == first
    assert await welcomed(people, everywhere, [subprotocol(second)]) == second


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer bad"), subprotocol("somebody")],
        [("Authorization", "Bearer")],
        [("Sec-WebSocket-Protocol", "tieline.v1, bearer.bad")],
    ],
)
async def test_the_first_token_found_counts_even_if_it_is_bad(
    people: People, headers: Sequence[tuple[str, str]]
) -> None:
    target = f"/ws?token={token('somebody')}"
    is_denied(await refused(people.ports[0], upgrade(target, headers)), "UNAUTHORIZED")


async def test_another_scheme_of_authorization_is_no_token(people: People) -> None:
    user = new_id("alice")
    basic = ("Authorization", "Basic dXNlcjpwYXNz")
    assert await welcomed(people, f"/ws?token={token(user)}", [basic]) == user


async def test_the_subprotocol_is_answered_if_it_was_offered(people: People) -> None:
    user = new_id("alice")
    port = people.ports[0]
    offered = await RawClient.open(port, "/ws", [subprotocol(user)])
    assert offered.answer.headers["sec-websocket-protocol"] == "tieline.v1"
    await offered.drop()
    silent = await RawClient.open(port, "/ws", [bearer(user)])
    assert "sec-websocket-protocol" not in silent.answer.headers
    await silent.drop()


async def test_compression_is_never_agreed_on(people: People) -> None:
    extension = ("Sec-WebSocket-Extensions", "permessage-deflate")
    await welcomed(people, "/ws", [bearer(new_id("alice")), extension])  # `open` looks at the answer


async def test_a_token_signed_with_the_previous_secret_is_good(people: People) -> None:
    user = new_id("alice")
    assert await welcomed(people, f"/ws?token={token(user, secret=PREVIOUS_SECRET)}") == user


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": int(time.time()) - 1},
        {"exp": int(time.time()) - 1, "sub": "a"},
        {"nbf": int(time.time()) + 3000},
        {"iat": int(time.time()) + 3000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\r\nb"},
        {"sub": "a\x00b"},
        {"sub": "x" * 129},
        {"sub": "é" * 64 + "x"},
        {"rooms": "all of them"},
        {"rooms": [7]},
        {"join": "room"},
        {"join": ["a\nb"]},
        {"voice": "yes"},
    ],
    ids=str,
)
async def test_a_token_that_says_nonsense_is_refused(people: People, claims: Mapping[str, object]) -> None:
    bad = token("somebody", claims)
    is_denied(await refused(people.ports[0], upgrade(f"/ws?token={bad}")), "UNAUTHORIZED")


@pytest.mark.parametrize(
    "bad",
    [
        token("somebody", secret="a secret that nobody here has ever heard of"),
        token("somebody", secret="", algorithm="none"),
        token("somebody", algorithm="HS512", secret="0123456789" * 7),
        token("somebody")[:-2],
        "",
        "...",
        "a.b.c",
        "%00%ff%C3%28",
        "x" * 4000,
    ],
    ids=["forged", "unsigned", "HS512", "cut", "empty", "dots", "letters", "bytes", "long"],
)
async def test_a_token_that_nobody_signed_for_us_is_refused(people: People, bad: str) -> None:
    is_denied(await refused(people.ports[0], upgrade(f"/ws?token={bad}")), "UNAUTHORIZED")


async def test_no_token_at_all_is_refused(people: People) -> None:
    is_denied(await refused(people.ports[0], upgrade("/ws")), "UNAUTHORIZED")


async def test_a_token_may_come_from_a_clock_that_is_a_minute_ahead(people: People) -> None:
    user = new_id("alice")
    ahead = token(user, {"iat": int(time.time()) + 50, "nbf": int(time.time()) + 50})
    assert await welcomed(people, f"/ws?token={ahead}") == user


@pytest.mark.parametrize("path", ["/", "/wss", "/ws/", "/WS", "/metrics", "//ws"])
async def test_any_other_path_is_refused(people: People, path: str) -> None:
    is_denied(await refused(people.ports[0], upgrade(f"{path}?token={token('a')}")), "NOT_FOUND")


async def test_a_request_for_no_upgrade_is_told_so(people: People) -> None:
    request = upgrade(f"/ws?token={token('a')}", without=["upgrade", "connection"])
    answer = await refused(people.ports[0], request)
    is_denied(answer, "UPGRADE_REQUIRED")
    assert answer.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "request_",
    [
        upgrade("/ws", without=["sec-websocket-key"]),
        upgrade("/ws", [("Sec-WebSocket-Key", "short")], without=["sec-websocket-key"]),
        upgrade("/ws", [("Sec-WebSocket-Version", "12")], without=["sec-websocket-version"]),
        upgrade("/ws", method="POST"),
        upgrade("/ws").replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"anything but HTTP\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        upgrade("/ws", without=["host"]),
        upgrade("/ws", [("Host", "elsewhere.example")]),
    ],
    ids=["no key", "bad key", "old version", "POST", "HTTP/1.0", "words", "TLS", "no host", "two hosts"],
)
async def test_a_malformed_request_is_refused(people: People, request_: bytes) -> None:
    is_denied(await refused(people.ports[0], request_), "MALFORMED")


@pytest.mark.parametrize(
    "request_",
    [
        upgrade("/ws", [("X", "y" * 100_000)]),
        upgrade("/ws", [(f"X-{number}", "y") for number in range(1000)]),
    ],
    ids=["long line", "many lines"],
)
async def test_a_request_that_is_too_long_is_refused(people: People, request_: bytes) -> None:
    is_denied(await refused(people.ports[0], request_), "HEADERS_TOO_LARGE")


async def test_acks_are_sent_to_whoever_asked_for_them_and_to_nobody_else(people: People) -> None:
    alice = await people.enter("alice", acks=False)
    bob = await people.enter("bob", acks=True)
    await alice.relays(frames.OFFER, bob)
    await alice.pings()
    await bob.relays(frames.ANSWER, alice)  # which waits for the ack


async def test_a_full_gateway_says_so_and_has_room_again_later(hasty: System, hasty_people: People) -> None:
    with hasty.extra("gateway", MAX_CONNECTIONS="2") as gateway:
        await hasty_people.connect("alice", port=gateway.port)
        bob = await hasty_people.connect("bob", port=gateway.port)
        with pytest.raises(Refused) as refused:
            await hasty_people.connect("carol", port=gateway.port)
        is_denied(refused.value.answer, "FULL")
        assert int(refused.value.answer.headers["retry-after"]) > 0
        await bob.connection.close()

        async def has_room() -> bool:
            with suppress(Refused):
                await hasty_people.connect("carol", port=gateway.port)
                return True
            return False

        await until_true(has_room)
