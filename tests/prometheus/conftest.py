"""A running system with everything that clients do, and a Prometheus that scrapes it."""

from collections.abc import Iterator

import pytest

from deploy.monitoring.generated import RULES
from tests.prometheus.traffic import Traffic
from tests.support.prometheus import Prometheus
from tests.support.system import System
from tests.support.waiting import until_now

SETTINGS = {"OFFER_TIMEOUT": "3", "STORAGE": "memory"}
"""Offers that nobody answers should time out under the eyes of the tests, and no others."""


@pytest.fixture(scope="package")
def busy(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two of each service, and their clients."""
    folder = tmp_path_factory.mktemp("busy")
    with (
        System(nats_url, folder, gateways=2, routers=2, presences=2, settings=SETTINGS) as system,
        Traffic(system) as traffic,
    ):

        def has_done_everything() -> bool:
            traffic.check()
            return traffic.rounds > 0

        until_now(has_done_everything)
        yield system


@pytest.fixture(scope="package")
def prometheus(busy: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """With the alert rules as they are committed."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Prometheus(folder, busy.processes, RULES.read_text()) as server:
        yield server
