"""Nothing of the demo is cut off, in any scene, size or language, and axe finds nothing."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.browser.browsers import Browsers
from tests.browser.scenes import Crowd, open_demo, scenes
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("chromium")

SIZES: Final = ((360, 640), (844, 390), (768, 1024), (1024, 768), (1366, 768), (1280, 720))
Look = tuple[int, int, Literal["dark", "light"]]

LOOKS: Final[tuple[Look, ...]] = ((360, 640, "dark"), (1280, 720, "light"))
"""For axe. Of the scenes it takes them by turns, for it is slow."""

LANGUAGES: Final = ("en", "zh")
AT_LEAST: Final = 16
"""Scenes."""

CUT_OFF: Final = Path(__file__).with_name("cut_off.js").read_text()
"""What cannot be seen. What an ellipsis stands for is in a title."""

axe: Final = Axe()


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(browsers: Browsers) -> Browser:
    return await browsers.get("chromium")


@pytest_asyncio.fixture(loop_scope="session")
async def demo(chromium: Browser, dev: RunningDev) -> AsyncIterator[tuple[Page, Crowd]]:
    async with open_demo(chromium, dev.document["gateways"]) as (page, crowd):
        yield page, crowd


async def has_cut_off(page: Page) -> list[str]:
    """Look at a scene in each size and language, in English in the end."""
    faults: list[str] = []
    for language in reversed(LANGUAGES):
        for width, height in SIZES:
            await page.set_viewport_size({"width": width, "height": height})
            found: list[str] = await page.evaluate(CUT_OFF, language)
            faults += [f"{width}x{height} {language}: {fault}" for fault in found]
    return faults


async def finds(page: Page, looks: Sequence[Look] = LOOKS) -> list[str]:
    """Have axe look at a scene."""
    faults: list[str] = []
    for width, height, scheme in looks:
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        response: dict[str, Any] = (await axe.run(page)).response
        for violation in response["violations"]:
            where = [node["target"] for node in violation["nodes"]]
            faults.append(f"{width}x{height} {scheme}: {violation['id']}: {violation['help']} {where}")
    return faults


@pytest.mark.timeout(300)
async def test_nothing_is_cut_off_and_axe_finds_nothing(demo: tuple[Page, Crowd]) -> None:
    page, crowd = demo
    faults: list[str] = []
    seen: list[str] = []
    async for scene in scenes(page, crowd):
        seen.append(scene)
        look = LOOKS[len(seen) % len(LOOKS)]
        faults += [f"{scene}, {fault}" for fault in [*await has_cut_off(page), *await finds(page, [look])]]
    assert not faults, "\n".join(faults)
    assert len(set(seen)) >= AT_LEAST


async def test_a_wrong_path_shows_a_page_that_leads_back(demo: tuple[Page, Crowd]) -> None:
    page, _ = demo
    answer = await page.goto(f"{page.url}nowhere")
    assert answer is not None
    assert answer.status == 404
    assert await finds(page) == []
    await page.click("a.primary")
    await page.wait_for_selector("#door")
