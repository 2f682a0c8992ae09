"""How good a line is, on one that loses packets: a real relay behind a network that does."""

from collections.abc import Iterator

import pytest

from tests.browser.conftest import PersonMaker, running_system
from tests.browser.lossy_line import LossyLine
from tests.support.coturn import TURN_SECRET, Coturn
from tests.support.running_dev import RunningDev

pytestmark = pytest.mark.needs("coturn")

WATCH = """() => {
    window.qualities = [];
    call.addEventListener('quality', ({detail}) => qualities.push(detail));
}"""
IS = "(quality) => call.quality === quality"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LossyLine]:
    with Coturn(tmp_path_factory.mktemp("coturn")) as coturn, LossyLine(coturn.port) as line:
        yield line


@pytest.fixture(scope="module")
def dev(line: LossyLine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    settings = {"TURN_URLS": line.url, "TURN_SECRET": TURN_SECRET}
    with running_system(tmp_path_factory.mktemp("dev"), **settings) as running:
        yield running


async def test_a_line_is_good_then_poor_then_lost_and_good_again(
    person: PersonMaker, line: LossyLine
) -> None:
    alice, bob = await person("alice"), await person("bob", gateway=1)
    for one in (alice, bob):
        await one.come("demo", rtc={"iceTransportPolicy": "relay"})
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
