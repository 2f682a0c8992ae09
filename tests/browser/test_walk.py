"""A random walk: whatever people do, and whatever is lost, both sides of every call agree in the end.

What they do, and what must hold, is `walk.js`: two or three people in each of several worlds, thousands of
steps. A world's seed says what is done, and in which order. One in which something was broken once is walked
again in every run.
"""

import asyncio
import functools
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.conftest import running_system
from tests.support.running_dev import RunningDev
from tests.support.seed import SAME_AGAIN, SEED
from tests.support.system import SECRET
from tieline.tokens import make_token

BROKE_ONCE: Final = (103, 1783302597)
"""Seeds of worlds in which something was broken: who left a room and joined it again at once kept a call,
and so did who left it just after the other, and two who left two rooms at once."""

WORLDS: Final = 6
STEPS: Final = 25
"""Before the people rest, and both sides have to agree."""

ROUNDS: Final = int(os.environ.get("TIELINE_WALK_ROUNDS") or 14)

WALK_S: Final = 30.0
"""For one round of all worlds at most. It takes 4 s on a machine that does nothing else."""

pytestmark = pytest.mark.timeout(WALK_S * ROUNDS)

OFFER_TIMEOUT_S: Final = 20
"""Longer than the two sides of a call have to agree: a ring without a ringer is not ended by it unnoticed."""

RESUME_WINDOW_S: Final = 3

PATIENCE_S: Final = 12
"""For the two sides to agree, when all are there. Connections are made again meanwhile, on a busy machine: a
client looks once in 5 s whether one is dead (MOVED_MS), and knows it 3 s later (PROBE_MS)."""

LEASE_S: Final = 10
"""For the system to notice that a gateway has been killed."""

KILLED_AT: Final = (0.4, 0.8)
"""When a gateway is killed, as a part of all steps."""

POLL_S: Final = 0.2

_WEB: Final = Path(__file__).parents[2] / "web"

BEGIN: Final = "(options) => { (%s)(options); }"
HOW_FAR: Final = "() => ({steps: walk.steps, isOver: walk.done || walk.broken.length > 0})"


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_about: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Serve the folder of tieline.js: frames of a page of it may evaluate what the walk gives them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Silent, directory=_WEB))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def hurried_dev(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """A system that waits for little, and lets people do as much as they like."""
    settings = {
        "OFFER_TIMEOUT": f"{OFFER_TIMEOUT_S}",
        "RESUME_WINDOW": f"{RESUME_WINDOW_S}",
        "AWAY_DELAY": "0.3",
        "LIMITS": "off",
        "ORIGINS": origin,
    }
    with running_system(tmp_path_factory.mktemp("walk"), **settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, origin: str) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(f"{origin}/")
    yield page
    await page.close()


def worlds() -> list[dict[str, Any]]:
    """Say who is in each world, and what its seed is."""
    seeds = [*BROKE_ONCE, *range(SEED, SEED + WORLDS - len(BROKE_ONCE))]
    return [
        {
            "seed": seed,
            "tokens": {
                user: make_token(SECRET, user, [f"hall-{number}", f"yard-{number}"])
                for user in (f"{seed}-{name}" for name in ("abc" if seed % 4 else "ab"))
            },
        }
        for number, seed in enumerate(seeds)
    ]


async def kill_a_gateway(page: Page, dev: RunningDev, number: int) -> None:
    """Kill a gateway, which comes back. Until that is noticed people may have to wait for longer."""
    await page.evaluate("(ms) => { walk.patienceMs = ms; }", 1000 * (PATIENCE_S + LEASE_S))
    os.kill(dev.document["pids"]["gateway"][number], signal.SIGKILL)


@pytest.mark.both
async def test_both_sides_of_a_call_agree_whatever_people_do(page: Page, hurried_dev: RunningDev) -> None:
    walk = (Path(__file__).parent / "walk.js").read_text()
    options = {
        "urls": hurried_dev.document["gateways"],
        "rooms": ["hall-", "yard-"],
        "worlds": worlds(),
        "steps": STEPS,
        "rounds": ROUNDS,
        "patienceMs": 1000 * PATIENCE_S,
        "windowMs": 1000 * RESUME_WINDOW_S,
        "ringMs": 1000 * OFFER_TIMEOUT_S,
    }
    await page.evaluate(BEGIN % walk[walk.index("async (") :].rstrip(), options)
    killings = [(part * WORLDS * STEPS * ROUNDS, number) for number, part in enumerate(KILLED_AT)]
    while not (far := await page.evaluate(HOW_FAR))["isOver"]:
        if killings and far["steps"] > killings[0][0]:
            await kill_a_gateway(page, hurried_dev, killings.pop(0)[1])
        await asyncio.sleep(POLL_S)
    outcome = await page.evaluate("() => walk")
    for fault in outcome["broken"]:
        said = "\n".join(fault["log"])
        pytest.fail(f"{SAME_AGAIN}, seed {fault['seed']}: {fault['what']}\n{said}")
    assert outcome["steps"] == WORLDS * STEPS * ROUNDS
