"""What goes with a voice: pictures, messages, metadata, who speaks, and how loud."""

import asyncio

import pytest

from tests.browser.conftest import PersonMaker, pair
from tests.browser.person import PATIENCE_S, SILENT

TELL = """(types) => {
    window.told = [];
    for (const type of types)
        call.addEventListener(type, ({detail}) => told.push([type, detail]));
}"""
PICTURE = """() => {
    const canvas = document.createElement('canvas');
    const draw = canvas.getContext('2d');
    setInterval(() => {
        draw.fillStyle = `hsl(${performance.now()}, 50%, 50%)`;
        draw.fillRect(0, 0, 300, 150);
    }, 50);
    window.picture = () => canvas.captureStream(10);
}"""
SEES = """async (kind) => {
    window.pictures ??= new Map();
    const one = pictures.get(kind);
    if (!one || one.getVideoTracks().length === 0) return false;
    const ids = one.getVideoTracks().map(({id}) => id);
    const report = [...(await call.pc.getStats()).values()];
    return report.some(({type, framesDecoded, trackIdentifier}) =>
        type === 'inbound-rtp' && framesDecoded > 2 && ids.includes(trackIdentifier));
}"""
WATCH = """() => {
    window.pictures = new Map();
    call.addEventListener('track', ({detail: {kind, stream}}) => pictures.set(kind, stream));
    call.addEventListener('untrack', ({detail: {kind}}) => pictures.delete(kind));
}"""
NOTHING_COMES = """() => {
    const real = call.stats.bind(call);
    call.stats = async () => ({...await real(), heard: 7});
    const isOurs = ({direction}) => direction === 'out';
    window.said = (what) => signals.filter(isOurs).filter(({cmd, data}) => what(cmd, data)).length;
    window.asked = () => said((cmd, {hears}) => hears === false);
    window.restarted = () => said((cmd) => cmd === 'WEBRTC_OFFER') - before;
    window.before = said((cmd) => cmd === 'WEBRTC_OFFER');
}"""


