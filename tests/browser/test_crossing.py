"""Somebody rings on a line that is dead, and hears late what the other has done meanwhile."""

import asyncio
import json

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.hurried import frames
from tests.browser.person import Person
from tests.browser.test_trouble import OFFER, acknowledge_offer, bob_says, comes_with
from tests.unit.client.resuming_gateways import Backend, Gateway

pytestmark = pytest.mark.both

SOCKETS = """() => {
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            sockets.push(this);
        }
    };
}"""
DIES = "() => sockets.forEach((socket) => Object.assign(socket, {send: () => {}, onmessage: () => {}}))"
"""Nothing comes or goes any more, and nobody says so."""

IS_BACK = "() => sockets.at(-1).close(3999)"
IS_CALL = "() => call.callId"

whose_offer_counts = pytest.mark.parametrize("name", ["alice", "zoe"], ids=["polite", "impolite"])
"""Of two offers that cross, that of the greater name."""


async def pair_on_a_dead_line(person: PersonMaker, name: str) -> tuple[Person, Person]:
    """Open two pages in one room; the first one's line is dead, and the other has rung it, and cancelled."""
    ann, bob = await asyncio.gather(person(name), person("bob", gateway=1))
    await ann.page.evaluate(SOCKETS)
    for one in (ann, bob):
        await one.come("demo")
        await one.page.evaluate("() => client.iceServers()")  # a dead line gives none
    await ann.page.evaluate(DIES)
    await bob.ring(ann)
    await bob.until(IS_CALL)
    await bob.hang_up()
    return ann, bob


async def both_hear(ann: Person, bob: Person) -> None:
    await asyncio.gather(ann.hears(), bob.hears())
    assert await ann.page.evaluate(IS_CALL) == await bob.page.evaluate(IS_CALL)
    for one in (ann, bob):
        assert await one.page.evaluate("() => [client.calls.size, client.calls.get(call.peer) === call]") == [
            1,
            True,
        ]


@whose_offer_counts
async def test_of_two_rings_heard_late_the_one_that_lasts_is_answered(person: PersonMaker, name: str) -> None:
    ann, bob = await pair_on_a_dead_line(person, name)
    await bob.ring(ann)
    await bob.until(IS_CALL)
    await ann.ring(bob)
    await ann.until("() => call.pc?.localDescription")
    await ann.page.evaluate(IS_BACK)
    await both_hear(ann, bob)


@whose_offer_counts
async def test_a_ring_goes_on_when_a_cancelled_one_is_heard_late(person: PersonMaker, name: str) -> None:
    ann, bob = await pair_on_a_dead_line(person, name)
    await ann.ring(bob)
    await ann.until("() => call.pc?.localDescription")
    await ann.page.evaluate(IS_BACK)
    await bob.is_rung()
    await bob.accept()
    await both_hear(ann, bob)


async def test_no_offer_of_an_older_call_is_answered_in_ours(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored.add("WEBRTC_ANSWER")
    await comes_with(ann, backend, gateway, "() => 'ann'")
    for call, name in (("older", "first"), ("ours", "second")):
        sdp = await ann.page.evaluate(OFFER)
        await bob_says(backend, "OFFER", call, type="offer", sdp=sdp, call=name)
        if call == "older":
            await acknowledge_offer(backend, "ours")
            await bob_says(backend, "HANGUP", call, reason="cancel", call=name)
    await backend.until(lambda: frames(backend, "WEBRTC_ANSWER"))
    (answer,) = (json.loads(frame)["data"] for frame in frames(backend, "WEBRTC_ANSWER"))
    assert (answer["call"], answer["data"]["call"]) == ("ours", "second")
