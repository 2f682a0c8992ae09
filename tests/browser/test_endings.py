"""Calls end on both sides, whatever comes in between, and no microphone is on behind somebody's back."""

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import PersonMaker, pair
from tests.browser.held_offers import HeldOffers
from tests.browser.person import SILENT, Person
from tests.support.running_dev import RunningDev
from tests.support.system import SECRET
from tieline.tokens import make_token

MICROPHONES = """() => {
    window.tracks = [];
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (what) => {
        const stream = await real(what);
        tracks.push(...stream.getTracks());
        return stream;
    };
}"""
ARE_OFF = "() => tracks.every(({readyState}) => readyState === 'ended')"
HAS_NO_CALL = "() => client.calls.size === 0 && call.state === 'ended'"

CROWD = """async ({urls, tokens}) => {
    const {connect} = await import('/tieline.js');
    window.stream = new AudioContext().createMediaStreamDestination().stream;
    window.crowd = [];
    for (const [number, token] of tokens.entries()) crowd.push(await connect(urls[number % 2], {token}));
    for (const one of crowd) await one.join('crowd');
    window.enter = async (number) => {
        const voice = crowd[number].enterVoice('crowd', {stream});
        return voice.entered.then(() => 'in', ({reason}) => reason);
    };
    window.talks = (...numbers) => numbers.every((number) => {
        const calls = [...crowd[number].calls.values()];
        return calls.length === numbers.length - 1 && calls.every(({state}) => state === 'connected');
    });
}"""


@pytest.mark.both
async def test_a_ring_that_crossed_a_withdrawn_one_ends_with_it(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    held = HeldOffers(2)
    await held.on_the_way_to(bob)
    for one in (alice, bob):
        await one.page.evaluate(MICROPHONES)
        await one.come("demo")
    await bob.page.evaluate("() => client.iceServers()")  # nothing comes for him from the offer on
    await alice.ring(bob)
    await alice.until("() => call.callId !== null")
    await bob.page.evaluate("(peer) => { window.mine = client.call(peer); }", alice.user)
    await alice.until("() => signals.some(({direction, cmd}) => direction + cmd === 'inWEBRTC_OFFER')")
    await bob.page.evaluate("() => { mine.hangup(); }")
    held.let_through()
    assert await alice.ends() == "cancel"
    assert await bob.ends() == "cancel"
    for one in (alice, bob):
        await one.until(HAS_NO_CALL)
        await one.until(ARE_OFF)


async def test_who_hangs_up_before_offering_leaves_the_others_ring_alone(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    never = "(peer) => { window.mine = client.call(peer, {stream: new Promise(() => {})}); }"
    await bob.page.evaluate(never, alice.user)
    await bob.page.evaluate("() => mine.hangup()")
    await alice.ring(bob)
    await bob.is_rung()
    await bob.accept()
    await alice.hears()


async def test_who_mutes_before_there_is_a_call_is_not_heard(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.page.evaluate("(peer) => { window.call = client.call(peer); call.mute(); }", bob.user)
    await bob.is_rung()
    await bob.page.evaluate("() => { call.mute(); return call.accept(); }")
    enabled = "() => [call.muted, ...call.pc.getSenders().map(({track}) => track.enabled)]"
    for one in (alice, bob):
        await one.until("() => call.state === 'connected'")
        assert await one.page.evaluate(enabled) == [True, False]
        await one.until(SILENT)
    await alice.page.evaluate("() => call.mute(false)")
    assert await alice.page.evaluate(enabled) == [False, True]
    await bob.hears(after=await bob.page.evaluate("() => call.stats()"))


async def test_a_replaced_client_turns_no_microphone_on(person: PersonMaker) -> None:
    alice = await person("alice")
    await alice.come("demo")
    await alice.page.evaluate(MICROPHONES)
    token = make_token(SECRET, alice.user, ["demo"])
    other = "async ({url, token}) => { await (await import('/tieline.js')).connect(url, {token}); }"
    await alice.page.evaluate(other, {"url": alice.urls[0], "token": token})
    await alice.until("() => client.closed !== null")
    enter = "() => client.enterVoice('demo').entered.catch(({reason}) => reason)"
    assert await alice.page.evaluate(enter) == "CLOSED"
    await alice.page.evaluate("() => { window.call = client.call('bob'); }")
    assert await alice.ends() == "closed"
    assert await alice.page.evaluate("() => tracks.length") == 0


async def test_a_voice_left_while_it_is_entered_stays_left(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.page.evaluate(MICROPHONES)
    await bob.page.evaluate("() => client.enterVoice('demo').entered")
    leave = """async () => {
        const first = client.enterVoice('demo');
        first.leave();
        await first.entered;
        const second = client.enterVoice('demo');
        await first.leave();
        await second.leave();
    }"""
    await alice.page.evaluate(leave)
    await alice.until("() => tracks.length === 2")
    await alice.until(ARE_OFF)
    assert await alice.page.evaluate("() => client.calls.size") == 0


@pytest.mark.parametrize("leaver", ["caller", "callee"])
@pytest.mark.parametrize("is_accepted", [True, False])
async def test_who_leaves_the_last_shared_room_is_in_no_call(
    person: PersonMaker, leaver: str, is_accepted: bool
) -> None:
    alice, bob = await pair(person)
    if is_accepted:
        await alice.calls(bob)
    else:
        await alice.ring(bob)
        await bob.is_rung()
    one: Person = alice if leaver == "caller" else bob
    await one.page.evaluate("() => client.leave('demo')")
    assert await alice.ends() == "left"
    assert await bob.ends() == "left"


async def test_a_call_goes_on_in_another_room_that_is_shared(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo", "tea")
    await alice.calls(bob)
    await alice.page.evaluate("() => client.leave('demo')")
    await alice.hears(after=await alice.hears())
    await bob.hears(after=await bob.hears())


async def test_somebody_alone_in_a_voice_room_is_busy(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await bob.page.evaluate("() => client.enterVoice('demo').entered")
    await bob.page.evaluate("() => client.calls.forEach((call) => call.hangup())")
    await bob.until("() => client.calls.size === 0")
    await alice.ring(bob)
    assert await alice.ends() == "busy"
    assert "call" not in await bob.events()


async def test_a_voice_room_is_full_by_voices_and_not_by_members(browser: Browser, dev: RunningDev) -> None:
    one = await Person.open(browser, "crowd", dev.document["gateways"])
    tokens = [make_token(SECRET, f"crowd-{number}", ["crowd"]) for number in range(8)]
    await one.page.evaluate(CROWD, {"urls": one.urls, "tokens": tokens})
    for number in range(6):
        assert await one.page.evaluate("enter", number) == "in"
    await one.until("() => talks(0, 1, 2, 3, 4, 5)")
    assert await one.page.evaluate("enter", 6) == "VOICE_FULL"
    await one.page.evaluate("() => crowd[2].enterVoice('crowd').leave()")
    assert await one.page.evaluate("enter", 7) == "in"
    await one.until("() => talks(0, 1, 3, 4, 5, 7)")
    await one.page.context.close()
