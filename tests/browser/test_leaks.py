"""What the demo keeps of calls that are over: nothing. Counted in the heap of Chromium, call after call."""

import os
from typing import Final

import pytest
from playwright.async_api import Page

from tests.browser.browsers import Browsers
from tests.browser.conftest import EVERY_BROWSER
from tests.browser.scenes import Crowd, comes_in, is_state, open_demo, talks
from tests.support.running_dev import RunningDev
from tests.support.waiting import until_true

pytestmark = pytest.mark.needs("chromium")

FIRST: Final = 2
"""Calls, after which there is what the page needs."""

CALLS: Final = 50 if os.environ.get(EVERY_BROWSER) else 6
"""Calls and visits to the voice of the room after that."""

COUNTED: Final = (
    "MediaStream",
    "MediaStreamTrack",
    "AudioNode",
    "BaseAudioContext",
    "RTCPeerConnection",
    "HTMLAudioElement",
)

SPARE: Final = 3
"""More of a kind than before that may be: what the last call has left. Chromium collects when it is idle."""


async def counts(page: Page) -> dict[str, int]:
    """Count objects of the page that are alive, by their class."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    found: dict[str, int] = {}
    for name in COUNTED:
        prototype = await session.send("Runtime.evaluate", {"expression": f"{name}.prototype"})
        of_it = {"prototypeObjectId": prototype["result"]["objectId"]}
        objects = (await session.send("Runtime.queryObjects", of_it))["objects"]["objectId"]
        counting = {"objectId": objects, "functionDeclaration": "function () { return this.length; }"}
        found[name] = (await session.send("Runtime.callFunctionOn", counting))["result"]["value"]
        await session.send("Runtime.releaseObject", {"objectId": objects})
    await session.detach()
    return found


async def call_once(page: Page, crowd: Crowd, number: int) -> None:
    """Ring, talk and hang up; every third time in the voice of the room."""
    if number % 3 == 0:
        await page.click("#voice")
        await is_state(page, "waiting")
        await crowd.talks_with_all("Bo")
        await talks(page, 1)
        await page.keyboard.press("Escape")
        await crowd.leaves("Bo")
    else:
        await crowd.rings("Bo")
        await is_state(page, "rung")
        await page.keyboard.press("a")
        await talks(page, 1)
        await crowd.hangs_up("Bo")
    await is_state(page, "idle")


@pytest.mark.timeout(120 + 10 * CALLS)
async def test_nothing_is_kept_of_calls_that_are_over(browsers: Browsers, dev: RunningDev) -> None:
    chromium = await browsers.get("chromium")
    async with open_demo(chromium, dev.document["gateways"]) as (page, crowd):
        await comes_in(page)
        await crowd.comes("Bo")
        for number in range(FIRST):
            await call_once(page, crowd, number)
        before = await counts(page)
        for number in range(CALLS):
            await call_once(page, crowd, number)

        async def is_as_before() -> bool:
            after = await counts(page)
            return all(after[name] <= before[name] + SPARE for name in COUNTED)

        await until_true(is_as_before)
