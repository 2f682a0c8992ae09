"""Two people in two browsers, on two gateways; and one whose server a test plays."""

import asyncio
import json
from typing import Any

import pytest

from tests.browser.conftest import PersonMaker, pair
from tests.browser.held_back import HeldBack
from tests.browser.held_offers import HeldOffers
from tests.browser.hurried import come, frames
from tests.browser.person import SILENT, Person
from tests.support.running_bot import RunningBot
from tests.support.running_dev import RunningDev
from tests.unit.client.minimal_gateway import event, reply
from tests.unit.client.resuming_gateways import Backend, Gateway

CUT_OFF_S = 60.0
"""For who is gone without a word to be given up, which takes 30 s: a busy browser may end a tab before its
page hears of that. What a page says that hears of it is tried in test_trouble.py."""


@pytest.mark.both
async def test_two_browsers_on_two_gateways_hear_each_other(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    assert (await alice.hears())["path"] in {"host", "prflx"}
    await alice.hang_up()
    assert await bob.ends() == "hangup"
    assert await alice.ends() == "hangup"
    assert await alice.said() == ["out WEBRTC_OFFER", "in WEBRTC_ANSWER", "out WEBRTC_HANGUP"]


@pytest.mark.both
async def test_one_can_be_called_again_after_a_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await bob.hang_up()
    assert await alice.ends() == "hangup"
    await bob.calls(alice)


@pytest.mark.both
async def test_when_both_ring_at_once_one_call_comes_of_it(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    offers = HeldOffers(2)
    await offers.on_the_way_to(alice)
    await offers.on_the_way_to(bob)
    await alice.come("demo")
    await bob.come("demo")
    await asyncio.gather(alice.ring(bob), bob.ring(alice))
    await asyncio.gather(alice.hears(), bob.hears())
    for one in (alice, bob):
        assert {"out WEBRTC_OFFER", "in WEBRTC_OFFER"} <= set(await one.said())
        assert await one.page.evaluate("() => client.calls.size") == 1
        assert "call" not in await one.events(), "nobody was rung who was ringing"
    (answerer,) = [one for one in (alice, bob) if "out WEBRTC_ANSWER" in await one.said()]
    assert answerer is alice, "the offer of the greater user id counts"
    await bob.hang_up()
    assert await alice.ends() == "hangup"


async def test_to_call_somebody_who_is_ringing_is_to_accept(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await bob.ring(alice)
    await asyncio.gather(alice.hears(), bob.hears())


async def test_a_call_can_be_declined(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await bob.page.evaluate("() => call.decline()")
    assert await alice.ends() == "decline"


async def test_a_call_can_be_cancelled(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await alice.hang_up()
    assert await bob.ends() == "cancel"


async def test_who_is_talking_is_busy_for_others(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    carol = await person("carol")
    await carol.come("demo")
    await alice.calls(bob)
    await carol.ring(bob)
    assert await carol.ends() == "busy"
    await alice.hears(after=await alice.hears())
    assert (await bob.events()).count("call") == 1


@pytest.mark.both
async def test_a_callee_who_closes_the_tab_is_gone(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await bob.page.close()
    assert await alice.ends(CUT_OFF_S) == "disconnected"


async def test_a_callee_who_closes_the_tab_while_it_rings_is_gone(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await bob.page.close()
    assert await alice.ends(CUT_OFF_S) == "disconnected"


async def test_nobody_is_called_who_is_not_in_the_room(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob")
    await alice.come("demo")
    await alice.ring(bob)
    assert await alice.ends() == "NOT_IN_SAME_ROOM"
    assert await alice.page.evaluate("() => call.error.msg") == "用户不在同一房间内"


async def test_who_may_not_start_voice_can_still_be_called(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo", voice=False)
    await bob.come("demo")
    await alice.ring(bob)
    assert await alice.ends() == "NO_VOICE_PERMISSION"
    await bob.calls(alice)


@pytest.mark.both
async def test_an_ice_restart_leaves_the_call_as_it_is(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    name = "() => call.pc.localDescription.sdp.match(/ice-ufrag:(\\S+)/)[1]"
    before = [await one.page.evaluate(name) for one in (alice, bob)]
    await alice.page.evaluate("() => dispatchEvent(new Event('online'))")  # as when the network has changed
    for one, old in zip((alice, bob), before, strict=True):
        await one.until(f"(old) => ({name})() !== old && call.pc.signalingState === 'stable'", old)
    await alice.hears(after=await alice.hears())
    await bob.hears(after=await bob.hears())
    assert await alice.page.evaluate(STATES) == await bob.page.evaluate(STATES) == [1, "connected"]


STATES = "() => [client.calls.size, call.state]"


@pytest.mark.both
async def test_who_is_muted_is_not_heard_and_nothing_is_negotiated(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    said = await alice.said()
    await alice.page.evaluate("() => call.mute()")
    await bob.until(SILENT)
    await alice.page.evaluate("() => call.mute(false)")
    await bob.hears(after=await bob.page.evaluate("() => call.stats()"))
    assert await alice.said() == said


@pytest.mark.both
async def test_a_track_added_during_the_call_arrives(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await alice.page.evaluate("""() => {
        const picture = document.createElement('canvas');
        picture.getContext('2d').fillRect(0, 0, 9, 9);
        call.addTrack(picture.captureStream(5).getVideoTracks()[0]);
    }""")
    await bob.until("() => call.remote.getVideoTracks().length === 1")
    await alice.until("() => call.pc.signalingState === 'stable'")
    await bob.hears(after=await bob.hears())


@pytest.mark.both
async def test_a_browser_and_an_aiortc_peer_hear_each_other(person: PersonMaker, dev: RunningDev) -> None:
    alice = await person("alice")
    await alice.come("demo")
    port = int(dev.document["gateways"][1].rpartition(":")[2].removesuffix("/ws"))
    with RunningBot([port], "demo", f"bot-of-{alice.user}", "--answer", "--once") as bot:
        await alice.until("(bot) => client.rooms.get('demo').has(bot)", bot.user)
        await alice.page.evaluate("(bot) => { window.call = client.call(bot); }", bot.user)
        await alice.hears()
        await alice.until("async () => (await call.stats()).sent > 200")  # four beeps for the bot to hear
        await alice.hang_up()
        assert await bot.ended() == 0, bot.said


async def test_a_late_hangup_of_the_call_before_does_not_end_the_next(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    hangup = HeldBack("WEBRTC_HANGUP")
    await hangup.of(bob)
    await alice.come("demo")
    await bob.come("demo")
    await alice.calls(bob)
    await bob.page.evaluate("() => { call.hangup(); }")
    await hangup.has_come()
    await alice.hang_up()
    await alice.ring(bob)
    await bob.is_rung()
    hangup.let_through()
    await bob.accept()
    await asyncio.gather(alice.hears(), bob.hears())
    ids = [await one.page.evaluate("() => call.callId") for one in (alice, bob)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 16


async def test_a_late_answer_to_the_call_before_is_not_taken_for_the_next(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    answer = HeldBack("WEBRTC_ANSWER")
    await answer.of(bob)
    await alice.come("demo")
    await bob.come("demo")
    await alice.ring(bob)
    await bob.is_rung()
    await bob.accept()
    await answer.has_come()
    await alice.hang_up()
    assert await bob.ends() == "cancel"
    await alice.ring(bob)
    await bob.is_rung()
    answer.let_through()
    await bob.accept()
    await asyncio.gather(alice.hears(), bob.hears())


async def rings(
    ann: Person, backend: Backend, gateway: Gateway, call: str | None, **welcoming: object
) -> None:
    """Have Ann ring Bob, at a server that says so much in its WELCOME; it calls the call so."""
    backend.welcoming = welcoming
    backend.ignored |= {f"WEBRTC_{cmd}" for cmd in ("OFFER", "ICE_CANDIDATE", "HANGUP")}
    await come(ann, gateway.url)
    await ann.page.evaluate("() => { client.iceServers = async () => []; window.call = client.call('bob'); }")
    await backend.until(lambda: frames(backend, "WEBRTC_OFFER"))
    sent = json.loads(frames(backend, "WEBRTC_OFFER")[-1])
    assert "call" not in sent["data"]
    named = {} if call is None else {"call": call}
    await backend.sessions["ann"].send(reply(sent, None, ack="relayed", **named))


async def bob_says(backend: Backend, cmd: str, of_call: str, **data: Any) -> None:
    """Let Bob say something that the server takes to be of a call."""
    body = {"from": "bob", "to": "ann", "data": data, "call": of_call}
    await backend.sessions["ann"].deliver(event(f"WEBRTC_{cmd}", body, f"{cmd} of {of_call} {data}"))


async def named_in(backend: Backend, cmd: str) -> list[object]:
    """Wait for messages of a command; returns which calls they name."""
    await backend.until(lambda: frames(backend, f"WEBRTC_{cmd}"))
    return [json.loads(frame)["data"].get("call") for frame in frames(backend, f"WEBRTC_{cmd}")]


@pytest.mark.parametrize("call", ["0123", None])
async def test_a_ringing_whose_end_does_not_come_ends_by_itself(
    ann: Person, backend: Backend, gateway: Gateway, call: str | None
) -> None:
    at_once = {} if call is None else {"offerTimeout": -10}
    await ann.page.clock.install()
    await rings(ann, backend, gateway, call, **at_once)
    await ann.until("() => call.state === 'ended' || call.callId !== null || !client._namesCalls")
    if call is None:  # a server of version 0.1, whose offers wait for a minute
        await ann.page.clock.fast_forward(70_000)
    assert await ann.ends() == "timeout"
    assert await named_in(backend, "HANGUP") == [call]


async def test_a_page_believes_the_server_about_which_call_has_ended(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings(ann, backend, gateway, "0123", offerTimeout=60)
    await ann.until("() => call.callId === '0123'")
    await bob_says(backend, "HANGUP", "an older one", reason="late")
    await bob_says(backend, "HANGUP", "0123", reason="of an older call, says Bob", call="of Bob's")
    assert await ann.ends() == "of an older call, says Bob"


async def test_what_is_refused_because_the_call_is_over_ends_it(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings(ann, backend, gateway, "0123", offerTimeout=60)
    await backend.until(lambda: frames(backend, "WEBRTC_ICE_CANDIDATE"))
    sent = json.loads(frames(backend, "WEBRTC_ICE_CANDIDATE")[0])
    over = {"code": 1000, "msg": "no", "reason": "NO_MATCHING_OFFER", "fate": "replaced"}
    await backend.sessions["ann"].send(reply(sent, None, **over))
    assert await ann.ends() == "replaced"


async def test_a_stray_answer_makes_a_page_offer_once_more(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings(ann, backend, gateway, "0123", offerTimeout=60)
    await ann.until("() => call.callId === '0123'")
    await bob_says(backend, "ANSWER", "0123", type="answer", sdp="", call="of an older call")
    await backend.until(lambda: len(frames(backend, "WEBRTC_OFFER")) == 2)
    assert await named_in(backend, "OFFER") == [None, "0123"]
