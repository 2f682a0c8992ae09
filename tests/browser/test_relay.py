"""Calls that may use nothing but a relay: a real coturn, with the credentials that a gateway gives."""

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.person import Person
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("coturn")

RELAY_ONLY = {"iceTransportPolicy": "relay"}

NOTE_ERRORS = """() => {
    window.iceErrors = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(configuration) {
            super(configuration);
            this.addEventListener('icecandidateerror', ({errorCode}) => iceErrors.push(errorCode));
        }
    };
}"""

FORGE = """() => {
    const real = client.iceServers.bind(client);
    client.iceServers = async () => (await real()).map((server) => ({...server, credential: 'forged'}));
}"""


@pytest.fixture
def dev(relayed_dev: RunningDev) -> RunningDev:
    return relayed_dev


async def pair(person: PersonMaker) -> tuple[Person, Person]:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    for one in (alice, bob):
        await one.page.evaluate(NOTE_ERRORS)
        await one.come("demo", rtc=RELAY_ONLY)
    return alice, bob


@pytest.mark.both
async def test_a_call_goes_through_the_relay(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    assert (await alice.hears())["path"] == "relay"
    assert await alice.page.evaluate("() => iceErrors") == []


async def test_credentials_are_renewed_during_the_call(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    user = "() => call.pc.getConfiguration().iceServers[0].username"
    before = await alice.page.evaluate(user)
    await alice.until(f"(before) => ({user})() !== before", before)
    signals = await alice.page.evaluate("() => signals.length")
    await alice.page.evaluate("() => call.restart()")
    answered = (
        "(before) => signals.slice(before).some(({cmd, direction}) => direction + cmd === 'inWEBRTC_ANSWER')"
    )
    await alice.until(answered, signals)
    await bob.hears(after=await bob.hears())
    assert await alice.page.evaluate("() => iceErrors") == []


async def test_a_forged_credential_is_refused(person: PersonMaker) -> None:
    alice, bob = await pair(person)
    await alice.page.evaluate(FORGE)
    await alice.ring(bob)
    await bob.is_rung()
    await bob.accept()
    await alice.until("() => iceErrors.includes(401) && call.pc.iceGatheringState === 'complete'")
    assert await alice.page.evaluate("() => call.state") != "connected"
    sent = await alice.page.evaluate(
        "() => signals.filter(({direction, data}) => direction === 'out' && data.candidate).length"
    )
    assert sent == 0, "without a relay there is no way to be reached"
