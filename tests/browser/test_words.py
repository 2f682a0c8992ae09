"""The words of a call: how far it has come, who is muted, who has rung in vain."""

import json
from typing import Final

import pytest

from tests.browser.conftest import PersonMaker, pair
from tests.browser.hurried import STREAM, frames
from tests.browser.person import RING, Person
from tests.browser.test_trouble import EVENTS, comes_with
from tests.unit.client.lists import changed, listed
from tests.unit.client.minimal_gateway import reply
from tests.unit.client.resuming_gateways import Backend, Gateway

NOTE: Final = """() => {
    window.states = [call.state];
    call.addEventListener('state', ({detail}) => states.push(detail));
}"""
RING_AND_NOTE: Final = f"(peer) => {{ ({RING})(peer); ({NOTE})(); }}"
"""At once: between two steps of a test it may ring already."""

WATCH: Final = """() => {
    window.missed = [];
    client.addEventListener('missed', ({detail: {peer, reason, call}}) =>
        missed.push([peer, reason, Boolean(call)]));
}"""


async def acknowledge(backend: Backend, **told: object) -> None:
    """Acknowledge Ann's offer, and say what is known of whom she calls."""
    sent = json.loads(frames(backend, "WEBRTC_OFFER")[0])
    answer = reply(sent, None, ack="relayed", call="0123", **told)
    await backend.sessions["ann"].send(answer)


async def comes_calling(ann: Person, backend: Backend, gateway: Gateway) -> None:
    """Have Ann call Bob, of whom nothing is known yet."""
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored.add("WEBRTC_INFO")
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await ann.page.evaluate(NOTE)
    backend.lists = [listed(5, "ann", "bob")]
    await ann.page.evaluate("() => client.join('demo')")


async def bob_says(backend: Backend, **data: object) -> None:
    body = {"from": "bob", "to": "ann", "data": data, "call": "0123"}
    await backend.say("ann", "WEBRTC_INFO", body, json.dumps(data))


async def went_through(ann: Person, *states: str) -> None:
    assert await ann.until("(count) => states.length >= count && states", len(states)) == list(states)


async def test_a_call_rings_when_the_other_says_so(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await comes_calling(ann, backend, gateway)
    await acknowledge(backend, status="online", tells=True)
    await ann.until("() => call.callId === '0123'")
    await bob_says(backend, ringing=True)
    await went_through(ann, "calling", "ringing")


async def test_who_is_away_is_waited_for(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await comes_calling(ann, backend, gateway)
    await acknowledge(backend, status="away", tells=True)
    await ann.until("() => call.state === 'waiting'")
    await backend.say("ann", "ROOM_CHANGED", changed(9, updated="bob", status="online"), "back")
    await ann.until("() => call.state === 'calling'")
    await bob_says(backend, ringing=True)
    await went_through(ann, "calling", "waiting", "calling", "ringing")


@pytest.mark.parametrize("told", [{}, {"status": "online", "tells": False}], ids=["server", "client"])
async def test_with_version_one_a_call_rings_when_it_is_sent(
    ann: Person, backend: Backend, gateway: Gateway, told: dict[str, object]
) -> None:
    await comes_calling(ann, backend, gateway)
    await acknowledge(backend, **told)
    await went_through(ann, "calling", "ringing")


async def test_who_is_away_with_version_one_rings_when_back(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await comes_calling(ann, backend, gateway)
    await acknowledge(backend, status="away", tells=False)
    await ann.until("() => call.state === 'waiting'")
    await backend.say("ann", "ROOM_CHANGED", changed(9, updated="bob", status="online"), "back")
    await went_through(ann, "calling", "waiting", "ringing")


async def test_a_server_of_version_one_is_not_told_that_it_rings(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await ann.page.evaluate("() => { client.options.maxCalls = 2; }")
    offer = {"from": "cat", "to": "ann", "data": {"type": "offer", "sdp": "v=0", "call": "cats"}}
    await backend.say("ann", "WEBRTC_OFFER", offer, "rings")
    await ann.until("() => client.calls.has('cat')")
    await ann.page.evaluate("() => client.join('demo')")
    assert frames(backend, "WEBRTC_INFO") == []
    assert await ann.page.evaluate(EVENTS) == []


async def test_each_sees_whether_the_other_is_muted(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await alice.page.evaluate("() => call.mute()")
    await bob.is_rung()
    await bob.accept()
    for one in (alice, bob):
        await one.until("() => call.state === 'connected'")
    await bob.until("() => call.peerMuted")
    assert await alice.page.evaluate("() => call.peerMuted") is False
    await bob.page.evaluate("() => { for (let time = 0; time < 9; time += 1) call.mute(time % 2 === 0); }")
    await alice.until("() => call.peerMuted")
    await alice.page.evaluate("() => call.mute(false)")
    await bob.until("() => !call.peerMuted")


async def test_who_is_about_to_call_hears_that_the_other_is_muted(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    not_yet = "(peer) => { window.call = client.call(peer, {stream: new Promise(() => {})}); }"
    await bob.page.evaluate(not_yet, alice.user)
    await alice.ring(bob)
    await alice.until("() => call.callId")
    await alice.page.evaluate("() => call.mute()")
    await bob.until("() => call.peerMuted")


async def test_both_see_it_ring_and_a_call_not_taken_is_missed(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await bob.page.evaluate(WATCH)
    await alice.page.evaluate(RING_AND_NOTE, bob.user)
    await alice.until("() => call.state === 'ringing'")
    await bob.is_rung()
    await alice.hang_up()
    assert await bob.ends() == "cancel"
    await alice.ring(bob)
    await bob.is_rung()
    await bob.page.evaluate("() => call.decline()")
    assert await alice.ends() == "decline"
    assert await alice.page.evaluate("() => states") == ["calling", "ringing", "ended"]
    assert await bob.page.evaluate("() => missed") == [[alice.user, "cancel", True]]


async def test_who_was_busy_hears_who_has_rung(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    carol = await person("carol")
    await carol.come("demo")
    await bob.page.evaluate(WATCH)
    await bob.page.evaluate(STREAM)
    await bob.page.evaluate("(peer) => { client.call(peer, {stream}); }", alice.user)
    await carol.ring(bob)
    assert await carol.ends() == "busy"
    assert await bob.until("() => missed.length > 0 && missed") == [[carol.user, "busy", False]]


async def test_who_wants_it_is_seen_to_be_in_a_call(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo", showCalls=True)
    await bob.come("demo")
    carol = await person("carol")
    await carol.come("demo")
    seen = """(users) => {
        const members = [...client.rooms.get('demo').values()].filter(({inCall}) => inCall);
        return JSON.stringify(members.map(({userId}) => userId)) === JSON.stringify(users);
    }"""
    await alice.calls(bob)
    await carol.until(seen, [alice.user])
    dave = await person("dave")
    await dave.come("demo")
    assert await dave.page.evaluate(seen, [alice.user])
    await bob.hang_up()
    await carol.until(seen, [])
    await alice.page.evaluate(STREAM)
    await alice.page.evaluate("() => { window.voice = client.enterVoice('demo', {stream}); }")
    await carol.until(seen, [alice.user])
    await alice.page.evaluate("() => voice.leave()")
    await carol.until(seen, [])
