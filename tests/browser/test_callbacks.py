"""What the application gives and does, however wrong, ends no call that runs."""

from typing import Final

import pytest

from tests.browser.conftest import PersonMaker, pair

THROW: Final = """() => {
    window.thrown = 0;
    const fail = () => { thrown += 1; throw new Error('a bug of the application'); };
    const hang = () => { thrown += 1; return new Promise(() => {}); };
    const reject = () => { thrown += 1; return Promise.reject(new Error('a bug of the application')); };
    for (const type of ['state', 'call', 'roster', 'signal', 'error', 'missed', 'reconnecting', 'resumed'])
        for (const listener of [fail, hang, reject]) client.addEventListener(type, listener);
    for (const type of ['state', 'track', 'error', 'peermuted', 'ended'])
        for (const listener of [fail, {handleEvent: hang}, {handleEvent: 'nonsense'}])
            call.addEventListener(type, listener);
    window.running = call;
}"""
NONSENSE: Final = """() => {
    for (const wrong of [null, 7, 'x', {}, () => {}]) {
        for (const act of [
            () => call.addTrack(wrong), () => call.removeTrack(wrong), () => call.accept(wrong),
            () => call.mute(false, wrong), () => client.call(call.peer, wrong),
        ]) {
            try { act()?.catch?.(() => {}); } catch { /* it hears of that */ }
        }
    }
}"""


async def test_listeners_that_fail_end_no_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    for one in (alice, bob):
        await one.page.evaluate(THROW)
    await alice.page.evaluate("() => { call.mute(); call.mute(false); call.restart(); }")
    await bob.page.evaluate("() => client.leave('elsewhere').then(() => client.join('demo'))")
    for one in (alice, bob):
        await one.until("() => thrown > 0")
        assert await one.page.evaluate("() => running.state") == "connected"
    await alice.hears(after=await alice.page.evaluate("() => call.stats()"))


async def test_what_is_given_wrongly_ends_no_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    for one in (alice, bob):
        await one.page.evaluate(NONSENSE)
    for one in (alice, bob):
        assert await one.page.evaluate("() => call.state") == "connected"
        await one.hears(after=await one.page.evaluate("() => call.stats()"))


@pytest.mark.parametrize(
    "stream",
    ["Promise.reject(new Error('refused'))", "Promise.resolve(7)", "{}", "'nonsense'", "() => {}"],
)
async def test_a_stream_that_is_none_ends_its_own_call_alone(person: PersonMaker, stream: str) -> None:
    alice, bob = await pair(person)
    carol = await person("carol")
    await carol.come("demo")
    await alice.calls(bob)
    await bob.page.evaluate("() => { window.running = call; client.options.maxCalls = 2; }")
    await carol.ring(bob)
    await bob.is_rung()
    wrong = f"() => call.accept({{stream: {stream}}}).then(() => 'taken', () => 'rejected')"
    assert await bob.page.evaluate(wrong) == "rejected"
    await carol.ends()
    assert await bob.page.evaluate("() => [running.state, client.calls.size]") == ["connected", 1]
