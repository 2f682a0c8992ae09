"""The browsers of the system, headless, with microphones that beep; playwright drives both.

Chromium by its own protocol, Firefox by WebDriver BiDi, which needs neither a driver nor a download
(docs/decisions/0113-firefox-is-driven-over-webdriver-bidi.md). Whichever is missing, its tests are skipped,
or demanded (`tests/support/demand.py`).
"""

import asyncio
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from playwright.async_api import Browser, BrowserContext, Playwright, async_playwright

from tests.support.demand import program

KINDS: Final = ("chromium", "firefox")

FLAGS: Final = [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",  # where there is no network, loopback is all there is
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PREFERENCES: Final[dict[str, str | float | bool]] = {
    "media.navigator.streams.fake": True,  # a microphone that beeps
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,  # where there is no network, loopback is all there is
    "security.csp.enable": False,  # a page connects to the other gateway as well
    "dom.min_background_timeout_value": 4,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}

_ROOT: Final = Path(__file__).parents[2]


class Browsers:
    """At most one browser of each kind, started when it is asked for, ended with the `async with` block."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._running: dict[str, Browser] = {}
        self._starting = asyncio.Lock()
        self._playwright: Playwright

    async def __aenter__(self) -> Self:
        self._playwright = await self._stack.enter_async_context(async_playwright())
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._stack.aclose()

    async def get(self, kind: str) -> Browser:
        """Return the browser of a kind, one of `KINDS`."""
        async with self._starting:
            if kind not in self._running:
                browser = await (self._chromium() if kind == "chromium" else self._firefox())
                self._stack.push_async_callback(browser.close)
                self._running[kind] = browser
        return self._running[kind]

    async def silent_chromium(self) -> Browser:
        """Start one more Chromium, which plays nothing before a click. It is for the caller to close."""
        return await self._chromium([flag for flag in FLAGS if not flag.startswith("--autoplay-policy")])

    async def _chromium(self, flags: Sequence[str] = FLAGS) -> Browser:
        return await self._playwright.chromium.launch(executable_path=program("chromium"), args=flags)

    async def _firefox(self) -> Browser:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        firefox = program("firefox")
        assert firefox is not None, "there is no Firefox: apt-get install firefox-esr"
        command = shlex.join((sys.executable, "-m", "tests.browser.bidi_relay", firefox))
        relay = folder / "firefox"
        relay.write_text(f'#!/bin/sh\ncd {shlex.quote(str(_ROOT))} && exec {command} "$@"\n')
        relay.chmod(0o700)
        return await self._playwright.firefox.launch(
            executable_path=relay, channel="moz-firefox", firefox_user_prefs=PREFERENCES
        )


async def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """Open a window with cookies of its own, which may use the microphone and connect to any gateway.

    Firefox may always: by `PREFERENCES`.
    """
    if browser.browser_type.name == "chromium":
        options = {"permissions": ["microphone"], "bypass_csp": True, **options}
    return await browser.new_context(**options)
