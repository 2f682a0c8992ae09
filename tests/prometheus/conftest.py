"""A running system with everything that clients do, and a Prometheus that scrapes it."""

from collections.abc import Iterator

import pytest

from api.callers import entry
from deploy.monitoring.generated import RULES
from tests.prometheus.traffic import KEY, Traffic
from tests.support.prometheus import Prometheus
from tests.support.receiver import SECRET
from tests.support.system import System
from tests.support.waiting import until_now

SETTINGS = {"OFFER_TIMEOUT": "3", "STORAGE": "memory", "EVENTS": "on"}
"""Offers that nobody answers should time out under the eyes of the tests, and no others."""

API_KEYS = entry("tests", KEY)


@pytest.fixture(scope="package")
def busy(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two of each service that calls need, their clients, an API, and a worker whose webhooks are taken."""
    folder = tmp_path_factory.mktemp("busy")
    with (
        System(
            nats_url,
            folder,
            gateways=2,
            routers=2,
            presences=2,
            apis=1,
            settings=SETTINGS,
            own_settings={"api": {"API_KEYS": API_KEYS}},
        ) as system,
        Traffic(system) as traffic,
    ):
        receiver = traffic.receiver

        def is_received() -> bool:
            traffic.check()
            return receiver.port > 0

        def has_done_everything() -> bool:
            traffic.check()
            return traffic.rounds > 0 and bool(receiver.taken)

        until_now(is_received)
        with system.extra("webhooks", WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET, WEBHOOK_PRIVATE="1"):
            until_now(has_done_everything)
            yield system


@pytest.fixture(scope="package")
def prometheus(busy: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """With the alert rules as they are committed."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, busy.processes, RULES.read_text()) as server:
        yield server