@pytest.mark.both
async def test_bytes_and_text_arrive_in_order(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    early = """() => {
        window.sent = Promise.all([call.send('one'), call.send(new Uint8Array([2, 3]).subarray(1)),
            call.send(new Blob(['four'])), call.send('five')]);
    }"""
    await alice.page.evaluate(early)  # it waits for the call
    listen = """() => {
        window.heard = [];
        call.addEventListener('message', ({detail}) =>
            heard.push(typeof detail === 'string' ? detail : [...new Uint8Array(detail)]));
        call.send('back');
        return call.accept();
    }"""
    await alice.page.evaluate(TELL, ["message"])
    await bob.page.evaluate(listen)
    await alice.page.evaluate("() => sent")
    await bob.until("() => heard.length === 4")
    assert await bob.page.evaluate("() => heard") == ["one", [3], [102, 111, 117, 114], "five"]
    await alice.until("() => told.length === 1")
    assert await alice.page.evaluate("() => told") == [["message", "back"]]
    wrong = "() => call.send({a: 1}).catch(({reason}) => reason)"
    assert await alice.page.evaluate(wrong) == "WRONG_USE"


async def test_who_waits_for_room_fills_no_memory(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    count = """() => {
        window.bytes = 0;
        call.addEventListener('message', ({detail}) => { bytes += detail.byteLength; });
    }"""
    await bob.page.evaluate(count)
    fill = """async () => {
        const {prototype} = RTCDataChannel;
        const real = prototype.send;
        let most = 0;
        prototype.send = function(data) {
            real.call(this, data);
            most = Math.max(most, this.bufferedAmount);
        };
        for (let i = 0; i < 200; i += 1) await call.send(new Uint8Array(60_000));
        return most;
    }"""
    assert await alice.page.evaluate(fill) <= 1 << 20
    await bob.until("() => bytes === 200 * 60_000")
    too_long = """() => {
        const sctp = call.pc.sctp;
        Object.defineProperty(sctp, 'maxMessageSize', {value: 100_000}); // Firefox would take a gigabyte
        return call.send('ä'.repeat(50_001)).catch(({reason}) => reason);
    }"""
    assert await alice.page.evaluate(too_long) == "TOO_LONG"


async def test_a_large_message_behind_a_small_one_does_not_wait_for_ever(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    send = """async () => {
        const {prototype} = RTCDataChannel;
        Object.defineProperty(prototype, 'bufferedAmount', {get: () => 200_000}); // less than will be told of
        await call.send('small');
        Object.defineProperty(call.pc.sctp, 'maxMessageSize', {value: 1 << 30}); // as between two Firefoxes
        prototype.send = function() { window.passed = true; };
        await call.send(new Uint8Array(900_000));
    }"""
    await alice.page.evaluate(send)
    assert await alice.page.evaluate("() => passed")


async def test_a_message_that_waits_ends_with_the_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    await alice.page.evaluate("() => { window.sent = call.send('never').catch(({reason}) => reason); }")
    await bob.page.evaluate("() => call.decline()")
    assert await alice.page.evaluate("() => sent") == "CALL_ENDED"
    assert await alice.page.evaluate("() => call.send('late').catch(({reason}) => reason)") == "CALL_ENDED"
    assert await alice.page.evaluate("() => call.video().catch(({reason}) => reason)") == "CALL_ENDED"


async def test_metadata_goes_with_the_ring_and_the_answer(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    ring = "(peer) => { window.call = client.call(peer, {metadata: {about: 'tea', at: 5}}); }"
    await alice.page.evaluate(ring, bob.user)
    await bob.is_rung()
    assert await bob.page.evaluate("() => call.metadata") == {"about": "tea", "at": 5}
    await bob.page.evaluate("() => call.accept({metadata: ['gladly']})")
    await alice.hears()
    assert await alice.page.evaluate("() => call.metadata") == ["gladly"]


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ("7n", "WRONG_USE"),
        ("(() => { const it = {}; it.it = it; return it; })()", "WRONG_USE"),
        ("'x'.repeat(1_000_000)", "TOO_LONG"),
    ],
)
async def test_metadata_that_cannot_be_sent_ends_its_call_on_both_sides(
    person: PersonMaker, metadata: str, why: str
) -> None:
    alice, bob = await pair(person)
    ring = f"(peer) => {{ window.call = client.call(peer, {{metadata: {metadata}}}); }}"
    await alice.page.evaluate(ring, bob.user)
    assert await alice.ends() == why
    await alice.ring(bob)
    await bob.is_rung()
    accept = f"() => {{ call.accept({{metadata: {metadata}}}).catch(() => {{}}); }}"
    await bob.page.evaluate(accept)
    assert await bob.ends() == why
    assert await alice.ends() == why


@pytest.mark.both
@pytest.mark.parametrize("may_call", [True, False], ids=["may call", "may not call"])
async def test_a_camera_is_shown_and_turned_off_and_on(person: PersonMaker, may_call: bool) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo", voice=may_call)
    await bob.come("demo")
    await bob.calls(alice)
    await alice.page.evaluate(TELL, ["error"])
    await bob.page.evaluate(WATCH)
    lines = "() => call.pc.localDescription.sdp.match(/^m=/mg).length"
    for _ in range(3):
        await alice.page.evaluate("async () => { window.shown = await call.video(); }")
        await bob.until(SEES, "camera")
        assert (
            await alice.page.evaluate(
                "() => call.showing.camera === shown && shown.getTracks()[0].readyState"
            )
            == "live"
        )
        await alice.page.evaluate("() => call.video(false)")
        await bob.until("() => !pictures.has('camera') && call.remote.getVideoTracks().length === 0")
        assert await alice.page.evaluate("() => call.showing.camera") is None
        assert await alice.page.evaluate("() => shown.getTracks()[0].readyState") == "ended"
    assert await alice.page.evaluate(lines) == 2, "its place in the description is used again"
    assert await alice.page.evaluate("() => told") == []
    await bob.hears(after=await bob.hears())


async def test_both_show_camera_and_screen_at_once(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    for one in (alice, bob):
        await one.page.evaluate(PICTURE)
    await alice.page.evaluate("(peer) => { window.call = client.call(peer, {video: true}); }", bob.user)
    await bob.is_rung()
    for one in (alice, bob):
        await one.page.evaluate(WATCH)
    await bob.page.evaluate("() => call.accept({video: true})")
    for one in (alice, bob):
        await one.until(SEES, "camera")
    await alice.page.evaluate("() => { call.screen(picture()); }")
    await bob.page.evaluate("() => { call.screen(picture()); }")
    for one in (alice, bob):
        await one.until(SEES, "screen")
        await one.until(SEES, "camera")
    await alice.page.evaluate("() => call.screen(false)")
    await bob.until("() => !pictures.has('screen') && pictures.has('camera')")
    await alice.hang_up()
    await bob.ends()
    assert await bob.page.evaluate("() => Object.values(call.showing)") == [None, None]


async def test_all_in_a_voice_see_what_one_shows(person: PersonMaker) -> None:
    ann, ben = await pair(person)
    cat = await person("cat")
    await cat.come("demo")
    enter = """async () => {
        window.voice = client.enterVoice('demo');
        window.seen = [];
        const name = ({peer}) => peer.split('-')[0];
        voice.addEventListener('call', ({detail: call}) => {
            call.addEventListener('track', ({detail: {kind}}) => seen.push(`${name(call)} ${kind}`));
            call.addEventListener('message', ({detail}) => seen.push(detail));
        });
        await voice.entered;
    }"""
    await ann.page.evaluate(enter)
    await ann.page.evaluate("() => voice.video()")
    await ben.page.evaluate(enter)
    await ben.until("() => seen.includes('alice camera')")
    await cat.page.evaluate(enter)
    await cat.until("() => seen.includes('alice camera')")
    await ann.page.evaluate("() => voice.video(false)")
    await cat.until(
        "() => [...client.calls.values()].every(({remote}) => remote.getVideoTracks().length === 0)"
    )
    await ann.until("() => voice.calls.length === 2 && voice.calls.every(({state}) => state === 'connected')")
    await ann.page.evaluate("() => voice.send('to all')")
    for one in (ben, cat):
        await one.until("() => seen.includes('to all')")


@pytest.mark.both
async def test_who_speaks_is_said_and_who_is_muted_does_not(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    await bob.page.evaluate(TELL, ["speaking"])
    await bob.until("() => call.speaking")
    await alice.page.evaluate("() => call.mute()")
    await bob.until(SILENT)
    assert await bob.page.evaluate("() => [call.speaking, told.at(-1)]") == [False, ["speaking", False]]
    assert await bob.page.evaluate("() => call.quality") in ("good", "poor"), "a busy machine may stutter"


async def test_the_volume_of_one_person_is_kept(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await alice.page.evaluate("() => { call.volume = 0.25; }")
    await bob.is_rung()
    await bob.accept()
    await alice.until("() => call.audio !== null")
    assert await alice.page.evaluate("() => [call.volume, call.audio.volume]") == [0.25, 0.25]
    assert await alice.page.evaluate("() => { call.volume = 7; return call.audio.volume; }") == 1


async def test_when_nothing_comes_both_look_for_another_path(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await bob.calls(alice)
    await alice.page.evaluate(NOTHING_COMES)
    await alice.page.clock.install()
    offers = "({direction, cmd}) => direction === 'in' && cmd === 'WEBRTC_OFFER'"
    seen = await alice.page.evaluate(f"() => signals.filter({offers}).length")
    async with asyncio.timeout(PATIENCE_S):
        while await alice.page.evaluate("() => restarted()") < 2:
            await alice.page.clock.run_for(1_000)
    assert await alice.page.evaluate("() => asked()") == 2
    await alice.page.clock.run_for(30_000)
    assert await alice.page.evaluate("() => [asked(), restarted()]") == [2, 2], "not for ever"
    assert await alice.page.evaluate(f"() => signals.filter({offers}).length") >= seen + 2, (
        "Bob has restarted"
    )
    assert await alice.page.evaluate("() => call.state") == "connected"
