"""Users over HTTP."""

from typing import Any

import pytest

from api.resources.users import user_routes
from tests.support.api import WITH_KEY, FakePresence, client_of
from tieline.wire.ids import CallId, RoomId, UserId
from tieline.wire.internal.backend import Affected, Ban, CallSeen, Disconnect, SetVoice, UserSeen
from tieline.wire.internal.directions import BackendOrder

ALICE = UserId("alice")
ONCE = "0123456789abcdef"


async def test_a_user_is_shown_with_all_that_is_decided() -> None:
    call = CallSeen(UserId("bob"), CallId("1"), is_established=True)
    seen = UserSeen("away", {RoomId("b"): 1, RoomId("a"): 2}, (RoomId("a"),), False, True, 9, (call,))
    async with client_of(user_routes(FakePresence(seen))) as client:
        answer = await client.get("/v1/users/alice", headers=WITH_KEY)
    assert answer.json() == {
        "user": "alice",
        "status": "away",
        "rooms": ["a", "b"],
        "given": ["a"],
        "voice": False,
        "voiceRevoked": True,
        "calls": [{"peer": "bob", "established": True, "call": "1"}],
        "bannedUntil": 9,
    }


@pytest.mark.parametrize(
    ("method", "path", "json", "order"),
    [
        ("POST", "disconnect", None, Disconnect("", 0.0, ALICE)),
        ("PUT", "ban", {"seconds": 60}, Ban("", 0.0, ALICE, 60.0)),
        ("DELETE", "ban", None, Ban("", 0.0, ALICE, 0.0)),
        ("PUT", "voice", {"allowed": False}, SetVoice("", 0.0, ALICE, is_allowed=False)),
    ],
)
async def test_a_change_is_asked_of_presence(
    method: str, path: str, json: object, order: BackendOrder
) -> None:
    presence = FakePresence(Affected(1))
    async with client_of(user_routes(presence)) as client:
        body: dict[str, Any] = {} if json is None else {"json": json}
        headers = {**WITH_KEY, "Idempotency-Key": ONCE}
        answers = [
            await client.request(method, f"/v1/users/alice/{path}", headers=headers, **body) for _ in range(2)
        ]
    assert [answer.json() for answer in answers] == [{"affected": 1}] * 2
    first, second = presence.asked
    assert first == second
    assert type(first) is type(order)
    assert first.user == "alice"  # type: ignore[union-attr]


@pytest.mark.parametrize("key", ["", "a b", "x" * 129])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    presence = FakePresence(Affected(1))
    async with client_of(user_routes(presence)) as client:
        headers = {**WITH_KEY, "Idempotency-Key": key}
        answer = await client.post("/v1/users/alice/disconnect", headers=headers)
    assert answer.status_code == 400
    assert presence.asked == []


@pytest.mark.parametrize("json", [{"seconds": 0}, {}, {"seconds": "60"}])
async def test_a_ban_says_for_how_long(json: object) -> None:
    async with client_of(user_routes(FakePresence(Affected(1)))) as client:
        answer = await client.put("/v1/users/alice/ban", headers=WITH_KEY, json=json)
    assert answer.status_code == 400
