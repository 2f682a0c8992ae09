"""Two people in two browsers, on two gateways."""

import pytest

from tests.browser.conftest import PersonMaker

pytestmark = pytest.mark.needs("chromium")


async def test_two_browsers_on_two_gateways_hear_each_other(person: PersonMaker) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    await alice.come("demo")
    await bob.come("demo")
    await alice.ring(bob)
    await bob.is_rung()
    await bob.accept()
    assert (await alice.hears())["path"]
    await bob.hears()
    await alice.page.evaluate("() => call.hangup()")
    assert await bob.ends() == "hangup"
    assert await alice.ends() == "hangup"
