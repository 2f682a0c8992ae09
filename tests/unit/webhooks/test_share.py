"""Endpoints are shared out among the workers that live."""

from tieline.wire.webhooks import EndpointId
from webhooks.share import server_of

ENDPOINTS = [EndpointId(f"endpoint {number}") for number in range(300)]


def test_without_a_worker_nobody_serves() -> None:
    assert server_of(ENDPOINTS[0], ()) is None


def test_every_worker_finds_the_same() -> None:
    assert server_of(ENDPOINTS[0], ("a", "b", "c")) == server_of(ENDPOINTS[0], ("c", "a", "b"))


def test_each_worker_has_its_part() -> None:
    served = [server_of(endpoint, ("a", "b", "c")) for endpoint in ENDPOINTS]
    assert all(served.count(worker) > 60 for worker in ("a", "b", "c"))


def test_a_worker_that_goes_moves_only_its_own_part() -> None:
    for endpoint in ENDPOINTS:
        before = server_of(endpoint, ("a", "b", "c"))
        assert before == "c" or server_of(endpoint, ("a", "b")) == before
