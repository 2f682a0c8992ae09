"""An application's messages over HTTP."""

import pytest

from api.resources.messages import MOST_BYTES, message_routes
from tests.support.api import WITH_KEY, FakePresence, client_of
from tieline.wire.internal.backend import Affected, MessageRoom, MessageUser


@pytest.mark.parametrize("data", [None, 1, "text", [], {"a": {"b": [1.5, True]}}])
async def test_any_json_is_sent_to_a_user_or_to_a_room(data: object) -> None:
    presence = FakePresence(Affected(1))
    async with client_of(message_routes(presence)) as client:
        for path in ("users/alice", "rooms/hall"):
            answer = await client.post(f"/v1/{path}/messages", headers=WITH_KEY, json={"data": data})
            assert answer.json() == {"affected": 1}
    to_user, to_room = presence.asked
    assert isinstance(to_user, MessageUser)
    assert isinstance(to_room, MessageRoom)
    assert to_user.data == to_room.data


async def test_a_message_that_is_too_long_is_refused() -> None:
    presence = FakePresence(Affected(1))
    async with client_of(message_routes(presence)) as client:
        order = {"data": "x" * MOST_BYTES}
        answer = await client.post("/v1/users/alice/messages", headers=WITH_KEY, json=order)
    assert (answer.status_code, answer.json()["reason"]) == (413, "TOO_LARGE")
    assert presence.asked == []


async def test_a_message_without_data_is_none() -> None:
    async with client_of(message_routes(FakePresence(Affected(1)))) as client:
        answer = await client.post("/v1/users/alice/messages", headers=WITH_KEY, json={})
    assert answer.status_code == 400
