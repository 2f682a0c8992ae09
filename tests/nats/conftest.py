"""One secured cluster, and a system on it, for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.resuming import ResumingPeople
from tests.support.secured import KINDS, SecuredCluster
from tests.support.system import System

NAMESPACE = "secured"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredCluster]:
    with SecuredCluster.in_namespace(tmp_path_factory.mktemp("nats"), NAMESPACE) as running:
        yield running


@pytest.fixture(scope="session")
def system(cluster: SecuredCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two of each, which log in each as what it is."""
    settings = {
        "NAMESPACE": NAMESPACE,
        "REPLICAS": "3",
        "OFFER_TIMEOUT": "2",
        "DRAIN_WAIT": "0",
        "DRAIN_SPREAD": "0.3",
        "LOG_LEVEL": "debug",
        "EVENTS": "on",
    }
    with System(
        cluster.url,
        tmp_path_factory.mktemp("system"),
        gateways=2,
        routers=2,
        presences=2,
        settings=settings,
        own_settings={kind: cluster.prepared.login(kind) for kind in KINDS},
    ) as running:
        yield running


@pytest.fixture
async def people(system: System) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(system) as present:
        yield present
