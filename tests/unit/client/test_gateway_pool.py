import pytest

from tieline.client.gateway_pool import BACKOFF_CAP_S, RETRY_AFTER_CAP_S, STABLE_S, Backoff, GatewayPool


def never() -> float:
    return 0.0


def half() -> float:
    return 0.5


def almost() -> float:
    return 0.999


def test_waits_grow_up_to_the_cap_and_are_any_part_of_that() -> None:
    backoff = Backoff(half)
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1, 2, 4, 4, 4]
    backoff.reset()
    assert backoff.next_s() == 0.5
    endless = Backoff(almost)
    assert max(endless.next_s() for _ in range(5000)) < BACKOFF_CAP_S


def test_only_a_stable_connection_makes_the_waits_short_again() -> None:
    pool = GatewayPool(["a"], half)
    assert [pool.wait_s(0) for _ in range(3)] == [0.5, 1, 2]
    pool.connected(100)
    pool.leave(100 + STABLE_S / 2)
    assert pool.wait_s(200) == 4
    pool.connected(200)
    pool.leave(200 + STABLE_S)
    assert pool.wait_s(300) == 0.5


@pytest.mark.parametrize(("number", "urls"), [(0.0, "bcab"), (0.5, "cbac"), (0.999, "cbac")])
def test_a_client_that_leaves_goes_to_any_other_gateway(number: float, urls: str) -> None:
    pool = GatewayPool("abc", lambda: number)
    seen = ""
    for _ in urls:
        pool.leave(0)
        seen += pool.url
    assert seen == urls


def test_a_gateway_that_fails_is_followed_by_the_next() -> None:
    pool = GatewayPool("abc", almost)
    seen = pool.url
    for _ in range(3):
        pool.failed(0, None)
        pool.wait_s(0, at_once=True)
        seen += pool.url
    assert seen == "abca"


def test_gateways_that_ask_for_time_are_not_tried_before_it() -> None:
    pool = GatewayPool("abc", never)
    pool.failed(0, 9)
    pool.failed(0, 5)
    assert (pool.wait_s(1), pool.url) == (0, "c")
    pool.failed(1, 100)
    assert (pool.wait_s(2), pool.url) == (3, "b")
    pool.failed(5, None)
    assert (pool.wait_s(8), pool.url) == (0, "b")
    pool.failed(8, 1000)
    assert (pool.wait_s(9), pool.url) == (0, "a")


def test_the_wait_that_is_asked_for_comes_before_ones_own() -> None:
    pool = GatewayPool("a", half)
    pool.failed(0, 7)
    assert pool.wait_s(0, at_once=True) == 7
    assert pool.wait_s(0) == 7.5
    pool.failed(0, 10 * RETRY_AFTER_CAP_S)
    assert pool.wait_s(0, at_once=True) == RETRY_AFTER_CAP_S
