"""`python -m tests.browser.record_traffic`: what browsers send while people talk, as files for a test.

Of the Chromium of the system, or with `--browser firefox` of its Firefox. Each scene is a file of
`tests/unit/gateway/limits/traffic/`: by user, what was sent and when, how long it was, to whom, and what came
of it; nothing of what it said. `tests/unit/gateway/limits/test_honest_traffic.py` replays them against the
default limits. The system that is recorded has no limits itself.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from playwright.async_api import Error

from tests.browser.browsers import KINDS, Browsers, new_context
from tests.browser.conftest import running_system
from tests.browser.person import Person, page_of
from tests.support.running_dev import RunningDev
from tieline.cli.exits import EXIT_OK, until_told_to_end
from tieline.cli.options import option_parser

FOLDER: Final = Path(__file__).parents[1] / "unit/gateway/limits/traffic"

WATCH: Final = """
    const now = () => performance.timeOrigin + performance.now();
    window.WebSocket = class extends WebSocket {
        constructor(url, protocols) {
            super(url, protocols);
            tell({at: now(), did: 'open', what: String(url)});
            this.addEventListener('message', ({data}) => tell({at: now(), did: 'received', what: data}));
        }
        send(data) {
            tell({at: now(), did: 'sent', what: data});
            super.send(data);
        }
    };
