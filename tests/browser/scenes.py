"""Everything that the demo can look like, scene after scene: for its layout, for axe, and for pictures.

One person uses the demo; all others are clients of tieline.js in a page of their own, whose microphones hum.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.browsers import new_context
from tests.browser.person import PATIENCE_S, page_of
from tests.support.system import SECRET
from tieline.tokens import make_token

ROOM: Final = "tea"
ME: Final = "Ada"
LONG_NAME: Final = "maximiliane-alexandra-von-hohenlohe-4567"
OTHERS: Final = ("Bo", "林晓", "Cleo", LONG_NAME, "Dan")

expect.set_options(timeout=PATIENCE_S * 1000)

_CROWD: Final = """(url) => {
    const context = new AudioContext();
    const hum = (hz) => {
        const to = context.createMediaStreamDestination();
        const [tone, loudness] = [new OscillatorNode(context, {frequency: hz}), new GainNode(context)];
        setInterval(() => { loudness.gain.value = Math.random() ** 2; }, 150);
        tone.connect(loudness).connect(to);
        tone.start();
        return to.stream;
    };
    window.crowd = {};
    window.come = async (user, token, room) => {
        const {connect} = await import('/tieline.js');
        const one = crowd[user] = await connect(url, {token});
        one.hum = hum(180 + 60 * Object.keys(crowd).length);
        one.addEventListener('call', ({detail}) => { one.rings = detail; });
        await one.join(room);
    };
}"""


class Crowd:
    """The others."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def open(cls, context: BrowserContext, url: str) -> "Crowd":
        """Open their page."""
        page = await context.new_page()
        await page.goto(page_of(url))
        await page.evaluate(_CROWD, url)
        return cls(page)

    async def comes(self, *users: str) -> None:
        """Let them come into the room."""
        for user in users:
            token = make_token(SECRET, user, [ROOM])
            await self._page.evaluate("([user, token, room]) => come(user, token, room)", [user, token, ROOM])

    async def does(self, user: str, what: str, argument: Any = None) -> Any:
        """Have somebody do something: a function of the client and an argument."""
        act = f"([user, argument]) => ({what})(crowd[user], argument)"
        return await self._page.evaluate(act, [user, argument])

    async def rings(self, user: str, whom: str = ME) -> None:
        """Ring somebody."""
        await self.does(user, "(one, whom) => { one.mine = one.call(whom, {stream: one.hum}); }", whom)

    async def hangs_up(self, user: str) -> None:
        """End all calls."""
        await self.does(user, "(one) => { one.calls.forEach((call) => call.hangup()); }")

    async def accepts(self, user: str) -> None:
        """Accept what rings."""
        await self._page.wait_for_function("(user) => Boolean(crowd[user].rings)", arg=user)
        await self.does(user, "(one) => one.rings.accept({stream: one.hum})")

    async def leaves(self, user: str) -> None:
        """Leave the voice of the room."""
        await self.does(user, "(one, room) => { one.enterVoice(room, {stream: one.hum}).leave(); }", ROOM)

    async def talks_with_all(self, *users: str) -> None:
        """Enter the voice of the room."""
        for user in users:
            await self.does(user, "(one, room) => one.enterVoice(room, {stream: one.hum}).entered", ROOM)


@asynccontextmanager
async def open_demo(
    browser: Browser, urls: Sequence[str], **options: Any
) -> AsyncIterator[tuple[Page, Crowd]]:
    """Open the demo for one person, and a page for the others."""
    context, others = await new_context(browser, locale="en-GB", **options), await new_context(browser)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    await page.goto(page_of(urls[0]))
    yield page, await Crowd.open(others, urls[-1])
    await context.close()
    await others.close()


async def is_state(page: Page, state: str) -> None:
    """Wait until the stage shows this."""
    await expect(page.locator("#stage")).to_have_attribute("data-state", state)


async def comes_in(page: Page) -> None:
    """Come into the room by the door."""
    await page.fill("#user", ME)
    await page.fill("#room", ROOM)
    await page.keyboard.press("Enter")
    await expect(page.locator("#people-list li")).not_to_have_count(0)
    await is_state(page, "idle")


async def talks(page: Page, count: int) -> None:
    """Wait until so many others are connected."""
    await expect(page.locator(".tile.connected")).to_have_count(count)


async def scenes(page: Page, crowd: Crowd) -> AsyncIterator[str]:
    """Let one scene after the other happen; their names."""
    yield "door"
    await page.keyboard.press("Enter")
    yield "door with a notice"
    await page.click("#dismiss")
    await page.click("#check")
    await expect(page.locator("#sound-hint")).to_have_text("Your microphone works.")
    yield "a look at the microphone"
    await page.click("#sound .primary")
    await comes_in(page)
    yield "alone"
    await crowd.comes(*OTHERS)
    await expect(page.locator("#people-list li")).to_have_count(6)
    yield "six in the room"
    await page.click("[data-peer=Bo]")
    await is_state(page, "ringing")
    yield "calling"
    await page.keyboard.press("Escape")
    await is_state(page, "idle")
    yield "cancelled"
    await crowd.rings(LONG_NAME)
    await is_state(page, "rung")
    yield "rung"
    await crowd.hangs_up(LONG_NAME)
    await is_state(page, "idle")
    yield "missed"
    await crowd.rings("Bo")
    await is_state(page, "rung")
    await page.click("#accept")
    await talks(page, 1)
    yield "a call"
    await page.keyboard.press("m")
    yield "muted"
    await crowd.hangs_up("Bo")
    await is_state(page, "idle")
    yield "hung up"
    await page.click("#voice")
    await is_state(page, "waiting")
    yield "waiting for others"
    await crowd.talks_with_all("Bo", "林晓")
    await talks(page, 2)
    yield "three talk"
    await crowd.talks_with_all("Cleo", LONG_NAME, "Dan")
    await talks(page, 5)
    yield "six talk"
    await page.evaluate("() => document.querySelector('#sound-open').click()")
    await expect(page.locator("#volumes label")).to_have_count(5)
    yield "volumes"
    await page.evaluate("() => document.querySelector('#sound').close()")
    for user in OTHERS:
        await crowd.leaves(user)
    await is_state(page, "waiting")
    await crowd.comes(ME)
    await is_state(page, "gone")
    yield "replaced"
