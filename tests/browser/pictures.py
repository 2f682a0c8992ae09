"""`python -m tests.browser.pictures`: the pictures of the demo in docs/screenshots, taken anew."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import Page

from tests.browser.browsers import Browsers
from tests.browser.conftest import running_system
from tests.browser.scenes import open_demo, scenes
from tieline.cli.exits import EXIT_OK, until_told_to_end
from tieline.cli.options import option_parser

FOLDER: Final = Path(__file__).parents[2] / "docs/screenshots"

LARGE: Final = (1280, 800)
PHONE: Final = (390, 844)

PICTURES: Final = {
    "a look at the microphone": [("microphone", LARGE, "light", "en")],
    "six in the room": [("desktop", LARGE, "light", "en"), ("phone", PHONE, "light", "en")],
    "rung": [("ringing", LARGE, "light", "en"), ("phone-ringing", PHONE, "dark", "en")],
    "a call": [("call", LARGE, "light", "en"), ("phone-call", PHONE, "light", "en")],
    "six talk": [("voice-room", LARGE, "dark", "zh"), ("phone-sideways", (844, 390), "light", "en")],
}
"""By scene: file, size, colours and language."""

SETTLES_S: Final = 8.0
"""For a call to have something to show: its figures come once a second."""


async def take(page: Page, name: str, size: tuple[int, int], scheme: str, language: str) -> None:
    """Take one picture."""
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    if await page.evaluate("() => document.documentElement.lang") != language:
        await page.evaluate("() => document.querySelector('#language').click()")
    await asyncio.sleep(1.0)  # what follows the size has been drawn, and a level measured
    await page.screenshot(path=FOLDER / f"{name}.png")
    sys.stdout.write(f"{name}.png\n")


async def main() -> int:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder)) as dev:
        async with Browsers() as browsers:
            chromium = await browsers.get("chromium")
            async with open_demo(chromium, dev.document["gateways"]) as (page, crowd):
                async for scene in scenes(page, crowd):
                    if scene in {"a call", "six talk"}:
                        await asyncio.sleep(SETTLES_S)
                    for picture in PICTURES.get(scene, []):
                        await take(page, *picture)
                    await page.set_viewport_size({"width": LARGE[0], "height": LARGE[1]})
    return EXIT_OK


if __name__ == "__main__":
    option_parser("python -m tests.browser.pictures", __doc__).parse_args()
    sys.exit(until_told_to_end(lambda: asyncio.run(main())))