"""
"""Has every page tell of its WebSockets: when it opens one, and what it sends and receives."""

ROOM: Final = "demo"
SIX: Final = ("ann", "ben", "cat", "dan", "eve", "fay")
ENTER: Final = "() => { window.voice = client.enterVoice('demo'); return voice.entered; }"
BETWEEN_RELOADS_S: Final = 0.6
"""So that six pages are reloaded within three seconds."""

SETTLES_S: Final = 15.0
"""After each step: for all calls to come about again, or most of them where the machine is slow."""

PATIENCE_S: Final = 5.0
"""After each scene: for candidates that come late."""


class Traffic:
    """What one page sends, and its answers. A row: milliseconds, command, bytes, receiver, outcome."""

    def __init__(self, began: float) -> None:
        self._began = began  # as `time.time` has it
        self._open: dict[str, list[Any]] = {}
        self.rows: list[list[Any]] = []

    def hear(self, told: dict[str, Any]) -> None:
        """Record what a page tells of its WebSockets."""
        at, what = told["at"] / 1000, told["what"]
        match told["did"]:
            case "open":
                self._on_open(what, at)
            case "sent":
                self._on_sent(what, at)
            case _:
                self._on_received(what)

    def _add(self, cmd: str, size: int, to: str, at: float) -> list[Any]:
        row: list[Any] = [round((at - self._began) * 1000), cmd, size, to, ""]
        self.rows.append(row)
        return row

    def _on_open(self, url: str, at: float) -> None:
        resumes = "resume=" in url and "resume=&" not in url and not url.endswith("resume=")
        self._add("RESUME" if resumes else "CONNECT", 0, "", at)

    def _on_sent(self, payload: bytes | str, at: float) -> None:
        text = payload.encode() if isinstance(payload, str) else payload
        message = msgspec.json.decode(text)
        data = message.get("data") or {}
        row = self._add(message["cmd"], len(text), data.get("to") or data.get("room") or "", at)
        self._open[message["requestId"]] = row

    def _on_received(self, payload: bytes | str) -> None:
        message = msgspec.json.decode(payload)
        row = self._open.pop(message.get("requestId", ""), None)
        if row is not None:
            members = (message.get("data") or {}).get("members")
            row[4] = message.get("ack") or message.get("reason") or (len(members) if members else "ok")


async def enter(people: list[Person]) -> None:
    """Let all enter the voice of the room, at once."""
    await asyncio.gather(*(one.page.evaluate(ENTER) for one in people))
    await asyncio.sleep(SETTLES_S)


async def a_call(people: list[Person], _dev: RunningDev) -> None:
    """Two talk, one shares something anew, and they hang up; then once more."""
    alice, bob = people
    for _ in range(2):
        await alice.calls(bob)
        await alice.page.evaluate("() => call.restart()")
        await alice.hears(after=await alice.hears())
        await alice.hang_up()
        await bob.ends()


async def six_talk(people: list[Person], _dev: RunningDev) -> None:
    """Six enter at once."""
    await enter(people)


async def ice_restarts(people: list[Person], _dev: RunningDev) -> None:
    """Six restart ICE in all their calls at once, three times."""
    await enter(people)
    for _ in range(3):
        await asyncio.gather(
            *(
                one.page.evaluate("() => { for (const c of client.calls.values()) c.restart(); }")
                for one in people
            )
        )
        await asyncio.sleep(SETTLES_S)


async def reloads(people: list[Person], _dev: RunningDev) -> None:
    """Six pages are reloaded within three seconds, and again when all are back."""
    await enter(people)

    async def reload(one: Person, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while True:
            try:
                await one.page.reload()
                break
            except Error:  # Chromium has tried a spare connection that the gateway has cut
                await asyncio.sleep(BETWEEN_RELOADS_S / 4)
        await one.come(ROOM)
        await one.page.evaluate(ENTER)

    for _ in range(2):
        await asyncio.gather(*(reload(one, place * BETWEEN_RELOADS_S) for place, one in enumerate(people)))
        await asyncio.sleep(SETTLES_S)


async def a_gateway_dies(people: list[Person], dev: RunningDev) -> None:
    """Six talk, and all lose their gateway at once: they resume on the other one."""
    await enter(people)
    os.kill(dev.document["pids"]["gateway"][0], signal.SIGKILL)
    await asyncio.gather(*(one.until("() => events.some(([type]) => type === 'resumed')") for one in people))
    await asyncio.sleep(SETTLES_S)


Scene = Callable[[list[Person], RunningDev], Awaitable[None]]

SCENES: Final[dict[str, tuple[tuple[str, ...], Scene]]] = {
    "call": (("alice", "bob"), a_call),
    "six": (SIX, six_talk),
    "ice-restarts": (SIX, ice_restarts),
    "reloads": (SIX, reloads),
    "gateway-dies": (SIX, a_gateway_dies),
}


Opened = tuple[Person, Callable[[], Awaitable[None]]]
"""Somebody with a page, and what closes it."""

Open = Callable[[str, list[str], Traffic], Awaitable[Opened]]
"""Opens a page for a user of these gateways, what it sends recorded from its beginning on."""


async def record(open_page: Open, dev: RunningDev, names: tuple[str, ...], scene: Scene) -> dict[str, Any]:
    """Let a scene happen, and return what each page sent."""
    began = time.time()
    people, closing, found = [], [], {}
    for name in names:
        traffic = Traffic(began)
        one, close = await open_page(name, dev.document["gateways"], traffic)
        found[name] = traffic.rows
        people.append(one)
        closing.append(close)
        await one.come(ROOM)
    await scene(people, dev)
    await asyncio.sleep(PATIENCE_S)
    for close in closing:
        await close()
    return found


@asynccontextmanager
async def opening(kind: str) -> AsyncIterator[tuple[str, Open]]:
    """Run a browser of a kind."""

    async def open_page(user: str, urls: list[str], traffic: Traffic) -> Opened:
        context = await new_context(browser)
        await context.expose_function("tell", traffic.hear)
        await context.add_init_script(WATCH)
        page = await context.new_page()
        await page.goto(page_of(urls[0]))
        return Person(user, page, urls), context.close

    async with Browsers() as browsers:
        browser = await browsers.get(kind)
        yield f"{kind.capitalize()} {browser.version}", open_page


async def main(browser: str, names: list[str]) -> None:
    """Record scenes, each on a system of its own."""
    prefix = "" if browser == "chromium" else f"{browser}-"
    async with opening(browser) as (version, open_page):
        for name in names:
            people, scene = SCENES[name]
            with tempfile.TemporaryDirectory() as folder, running_system(Path(folder), LIMITS="off") as dev:
                sent = await record(open_page, dev, people, scene)
            lines = ",\n".join(
                f' "{user}": [\n  ' + ",\n  ".join(json.dumps(row) for row in rows) + "\n ]"
                for user, rows in sent.items()
            )
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / f"{prefix}{name}.json").write_text(
                f'{{"browser": "{version}", "sent": {{\n{lines}\n}}}}\n'
            )
            sys.stdout.write(f"{name}: {sum(map(len, sent.values()))} messages\n")


def run(words: list[str]) -> int:
    """Read the options, and record; returns the exit status."""
    parser = option_parser("python -m tests.browser.record_traffic", __doc__)
    parser.add_argument(
        "scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}; all if none is named"
    )
    parser.add_argument("--browser", choices=KINDS, default="chromium", help="(%(default)s)")
    options = parser.parse_args(words)
    if unknown := [name for name in options.scenes if name not in SCENES]:
        parser.error(f"there is no scene {unknown[0]!r}")
    asyncio.run(main(options.browser, options.scenes or list(SCENES)))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: run(sys.argv[1:])))
