"""A broker that stands still while others go on is left for another one, over TLS as without."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secured import SecuredCluster
from tests.support.waiting import until
from tieline.runtime.broker import connect
from tieline.runtime.settings import BrokerLogin

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SecuredCluster]:
    """One that no other test uses."""
    with SecuredCluster.in_namespace(tmp_path, "standstill") as running:
        yield running


async def test_a_broker_that_stands_still_is_left_for_another(cluster: SecuredCluster) -> None:
    login = BrokerLogin("gateway", cluster.prepared.password("gateway"), str(cluster.prepared.ca))
    broker = await connect(cluster.url, "moving", login)
    back, losses = asyncio.Event(), list[str]()
    broker.when_away(lambda: losses.append("away"))
    broker.when_back(back.set)
    url = broker.client.connected_url
    assert url is not None
    with cluster.frozen(url.port):
        await until(back.is_set)
        assert broker.client.connected_url is not None
        assert broker.client.connected_url.port != url.port
        await broker.flush()
    assert losses == ["away"]
    await broker.close()
