"""The page of the example: two people call each other on it, and see afterwards that they have."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.browsers import new_context
from tests.browser.person import PATIENCE_S
from tests.support.running_chat import RunningChat


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningChat]:
    with RunningChat(tmp_path_factory.mktemp("chat")) as running:
        yield running


async def open_page(browser: Browser, chat: RunningChat, user: str) -> Page:
    """Open the page of a user, which is connected."""
    page = await (await new_context(browser)).new_page()
    page.set_default_timeout(1000 * PATIENCE_S)
    await page.goto(f"{chat.url}/?user={user}")
    await shows(page, "state", "connected")
    return page


async def shows(page: Page, place: str, words: str) -> None:
    """Wait until a place of the page has these words."""
    await expect(page.locator(f"#{place}")).to_contain_text(words, timeout=1000 * PATIENCE_S)


async def test_two_people_call_each_other_on_its_page(browser: Browser, chat: RunningChat) -> None:
    chatroom = f"team-{browser.browser_type.name}"
    ada, bo = [await open_page(browser, chat, user) for user in ("ada", "bo")]
    await ada.fill("input[name=chat]", chatroom)
    await ada.fill("input[name=members]", "bo")
    await ada.click("#create button")
    await shows(ada, "chats", chatroom)
    await ada.click("#chats button")
    await bo.click("#accept")
    for page, other in ((ada, "bo"), (bo, "ada")):
        await shows(page, "call-state", f"{other}: connected")
    await ada.click("#hangup")
    await shows(ada, "calls", "to bo: ended hangup")
    await shows(bo, "calls", "from ada: ended hangup")
    for page in (ada, bo):
        await page.context.close()


async def test_a_phone_that_is_asleep_is_woken_by_a_push(browser: Browser, chat: RunningChat) -> None:
    chatroom = f"asleep-{browser.browser_type.name}"
    await chat.room_of(chatroom, "cy", "dee")
    cy, dee = [await open_page(browser, chat, user) for user in ("cy", "dee")]
    await cy.check("#asleep")
    await shows(dee, "chats", "cy (offline)")
    await dee.click("#chats button")
    await cy.click("#accept")
    for page, other in ((cy, "dee"), (dee, "cy")):
        await shows(page, "call-state", f"{other}: connected")
    for page in (cy, dee):
        await page.context.close()
