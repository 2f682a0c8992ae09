"""Chromium and Firefox talk with each other, whichever of them calls."""

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.person import SILENT

pytestmark = pytest.mark.needs("chromium", "firefox")

ENOUGH = 100
"""Packets: two seconds of them."""

MORE = "async (count) => (await call.stats()).received > count"


@pytest.mark.parametrize(("caller", "callee"), [("chromium", "firefox"), ("firefox", "chromium")])
async def test_two_kinds_of_browser_hear_each_other(person_in: PersonMaker, caller: str, callee: str) -> None:
    alice, bob = await person_in(caller, "alice"), await person_in(callee, "bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo")
    await alice.calls(bob)
    for one in (alice, bob):
        begun = await one.hears()
        await one.until(MORE, begun["received"] + ENOUGH)
    await alice.page.evaluate("() => call.mute()")
    await bob.until(SILENT)
    await alice.hang_up()
    assert await bob.ends() == "hangup"
    assert await alice.ends() == "hangup"


@pytest.mark.parametrize(("caller", "callee"), [("chromium", "firefox"), ("firefox", "chromium")])
async def test_two_kinds_of_browser_ring_each_other_at_once(
    person_in: PersonMaker, caller: str, callee: str
) -> None:
    alice, bob = await person_in(caller, "alice"), await person_in(callee, "bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo")
    await alice.ring(bob)
    await bob.ring(alice)
    for one in (alice, bob):
        await one.hears()
        assert await one.page.evaluate("() => client.calls.size") == 1
