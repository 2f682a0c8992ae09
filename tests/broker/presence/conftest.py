"""Requests on the connection to the test's own nats-server."""

import pytest

from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")


@pytest.fixture
async def requests(broker: Broker) -> Requests:
    asking = Requests(broker, SUBJECTS.replies("presence", "1"))
    await asking.start()
    return asking
