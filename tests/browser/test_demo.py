"""The demo page, used as a person would: names in the address, clicks and keys."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.person import PATIENCE_S, page_of
from tests.system.running_dev import RunningDev

pytestmark = pytest.mark.needs("chromium")

LEVELS = """() => {
    const bars = [...document.querySelectorAll('.meter i')];
    return bars.length === 2 && bars.some((bar) => parseFloat(bar.style.getPropertyValue('--level')) > 0.3);
}"""

expect.set_options(timeout=PATIENCE_S * 1000)


async def visit(browser: Browser, url: str, complaints: list[str]) -> Page:
    context = await browser.new_context(permissions=["microphone"], locale="en-GB")
    page = await context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    return page


async def test_two_people_talk_on_the_demo_page(browser: Browser, dev: RunningDev) -> None:
    complaints: list[str] = []
    here, there = (page_of(url) for url in dev.document["gateways"])
    ada = await visit(browser, here, complaints)
    await ada.fill("#user", "Ada")
    await ada.fill("#room", "tea")
    await ada.keyboard.press("Enter")
    bo = await visit(browser, f"{there}?user=%E6%99%93&room=tea&lang=zh", complaints)
    await ada.click("[data-peer=晓]")
    await expect(bo.locator("#stage")).to_have_attribute("data-state", "rung")
    await expect(bo.locator("#accept")).to_contain_text("接听")
    await bo.keyboard.press("a")
    for page in (ada, bo):
        await expect(page.locator(".tile.connected .status")).to_have_text(re.compile("00:"))
        await expect(page.locator("#path")).to_have_attribute("data-path", "host")
        await expect(page.locator("#rtt")).to_contain_text("ms")
        await page.wait_for_function(LEVELS, timeout=PATIENCE_S * 1000)
    assert await ada.locator("#timeline li .cmd").all_inner_texts() >= ["OFFER"]
    await ada.keyboard.press("m")
    await expect(ada.locator("#mute")).to_have_attribute("aria-pressed", "true")
    await ada.keyboard.press("Escape")
    await expect(bo.locator("#idle-title")).to_have_text("已挂断")
    await expect(bo.locator("#timeline li:last-child .cmd")).to_have_text("HANGUP")
    assert complaints == []
    for page in (ada, bo):
        await page.context.close()


async def test_the_page_fits_a_phone(browser: Browser, dev: RunningDev) -> None:
    complaints: list[str] = []
    page = await visit(browser, page_of(dev.document["gateways"][0]) + "?user=Cy&room=phone", complaints)
    await page.set_viewport_size({"width": 360, "height": 640})
    await expect(page.locator("#people-list li")).to_have_count(1)
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= 360
    await page.context.close()
