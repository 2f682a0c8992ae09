"""What the demo does when tabs, microphones and attention are not where one would like them."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.browsers import Browsers
from tests.browser.scenes import ME, ROOM, Crowd, comes_in, is_state, open_demo, talks
from tests.support.running_dev import RunningDev
from tieline.api import Backend

pytestmark = pytest.mark.needs("chromium")

RING: Final = """(one, whom) => new Promise((resolve) => {
    one.call(whom, {stream: one.hum}).addEventListener('ended', ({detail}) => resolve(detail.reason));
})"""

ACCEPT_WITHOUT: Final = """async (one) => {
    const call = one.rings ?? await new Promise((resolve) => {
        one.addEventListener('call', ({detail}) => resolve(detail), {once: true});
    });
    call.accept({stream: Promise.reject(new DOMException('no', 'NotFoundError'))}).catch(() => {});
}"""

NO_MICROPHONE: Final = """(name) => {
    navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', name); };
}"""

NOTIFICATIONS: Final = """() => {
    window.told = [];
    window.Notification = class {
        static permission = 'default';
        static async requestPermission() { return Notification.permission = 'granted'; }
        constructor(title) { told.push(title); }
        close() { told.push('closed'); }
    };
    Object.defineProperty(document, 'hidden', {get: () => window.isHidden ?? false});
}"""

SOUND: Final = """() => {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    window.labels = [];
    navigator.mediaDevices.getUserMedia = async (what) => {
        const stream = await real(what);
        labels.push(stream.getAudioTracks()[0].label);
        return stream;
    };
    window.players = [];
    window.Audio = class extends Audio {
        constructor() {
            super();
            players.push(this);
        }
    };
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def demo(browsers: Browsers, dev: RunningDev) -> AsyncIterator[tuple[Page, Crowd]]:
    async with open_demo(await browsers.get("chromium"), dev.document["gateways"]) as (page, crowd):
        yield page, crowd


async def test_a_second_tab_asks_before_it_takes_over(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await comes_in(page)
    await crowd.comes("Bo")
    await crowd.rings("Bo")
    await is_state(page, "rung")
    second = await page.context.new_page()
    await second.goto(page.url)
    await is_state(second, "gone")
    assert await second.inner_text("#idle-title") == "You are here already"
    await is_state(page, "rung")
    await second.click("#here")
    await is_state(second, "idle")
    await is_state(page, "gone")
    assert await page.inner_text("#idle-title") == "You are somewhere else now"
    assert await page.locator(".ring:enabled").count() == 0
    await page.click("#here")
    await is_state(page, "idle")
    await is_state(second, "gone")


async def test_nobody_is_taken_who_is_not_seen(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await comes_in(page)
    await crowd.comes("Bo")
    await page.click("#voice")
    await expect(page.locator("#timeline .in .cmd")).to_have_text("HANGUP")  # Bo is not in the conversation
    await is_state(page, "waiting")
    assert await crowd.does("Bo", RING, ME) == "busy"
    await page.keyboard.press("a")
    await is_state(page, "waiting")
    assert await page.locator(".tile").count() == 0
    await page.keyboard.press("Escape")
    await is_state(page, "idle")


async def test_the_list_says_who_is_in_a_call(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await comes_in(page)
    await crowd.comes("Bo")
    third = await page.context.new_page()
    await third.goto(f"{page.url.partition('?')[0]}?user=Cleo&room={ROOM}")
    await is_state(third, "idle")
    row = third.locator("#people-list li", has_text=ME)
    await expect(row).to_contain_text("here")
    await page.click("[data-peer=Bo]")
    await crowd.accepts("Bo")
    await talks(page, 1)
    await expect(row).to_contain_text("in a call")
    about = page.locator("#timeline li", has_text="INFO").locator(".about")
    await expect(about).to_have_text("ringing")
    await page.keyboard.press("m")
    await expect(about.last).to_have_text("muted")
    await page.keyboard.press("Escape")
    await expect(row).to_contain_text("here")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NotAllowedError", "lock in the address bar"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "another program"),
    ],
)
async def test_it_says_what_to_do_about_the_microphone(
    demo: tuple[Page, Crowd], name: str, says: str
) -> None:
    page, crowd = demo
    await page.evaluate(NO_MICROPHONE, name)
    await page.click("#check")
    await expect(page.locator("#sound-trouble")).to_contain_text(says)
    await page.click("#sound .primary")
    await comes_in(page)
    await crowd.comes("Bo")
    await page.click("[data-peer=Bo]")
    await expect(page.locator("#notice-text")).to_contain_text(says)
    await expect(page.locator("#idle-title")).to_have_text("You have no microphone")


async def test_it_says_who_has_no_microphone(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await comes_in(page)
    await crowd.comes("Bo")
    await page.click("[data-peer=Bo]")
    await crowd.does("Bo", ACCEPT_WITHOUT)
    await expect(page.locator("#idle-title")).to_have_text("Bo has no microphone")


async def test_a_hidden_tab_tells_of_a_call_when_it_was_asked_to(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await page.evaluate(NOTIFICATIONS)
    await comes_in(page)
    await crowd.comes("Bo")
    await page.evaluate("() => { isHidden = true; }")
    await crowd.rings("Bo")
    await is_state(page, "rung")
    assert await page.evaluate("() => told") == [], "nobody has asked for it"
    await page.click("#notify")
    await expect(page.locator("#notify")).to_have_attribute("aria-pressed", "true")
    assert await page.evaluate("() => told") == ["Bo"]
    await crowd.hangs_up("Bo")
    await is_state(page, "idle")
    assert await page.evaluate("() => told") == ["Bo", "closed"]
    await expect(page.locator("#recent-list li")).to_have_count(1)
    await expect(page.locator("#recent-list small")).to_contain_text("missed")


async def test_a_microphone_and_a_volume_are_chosen_in_a_call(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    await page.evaluate(SOUND)
    await comes_in(page)
    await crowd.comes("Bo")
    await crowd.rings("Bo")
    await is_state(page, "rung")
    await page.click("#accept")
    await talks(page, 1)
    await page.click("#sound-open")
    await expect(page.locator("#sound-hint")).to_have_text("Your microphone works.")
    await page.select_option("#microphone", label="Fake Audio Input 2")
    await page.wait_for_function("() => labels.filter((label) => label === 'Fake Audio Input 2').length >= 2")
    await page.locator("#volume").fill("30")
    assert 0.3 in await page.evaluate("() => players.map(({volume}) => volume)")
    await page.click("#sound .primary")
    await talks(page, 1)
    await page.click("#sound-open")
    await expect(page.locator("#microphone option:checked")).to_have_text("Fake Audio Input 2")


async def test_on_a_phone_the_figures_are_folded_until_asked_for(demo: tuple[Page, Crowd]) -> None:
    page, _ = demo
    await page.set_viewport_size({"width": 360, "height": 640})
    await comes_in(page)
    await expect(page.locator("#wire")).to_be_hidden()
    await page.click("#fold")
    await expect(page.locator("#wire")).to_be_visible()
    await page.set_viewport_size({"width": 1280, "height": 720})
    await expect(page.locator("#fold")).to_have_attribute("aria-expanded", "true")


async def test_what_the_application_does_is_said(demo: tuple[Page, Crowd], dev: RunningDev) -> None:
    page, _ = demo
    await comes_in(page)
    notice = page.locator("#notice-text")
    async with Backend(dev.document["api"], dev.document["apiKey"]) as backend:
        await backend.message_room(ROOM, {"text": "in five minutes"})
        await expect(notice).to_have_text("The application says: in five minutes")
        await backend.kick_member(ROOM, ME)
        await expect(notice).to_have_text("The application has put you out of this room.")
        await backend.add_member(ROOM, ME)
        await expect(page.locator("#notice")).to_be_hidden()
        await backend.disconnect_user(ME)
        await expect(notice).to_have_text("The application has disconnected you.")
    await is_state(page, "gone")
