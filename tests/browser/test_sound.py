"""What a browser does that plays nothing before somebody has clicked, as browsers do by default."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.browsers import Browsers, new_context
from tests.browser.person import RING, Person, page_of
from tests.support.running_dev import RunningDev
from tests.support.system import SECRET
from tieline.tokens import make_token

pytestmark = pytest.mark.needs("chromium")

BOB = """addEventListener('load', async () => {
    const {connect} = await import('/tieline.js');
    window.client = await connect(%s, {token: %s});
    window.sounds = [];
    client.addEventListener('sound', ({detail}) => sounds.push(detail));
    client.addEventListener('call', ({detail: call}) => {
        window.call = call;
        call.accept({stream: new AudioContext().createMediaStreamDestination().stream});
    });
    await client.join('demo');
})"""
"""Does all of it by itself: what a test evaluates in a page counts as a click."""


@pytest_asyncio.fixture(loop_scope="session")
async def browser(browsers: Browsers) -> AsyncIterator[Browser]:
    """A Chromium as people have it: a page that nobody has touched is silent."""
    chromium = await browsers.silent_chromium()
    yield chromium
    await chromium.close()


async def test_sound_that_is_blocked_is_played_at_the_next_click(browser: Browser, dev: RunningDev) -> None:
    urls = dev.document["gateways"]
    alice = await Person.open(browser, "alice", urls)
    await alice.come("demo")
    page = await (await new_context(browser)).new_page()
    await page.add_init_script(BOB % (json.dumps(urls), json.dumps(make_token(SECRET, "bob", ["demo"]))))
    await page.goto(page_of(urls[0]))
    await alice.until("() => client.rooms.get('demo').has('bob')")
    await alice.page.evaluate(RING, "bob")
    await alice.until("() => call.state === 'connected'")
    bob = Person("bob", page, urls)
    await bob.until("() => sounds.length > 0")
    await bob.page.mouse.click(5, 5)
    await bob.until("() => client.sound === 'playing' && !call.audio.paused")
    assert await bob.page.evaluate("() => sounds") == ["blocked", "playing"]
    await alice.hang_up()
