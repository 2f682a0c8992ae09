"""Words of a call, and what members see of one (docs/protocol.md#words-of-a-call), frame by frame."""

import json

import pytest

from tests.support import frames
from tests.support.frames import OFFER
from tests.support.people import People
from tests.system.test_names_of_calls import relays, two_who_name

one = pytest.mark.parametrize("system", ["one"], indirect=True)


@one
async def test_that_it_rings_is_relayed_while_an_offer_waits(people: People) -> None:
    alice, bob = await two_who_name(people)
    call = await relays(alice, OFFER, bob)
    assert await relays(bob, "WEBRTC_INFO", alice, call) == call


@one
async def test_that_one_is_in_a_call_is_seen_in_lists(people: People) -> None:
    _, bob = await people.two()
    assert await bob.asks("STATUS", {"inCall": True}) == {"inCall": True}
    shown = (await bob.asks("MEMBERS", {"room": people.room}))["members"]
    assert [member.get("inCall", False) for member in shown] == [False, True]


@one
async def test_a_name_in_another_case_is_refused_and_the_client_stays(people: People) -> None:
    alice = await people.connect("alice")
    asked = json.loads(frames.command("LEAVE", {"room": people.room}))
    alice.connection.send(json.dumps({**asked, "CMD": "JOIN"}))
    heard = await alice.hear()
    assert (heard["code"], heard["reason"]) == (400, "AMBIGUOUS_NAMES")
    await alice.pings()
