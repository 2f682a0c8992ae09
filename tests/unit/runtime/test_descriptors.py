"""Descriptors for clients, and those that are kept from them."""

import resource
from collections.abc import Iterator

import pytest

from tieline.runtime.descriptors import RESERVE, left_for_clients, sockets_allowed


@pytest.mark.parametrize(("all_", "left"), [(1024, 1024 - RESERVE), (100_000, 100_000 - RESERVE), (100, 50)])
def test_some_are_kept_from_clients(all_: int, left: int) -> None:
    assert left_for_clients(all_) == left


@pytest.fixture
def few() -> Iterator[int]:
    """Let this process have few descriptors, unless it takes more; returns how many it may take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield 512
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_takes_as_many_as_it_may(few: int) -> None:
    assert sockets_allowed() > few
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > few
