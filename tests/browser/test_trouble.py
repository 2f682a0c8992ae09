"""What ends nothing: trouble with tokens, a silent server, a machine that slept, a page put aside."""

import asyncio
import json
from typing import Final

import pytest

from tests.browser.hurried import STREAM, come, frames, told
from tests.browser.person import Person
from tests.unit.client.lists import changed, listed
from tests.unit.client.minimal_gateway import reply
from tests.unit.client.resuming_gateways import Backend, Gateway, StoredSession

COME: Final = """async ({url, peer}) => {
    const {connect} = await import('/tieline.js');
    const broken = %s;
    window.isBroken = false;
    window.asked = 0;
    const token = () => { asked += 1; return isBroken ? broken() : `ann.${asked}`; };
    window.client = await connect(url, {token});
    window.events = [];
    for (const type of ['resumed', 'closed', 'error', 'state'])
        client.addEventListener(type, ({detail}) => events.push([type, detail?.reason ?? detail]));
    client.iceServers = async () => [];
    window.call = client.call(peer, {stream});
}"""
OFFER: Final = """async () => {
    const pc = new RTCPeerConnection();
    pc.addTrack(new AudioContext().createMediaStreamDestination().stream.getTracks()[0]);
    return (await pc.createOffer()).sdp;
}"""
"""What somebody else might offer."""

EVENTS: Final = (
    "() => events.filter(([type]) => type !== 'state').map(([type, what]) => type === 'error' ? what : type)"
)
STATE: Final = "(state) => client.state === state"
PUT: Final = "(type) => dispatchEvent(new PageTransitionEvent(type, {persisted: true}))"


async def comes_with(
    ann: Person, backend: Backend, gateway: Gateway, broken: str, *, peer: str = "bob"
) -> None:
    """Have Ann come with a function for tokens that may break, and ring Bob, or somebody else."""
    backend.ignored |= {f"WEBRTC_{cmd}" for cmd in ("OFFER", "ICE_CANDIDATE", "HANGUP")}
    await ann.page.evaluate(STREAM)
    await ann.page.evaluate(COME % broken, {"url": gateway.url, "peer": peer})
    await backend.until(lambda: frames(backend, "WEBRTC_OFFER"))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("() => { throw new Error('HTTP 503'); }", "NO_TOKEN"),
        ("() => Promise.reject()", "NO_TOKEN"),
        ("async () => JSON.parse('<html>')", "NO_TOKEN"),
        ("async () => '<html>\\r\\n<title>502 Bad Gateway</title></html>'", "UNUSABLE_TOKEN"),
        ("async () => ({token: 'ann'})", "UNUSABLE_TOKEN"),
        ("() => {}", "UNUSABLE_TOKEN"),
        ("() => ''", "UNUSABLE_TOKEN"),
    ],
)
async def test_a_token_source_in_trouble_is_asked_again(
    ann: Person, backend: Backend, gateway: Gateway, broken: str, why: str
) -> None:
    await comes_with(ann, backend, gateway, broken)
    await ann.page.evaluate("() => { isBroken = true; }")
    backend.cut("ann")
    await ann.until("() => asked >= 3")
    await ann.page.evaluate("() => { isBroken = false; }")
    await ann.until("() => events.some(([type]) => type === 'resumed')")
    assert await ann.page.evaluate(EVENTS) == [why, "resumed"], "it is told of once"
    assert await ann.page.evaluate("() => call.state") == "calling"


