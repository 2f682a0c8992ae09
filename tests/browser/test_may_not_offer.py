"""Who may not offer, in a call: the other end offers what it is asked for, unless its client is older."""

import json
from typing import Final

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.hurried import frames
from tests.browser.person import Person
from tests.browser.test_media import TELL
from tests.browser.test_trouble import acknowledge_offer, bob_says, comes_with
from tests.unit.client.minimal_gateway import reply
from tests.unit.client.resuming_gateways import Backend, Gateway

ANSWER: Final = """async () => {
    window.other = new RTCPeerConnection();
    await other.setRemoteDescription(call.pc.localDescription);
    return (await other.createAnswer()).sdp;
}"""
"""What somebody else might answer."""


@pytest.mark.both
async def test_who_may_not_offer_can_send_in_a_call(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo", voice=False)
    await bob.come("demo")
    await bob.calls(alice)
    for one in (alice, bob):
        await one.page.evaluate(TELL, ["message", "error"])
    await alice.page.evaluate("() => call.send('a note')")
    await bob.page.evaluate("() => call.send('back')")
    for one, heard in ((alice, "back"), (bob, "a note")):
        await one.until("() => told.length === 1")
        assert await one.page.evaluate("() => told") == [["message", heard]]
        await one.hears(after=await one.page.evaluate("() => call.stats()"))


async def talks_to_an_older_client(ann: Person, backend: Backend, gateway: Gateway) -> None:
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored.add("WEBRTC_INFO")
    await ann.page.clock.install()
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await acknowledge_offer(backend, "0123")
    await ann.until("() => call.callId === '0123'")
    await bob_says(backend, "ANSWER", "0123", type="answer", sdp=await ann.page.evaluate(ANSWER))
    await ann.until("() => call.state === 'connecting'")
    await ann.page.evaluate(TELL, ["error"])


async def asks_when_refused(ann: Person, backend: Backend) -> dict[str, object]:
    """Refuse the next offer; returns what Bob is asked for then. Ten seconds later Ann has waited enough."""
    await backend.until(lambda: len(frames(backend, "WEBRTC_OFFER")) == 2)
    again = json.loads(frames(backend, "WEBRTC_OFFER")[1])
    refusal = reply(again, None, code=1000, msg="no", reason="NO_VOICE_PERMISSION")
    await backend.sessions["ann"].send(refusal)
    await backend.until(lambda: frames(backend, "WEBRTC_INFO"))
    (frame,) = frames(backend, "WEBRTC_INFO")
    wish: dict[str, object] = json.loads(frame)["data"]["data"]
    assert wish.pop("call") == await ann.page.evaluate("() => call.id")
    await ann.page.clock.fast_forward(10_000)
    assert await ann.page.evaluate("() => [call.state, call.error.reason]") == [
        "connecting",
        "NO_VOICE_PERMISSION",
    ]
    assert len(frames(backend, "WEBRTC_OFFER")) == 2
    return wish


async def test_an_older_client_opens_no_channel_for_who_may_not_offer(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await talks_to_an_older_client(ann, backend, gateway)
    await ann.page.evaluate("() => { window.sent = call.send('a note').catch(({reason}) => reason); }")
    assert await asks_when_refused(ann, backend) == {"channel": True}
    assert await ann.page.evaluate("() => sent") == "NO_VOICE_PERMISSION"


async def test_an_older_client_makes_no_offer_for_a_camera(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await talks_to_an_older_client(ann, backend, gateway)
    show = "() => { call.video(document.createElement('canvas').captureStream()); }"
    await ann.page.evaluate(show)
    assert await asks_when_refused(ann, backend) == {"tracks": ["video"]}
    assert await ann.page.evaluate("() => told.length") == 2, "it is refused, and then not granted"
