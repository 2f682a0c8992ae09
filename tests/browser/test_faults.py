"""Calls that go on, and come about, while gateways die."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.browser.conftest import PersonMaker, pair, running_system
from tests.support.running_dev import READY_AGAIN, RunningDev


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """A system of these tests alone, whose gateways die."""
    with running_system(tmp_path_factory.mktemp("dev")) as running:
        yield running


def kill_gateway(dev: RunningDev, number: int) -> None:
    os.kill(dev.document["pids"]["gateway"][number], signal.SIGKILL)


@pytest.mark.both
async def test_a_gateway_killed_during_the_call_is_not_heard(person: PersonMaker, dev: RunningDev) -> None:
    alice, bob = await pair(person)
    await alice.calls(bob)
    states = (
        "() => { window.states = []; call.addEventListener('state', ({detail}) => states.push(detail)); }"
    )
    await alice.page.evaluate(states)
    before = await alice.page.evaluate("() => call.stats()")
    kill_gateway(dev, 0)
    await alice.until("() => events.some(([type]) => type === 'reconnecting')")
    await alice.until("() => events.some(([type]) => type === 'resumed')")
    await alice.hears(after=before)
    await bob.hears(after=await bob.hears())
    assert await alice.page.evaluate("() => states") == [], "the media has never stopped"
    await alice.hang_up()  # over the other gateway
    assert await bob.ends() == "hangup"
    dev.until_said(READY_AGAIN)


async def test_a_call_comes_about_though_both_gateways_die_meanwhile(
    person: PersonMaker, dev: RunningDev
) -> None:
    alice, bob = await pair(person)
    await alice.ring(bob)
    await bob.is_rung()
    kill_gateway(dev, 1)
    await bob.accept()  # the answer waits for the next connection
    await bob.until("() => events.some(([type]) => type === 'resumed')")
    kill_gateway(dev, 0)
    await alice.hears()
    await bob.hears()
    for one in (alice, bob):
        await one.until("() => events.some(([type]) => type === 'resumed')")
        assert "reset" not in await one.events()
