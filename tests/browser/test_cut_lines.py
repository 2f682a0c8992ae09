"""Calls between Chromium and Firefox whose path is cut, or left: both ends hear each other on another one.

Each wait is as long as the client's: it gives up a call 30 s after its media has stopped.
"""

import asyncio

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.lossy_line import LossyLine
from tests.browser.person import Person
from tests.browser.test_mixed import hears_on, whoever_calls
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("chromium", "firefox", "coturn")

RELAY_ONLY = {"iceTransportPolicy": "relay"}
STATES = """() => {
    window.states = [];
    call.addEventListener('state', ({detail}) => states.push(detail));
}"""
MOVED = """() => {
    const {localDescription, remoteDescription, signalingState} = call.pc;
    const name = ({sdp}) => /ice-ufrag:(\\S+)/.exec(sdp)[1];
    const names = name(localDescription) + name(remoteDescription);
    window.names ??= names;
    return signalingState === 'stable' && names !== window.names;
}"""
"""Whether ICE has been restarted since this was asked first."""


@pytest.fixture
def dev(relayed_dev: RunningDev) -> RunningDev:
    return relayed_dev


async def talk(
    person_in: PersonMaker, caller: str, callee: str, names: tuple[str, str], **rtc: str
) -> tuple[Person, Person]:
    """Have two talk; of two offers that cross, that of the greater name counts."""
    alice, bob = await person_in(caller, names[0]), await person_in(callee, names[1], gateway=1)
    for one in (alice, bob):
        await one.come("demo", rtc=rtc)
    await alice.calls(bob)
    for one in (alice, bob):
        await one.page.evaluate(STATES)
        await one.page.evaluate(MOVED)
    return alice, bob


async def all_hear_on(*people: Person) -> None:
    await asyncio.gather(*(hears_on(one) for one in people))


@whoever_calls
@pytest.mark.parametrize("names", [("alice", "bob"), ("zoe", "bob")], ids=["polite", "impolite"])
async def test_a_call_whose_path_is_cut_goes_on_by_another(
    person_in: PersonMaker, lossy_line: LossyLine, caller: str, callee: str, names: tuple[str, str]
) -> None:
    people = await talk(person_in, caller, callee, names, **RELAY_ONLY)
    lossy_line.cut()
    await asyncio.gather(*(one.until(MOVED) for one in people))
    await all_hear_on(*people)
    for one in people:
        assert "ended" not in await one.page.evaluate("() => states")


@whoever_calls
@pytest.mark.parametrize("who", [(0,), (1,), (0, 1), (0, 0), (1, 1)], ids=str)
async def test_both_hear_on_whoever_restarts_ice(
    person_in: PersonMaker, caller: str, callee: str, who: tuple[int, ...]
) -> None:
    people = await talk(person_in, caller, callee, ("alice", "bob"))
    await asyncio.gather(*(people[one].page.evaluate("() => call.restart()") for one in who))
    await asyncio.gather(*(one.until(MOVED) for one in people))
    await all_hear_on(*people)
    for one in people:
        assert await one.page.evaluate("() => states.filter((state) => state !== 'connected')") == []


@whoever_calls
async def test_no_restart_is_begun_before_one_is_answered(
    person_in: PersonMaker, caller: str, callee: str
) -> None:
    people = await talk(person_in, caller, callee, ("alice", "bob"))
    again = """() => client.addEventListener('signal', ({detail: {direction, cmd}}) => {
        if (direction === 'out' && cmd === 'WEBRTC_OFFER') call.restart();
    })"""
    offers = (
        "() => signals.filter(({direction, cmd}) => direction !== 'ack' && cmd === 'WEBRTC_OFFER').length"
    )
    for one in people:
        await one.page.evaluate(again)
    before = await people[0].page.evaluate(offers)
    await people[0].page.evaluate("() => call.restart()")
    await asyncio.gather(*(one.until(MOVED) for one in people))
    await all_hear_on(*people)
    assert await people[0].page.evaluate(offers) == before + 1
