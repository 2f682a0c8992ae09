"""Chromium and Firefox talk with each other, whichever of them calls."""

import asyncio

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.person import SILENT, Person

pytestmark = pytest.mark.needs("chromium", "firefox")

whoever_calls = pytest.mark.parametrize(
    ("caller", "callee"), [("chromium", "firefox"), ("firefox", "chromium")]
)

ENOUGH = 100
"""Packets: two seconds of them."""

MORE = "async (count) => (await call.stats()).received > count"


async def pair(person_in: PersonMaker, caller: str, callee: str) -> tuple[Person, Person]:
    alice, bob = await person_in(caller, "alice"), await person_in(callee, "bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo")
    return alice, bob


async def hears_on(one: Person) -> None:
    """Wait for sound, and then for two seconds of it."""
    begun = await one.hears(after=await one.page.evaluate("() => call.stats()"))
    await one.until(MORE, begun["received"] + ENOUGH)


@whoever_calls
async def test_two_kinds_of_browser_hear_each_other(person_in: PersonMaker, caller: str, callee: str) -> None:
    alice, bob = await pair(person_in, caller, callee)
    await alice.calls(bob)
    await asyncio.gather(hears_on(alice), hears_on(bob))
    await alice.page.evaluate(
        "() => call.addEventListener('message', ({detail}) => { window.told = detail; })"
    )
    await bob.page.evaluate("() => call.send('negotiated by the one who was called')")
    await alice.until("() => window.told === 'negotiated by the one who was called'")
    await alice.page.evaluate("() => call.mute()")
    await bob.until(SILENT)
    await alice.hang_up()
    assert await bob.ends() == "hangup"
    assert await alice.ends() == "hangup"


@whoever_calls
async def test_two_kinds_of_browser_ring_each_other_at_once(
    person_in: PersonMaker, caller: str, callee: str
) -> None:
    alice, bob = await pair(person_in, caller, callee)
    await alice.ring(bob)
    await bob.ring(alice)
    for one in (alice, bob):
        await one.hears()
        assert await one.page.evaluate("() => client.calls.size") == 1
