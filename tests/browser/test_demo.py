"""The demo page, used as a person would: names in the address, clicks and keys."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.person import PATIENCE_S, page_of
from tests.support.running_dev import RunningDev

LEVELS = """() => {
    const bars = [...document.querySelectorAll('#tiles .meter i')];
    return bars.length === 2 && bars.some((bar) => parseFloat(bar.style.getPropertyValue('--level')) > 0.3);
}"""

IS_AT_ITS_END = """() => {
    const list = document.querySelector('#timeline');
    const hidden = list.scrollHeight - list.scrollTop - list.clientHeight;
    return list.scrollHeight > list.clientHeight && hidden < 1;
}"""

BOXES = """(selector) => [...document.querySelectorAll(selector)].map((element) => {
    const {left, right} = element.getBoundingClientRect();
    return [left, right];
})"""

LONG_NAME = "maximiliane-alexandra-von-hohenlohe-4567"

expect.set_options(timeout=PATIENCE_S * 1000)


async def visit(browser: Browser, url: str, complaints: list[str]) -> Page:
    context = await browser.new_context(permissions=["microphone"], locale="en-GB")
    page = await context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    return page


@pytest.mark.both
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
        await expect(page.locator("#path")).to_have_attribute("data-path", re.compile("host|prflx"))
        await expect(page.locator("#rtt")).to_contain_text("ms")
        await page.wait_for_function(LEVELS, timeout=PATIENCE_S * 1000)
    assert "OFFER" in await ada.locator("#timeline li .cmd").all_inner_texts()
    await ada.keyboard.press("m")
    await expect(ada.locator("#mute")).to_have_attribute("aria-pressed", "true")
    await ada.keyboard.press("Escape")
    await expect(bo.locator("#idle-title")).to_have_text("已挂断")
    await expect(bo.locator("#idle-text")).to_have_text("Ada")
    await expect(bo.locator("#wire-title")).to_have_text("上一次连接")
    await expect(bo.locator("#timeline li:last-child .cmd")).to_have_text("HANGUP")
    await expect(ada.locator("#timeline li:last-child .ack")).not_to_be_empty()
    for page in (ada, bo):
        await page.wait_for_function(IS_AT_ITS_END, timeout=PATIENCE_S * 1000)
    await expect(bo.locator("#path-name")).to_have_text(re.compile(r"直连 \((host|prflx)\)"))
    await bo.click("#language")
    await expect(bo.locator("#path-name")).to_have_text(re.compile(r"direct \((host|prflx)\)"))
    await expect(bo.locator("#wire-title")).to_have_text("The last connection")
    await ada.click("#again")
    await expect(bo.locator("#stage")).to_have_attribute("data-state", "rung")
    for page in (ada, bo):
        await expect(page.locator("#wire-title")).to_have_text("Connection")
        for figure in ("path-name", "rtt", "jitter", "lost"):
            await expect(page.locator(f"#{figure}")).to_have_text("–")
    await ada.keyboard.press("Escape")
    await expect(bo.locator("#idle-title")).to_have_text("Missed call from Ada")
    assert complaints == []
    for page in (ada, bo):
        await page.context.close()


async def test_blanks_are_no_name(browser: Browser, dev: RunningDev) -> None:
    page = await visit(browser, page_of(dev.document["gateways"][0]) + "?lang=zh", [])
    await page.fill("#user", "   ")
    await page.keyboard.press("Enter")
    await expect(page.locator("#notice")).to_contain_text("请先输入你的名字。")
    await page.click("#language")
    await expect(page.locator("#notice")).to_contain_text("Tell your name first.")
    await page.click("#dismiss")
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(page.locator("#door")).to_be_visible()
    await page.context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_a_long_name_leaves_room_for_the_button(browser: Browser, dev: RunningDev, width: int) -> None:
    complaints: list[str] = []
    url = page_of(dev.document["gateways"][0])
    room = f"long-{width}"
    page = await visit(browser, f"{url}?user=Cy&room={room}", complaints)
    await page.set_viewport_size({"width": width, "height": 800})
    other = await visit(browser, f"{url}?user={LONG_NAME}&room={room}", complaints)
    ring = page.locator(f"[data-peer={LONG_NAME}]")
    await expect(ring).to_be_enabled()
    [(card_left, card_right)] = await page.evaluate(BOXES, ".people-card")
    [(left, right)] = await page.evaluate(BOXES, ".ring")
    assert 0 <= card_left < left < right < card_right <= width
    name = page.locator(".about b", has_text=LONG_NAME)
    assert await name.get_attribute("title") == LONG_NAME
    assert await name.evaluate("(name) => name.getBoundingClientRect().right") <= left
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= width
    for one in (page, other):
        await one.context.close()
    assert complaints == []


async def test_the_page_fits_a_phone(browser: Browser, dev: RunningDev) -> None:
    complaints: list[str] = []
    page = await visit(browser, page_of(dev.document["gateways"][0]) + "?user=Cy&room=phone", complaints)
    await page.set_viewport_size({"width": 360, "height": 640})
    await expect(page.locator("#people-list li")).to_have_count(1)
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= 360
    await page.context.close()
