"""How good a line is, on one that loses packets: a real relay behind a network that does.

In Firefox this runs in `make soak` alone: it takes the time for which packets have to be missing.
"""

from collections.abc import Iterator

import pytest

from tests.browser.conftest import PersonMaker
from tests.browser.lossy_line import LossyLine
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("coturn")

WATCH = """() => {
    window.qualities = [];
    call.addEventListener('quality', ({detail}) => qualities.push(detail));
}"""
IS = "(quality) => call.quality === quality"

RELAY_ONLY = {"iceTransportPolicy": "relay"}


@pytest.fixture
def line(lossy_line: LossyLine) -> Iterator[LossyLine]:
    """Give it to a test as good as it was."""
    yield lossy_line
    lossy_line.loss = 0.0


@pytest.fixture
def dev(relayed_dev: RunningDev) -> RunningDev:
    return relayed_dev


async def test_a_line_is_good_then_poor_then_lost_and_good_again(
    person: PersonMaker, line: LossyLine
) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo", rtc=RELAY_ONLY)
    await alice.calls(bob)
    await alice.page.evaluate(WATCH)
    for loss, quality in ((0.0, "good"), (0.1, "poor"), (1.0, "lost"), (0.0, "good")):
        line.loss = loss
        await alice.until(IS, quality)
    poor = await alice.page.evaluate("() => qualities.find(({quality}) => quality === 'poor')")
    assert poor["loss"] > 0.05 or poor["jitterMs"] > 60 or poor["rttMs"] > 400
    lost = await alice.page.evaluate("() => qualities.find(({quality}) => quality === 'lost')")
    assert lost["was"] in ("good", "poor")
    assert await alice.page.evaluate("() => call.state") == "connected"
    await alice.hears(after=await alice.hears())
