"""Two people in two browsers, on two gateways."""

import asyncio

import pytest

from tests.browser.conftest import PersonMaker, pair
from tests.browser.held_offers import HeldOffers
from tests.support.running_bot import RunningBot
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("chromium")

SILENT = """async () => {
    const {received, energyIn} = await call.stats();
    window.since ??= {received, energyIn};
    if (energyIn > since.energyIn + 0.01) window.since = {received, energyIn};
    return received > since.received + 150;
}"""
"""Whether three seconds of packets have come without sound: a beep of the fake microphone, one a second, has
an energy of 0.2 or more."""


async def test_two_browsers_on_two_gateways_hear_each_other(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    assert (await alice.hears())["path"] in {"host", "prflx"}
    await alice.hang_up()
    assert await bob.ends() == "hangup"
    assert await alice.ends() == "hangup"
    assert await alice.said() == ["out WEBRTC_OFFER", "in WEBRTC_ANSWER", "out WEBRTC_HANGUP"]


async def test_one_can_be_called_again_after_a_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await bob.hang_up()
    assert await alice.ends() == "hangup"
    await bob.calls(alice)


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


async def test_a_callee_who_closes_the_tab_is_gone(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await bob.page.close()
    assert await alice.ends() == "disconnected"


async def test_a_callee_who_closes_the_tab_while_it_rings_is_gone(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await bob.page.close()
    assert await alice.ends() == "disconnected"


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


async def test_who_is_muted_is_not_heard_and_no_message_is_needed(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    said = await alice.said()
    await alice.page.evaluate("() => call.mute()")
    await bob.until(SILENT)
    await alice.page.evaluate("() => call.mute(false)")
    await bob.hears(after=await bob.page.evaluate("() => call.stats()"))
    assert await alice.said() == said


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
