"""Two gateways of one backend, for the tests of a client that resumes."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.unit.client.resuming_gateways import Backend, FixedJitter, Gateway
from tieline.cli.dev.ports import hold_ports


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def jitter() -> FixedJitter:
    return FixedJitter()


@pytest.fixture
async def gateway(backend: Backend) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with gateway.open(backend):
        yield gateway


@pytest.fixture
def stopped_gateway() -> Iterator[Gateway]:
    """Make one that can be started and stopped, and always listens at the same place."""
    with hold_ports(1, "127.0.0.1") as (port,):
        yield Gateway(port)


@pytest.fixture
async def other_gateway(backend: Backend) -> AsyncIterator[Gateway]:
    gateway = Gateway()
    async with gateway.open(backend):
        yield gateway