async def test_a_token_that_comes_too_late_is_for_the_next_attempt(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await ann.page.clock.install()
    await comes_with(ann, backend, gateway, "() => new Promise((resolve) => { window.give = resolve; })")
    await ann.page.evaluate("() => { isBroken = true; }")
    backend.cut("ann")
    await ann.until("() => Boolean(window.give)")
    await ann.page.evaluate("() => { window.first = give; window.give = null; }")
    await ann.page.clock.fast_forward(5_000)
    await ann.until("() => Boolean(window.give)")
    await ann.page.evaluate("() => first('ann.late')")
    await ann.page.clock.fast_forward(5_000)
    await ann.until("() => events.some(([type]) => type === 'resumed')")
    assert backend.tokens[-1] == "ann.late"
    assert await ann.page.evaluate("() => call.state") == "calling"


async def test_the_first_time_trouble_with_a_token_is_the_callers(ann: Person, gateway: Gateway) -> None:
    connecting = """async (url) => {
        const {connect} = await import('/tieline.js');
        const fails = [{token: () => { throw new Error('HTTP 503'); }}, {token: async () => ({token: 'ann'})},
            {token: '<html>'}, {}, undefined];
        const why = ({reason, message}) => reason ?? message;
        return Promise.all(fails.map((options) => connect(url, options).catch(why)));
    }"""
    said = await ann.page.evaluate(connecting, gateway.url)
    assert said == ["HTTP 503", "UNUSABLE_TOKEN", "UNUSABLE_TOKEN", "WRONG_USE", "WRONG_USE"]
    assert gateway.attempts == []


async def falls_silent(ann: Person, backend: Backend, gateway: Gateway) -> None:
    """Have the server say nothing to Ann any more, until she asks it for a word."""
    backend.ignored.add("PING")
    await come(ann, gateway.url)
    await ann.page.clock.fast_forward(7_000)
    await backend.until(lambda: frames(backend, "PING"))


async def test_silence_is_noticed_in_12_s_and_replaced_in_17(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await ann.page.clock.install()
    await falls_silent(ann, backend, gateway)
    assert await ann.page.evaluate("() => client.state") == "connected"
    await ann.page.clock.fast_forward(5_000)
    await ann.until(STATE, "checking")
    await ann.page.evaluate(
        "() => client.addEventListener('state', ({detail}) => { window.state = detail; })"
    )
    await backend.say("ann", "TOKEN_EXPIRING", {"expiresAt": 1}, "any word will do")
    await ann.until("() => window.state === 'connected'")
    await ann.page.clock.fast_forward(7_000)
    await backend.until(lambda: len(frames(backend, "PING")) > 1)
    await ann.page.clock.fast_forward(5_000)
    await ann.until(STATE, "checking")
    await ann.page.clock.fast_forward(5_000)
    assert await told(ann, "reconnecting") == ["reconnecting", 1006]
    await told(ann, "resumed")
    assert await ann.page.evaluate("() => client.state") == "connected"


async def test_a_slow_line_is_given_more_time(ann: Person, backend: Backend, gateway: Gateway) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slowly(_session: StoredSession) -> None:
        is_asked.set()
        await may_answer.wait()

    backend.before_welcome = slowly
    await ann.page.clock.install()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(falls_silent(ann, backend, gateway))
        await is_asked.wait()
        await ann.page.clock.fast_forward(6_000)  # two round trips
        may_answer.set()
    await ann.page.clock.fast_forward(8_000)
    assert await ann.page.evaluate("() => client.state") == "connected"
    await ann.page.clock.fast_forward(5_000)
    await ann.until(STATE, "checking")


async def test_news_of_the_lines_speed_change_nothing(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    pings = """async () => {
        for (let count = 0; count < 10; count += 1) navigator.connection?.dispatchEvent(new Event('change'));
        for (let count = 0; count < 10; count += 1) dispatchEvent(new Event('online'));
        await client.join('demo');
    }"""
    await ann.page.evaluate(pings)
    assert len(frames(backend, "PING")) <= 1


async def test_tokens_of_a_moment_are_not_asked_for_all_the_time(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.ignored.add("REFRESH_TOKEN")
    await ann.page.clock.install()
    await come(ann, gateway.url, later=True)
    in_20_s = await ann.page.evaluate("() => Date.now() + 20_000")
    for number in range(20):
        await backend.say("ann", "TOKEN_EXPIRING", {"expiresAt": in_20_s + number}, f"{number}")
    await ann.until("() => events.length === 20")
    await backend.until(lambda: frames(backend, "REFRESH_TOKEN"))
    await ann.page.evaluate("() => client.join('demo')")
    assert len(frames(backend, "REFRESH_TOKEN")) == 1
    await backend.say("ann", "TOKEN_EXPIRING", {"expiresAt": in_20_s + 20}, "20")
    await ann.until("() => events.filter(([type]) => type === 'tokenexpiring').length === 21")
    await ann.page.clock.fast_forward(5_000)
    await backend.until(lambda: len(frames(backend, "REFRESH_TOKEN")) == 2)


async def test_after_a_sleep_servers_for_ice_are_asked_for_anew(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.ignored.add("ICE_SERVERS")
    await ann.page.clock.install()
    await come(ann, gateway.url)

    async def servers(count: int, user: str) -> None:
        await ann.page.evaluate("() => { window.servers = client.iceServers(); }")
        await backend.until(lambda: len(frames(backend, "ICE_SERVERS")) == count)
        await backend.answer("ann", {"iceServers": [{"urls": "turn:a", "username": user}], "ttl": 100})
        assert (await ann.page.evaluate("() => servers"))[0]["username"] == user

    await servers(1, "first")
    now = await ann.page.evaluate("() => client.iceServers().then(() => Date.now())")
    assert len(frames(backend, "ICE_SERVERS")) == 1
    await ann.page.clock.set_system_time(now + 90_000)  # no timer fires: they stood still
    await servers(2, "after a sleep")
    backend.forget("ann")
    backend.cut("ann")
    await told(ann, "reset")
    await servers(3, "after a reset")


async def joins_again(backend: Backend, known: int) -> None:
    await backend.until(lambda: len(frames(backend, "JOIN")) > known)


async def test_a_session_lost_twice_does_not_leave_the_voice_room(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate(STREAM)
    enter = "() => { window.voice = client.enterVoice('demo', {stream}); return voice.entered; }"
    await ann.page.evaluate(enter)
    backend.ignored.add("JOIN")
    for count in (1, 2):
        joins = len(frames(backend, "JOIN"))
        backend.forget("ann")
        backend.cut("ann")
        if count == 2:
            backend.ignored.clear()
        await joins_again(backend, joins)
    await backend.until(lambda: backend.sessions["ann"].rooms == ["demo"])
    assert await ann.page.evaluate("() => client.enterVoice('demo') === voice")
    assert await ann.page.evaluate("() => events.filter(([type]) => type === 'error')") == []


@pytest.mark.both
async def test_a_page_put_aside_comes_back(ann: Person, backend: Backend, gateway: Gateway) -> None:
    await come(ann, gateway.url)
    await ann.page.evaluate("() => client.join('demo')")
    await ann.page.evaluate(PUT, "pagehide")
    await backend.until(lambda: backend.closed == [1000])
    assert await ann.page.evaluate("() => [client.state, client.closed]") == ["reconnecting", None]
    backend.forget("ann")
    await ann.page.evaluate(PUT, "pageshow")
    await told(ann, "reset")
    await backend.until(lambda: backend.sessions["ann"].rooms == ["demo"])


@pytest.mark.parametrize("is_known", [True, False], ids=["acknowledged", "not acknowledged"])
async def test_a_page_that_is_shown_again_at_once_hangs_up(
    ann: Person, backend: Backend, gateway: Gateway, is_known: bool
) -> None:
    await comes_with(ann, backend, gateway, "() => 'ann'")

    async def acknowledge(times: int) -> None:
        await backend.until(lambda: len(frames(backend, "WEBRTC_OFFER")) == times)
        (offer,) = set(frames(backend, "WEBRTC_OFFER"))
        await backend.sessions["ann"].send(reply(json.loads(offer), None, ack="relayed"))

    if is_known:
        await acknowledge(1)
        await ann.until("() => call.state === 'ringing'")
    await ann.page.evaluate(PUT, "pagehide")
    assert await ann.page.evaluate("() => [call.state, call.reason]") == ["ended", "closed"]
    await ann.page.evaluate(PUT, "pageshow")
    if not is_known:
        await acknowledge(2)  # it is sent again, and the hang-up behind it
    await backend.until(lambda: frames(backend, "WEBRTC_HANGUP"))
    (frame,) = frames(backend, "WEBRTC_HANGUP")
    assert json.loads(frame)["data"]["data"]["reason"] == "closed"


async def rings_in_demo(ann: Person, backend: Backend, gateway: Gateway) -> None:
    """Have Ann ring Bob, whom she meets in one room alone."""
    await comes_with(ann, backend, gateway, "() => 'ann'")
    backend.lists = [listed(5, "ann", "bob")]
    await ann.page.evaluate("() => client.join('demo')")


async def test_a_room_left_and_joined_again_at_once_ends_its_calls(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings_in_demo(ann, backend, gateway)
    backend.ignored.add("JOIN")
    await ann.page.evaluate("() => { client.leave('demo'); client.join('demo'); }")
    assert await ann.ends() == "left"


async def test_two_who_leave_two_rooms_at_once_are_in_no_call(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings_in_demo(ann, backend, gateway)
    await backend.say("ann", "ROOM_CHANGED", changed(9, left="bob"), "bob leaves")
    assert await ann.ends() == "left"


async def test_a_room_left_just_after_the_other_ends_its_calls(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await rings_in_demo(ann, backend, gateway)
    await backend.say("ann", "ROOM_CHANGED", changed(9, left="bob"), "bob leaves")
    await ann.until("() => !client.rooms.get('demo').has('bob')")
    await ann.page.evaluate("() => client.leave('demo')")
    assert await ann.ends() == "left"


async def test_a_stream_that_never_comes_ends_the_call_by_itself(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await ann.page.clock.install()
    backend.ignored.add("ICE_SERVERS")
    await come(ann, gateway.url)
    await ann.page.evaluate("() => { window.call = client.call('bob', {stream: new Promise(() => {})}); }")
    await ann.page.clock.fast_forward(60_000)
    assert await ann.ends() == "timeout"
    assert frames(backend, "WEBRTC_HANGUP") == [], "the other has never heard of it"


async def test_who_rings_again_when_all_is_lost_rings_once(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.ignored.add("ICE_SERVERS")
    await come(ann, gateway.url)
    ring = """() => {
        window.rung = 0;
        window.ring = () => {
            rung += 1;
            window.call = client.call('bob', {stream: new Promise(() => {})});
            call.addEventListener('ended', ring);
        };
        ring();
    }"""
    await ann.page.evaluate(ring)
    backend.forget("ann")
    backend.cut("ann")
    await told(ann, "reset")
    assert await ann.page.evaluate("() => [rung, client.calls.size, call.state]") == [2, 1, "calling"]


async def test_an_offer_that_comes_when_the_room_was_left_does_not_ring(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    backend.lists = [listed(5, "ann", "bob")]
    backend.sessions["bob"] = StoredSession("bob")
    await ann.page.evaluate("() => client.join('demo')")
    await ann.page.evaluate("() => client.leave('demo')")
    offer = {"from": "bob", "to": "ann", "data": {"type": "offer", "sdp": "v=0", "call": "bobs"}}
    await backend.say("ann", "WEBRTC_OFFER", offer, "late")
    await backend.until(lambda: frames(backend, "WEBRTC_HANGUP"))
    (frame,) = frames(backend, "WEBRTC_HANGUP")
    assert json.loads(frame)["data"]["data"] == {"reason": "left", "call": "bobs"}
    assert await ann.page.evaluate("() => client.calls.size") == 0


async def test_nobody_can_ring_nobody_nor_accept_what_does_not_ring(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    await come(ann, gateway.url)
    ring = """(peer) => new Promise((resolve) => {
        const call = client.call(peer ?? undefined);
        call.addEventListener('ended', async ({detail}) => {
            const {reason} = await call.accept().catch((error) => error);
            resolve([detail.reason, call.error.msg, reason]);
        });
    })"""
    for peer in (None, "", "ann"):
        said = await ann.page.evaluate(ring, peer)
        assert said == ["BAD_MESSAGE", "call(peer) takes the id of another user", "NOT_RINGING"]
    assert frames(backend, "WEBRTC_OFFER") == []


async def bob_says(backend: Backend, cmd: str, of_call: str, *, who: str = "bob", **data: object) -> None:
    """Let Bob, or the server for him, say something of a call."""
    body = {"from": who, "to": "ann", "data": data, "call": of_call}
    await backend.say("ann", f"WEBRTC_{cmd}", body, f"{cmd} of {of_call}")


async def acknowledge_offer(backend: Backend, call: str) -> None:
    sent = json.loads(frames(backend, "WEBRTC_OFFER")[0])
    await backend.sessions["ann"].send(reply(sent, None, ack="relayed", call=call))


async def test_the_end_of_another_call_does_not_end_one_that_has_no_id_yet(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await bob_says(backend, "HANGUP", "older", reason="left", server=True)
    await acknowledge_offer(backend, "0123")
    await ann.until("() => call.callId === '0123'")
    assert await ann.page.evaluate("() => call.state") == "ringing"
    await bob_says(backend, "HANGUP", "0123", reason="disconnected", server=True)
    assert await ann.ends() == "disconnected"


async def test_an_end_that_comes_before_the_id_counts_with_the_id(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await bob_says(backend, "HANGUP", "0123", reason="decline", server=True)
    await acknowledge_offer(backend, "0123")
    assert await ann.ends() == "decline"


async def test_an_offer_made_anew_before_the_word_of_ours_counts(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored.add("WEBRTC_ANSWER")
    await comes_with(ann, backend, gateway, "() => 'ann'")
    await bob_says(backend, "HANGUP", "older", reason="hangup")
    sdp = await ann.page.evaluate(OFFER)
    await bob_says(backend, "OFFER", "newer", type="offer", sdp=sdp, call="bobs")
    await bob_says(backend, "INFO", "newer", call="bobs", muted=True)
    await ann.until("() => call.peerMuted")
    assert await ann.page.evaluate("() => call.state") == "calling", "it may be of another call than ours"
    await acknowledge_offer(backend, "older")
    await backend.until(lambda: frames(backend, "WEBRTC_ANSWER"))
    (answer,) = frames(backend, "WEBRTC_ANSWER")
    assert json.loads(answer)["data"]["call"] == "newer"
    assert await ann.page.evaluate("() => [call.state, call.callId]") == ["connecting", "newer"]


async def test_what_follows_an_offer_that_waits_for_our_microphone_counts(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored |= {"ICE_SERVERS", "WEBRTC_ANSWER"}
    await come(ann, gateway.url)
    await ann.page.evaluate(STREAM)
    await ann.page.evaluate("() => { window.call = client.call('bob', {stream}); }")
    await backend.until(lambda: frames(backend, "ICE_SERVERS"))
    sdp = await ann.page.evaluate(OFFER)
    await bob_says(backend, "OFFER", "0123", type="offer", sdp=sdp, call="bobs", muted=False)
    await bob_says(backend, "INFO", "0123", muted=True, call="bobs")
    await ann.until("() => call.peerMuted")
    await backend.answer("ann", {"iceServers": [], "ttl": 0})
    await backend.until(lambda: frames(backend, "WEBRTC_ANSWER"))
    assert await ann.page.evaluate("() => [call.state, call.peerMuted]") == ["connecting", True]


async def test_an_offer_ignored_for_ours_counts_when_ours_was_over(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.welcoming = {"offerTimeout": 60}
    backend.ignored.add("WEBRTC_ANSWER")
    await comes_with(ann, backend, gateway, "() => 'ann'", peer="aa")
    await bob_says(backend, "HANGUP", "older", who="aa", reason="hangup")
    sdp = await ann.page.evaluate(OFFER)
    await bob_says(backend, "OFFER", "newer", who="aa", type="offer", sdp=sdp, call="theirs")
    await acknowledge_offer(backend, "older")
    await backend.until(lambda: frames(backend, "WEBRTC_ANSWER"))
    (answer,) = frames(backend, "WEBRTC_ANSWER")
    assert json.loads(answer)["data"]["call"] == "newer"
    assert await ann.page.evaluate("() => [call.state, call.callId]") == ["connecting", "newer"]


async def test_a_voice_is_shown_in_the_session_after_one_that_is_lost(
    ann: Person, backend: Backend, gateway: Gateway
) -> None:
    backend.ignored.add("STATUS")
    await ann.page.evaluate(STREAM)
    enter = """async (url) => {
        const {connect} = await import('/tieline.js');
        window.client = await connect(url, {token: 'ann', showCalls: true});
        await client.enterVoice('demo', {stream}).entered;
    }"""
    await ann.page.evaluate(enter, gateway.url)
    await backend.until(lambda: len(frames(backend, "STATUS")) == 1)
    await backend.sessions["ann"].send(reply(json.loads(frames(backend, "STATUS")[0]), None))
    await ann.page.evaluate("() => client.members('demo')")
    backend.forget("ann")
    backend.cut("ann")
    await backend.until(lambda: len(frames(backend, "STATUS")) == 2)
    shown = [json.loads(frame)["data"]["inCall"] for frame in frames(backend, "STATUS")]
    assert shown == [True, True]
