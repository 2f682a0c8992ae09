"""Calls over HTTP."""

import pytest

from api.resources.calls import call_routes
from tests.support.api import WITH_KEY, FakePresence, client_of
from tieline.wire.internal.backend import Affected, EndCall


@pytest.mark.parametrize("call", ["", "0123456789abcdef"])
async def test_a_call_is_ended_by_its_users_and_maybe_its_id(call: str) -> None:
    presence = FakePresence(Affected(1))
    async with client_of(call_routes(presence)) as client:
        order = {"call": call} if call else {}
        answer = await client.post("/v1/users/alice/calls/bob/end", headers=WITH_KEY, json=order)
    assert answer.json() == {"affected": 1}
    (asked,) = presence.asked
    assert isinstance(asked, EndCall)
    assert (asked.user, asked.peer, asked.call) == ("alice", "bob", call)


async def test_nobody_has_a_call_with_itself() -> None:
    async with client_of(call_routes(FakePresence(Affected(1)))) as client:
        answer = await client.post("/v1/users/alice/calls/alice/end", headers=WITH_KEY, json={})
    assert (answer.status_code, answer.json()["reason"]) == (400, "BAD_ID")
