"""A router refuses to run with another number of partitions than the mailbox has."""

import logging

import pytest

from presence.mailbox import make_mailbox
from router.agreement import demand_number, say_number
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.runtime.settings import SettingsError
from tieline.wire.subjects import Subjects


async def asking(broker: Broker, there: int) -> Requests:
    """Make a mailbox of so many partitions, 0: none, and a way to ask it."""
    if there:
        for part in Subjects("t", there).parts():
            await make_mailbox(broker, part, "memory", 1, 30)
    requests = Requests(broker, Subjects("t").replies("router", "1"))
    await requests.start()
    return requests


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_the_number_that_is_there_is_good(broker: Broker, number: int) -> None:
    await demand_number(await asking(broker, number), Subjects("t", number))


@pytest.mark.parametrize(("there", "wanted"), [(1, 4), (4, 1), (2, 4)])
async def test_another_number_is_refused(broker: Broker, there: int, wanted: int) -> None:
    with pytest.raises(SettingsError, match=f"TIELINE_PARTITIONS is {wanted}, but .* in {there} "):
        await demand_number(await asking(broker, there), Subjects("t", wanted))


async def test_a_mailbox_that_is_not_there_yet_is_no_reason(broker: Broker) -> None:
    await demand_number(await asking(broker, 0), Subjects("t", 4), patience_s=0.1)


async def test_one_that_is_made_later_is_told_in_the_log(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    requests = await asking(broker, 2)
    with caplog.at_level(logging.ERROR):
        await say_number(requests, Subjects("t", 2))
        assert not caplog.records
        await say_number(requests, Subjects("t", 3))
    (record,) = caplog.records
    assert "TIELINE_PARTITIONS is 3" in record.__dict__["error"]
